"""Every warning about an automatic linkage, as a function of what was decided.

The verbs and batch jobs give them, so that the same linkage is warned of in the same words.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence

from pprl.errors import PprlWarning
from pprl.linkage.candidates.crowding import LEAST
from pprl.linkage.decision.estimate import Figure

FEW = 100
"""Records of a file below which its own pairs say little."""
VAGUE = 0.5
"""Where the interval of the estimated precision goes below it, a threshold is a guess."""
_DISAGREE = 0.05
"""The two counts of false links come to numbers of links that differ by less, nearly always."""

_UNTOLD = (
    "no links: the records of the files are nearly all alike, or there is one record in each file, "
    "so that nothing tells matches from other pairs. Were the right columns encoded? Give a "
    "threshold if you know one."
)


def give(texts: Iterable[str], *, stacklevel: int) -> None:
    """Warn with each text, in the name of the caller so many levels up."""
    for text in texts:
        warnings.warn(text, PprlWarning, stacklevel=stacklevel + 1)


def about_links(
    records: Sequence[int],
    links: int,
    bounds: tuple[int, int],
    precision: Figure | None,
    repeating: Sequence[str],
    implausible: Mapping[str, int],
    crowded: Mapping[str, int],
    *,
    untold: bool = False,
) -> list[str]:
    """Say what is doubtful of the links between two files.

    Args:
        records: Records of either file.
        links: Number of links.
        bounds: Fewest and most links, by each of the two counts alone.
        precision: Estimated precision; None without links.
        repeating: Holders whose files seem to repeat people.
        implausible: Filters that were set aside, by holder.
        crowded: Records that are like improbably many others, by holder.
        untold: Whether nothing tells matches from other pairs.
    """
    said = []
    if min(records) < FEW:
        said.append(
            f"with fewer than {FEW} records in a file its neighbours say little about "
            f"non-matches; the automatic threshold is a guess"
        )
    said += [*about_filters(implausible), *about_crowded(crowded)]
    if untold:
        return [
            *said,
            _UNTOLD,
        ]
    if repeating:
        said.append(
            f"some people seem to be in a file several times ({', '.join(repeating)}), or "
            f"it has more relatives such as twins than the other: these were not taken to show "
            f"what non-matches look like. Deduplicate it first, or link into clusters "
            f"(--deduplicated)."
        )
    least, most = bounds
    if most - least > _DISAGREE * max(links, 1):
        said.append(
            f"the two counts of what non-matches look like disagree: {least:,} or {most:,} links. "
            f"The estimate is doubtful; look at links near the cut."
        )
    if precision is not None and precision.low < VAGUE:
        said.append(
            f"of these {links:,} links as few as {precision.low:.0%} may be right: "
            f"few are in both files, or the files say little about non-matches. The automatic "
            f"threshold is a guess"
        )
    if not links:
        said.append(
            "no links: no records of the two files are more alike than records within one "
            "file are. Is there anybody who is in both? Are both written alike (script, order of "
            "dates and names)? Or do both files repeat people (deduplicate them first)?"
        )
    return said


def about_filters(implausible: Mapping[str, int]) -> list[str]:
    """Say which files hold filters that no record can have."""
    if not implausible:
        return []
    counts = ", ".join(f"{name}: {count:,}" for name, count in implausible.items())
    told = (
        f"filters that no record can have were set aside ({counts}): far more of their bits are "
        f"set than this hardening leaves. They are not linked. Ask the holder how they were made."
    )
    return [told]


def about_crowded(crowded: Mapping[str, int]) -> list[str]:
    """Say which files have records that are like improbably many others."""
    if not crowded:
        return []
    counts = ", ".join(f"{name}: {count:,}" for name, count in crowded.items())
    told = (
        f"records that are like improbably many others ({counts}): to more than {LEAST} people as "
        f"much as a link needs, or nearly as much to half of the other files. No person's "
        f"record is: these filters were made up, or hardly a field of theirs is filled. They may "
        f"take links from others; do not rely on their links, nor on an estimate. Ask the holder "
        f"how they were made."
    )
    return [told]
