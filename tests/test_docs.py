"""What the pages say works: tutorials and README are run, block after block."""

from __future__ import annotations

import ast
import contextlib
import doctest
import importlib.util
import io
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

import pprl
from pprl import errors, synthetic
from pprl.cli import app

HOW_TO_NAMES = ("agree-a-key", "linkage-unit", "names-of-your-country")
ROOT = Path(__file__).parent.parent
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
HOW_TOS = [ROOT / "docs" / "how-to" / f"{name}.md" for name in HOW_TO_NAMES]
PPRL = [
    sys.executable,
    "-c",
    "import sys; sys.argv[0] = 'pprl'; from pprl.cli import main; main()",
]
FENCE = re.compile(
    r"^(?P<skip><!-- not run[^>]*-->\n\n?)?```(?P<kind>\w*)[^\n]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def script(name: str) -> Any:
    """Load a program of scripts/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


reference = script("write_reference")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    kind: str
    text: str
    line: int
    skipped: bool


def blocks(page: Path) -> list[Block]:
    content = page.read_text(encoding="utf-8")
    return [
        Block(
            found["kind"],
            found["text"],
            content[: found.start("text")].count("\n") + 1,
            bool(found["skip"]),
        )
        for found in FENCE.finditer(content)
    ]


def play(page: Path, folder: Path) -> int:
    """Run a page's bash and python blocks in order; compare what is said with its text blocks.

    In a text block `...` stands for anything, as in doctest. The python blocks are one session.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    said, ran = "", 0
    for block in blocks(page):
        place = f"{page.name}, line {block.line}"
        if block.skipped:
            continue
        if block.kind == "bash":
            said, ran = shell(block.text, folder, place), ran + 1
        elif block.kind == "python":
            caught = io.StringIO()
            with contextlib.chdir(folder), contextlib.redirect_stdout(caught):
                exec(compile(block.text, place, "exec"), names)
            said, ran = caught.getvalue(), ran + 1
        elif block.kind == "text":
            same = doctest.OutputChecker().check_output(
                block.text, said, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            )
            assert same, f"{place} says\n{block.text}\nbut it is\n{said}"
    return ran


def shell(script: str, folder: Path, place: str) -> str:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "100",
        "NO_COLOR": "1",
    }
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{place}: exit code {done.returncode}\n{done.stdout}"
    return done.stdout


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_tutorial(page: Path, tmp_path: Path) -> None:
    """A tutorial works in an empty folder, and says what it says."""
    assert play(page, tmp_path) >= 5


@pytest.mark.parametrize("page", HOW_TOS, ids=lambda page: page.stem)
def test_how_to(page: Path, tmp_path: Path) -> None:
    assert play(page, tmp_path) >= 1


def test_there_is_a_tutorial_for_each_user() -> None:
    assert {page.stem for page in TUTORIALS} == {"data-holder", "linkage-unit", "researcher"}


def test_readme(tmp_path: Path) -> None:
    """The README's blocks work where its readers have what they name."""
    made = synthetic.practice(tmp_path)
    people = pd.read_csv(tmp_path / "hospital.csv", dtype=str)
    people.rename(columns={"record_id": "patient_id"}).to_csv(tmp_path / "people.csv", index=False)
    shell(
        "pprl schema suggest hospital.csv -o schema.toml; pprl keygen project.key; pprl encode "
        "registry.csv -s schema.toml -k project.key --id-column record_id --holder registry "
        "-o registry.clk.parquet",
        tmp_path,
        "preparation",
    )
    assert play(ROOT / "README.md", tmp_path) >= 3
    quality = json.loads((tmp_path / "quality.json").read_text())
    assert quality["true_pairs"] == made["truth.csv"]
    assert quality["f1"]["value"] > 0.9


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_parses(page: Path) -> None:
    for block in blocks(page):
        if block.kind == "python":
            ast.parse(block.text, f"{page.name}, line {block.line}")


def commands(page: Path) -> list[list[str]]:
    """Every `pprl ...` line of a page's blocks, cut into words."""
    found = []
    for block in blocks(page):
        if block.kind in {"", "bash", "console", "sh"}:
            text = block.text.replace("\\\n", " ")
            found += [
                shlex.split(line, comments=True)
                for line in re.findall(r"^\s*(?:\$ )?pprl +(.*)$", text, re.MULTILINE)
            ]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_exist(page: Path) -> None:
    """No page names a command or an option that is not there."""
    there = reference.commands()
    for words in commands(page):
        line = f"{page.name}: pprl {' '.join(words)}"
        if words[0].startswith("-"):
            assert words[0] in {"--help", "--install-completion", "--show-completion"}, line
            continue
        taken = 2 if " ".join(words[:2]) in there else 1
        name = " ".join(words[:taken])
        assert name in there, line
        known = {"--help"}.union(*(one.names for one in reference.parameters(there[name])))
        for word in words[taken:]:
            if word in {"|", "||", ">", "&&", ";"}:
                break
            if re.match(r"--?[a-z]", word):
                assert word.split("=")[0] in known, line


def test_generated_pages_are_current() -> None:
    """Run scripts/write_reference.py if this fails."""
    for path, text in reference.pages().items():
        assert path.read_text(encoding="utf-8") == text, path.name


def test_the_reference_is_complete() -> None:
    """Every command and every error that can be met is described."""
    text = reference.command_line()
    for name in ("encode", "link", "schema check", "practice"):
        assert f"## pprl {name}\n" in text
    assert "`-k, --key` TEXT | required" in text
    for name in errors.__all__:
        kind = getattr(errors, name)
        if kind is not errors.PprlError and not issubclass(kind, errors.PprlWarning):
            assert f"`{name}`" in reference.error_table()


@pytest.mark.parametrize("name", ["", *reference.commands(), "schema"])
def test_help_reads_well_at_80_columns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = CliRunner().invoke(app, [*name.split(), "--help"], prog_name="pprl")
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert max(map(len, lines)) <= 80
    cut = [line for line in lines if re.match(r"  \w.*\.\.\.$", line)]
    assert not cut, "the first sentence of a command does not fit"


def test_every_public_name_is_in_the_reference() -> None:
    """A new name of pprl gets its line, ::: pprl.NAME, under its role."""
    listed = re.findall(
        r"^::: pprl\.(\w+)$", (reference.REFERENCE / "api.md").read_text(), re.MULTILINE
    )
    assert sorted(listed) == sorted(pprl.__all__)


def test_the_site_check_finds_what_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    check = script("check_site")
    (tmp_path / "a.html").write_text(
        '<a href="https://example.org">x</a><script src="b.js"></script>'
        '<link rel="canonical" href="https://example.org">'
    )
    assert not check.remote_loads(tmp_path)
    (tmp_path / "a.html").write_text(
        '<script src="https://example.org/x.js"></script><img src="//example.org/x.png">'
        '<link rel="stylesheet" href="http://example.org/x.css">'
    )
    (tmp_path / "a.css").write_text("@font-face { src: url(https://example.org/x.woff2) }")
    assert len(check.remote_loads(tmp_path)) == 4


def test_completion_works() -> None:
    """What bash asks a completed program."""
    done = subprocess.run(
        PPRL,
        env=os.environ
        | {"_PPRL_COMPLETE": "complete_bash", "COMP_WORDS": "pprl enc", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == ["encode"]
