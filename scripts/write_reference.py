"""Write the pages that come from the code and its tests: commands, errors, modules, readings.

python scripts/write_reference.py            after a change of either
python scripts/write_reference.py --check    exit code 1 if a page is not current
"""

from __future__ import annotations

import ast
import html
import inspect
import json
import re
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

from pprl import errors
from pprl.cli import app

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
ARCHITECTURE = REFERENCE.parent / "explanation" / "architecture.md"
SOURCE = Path(__file__).parent.parent / "src" / "pprl"
VECTOR = Path(__file__).parent.parent / "tests" / "golden" / "encodings-format-1.json"
READ = VECTOR.parent / "what-is-read.json"
EVERYWHERE = ("verbose", "quiet")
"""Options that every command takes; the page says so once."""
MARKERS = re.compile(
    r"(<!-- (?:errors|vector|tree|reading): .*? -->\n).*?(<!-- end -->)", re.DOTALL
)


@dataclass(frozen=True)
class Parameter:
    """An argument or an option of a command, as its signature declares it."""

    name: str
    kind: type
    default: Any
    declared: ArgumentInfo | OptionInfo

    @property
    def names(self) -> list[str]:
        """What is typed: ``-o``, ``--output``; for an argument its placeholder."""
        if isinstance(self.declared, ArgumentInfo):
            return [self.name.upper()]
        # Within Annotated, typer keeps the first name where a default would stand.
        names = [str(self.declared.default), *(self.declared.param_decls or ())]
        return sorted(names, key=len)

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is inspect.Parameter.empty

    @property
    def several(self) -> bool:
        """Whether it may be given several times."""
        return any(get_origin(one) is list for one in _members(self.kind))

    def values(self) -> str:
        """Say what it takes."""
        if self.declared.metavar:
            return self.declared.metavar + (", several times" if self.several else "")
        kinds = [
            get_args(one)[0] if get_origin(one) is list else one for one in _members(self.kind)
        ]
        choices = [str(value) for one in kinds for value in get_args(one)]
        if choices:
            return ", ".join(f"`{choice}`" for choice in choices)
        names = {Path: "PATH", str: "TEXT", int: "INTEGER", float: "NUMBER", bool: ""}
        return names[kinds[0]] + (", several times" if self.several else "")


def _members(kind: Any) -> list[Any]:
    if get_origin(kind) in (Union, types.UnionType):
        return [one for one in get_args(kind) if one is not type(None)]
    return [kind]


def commands(typer_app: Any = app, prefix: str = "") -> dict[str, Callable[..., None]]:
    """Return the function of every command by its name, ``schema check`` for one of a group."""
    found = {
        f"{prefix}{one.name or one.callback.__name__.replace('_', '-')}": one.callback
        for one in typer_app.registered_commands
    }
    for group in typer_app.registered_groups:
        found |= commands(group.typer_instance, f"{prefix}{group.name} ")
    return found


def parameters(command: Callable[..., None]) -> list[Parameter]:
    """Return a command's arguments and options, in their order."""
    hints = get_type_hints(command, include_extras=True)
    found = []
    for name, one in inspect.signature(command).parameters.items():
        if name in EVERYWHERE:
            continue
        kind, *extras = get_args(hints[name])
        declared = next(x for x in extras if isinstance(x, ArgumentInfo | OptionInfo))
        found.append(Parameter(name, kind, one.default, declared))
    return found


def command_line() -> str:
    """Describe every command, its arguments and its options."""
    lines = [
        "# Command line",
        "",
        "<!-- written by scripts/write_reference.py from the commands themselves; do not edit -->",
        "",
        "Results go to standard output, progress and errors to standard error.",
        "`--json` prints for machines. [Exit codes](errors.md) tell kinds of errors apart.",
        "",
        "Every command takes `-v` (`--verbose`) and `-q` (`--quiet`): [log and progress](log.md).",
        "`pprl --version` prints the version.",
        "",
        "`pprl --install-completion` sets up completion for your shell.",
        "",
    ]
    for name, command in commands().items():
        lines += _command(f"pprl {name}", command)
    return "\n".join(lines)


def _command(name: str, command: Callable[..., None]) -> list[str]:
    known = parameters(command)
    arguments = [one for one in known if isinstance(one.declared, ArgumentInfo)]
    options = [one for one in known if isinstance(one.declared, OptionInfo)]
    usage = " ".join([name, *map(_placeholder, arguments), "[OPTIONS]"])
    lines = [f"## {name}", "", inspect.cleandoc(command.__doc__ or ""), "", "```", usage, "```", ""]
    lines += ["| | default | |", "|---|---|---|"]
    for one in [*arguments, *options]:
        what = f"`{', '.join(one.names)}`"
        if isinstance(one.declared, OptionInfo):
            what = f"{what} {one.values()}".rstrip()
        lines.append(f"| {what} | {_default(one)} | {one.declared.help or ''} |")
    return [*lines, ""]


def _placeholder(argument: Parameter) -> str:
    name = argument.names[0] + ("..." if argument.several else "")
    return name if argument.required else f"[{name}]"


def _default(parameter: Parameter) -> str:
    if parameter.required:
        return "required"
    return f"`{parameter.default}`" if parameter.default not in (None, False, "") else ""


def error_table() -> str:
    """List every error with its exit code, in the order of the tree."""
    rows = [
        f"| {'&emsp;' * (depth - 1)}`{one.__name__}` | {one.exit_code} | {_sentence(one)} |"
        for one, depth in _descendants(errors.PprlError, 1)
    ]
    return "\n".join(["| error | exit code | |", "|---|---|---|", *rows, ""])


def _descendants(
    error: type[errors.PprlError], depth: int
) -> Iterator[tuple[type[errors.PprlError], int]]:
    for one in error.__subclasses__():
        if one.__module__ == errors.__name__:
            yield one, depth
            yield from _descendants(one, depth + 1)


def _sentence(error: type[errors.PprlError]) -> str:
    return inspect.cleandoc(error.__doc__ or "").split("\n\n")[0].replace("\n", " ")


def vector_table() -> str:
    """Show the test vector of the encodings file."""
    vector = json.loads(VECTOR.read_text(encoding="utf-8"))
    head = vector["header"]
    lines = [
        f"Key (hexadecimal): `{vector['key']}`",
        "",
        "The schema's canonical JSON:",
        "",
        "```json",
        vector["canonical"],
        "```",
        "",
        f"Fingerprint: `{vector['fingerprint']}`",
        "",
        f"Key check: `{head['key_check']}`, self-test: `{head['self_test']}`",
        "",
    ]
    names = [field["name"] for field in vector["schema"]["fields"]]
    columns = {name: values for name, values in vector["columns"].items() if name != "record_id"}
    lines += [
        f"| record | {' | '.join(names)} | {' | '.join(f'`{name}`' for name in columns)} |",
        "|---" * (1 + len(names) + len(columns)) + "|",
    ]
    for at, person in enumerate(vector["people"]):
        made = [values[at] for values in columns.values()]
        shown = [f"`{one if isinstance(one, str) else one[0]}`" for one in made]
        values = [person[name] or "" for name in names]
        lines.append(f"| {' | '.join([person['id'], *values, *shown])} |")
    return "\n".join([*lines, ""])


def module_tree() -> str:
    """List every module with the first sentence of its docstring, folder by folder."""
    lines = ["```", "src/pprl/"]

    def describe(folder: Path, depth: int) -> None:
        names = [one for one in sorted(folder.glob("*.py")) if one.name != "__init__.py"]
        folders = sorted(one.parent for one in folder.glob("*/__init__.py"))
        for one in [*names, *folders]:
            source = one if one.is_file() else one / "__init__.py"
            said = (ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or "").strip()
            first = re.split(r"(?<=[.:])\s", said.replace("\n", " "), maxsplit=1)[0].rstrip(".:")
            label = "  " * depth + one.name + ("" if one.is_file() else "/")
            lines.append(f"{label:<28} {first}".rstrip())
            if one.is_dir():
                describe(one, depth + 1)

    describe(SOURCE, 1)
    return "\n".join([*lines, "```", ""])


def reading_table() -> str:
    """Show what each normaliser makes of what people write, from the cases of the tests."""
    cases = json.loads(READ.read_text(encoding="utf-8"))
    lines = ["| normaliser | written | read as |", "|---|---|---|"]
    for name, pairs in cases.items():
        for written, read in pairs:
            if written:
                lines.append(
                    f"| `{name}` | {_code(written)} | {_code(read) if read else 'missing'} |"
                )
    return "\n".join([*lines, ""])


def _code(text: str) -> str:
    return f"<code>{html.escape(text).replace('|', '&#124;')}</code>"


def pages() -> dict[Path, str]:
    """Return every page as it should be."""
    made = {REFERENCE / "command-line.md": command_line()}
    for page, table in (
        (REFERENCE / "errors.md", error_table()),
        (REFERENCE / "encoding.md", vector_table()),
        (REFERENCE / "reading.md", reading_table()),
        (ARCHITECTURE, module_tree()),
    ):
        content = page.read_text(encoding="utf-8")
        made[page] = MARKERS.sub(
            lambda found, table=table: f"{found[1]}\n{table}\n{found[2]}", content
        )
    return made


def main() -> None:
    """Write the pages, or only say whether they are current."""
    stale = [
        path
        for path, text in pages().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if sys.argv[1:] == ["--check"]:
        sys.exit(f"not current: {', '.join(map(str, stale))}" if stale else 0)
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
