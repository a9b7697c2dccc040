"""From metrics to the names of weaknesses, and what no hardening cures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

DOES_NOT_PROTECT = (
    "Who has the key can test any name: a holder, a former employee, a leaked key file.",
    (
        "Known pairs: somebody who knows who stands behind hundreds of encodings finds out more. "
        "Thousands of known pairs defeat any encoding that still links dirty data."
    ),
    "Being in the file at all: that somebody stands in a register can be the disclosure.",
    "Results: similarities, small cells and rare links identify. Return pseudonyms and counts.",
    "A linkage unit that works together with a holder: they have encodings and key.",
    "One key for two projects: files of one can then be joined with files of the other.",
)
"""What encodings do not protect against, as in the threat model."""

FULL = 8
"""Dimensions that a file may lack by chance."""
_WIDE = 1.2
_EVEN = 0.02


def weaknesses(metrics: dict[str, Any]) -> list[dict[str, str]]:
    """Name what the metrics of a file show: the group, the weakness, what it means."""
    found = [
        {"group": group, "weakness": name, "meaning": meaning}
        for group, measured in metrics["groups"].items()
        for name, meaning in _of_group(measured)
    ]
    for name, measured in metrics.get("blocking", {}).items():
        if measured["distinct"]:
            found.append(
                {
                    "group": f"blocking pass {name}",
                    "weakness": "blocks show who shares a value",
                    "meaning": f"{measured['distinct']:,} distinct keys tell "
                    f"{measured['bits']:.1f} bits of a record; the largest block has "
                    f"{measured['largest'][0]:,} records.",
                }
            )
    return found


def _of_group(measured: dict[str, Any]) -> Iterator[tuple[str, str]]:
    columns, popcount = measured["columns"], measured["popcount"]
    together, identical = measured["together"], measured["identical"]
    bits = measured["bits"]
    if columns["constant"]:
        yield (
            "constant columns",
            (
                f"{columns['constant']:,} of {bits:,} bits are the same in every record. One mask "
                "for all records, as of randomised response that is seeded anew in every row, "
                "leaves such columns and protects nothing."
            ),
        )
    spanned = measured["span"]
    if spanned and spanned["rank"] < spanned["most"] - FULL and columns["constant"] == 0:
        yield (
            "hardening that can be undone",
            (
                f"the encodings span {spanned['rank']:,} of {spanned['most']:,} dimensions. They "
                "come from shorter filters by a secret pattern that is the same for every record. "
                "Whoever holds this file can work the pattern out from it, without the key and "
                "without knowing anybody in it, often within minutes, and then has the filters "
                "as they were before hardening. Treat the file as if it were not hardened: do not "
                "hand it on; encode again with another hardening."
            ),
        )
    tuples = measured["tuples"]
    if tuples and tuples["light"]:
        yield (
            "four encodings that cancel",
            (
                f"the XOR of four encodings has far too few bits set for {tuples['light']:,} "
                f"sets of four among {tuples['rows']:,} records, though no two of the "
                "four are near each other. Only a linear hardening shows this: it tells who shares "
                "a first name and a surname with whom. Take a hardening that is not linear."
            ),
        )
    if together["above_half"] or measured["patterns"]:
        yield (
            "bits that go together",
            (
                f"{together['above_half']:,} pairs of columns correlate above 0.5, and "
                f"{measured['patterns']:,} sets of columns are set together by many records: "
                "frequent tokens can be mined."
            ),
        )
    if measured["progressions"]["tested"] >= 5 and measured["progressions"]["share"] > 0.2:
        yield (
            "double hashing",
            "sets of columns lie in arithmetic progressions, which tell tokens apart.",
        )
    tossed = (bits * measured["fill"] * (1 - measured["fill"])) ** 0.5
    if popcount["sd"] > _WIDE * tossed:
        yield (
            "numbers of bits set differ",
            (
                f"between {popcount['minimum']:,} and {popcount['maximum']:,}; they tell the "
                "length of names, and which records lack a field."
            ),
        )
    if popcount["sd"] == 0 and abs(measured["fill"] - 0.5) < _EVEN and measured["bits"] >= 64:
        yield (
            "balanced",
            (
                "every record has half its bits set: balanced filters, which hide only that "
                "number; every column then has its complement in another, and they align as before."
            ),
        )
    if measured["complement"]["halves"]:
        yield ("unpermuted balance", "the second half is the complement of the first.")
    if measured["neighbours"] and measured["neighbours"]["spread"] > _WIDE:
        yield (
            "distances show who is like whom",
            (
                f"they spread {measured['neighbours']['spread']:.1f} times as far as those of "
                "tossed coins. Graph matching needs that."
            ),
        )
    if identical["unique_share"] < 0.95 and measured["bits"] >= 64:
        yield (
            "identical encodings",
            (
                f"only {identical['unique_share']:.0%} of the records have one of their own; the "
                f"most frequent is there {identical['largest'][0]:,} times, and frequent ones give "
                "themselves away."
            ),
        )
