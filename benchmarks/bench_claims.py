"""What a linkage report estimates, and how often it held; writes the table of the docs page.

Usage: python benchmarks/bench_claims.py [--seeds N] [--docs PAGE]

Each linkage is made without its truth, as a user makes it. Every estimate in its report is then
held against the truth. The people are the practice data of seeds 1 to N and, as real typing errors
are not like made-up ones, FEBRL 4 with only half of each file in common, drawn anew for each seed.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd

import pprl
from pprl import demo
from pprl.errors import PprlWarning
from pprl.evaluation.report import report
from pprl.synthetic import practice

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from report_claims import Case, claims, hits, practice_cases

PERSONS = (4_000, 10_000)
"""Few links show whether intervals are wide enough where next to none is false."""
NONE = '{ method = "none" }'


def hardened(plain: str, t: int) -> str:
    """Give a schema of plain CLKs min-hashes."""
    return plain.replace(NONE, f'{{ method = "minhash", t = {t} }}')


def febrl_cases(seed: int, settings: dict[str, str]) -> Iterator[Case]:
    people = demo.half_overlap(demo.febrl4(), seed)
    key = pprl.LinkageKey.from_secret("claims of a linkage report", allow_weak=True)
    for setting, schema in settings.items():
        two = tuple(
            pprl.encode(
                table,
                pprl.Schema.from_toml(schema),
                key,
                id_column="rec_id",
                holder=holder,
                workers=1,
            )
            for holder, table in zip(demo.HOLDERS, (people.left, people.right), strict=True)
        )
        yield Case(("FEBRL 4", setting, "two files"), two, pprl.link(*two, workers=1), people.truth)


def all_cases(seeds: int) -> Iterator[Case]:
    with tempfile.TemporaryDirectory() as there:
        practice(there, persons=PERSONS[-1], seed=1)
        plain = pprl.suggest_schema(Path(there) / "hospital.csv", hardening="none")
    febrl = (files("pprl") / "schemas" / "febrl4.toml").read_text(encoding="utf-8")
    for seed in range(1, seeds + 1):
        for persons in PERSONS:
            settings = {"none": plain} | {f"minhash, t = {t}": hardened(plain, t) for t in (3, 5)}
            yield from practice_cases(seed, persons, settings)
        yield from febrl_cases(seed, {"none": febrl, "minhash, t = 3": hardened(febrl, 3)})


def table(seeds: int) -> list[str]:
    rows = []
    for case in all_cases(seeds):
        content = report(case.result)
        hit = hits(case.found, case.truth)
        rows += [
            (*case.name, one.name, one.holds, one.high - one.low)
            for one in claims(content, case.found, case.truth)
        ]
        print(*case.name, f"{len(hit)} links, {int((~hit).sum())} false", file=sys.stderr)
    frame = pd.DataFrame(rows, columns=["set", "setting", "files", "claim", "holds", "width"])
    lines = [
        "| set | setting | files | what is estimated | estimates | held | median width, points |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, part in frame.groupby(["claim", "set", "files", "setting"], sort=False):
        claim, which, many, setting = name
        lines.append(
            f"| {which} | {setting} | {many} | {claim} | {len(part)} | {int(part['holds'].sum())} "
            f"| {100 * np.median(part['width']):.1f} |"
        )
    for claim, part in frame.groupby("claim", sort=False):
        held = int(part["holds"].sum())
        lines.append(
            f"| **all** | | | {claim} | {len(part)} | **{held}** | "
            f"{100 * np.median(part['width']):.1f} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--docs", type=Path, help="page to write the table into")
    options = parser.parse_args()
    warnings.simplefilter("ignore", PprlWarning)
    made = "\n".join(table(options.seeds))
    print(made)
    if options.docs:
        body = options.docs.read_text(encoding="utf-8")
        options.docs.write_text(
            re.sub(
                r"(<!-- claims: .*? -->\n).*?(<!-- end claims -->)",
                lambda found: f"{found[1]}\n{made}\n\n{found[2]}",
                body,
                flags=re.DOTALL,
            ),
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()
