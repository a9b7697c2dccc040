"""Run every workflow and gather the figures they end with.

python examples/workflows/run_all.py [--size small] [--only NAME ...] [--docs] [-o FOLDER]

With ``--docs`` the table in docs/explanation/workflows.md is written anew. A workflow that was
not run keeps its row.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "explanation" / "workflows.md"
NAMES = {
    "cbs": "survey against the population register",
    "nhr": "procedures of seventy hospitals",
    "capacity": "many centres, names from everywhere",
    "iknl": "tumours and pathology",
    "lifelines": "cohort of families and pharmacy",
    "datahub": "study and hospital, in a pipeline",
    "personal_health_train": "train, two stations",
    "xomics": "samples and cohort",
    "health_ri": "two data stations",
    "bbmri_expectations": "expectations before access",
}
HEAD = (
    "| workflow | size | records | links | recall | precision | today's keys | their recall | "
    "their precision | gain, points | seconds |"
)
RULE = "|---|---|---|---|---|---|---|---|---|---|---|"


def run(name: str, size: str, folder: Path) -> dict[str, object]:
    """Run one workflow; return its figure."""
    out = folder / f"{name}-{size}"
    command = [sys.executable, str(HERE / name / "run.py"), "--size", size, "-o", str(out)]
    print("$", " ".join(command[1:]), flush=True)
    subprocess.run(command, check=True)
    figure: dict[str, object] = json.loads((out / "figure.json").read_text())
    return figure


def row(figure: dict[str, object]) -> str:
    """Write a figure as a row of the table."""
    name = str(figure["workflow"])
    cells = [
        f"`{name}`: {NAMES[name]}",
        figure["size"],
        f"{figure['records']:,}",
        f"{figure['links']:,}",
        *(f"{100 * float(str(figure[one])):.1f} %" for one in ("recall", "precision")),
        figure["exact"],
        *(f"{100 * float(str(figure[one])):.1f} %" for one in ("exact_recall", "exact_precision")),
        f"{float(str(figure['gain'])):+.1f}",
        f"{float(str(figure['seconds'])):.1f}",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def write(figures: list[dict[str, object]]) -> None:
    """Put the rows between the markers of the page, in the order of `NAMES`."""
    text = PAGE.read_text()
    found = re.search(r"(<!-- workflows[^\n]*-->\n)(.*?)(<!-- end -->)", text, re.DOTALL)
    if found is None:
        sys.exit(f"{PAGE} has no markers for the table")
    rows = {}
    for line in found[2].splitlines():
        known = re.match(r"\| `(\w+)`[^|]*\| (\w+) \|", line)
        if known:
            rows[known[1], known[2]] = line
    for figure in figures:
        rows[str(figure["workflow"]), str(figure["size"])] = row(figure)
    order = [(name, size) for name in NAMES for size in ("small", "full") if (name, size) in rows]
    table = "\n".join([HEAD, RULE, *(rows[one] for one in order)])
    PAGE.write_text(text.replace(found[0], f"{found[1]}{table}\n{found[3]}"))


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=("small", "full"), default="small")
    parser.add_argument("--only", nargs="+", choices=list(NAMES), default=list(NAMES))
    parser.add_argument("--docs", action="store_true")
    parser.add_argument("-o", "--output", type=Path, default=None)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.output or Path(temporary)
        figures = [run(name, given.size, folder) for name in given.only]
    print(HEAD, RULE, *map(row, figures), sep="\n")
    if given.docs:
        write(figures)


if __name__ == "__main__":
    main()
