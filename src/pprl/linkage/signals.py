"""What the pairs of two files have in common, group by group, and what missing fields hide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pprl.errors import UsageError
from pprl.exchange.encodings import EncodingInfo, Encodings, count_bits
from pprl.kernels.groups import common_bits
from pprl.linkage.pairs import Pairs

_POWER = 1.5
_SAMPLE = 20_000
_CHUNK = 1 << 18
_NORMAL = 1.4826
"""From the median deviation to the standard deviation, if values are normal."""
_STRONGEST = 4.0
"""How much a signal is raised at most for what is missing on one side."""
_CLEAR, _CERTAIN = 4.0, 10.0
"""Standard deviations of chance between which a signal begins to be believed."""

_Rows = NDArray[np.int64]
_Values = NDArray[np.float64]
_Number = TypeVar("_Number", bound=np.generic)


def can_be_weighed(a: Encodings, b: Encodings) -> bool:
    """Tell whether there is more to a pair of these files than one similarity."""
    return len(a.info.groups) > 1 or _masked(a, b)


@dataclass(frozen=True)
class Side:
    """One file, laid out for looking at pairs.

    Attributes:
        words: (n, words) CLKs.
        sizes: (n, groups) set bits of each group.
        mask: (n, fields) which fields have a value; None without masks.
        starts: (records + 1,) first row of each record, and the end; None where each
            record has one row.
    """

    words: NDArray[np.uint64]
    sizes: NDArray[np.int64]
    mask: NDArray[np.bool_] | None
    starts: _Rows | None

    @classmethod
    def of(cls, encodings: Encodings, view: View) -> Side:
        """Lay out a file for a view."""
        return cls.cut(encodings, view.starts, view.masked)

    @classmethod
    def cut(cls, encodings: Encodings, starts: _Rows, masked: bool) -> Side:
        """Lay out a file whose groups start at these words."""
        words = encodings.words
        records = np.arange(encodings.info.records + 1)
        return cls(
            words,
            np.stack(
                [
                    count_bits(np.ascontiguousarray(words[:, first:last]))
                    for first, last in pairwise(starts)
                ],
                axis=1,
            ),
            _fields(encodings) if masked else None,
            None
            if encodings.variants is None
            else np.searchsorted(encodings.record_numbers(), records),
        )


@dataclass(frozen=True)
class View:
    """How pairs are looked at: which groups, and what chance and missing fields do to them.

    Attributes:
        starts: (groups + 1,) first word of each group, and the end.
        chance: (groups,) median Dice similarity of two records taken at random.
        noise: (groups,) its standard deviation, in units of 1 - ``chance``.
        weights: (groups, fields) bits that each field inserts into each group.
        decay: (groups,) the rate at which the signal of a diffused group falls with each
            bit that only one of two records inserts; 0 without diffusion.
        power: (groups,) of the similarity of what two records have, which is the signal of
            a min-hashed group: its t; 0 without min-hash.
        masked: Whether both files carry field-presence masks.
    """

    starts: _Rows
    chance: _Values
    noise: _Values
    weights: _Values
    decay: _Values
    power: _Values
    masked: bool

    @classmethod
    def of(cls, a: Encodings, b: Encodings) -> View:
        """Take a view of two files, from a random sample of their pairs."""
        info = a.info
        names = list(info.groups) or [""]
        starts = _starts(a)
        mine, theirs = (Side.cut(one, starts, masked=False) for one in (a, b))
        rng = np.random.default_rng(0)
        left, right = (rng.integers(0, len(one), _SAMPLE) for one in (a, b))
        dice = _dice(mine, theirs, left, right, starts)
        # Medians, since a small file's sample holds some pairs of one person.
        chance = np.minimum(np.median(dice, axis=0), 0.999)
        spread = _NORMAL * np.median(np.abs(dice - chance), axis=0)
        weights = [
            [info.weights.get(name, {}).get(one, 0) for one in info.present] for name in names
        ]
        return cls(
            starts,
            chance,
            np.maximum(spread / (1 - chance), 1e-9),
            np.array(weights, np.float64).reshape(len(names), len(info.present)),
            np.array([_decay(info, name) for name in names]),
            np.array([_power(info, name) for name in names]),
            _masked(a, b),
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
        """Number of features, the last, that say which fields records have."""
        return 2 * self.weights.shape[1] if self.masked else 0

    def check(self, encodings: Encodings) -> None:
        """Refuse a file that cannot be looked at in this way.

        Raises:
            UsageError: It has other groups or fields, or no field-presence masks.
        """
        info = encodings.info
        if not np.array_equal(_starts(encodings), self.starts):
            raise UsageError("the criterion weighs other CLK groups than these files have.")
        if self.masked and not (
            encodings.present is not None and self.weights.shape[1] == len(info.present)
        ):
            raise UsageError(
                "the criterion weighs missing fields, and these files carry no field-presence "
                "masks, or of other fields. Let the threshold be found anew."
            )

    def signal(self, x: Side, y: Side, pairs: Pairs) -> _Values:
        """Weigh pairs of records by their groups alone: (p,) from 0 to 1.

        The power mean of the groups with exponent 1.5: between the mean, for which a group
        without a signal is disagreement, and the best group alone.
        """

        def describe(left: _Rows, right: _Rows) -> _Values:
            return _power_mean(self.contrast(x, y, left, right))

        return self.in_chunks(describe, x, y, pairs)

    def least(self, x: Side, y: Side, pairs: Pairs) -> _Values:
        """Return each pair's contrast in the group in which it has least: (p,) from 0 to 1."""

        def describe(left: _Rows, right: _Rows) -> _Values:
            least: _Values = self.contrast(x, y, left, right).min(axis=1)
            return least

        return self.in_chunks(describe, x, y, pairs)

    def features(self, x: Side, y: Side) -> Callable[[_Rows, _Rows], _Values]:
        """Describe pairs of rows of two files: (p, features).

        First `signal`; then each group, the best and the worst; then, with masks, the
        signal raised in part and in full for what only one record lacks, and times the
        logarithm of how many bits the fields insert that both have; and for each field whether
        one record only has it, and for each whether both have.
        """

        def describe(left: _Rows, right: _Rows) -> _Values:
            contrast = self.contrast(x, y, left, right)
            signal = _power_mean(contrast)
            columns = [signal]
            if contrast.shape[1] > 1:
                columns += [*contrast.T, contrast.max(axis=1), contrast.min(axis=1)]
            if x.mask is not None and y.mask is not None:
                columns += self._unmask(signal, contrast, x.mask[left], y.mask[right])
            return np.stack(columns, axis=1)

        return describe

    def contrast(self, x: Side, y: Side, left: _Rows, right: _Rows) -> _Values:
        """Compare rows: (p, groups) from 0, as two random ones, to 1, the same."""
        dice = _dice(x, y, left, right, self.starts)
        return np.clip((dice - self.chance) / (1 - self.chance), 0.0, 1.0)

    def _unmask(
        self,
        signal: _Values,
        contrast: _Values,
        left: NDArray[np.bool_],
        right: NDArray[np.bool_],
    ) -> list[_Values]:
        both = (left & right) @ self.weights.T
        one_sided = (left ^ right) @ self.weights.T
        # Where all that both have is equal: exp(-decay d) after diffusion, J**t with J the share
        # of the weight of both together that both have after min-hash, else Dice similarity.
        lost = np.select(
            [self.decay > 0, self.power > 0],
            [np.exp(self.decay * one_sided), (1 + one_sided / (both + 1)) ** self.power],
            1 + one_sided / (2 * both + 1),
        )
        # A signal that may be chance is not raised: that would only be louder chance.
        believed = np.clip((contrast / self.noise - _CLEAR) / (_CERTAIN - _CLEAR), 0.0, 1.0)
        raised = [
            _power_mean(
                np.minimum(
                    contrast * (1 + (np.minimum(lost**share, _STRONGEST) - 1) * believed), 1.0
                )
            )
            for share in (0.5, 1.0)
        ]
        compared = signal * np.log1p(both.sum(axis=1) / 100)
        patterns = np.hstack([left ^ right, left & right]).astype(np.float64)
        return [*raised, compared, *patterns.T]

    def in_chunks(
        self, describe: Callable[[_Rows, _Rows], NDArray[_Number]], x: Side, y: Side, pairs: Pairs
    ) -> NDArray[_Number]:
        """Describe pairs of records by the rows of theirs that are most alike, part by part."""
        parts = []
        for start in range(0, max(len(pairs), 1), _CHUNK):
            left, right = pairs.left[start : start + _CHUNK], pairs.right[start : start + _CHUNK]
            parts.append(describe(*_most_alike(x, y, left, right)))
        return np.concatenate(parts)


def _starts(encodings: Encodings) -> _Rows:
    """Say at which word each group starts, and where the last ends."""
    bits = list(encodings.info.groups.values()) or [64 * encodings.words.shape[1]]
    return np.cumsum([0, *bits]) // 64


def _masked(a: Encodings, b: Encodings) -> bool:
    return a.present is not None and b.present is not None and bool(a.info.weights)


def _fields(encodings: Encodings) -> NDArray[np.bool_]:
    """Unpack the field-presence mask: (n, fields)."""
    assert encodings.present is not None  # noqa: S101
    return np.unpackbits(encodings.present, axis=1)[:, : len(encodings.info.present)].astype(bool)


def _most_alike(x: Side, y: Side, left: _Rows, right: _Rows) -> tuple[_Rows, _Rows]:
    """Find the rows, of all variants of two records, that are most alike."""
    if x.starts is None and y.starts is None:
        return left, right
    whole = np.array([0, x.words.shape[1]])
    starts = [
        np.arange(len(side.words) + 1) if side.starts is None else side.starts for side in (x, y)
    ]
    counts = [np.diff(one) for one in starts]
    rows = starts[0][left].copy(), starts[1][right].copy()
    best = np.full(len(left), -1.0)
    for i in range(int(counts[0].max(initial=0))):
        for j in range(int(counts[1].max(initial=0))):
            both = np.flatnonzero((counts[0][left] > i) & (counts[1][right] > j))
            mine, theirs = starts[0][left[both]] + i, starts[1][right[both]] + j
            dice = _dice(x, y, mine, theirs, whole)[:, 0]
            better = dice > best[both]
            places = both[better]
            best[places] = dice[better]
            rows[0][places], rows[1][places] = mine[better], theirs[better]
    return rows


def _dice(x: Side, y: Side, left: _Rows, right: _Rows, starts: _Rows) -> _Values:
    """Dice similarity of each group of pairs of rows: (p, groups)."""
    shared = np.empty((len(left), len(starts) - 1), np.int32)
    common_bits(x.words, y.words, left, right, starts, shared)
    sizes = x.sizes[left] + y.sizes[right]
    if shared.shape[1] < sizes.shape[1]:
        sizes = sizes.sum(axis=1, keepdims=True)
    dice: _Values = 2.0 * shared / np.maximum(sizes, 1)
    return dice


def _decay(info: EncodingInfo, group: str) -> float:
    """Say at what rate a diffused group's signal falls: c = (1 - 2 d / l)**t for d bits."""
    said = info.hardened(group)
    t, bits = said.get("t"), said.get("filter_bits")
    if said.get("method") != "diffusion" or not (isinstance(t, int) and isinstance(bits, int)):
        return 0.0
    return 2.0 * t / max(bits, 1)


def _power(info: EncodingInfo, group: str) -> float:
    """Say to which power of similarity a min-hashed group's signal falls: c = J**t."""
    said = info.hardened(group)
    t = said.get("t")
    return float(t) if said.get("method") == "minhash" and isinstance(t, int) else 0.0


def _power_mean(contrast: _Values) -> _Values:
    mean: _Values = (contrast**_POWER).mean(axis=1) ** (1 / _POWER)
    return mean
