"""What the pages say works: tutorials and README are run, block after block."""

from __future__ import annotations

import ast
import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pytest
import typer.main

import pprl
from pprl import synthetic
from pprl.cli import app

ROOT = Path(__file__).parent.parent
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
FENCE = re.compile(
    r"^(?P<skip><!-- not run[^>]*-->\n\n?)?```(?P<kind>\w*)[^\n]*\n(?P<text>.*?)^```$", re.M | re.S
)


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
    quality = pprl.Quality.load(tmp_path / "quality.json")
    assert quality.true_pairs == made["truth.csv"]
    assert quality.f1.value > 0.9


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
            for line in re.findall(r"^\s*(?:\$ )?pprl +(.*)$", text, re.M):
                found.append(shlex.split(line.split(" or: ")[0], comments=True))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_exist(page: Path) -> None:
    """No page names a command or an option that is not there."""
    for words in commands(page):
        command: click.Command = typer.main.get_command(app)
        rest = words
        while hasattr(command, "commands"):
            assert rest, words
            assert rest[0] in command.commands, f"{page.name}: pprl {' '.join(words)}"
            command, rest = command.commands[rest[0]], rest[1:]
        known = {name for option in command.params for name in option.opts} | {"--help"}
        for word in rest:
            if word in {"|", "||", ">", "&&", ";"}:
                break
            if re.match(r"--?[a-z]", word):
                assert word.split("=")[0] in known, f"{page.name}: pprl {' '.join(words)}"
