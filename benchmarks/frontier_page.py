"""Tables and the picture of docs/explanation/frontier.md, from the results of bench_frontier.py."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

Rows = list[dict[str, Any]]
NAMES = {
    "febrl3": "FEBRL 3",
    "febrl4_ov50": "FEBRL 4, half overlap",
    "gecko_de": "gecko (German)",
    "dupehell_kyc": "dupehell (dirty)",
    "pp_census_replicate": "pseudopeople census",
    "splink_fake1000": "fake1000 (231 records)",
    "clkhash_dirty1000": "clkhash dirty1000",
    "registers": "practice registers",
    "households": "made-up town, households whole",
}
LISTS = {"exact": "exact list", "three times, a tenth mistyped": "three times, a tenth mistyped"}


def write(rows: Rows, page: Path) -> None:
    """Write every table for which there are results, and the picture beside the page."""
    made = {
        "calibrated": _calibrated,
        "price": _price,
        "links": _links,
        "attacks": _attacks,
        "pairs": _pairs,
    }
    for name, table in made.items():
        lines = list(table(rows))
        if len(lines) > 2:
            pattern = rf"(<!-- frontier {name}: .*? -->\n).*?(<!-- end -->)"
            text = "\n".join(lines)
            body, found = re.subn(
                pattern,
                lambda m, text=text: f"{m[1]}\n{text}\n\n{m[2]}",
                page.read_text(encoding="utf-8"),
                flags=re.DOTALL,
            )
            if not found:
                raise SystemExit(f"{page} has no place for the table {name!r}")
            page.write_text(body, encoding="utf-8")
    _draw(rows, page.with_suffix(".svg"))


def _table(head: Sequence[str], body: Iterator[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in body:
        yield "| " + " | ".join(row) + " |"


def chosen(rows: Rows, pairs: int = 0, limit: float = 0.01) -> dict[str, dict[str, Any]]:
    """Return what was calibrated for each set; ``limit`` is of calibrations without known pairs."""
    return {
        row["set"]: row
        for row in rows
        if row["part"] == "calibrate" and row["pairs"] == pairs and (pairs or row["limit"] == limit)
    }


def _price(rows: Rows) -> Iterator[str]:
    f1 = {(row["set"], row["setting"]): row["f1"] for row in rows if row["part"] == "links"}
    by_limit = {limit: chosen(rows, limit=limit) for limit in (0.01, 0.05, 0.1)}

    def body() -> Iterator[Sequence[str]]:
        for name in by_limit[0.05]:
            cells = [NAMES[name]]
            for found in by_limit.values():
                row = found[name]
                lost = f1[name, "none"] - f1[name, f"{row['t']}:{row['bits']}"]
                cells.append(f"t = {row['t']}, {row['bits']:,}: {100 * lost:.1f}")
            yield cells

    yield from _table(("file", *(f"at most {limit:.0%} named" for limit in by_limit)), body())


def _calibrated(rows: Rows) -> Iterator[str]:
    f1 = {(row["set"], row["setting"]): row["f1"] for row in rows if row["part"] == "links"}
    by_pairs = {pairs: chosen(rows, pairs) for pairs in (0, 50, 200)}

    def body() -> Iterator[Sequence[str]]:
        for name, row in by_pairs[0].items():
            plain = f1.get((name, "none"))
            hardened = f1.get((name, f"{row['t']}:{row['bits']}"))
            loss = "" if plain is None or hardened is None else f"{100 * (plain - hardened):.1f}"
            yield (
                NAMES[name],
                f"{row['records']:,}",
                "yes" if row["families"] else "no",
                *(_setting(by_pairs[pairs].get(name)) for pairs in (0, 50, 200)),
                *("" if one is None else f"{100 * one:.1f}" for one in (plain, hardened)),
                loss,
            )

    head = ("file", "records", "families", "no pairs, 1 %", "50 pairs, 2 %",
            "200 pairs, 5 or 10 %", "F1 none", "F1 hardened", "points lost")  # fmt: skip
    yield from _table(head, body())


def _setting(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    return f"t = {row['t']}, {row['bits']:,}" + ("" if row["withstood"] else " (fell)")


def _links(rows: Rows) -> Iterator[str]:
    found = [row for row in rows if row["part"] == "links"]
    settings = list(dict.fromkeys(row["setting"] for row in found))
    f1 = {(row["set"], row["setting"]): row["f1"] for row in found}
    sets = list(dict.fromkeys(row["set"] for row in found))
    yield from _table(
        ("file", *settings),
        (
            (
                NAMES[name],
                *(f"{100 * f1[name, s]:.1f}" if (name, s) in f1 else "" for s in settings),
            )
            for name in sets
        ),
    )


def _attacks(rows: Rows) -> Iterator[str]:
    yield from _named([row for row in rows if row["part"] == "attacks"], "list", LISTS)


def _pairs(rows: Rows) -> Iterator[str]:
    found = [row for row in rows if row["part"] == "pairs"]
    yield from _named(found, "known", {number: f"{number:,} pairs" for number in (50, 200, 1_000)})


def _named(found: Rows, by: str, columns: dict[Any, str]) -> Iterator[str]:
    named = {(row["set"], row["size"], row["t"], row["bits"], row[by]): row for row in found}
    lines = dict.fromkeys(key[:4] for key in named)

    def body() -> Iterator[Sequence[str]]:
        for line in lines:
            shares = [named.get((*line, column)) for column in columns]
            one = next(row for row in shares if row)
            yield (
                NAMES[line[0]],
                f"{one['listed']:,}",
                f"{line[2]}, {line[3]:,}",
                *("" if row is None else f"{100 * row['named']:.2f}" for row in shares),
                f"{one['spread']:.1f}",
            )

    yield from _table(("file", "people", "t, bits", *columns.values(), "spread"), body())


def _draw(rows: Rows, file: Path) -> None:
    """Draw F1 lost against the share named without key and pairs, a line for each file."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "pprl"
    f1 = {(row["set"], row["setting"]): row["f1"] for row in rows if row["part"] == "links"}
    found = [row for row in rows if row["part"] == "attacks" and row["list"] == "exact"]
    # What calibration tried is attacked in the same way, with up to 3,000 people.
    found += [
        {"set": row["set"], "size": 3_000, "n": 3_000, "t": t, "bits": bits, "named": named}
        for row in rows
        if row["part"] == "calibrate" and not row["pairs"] and row["limit"] == 0.01
        for t, bits, named, _ in row["trials"]
    ]
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    for name in dict.fromkeys(row["set"] for row in found):
        # The size at which most settings were attacked.
        size = Counter(row["size"] for row in found if row["set"] == name).most_common(1)[0][0]
        points = sorted(
            (100 * max(row["named"], 1 / row["n"]), 100 * f1[name, key], key)
            for row in found
            if row["set"] == name and row["size"] == size
            and (name, key := f"{row['t']}:{row['bits']}") in f1
        )  # fmt: skip
        if not points:
            continue
        (line,) = axes.plot([p[0] for p in points], [p[1] for p in points], "o-", label=NAMES[name])
        for x, y, setting in points:
            axes.annotate(setting, (x, y), textcoords="offset points", xytext=(4, 4),
                          color=line.get_color(), fontsize=7)  # fmt: skip
    axes.axvline(1, color="0.6", linestyle="--")
    axes.set_xscale("log")
    axes.set_xlabel("people named without key and known pairs, exact list (%)")
    axes.set_ylabel("F1 at the automatic threshold (%)")
    axes.invert_xaxis()
    for formatted in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        formatted("{x:g}")
    axes.legend(fontsize=9)
    figure.savefig(file, metadata={"Date": None})
