"""The distribution's name: every instruction to install names it, and an extra that exists."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from pprl.version import DISTRIBUTION

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PLACES = ("README.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml", "docs", "src", "examples")
TEXT = {".md", ".py", ".toml", ".ipynb", ".txt", ".yml", "", ".service", ".def"}


def _texts() -> list[tuple[Path, str]]:
    files = [
        file
        for place in PLACES
        for file in ([ROOT / place] if (ROOT / place).is_file() else (ROOT / place).rglob("*"))
        if file.is_file() and file.suffix in TEXT and "__pycache__" not in file.parts
    ]
    return [(file, file.read_text(encoding="utf-8")) for file in files]


def test_nothing_tells_users_to_install_another_projects_package() -> None:
    # pip install pprl, pip install 'pprl[x]', pprl[x] as a requirement: all but pprl-linkage.
    wrong = re.compile(r"""\binstall\s+(?:-\S+\s+)*['"]?pprl(?![\w-])|(?<![\w.-])pprl\[[a-z]""")
    found = [(str(file), hit[0]) for file, text in _texts() for hit in wrong.finditer(text)]
    assert not found


def test_every_extra_that_is_named_exists() -> None:
    extras = set(PROJECT["optional-dependencies"])
    named = {
        extra
        for _, text in _texts()
        for hit in re.finditer(r"pprl-linkage\[([a-z,]+)\]", text)
        for extra in hit[1].split(",")
    }
    assert named
    assert named <= extras, named - extras
    table = (ROOT / "docs/how-to/install.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == extras


def test_one_name_everywhere() -> None:
    assert PROJECT["name"] == DISTRIBUTION
    code = (
        "import pprl, importlib.metadata as m\nprint(pprl.__version__, m.version('pprl-linkage'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [PROJECT["version"]] * 2
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {PROJECT['version']}\n" in citation
