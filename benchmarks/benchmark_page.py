"""The text of docs/explanation/benchmarks.md from what side_by_side.py found."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

Report = dict[str, Any]


@dataclass
class Findings:
    """What was found; filled step by step, so that a failure loses nothing else."""

    quality: list[Report] = field(default_factory=list)
    speed: list[Report] = field(default_factory=list)
    blocking: list[Report] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def tabled(rows: list[Report], columns: list[str]) -> list[str]:
    """A Markdown table of some columns."""
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for one in rows:
        cells = [shown(name, one[name]) for name in columns]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def shown(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if name in {"pairs", "peak_mb", "peer_mb", "pprl_mb"}:
        return f"{value:,.0f}"
    return (
        f"{value:.3f}" if name not in {"seconds", "peer_s", "pprl_s", "ratio"} else f"{value:.2f}"
    )


def better(found: Findings) -> list[str]:
    """Say where a peer is better, from the figures."""
    said = []
    for name in dict.fromkeys(one["set"] for one in found.quality):
        rows = [one for one in found.quality if one["set"] == name]
        for ours in (one for one in rows if one["tool"].startswith("pprl")):
            ahead = [
                f"{one['tool']}, {one['setting']} ({one['f1']:.3f})"
                for one in rows
                if not one["tool"].startswith("pprl") and one["f1"] > ours["f1"]
            ]
            if ahead:
                said.append(
                    f"- {name}: F1 above {ours['tool']} ({ours['f1']:.3f}): {'; '.join(ahead)}."
                )
        light = min(rows, key=lambda one: one["peak_mb"])
        if not light["tool"].startswith("pprl"):
            said.append(f"- {name}: least memory: {light['tool']}, {light['peak_mb']:,.0f} MB.")
    for one in found.speed:
        if one["ratio"] < 1:
            said.append(f"- {one['work']}: {one['peer']} is {1 / one['ratio']:.1f} times as fast.")
        if one["peer_mb"] < one["pprl_mb"]:
            said.append(
                f"- {one['work']}: {one['peer']} takes {one['peer_mb']:,.0f} MB, pprl "
                f"{one['pprl_mb']:,.0f}."
            )
    return said or ["- In none of these figures."]


SPEED = ["machine", "work", "peer", "peer_s", "pprl_s", "ratio", "peer_mb", "pprl_mb"]


def speed_everywhere(found: Findings, before: str) -> list[Report]:
    """Add what the page had of other machines: a ratio depends on the processor, too."""
    rows = [{"machine": processor()} | one for one in found.speed]
    new = {(one["machine"], one["work"], one["peer"]) for one in rows}
    for line in before.partition("## Speed")[2].partition("## Blocking")[0].splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == len(SPEED) and re.fullmatch(r"[\d.,]+", cells[3]):
            numbers = [float(cell.replace(",", "")) for cell in cells[3:]]
            old: Report = dict(zip(SPEED, [*cells[:3], *numbers], strict=True))
            if (old["machine"], old["work"], old["peer"]) not in new:
                rows.append(old)
    return sorted(rows, key=lambda one: str(one["machine"]))


def page(found: Findings, quick: bool, minutes: float, speed: list[Report]) -> str:
    """What stands between the markers of the page."""
    own = {"pprl": version("pprl-linkage")} | {
        name: version(name) for name in ("numpy", "numba", "pyarrow", "pandas")
    }
    facts = ", ".join(f"{name} {number}" for name, number in (own | found.versions).items())
    lines = [
        "",
        (
            f"**Machine**: {processor()}, {os.cpu_count()} cores, "
            f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB; "
            f"Python {platform.python_version()}. **Versions**: {facts}. "
            f"{'The quick run' if quick else 'The full run'}, {minutes:.0f} minutes."
        ),
        "",
        "## Links",
        "",
        (
            "Seconds are of one linkage with encoding, for peers of their first setting; memory is "
            "the process's peak, for peers with all settings. FEBRL without the national number."
        ),
        "",
        *tabled(
            found.quality,
            ["set", "tool", "setting", "precision", "recall", "f1", "seconds", "peak_mb"],
        ),
        "## Speed",
        "",
        (
            "Above 1, pprl is faster. Name CLKs of clkhash's own data and schema, bits and pairs "
            "checked to be equal. How much depends on the processor, so each machine keeps its "
            "rows."
        ),
        "",
        *tabled(speed, SPEED),
        "## Blocking",
        "",
        *tabled(
            found.blocking, ["set", "method", "pairs", "reduction ratio", "pairs completeness"]
        ),
        "## Where a peer is better",
        "",
        *better(found),
        "",
    ]
    if found.missing:
        lines += ["## Not measured", ""]
        lines += [f"- {name}: `{reason}`" for name, reason in found.missing.items()]
        lines.append("")
    return "\n".join(lines)


def processor() -> str:
    names = re.findall(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return names[0].strip() if names else platform.machine()


def headline(found: Findings, speed: list[Report]) -> str:
    """The rows of the README: F1 by tool and set, and the ratios of speed on all machines."""
    sets = list(dict.fromkeys(one["set"] for one in found.quality))
    lines = ["", "| F1 |" + "".join(f" {name} |" for name in sets), "|---" * (len(sets) + 1) + "|"]
    tools: dict[str, dict[str, float]] = {}
    for one in found.quality:
        if one["setting"] in {"automatic", "default"}:
            tools.setdefault(f"{one['tool']}, {one['setting']}", {})[one["set"]] = one["f1"]
    for tool, by_set in tools.items():
        cells = [f"{by_set[name]:.3f}" if name in by_set else "-" for name in sets]
        lines.append(f"| {tool} | {' | '.join(cells)} |")
    by_work: dict[str, list[float]] = {}
    for one in speed:
        by_work.setdefault(f"{one['work']}: %s times {one['peer']}", []).append(one["ratio"])
    ratios = [
        work % " to ".join(dict.fromkeys(f"{ratio:.1f}" for ratio in (min(all_), max(all_))))
        for work, all_ in by_work.items()
    ]
    machines = len({one["machine"] for one in speed})
    where = f"Speed, on {machines} machines: " if machines > 1 else "Speed: "
    return "\n".join([*lines, "", where + "; ".join(ratios) + ".", ""])
