"""What the linkage unit can choose among, by name; in a module of its own so that help is quick."""

from __future__ import annotations

from typing import Literal

Matching = Literal["one-to-one", "optimal", "one-to-many", "many-to-one", "many-to-many"]
"""How many partners a record may have."""

AUTOMATIC: tuple[Matching, ...] = ("one-to-one", "one-to-many", "many-to-one")
"""Those with which a threshold can be found: a file that has a person once shows non-matches."""

MOST_SAMPLED = 16_384
"""Records of a file, at most, whose pairs within it are compared; `decision.gather` says why."""

Rule = Literal["average", "complete", "correlation"]
"""Which clusters are joined."""

RuleChoice = Literal["auto", "average", "complete", "correlation"]
"""A rule, or the one that suits the threshold."""
