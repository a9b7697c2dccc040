"""Comparison vectors: what two records have in common, group by group, and what they lack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pprl.errors import UsageError
from pprl.exchange.encodings import EncodingInfo, Encodings
from pprl.kernels.comparison import contrasts, describe_pairs
from pprl.linkage.model.compared_pairs import ComparedPairs, Rows, Side, group_starts

_SAMPLE = 20_000
"""Random pairs of which medians are taken: their error is under 1 % of the spread."""
_NORMAL = 1.4826
"""From the median deviation to the standard deviation, if values are normal."""
_STRONGEST = 4.0
"""How much a contrast is raised at most for what is missing on one side."""
_CLEAR, _CERTAIN = 4.0, 10.0
"""Standard deviations of chance between which a contrast begins to be believed."""

_Values = NDArray[np.float64]


def can_be_weighed(a: EncodingInfo, b: EncodingInfo, masked: bool) -> bool:
    """Tell whether there is more to a pair of these files than one similarity.

    Args:
        a: Header of the first file.
        b: Header of the second file.
        masked: Whether both files carry field-presence masks.
    """
    return len(a.groups) > 1 or (masked and bool(a.weights and b.weights))


@dataclass(frozen=True)
class View:
    """How pairs are looked at: which groups, and what chance and missing fields do to them.

    Attributes:
        starts: (groups + 1,) first word of each group, and the end.
        chance: (groups,) median Dice similarity of two records taken at random.
        noise: (groups,) its standard deviation, in units of 1 - ``chance``.
        weights: (groups, fields) bits that each field inserts into each group.
        decay: (groups,) the rate at which the contrast of a half-full group falls with each
            bit that only one of two records inserts; 0 for other groups.
        power: (groups,) to which power of the share of what two records have the contrast of
            a min-hashed group falls: its t; 0 for other groups.
        masked: Whether both files carry field-presence masks.
    """

    starts: Rows
    chance: _Values
    noise: _Values
    weights: _Values
    decay: _Values
    power: _Values
    masked: bool

    @classmethod
    def of(cls, x: Side, y: Side) -> View:
        """Take a view of two files, from a random sample of their pairs."""
        info = x.info
        names = list(info.groups) or [""]
        rng = np.random.default_rng(0)
        left, right = (rng.integers(0, len(side.words), _SAMPLE) for side in (x, y))
        dice = x.dice(y, left, right)
        # Medians, since a small file's sample holds some pairs of one person.
        chance = np.minimum(np.median(dice, axis=0), 0.999)
        spread = _NORMAL * np.median(np.abs(dice - chance), axis=0)
        weights = [
            [info.weights.get(name, {}).get(one, 0) for one in info.present] for name in names
        ]
        return cls(
            x.groups,
            chance,
            np.maximum(spread / (1 - chance), 1e-9),
            np.array(weights, np.float64).reshape(len(names), len(info.present)),
            np.array([info.decay(name) for name in names]),
            np.array([info.power(name) for name in names]),
            x.mask is not None and y.mask is not None,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in vars(self).items()
        }

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> View:
        """Read what `to_dict` gave.

        Raises:
            KeyError, TypeError, ValueError: It is something else.
        """
        names = ("chance", "noise", "weights", "decay")
        chance, noise, weights, decay = (np.asarray(said[name], np.float64) for name in names)
        power = np.asarray(said.get("power", np.zeros(len(decay))), np.float64)
        starts, masked = np.asarray(said["starts"], np.int64), said["masked"]
        groups = len(starts) - 1
        fits = all(one.shape == (groups,) for one in (chance, noise, decay, power)) and (
            weights.ndim == 2 and len(weights) == groups > 0
        )
        finite = all(np.isfinite(one).all() for one in (chance, noise, weights, decay, power))
        if not (fits and finite and isinstance(masked, bool)):
            raise ValueError("no view")
        if starts[0] != 0 or (np.diff(starts) <= 0).any() or (chance >= 1).any():
            raise ValueError("no view")
        return cls(starts, chance, noise, weights, decay, power, masked)

    @property
    def width(self) -> int:
        """Number of features."""
        groups = len(self.chance)
        seen = 1 + (groups + 2 if groups > 1 else 0)
        return seen + (3 if self.masked else 0) + self.patterns

    @property
    def patterns(self) -> int:
        """Number of features, the last, for the fields that records have."""
        return 2 * self.weights.shape[1] if self.masked else 0

    def check(self, encodings: Encodings) -> None:
        """Refuse a file that cannot be looked at in this way.

        Raises:
            UsageError: It has other groups or fields, or no field-presence masks.
        """
        info = encodings.info
        if not np.array_equal(group_starts(info), self.starts):
            raise UsageError("the criterion weighs other CLK groups than these files have.")
        if self.masked and not (
            encodings.present is not None and self.weights.shape[1] == len(info.present)
        ):
            raise UsageError(
                "the criterion weighs missing fields, and these files carry no field-presence "
                "masks, or of other fields. Let the threshold be found anew."
            )

    def signal_and_least(self, some: ComparedPairs) -> tuple[_Values, _Values]:
        """Summarise the groups of each pair: (p,) and (p,), from 0 to 1.

        First the power mean of the groups' contrasts with exponent 1.5: between the mean, for
        which a group without a contrast is disagreement, and the best group alone. Then the
        contrast in the group in which it is least.
        """
        signal, least = np.empty(len(some)), np.empty(len(some))
        x, y = some.left, some.right
        contrasts(some.shared, *some.rows, x.sizes, y.sizes, self.chance, signal, least)
        return signal, least

    def features(self, some: ComparedPairs) -> _Values:
        """Describe pairs: (p, features).

        First the signal (`signal_and_least`); then each group's contrast, the best and the
        worst; then, with masks, the signal raised in part and in full for what only one record
        lacks, and times the logarithm of how many bits the fields insert that both have; and for
        each field whether one record only has it, and for each whether both have.
        """
        out = np.empty((len(some), self.width))
        x, y = some.left, some.right
        none = np.zeros((0, 0), bool)
        describe_pairs(
            some.shared,
            *some.rows,
            x.sizes,
            y.sizes,
            x.mask if self.masked and x.mask is not None else none,
            y.mask if self.masked and y.mask is not None else none,
            self.chance,
            self.noise,
            self.weights,
            self.decay,
            self.power,
            self.masked,
            _CLEAR,
            _CERTAIN,
            _STRONGEST,
            out,
        )
        return out

    def contrast(self, some: ComparedPairs) -> _Values:
        """Compare rows: (p, groups) from 0, as two random ones, to 1, the same."""
        left, right = some.rows
        sizes = np.maximum(some.left.sizes[left] + some.right.sizes[right], 1)
        dice = 2.0 * some.shared / sizes
        found: _Values = np.clip((dice - self.chance) / (1 - self.chance), 0.0, 1.0)
        return found
