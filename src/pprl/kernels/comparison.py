"""Comparison vectors, rival margins and the fit of a density ratio, pair by pair."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pprl.kernels._jit import inline, kernel
from pprl.kernels.bits import popcount64


@inline
def _mean_of_powers(total, groups):  # type: ignore[no-untyped-def]
    """Turn a sum of powers 1.5 into the power mean."""
    return (total / groups) ** (2.0 / 3.0)


@kernel
def describe_pairs(
    shared: NDArray[np.int32],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    left_sizes: NDArray[np.int64],
    right_sizes: NDArray[np.int64],
    left_mask: NDArray[np.bool_],
    right_mask: NDArray[np.bool_],
    chance: NDArray[np.float64],
    noise: NDArray[np.float64],
    weights: NDArray[np.float64],
    decay: NDArray[np.float64],
    power: NDArray[np.float64],
    masked: bool,
    clear: float,
    certain: float,
    strongest: float,
    out: NDArray[np.float64],
) -> None:
    """Write the comparison vector of each pair; `View.features` says what is in it.

    Args:
        shared: (p, g) common bits of each group.
        left: (p,) rows of the first file.
        right: (p,) rows of the second file.
        left_sizes: (n, g) set bits of each group.
        right_sizes: (m, g) the same of the second file.
        left_mask: (n, f) which fields have a value; (0, 0) without masks.
        right_mask: (m, f) the same of the second file.
        chance: (g,) Dice similarity of two random records.
        noise: (g,) its spread.
        weights: (g, f) bits that a field inserts into a group.
        decay: (g,) rate of a half-full group, 0 for others.
        power: (g,) t of a min-hashed group, 0 for others.
        masked: Whether there are masks.
        clear: Spreads from which on a contrast begins to be believed.
        certain: Spreads from which on it is believed.
        strongest: How much a contrast is raised at most.
        out: Output, (p, features).
    """
    groups = shared.shape[1]
    fields = weights.shape[1]
    contrast = np.empty(groups)
    for pair in range(shared.shape[0]):
        i = left[pair]
        j = right[pair]
        total = 0.0
        most = 0.0
        least = 1.0
        for group in range(groups):
            size = max(left_sizes[i, group] + right_sizes[j, group], 1)
            dice = 2.0 * shared[pair, group] / size
            value = (dice - chance[group]) / (1.0 - chance[group])
            value = min(max(value, 0.0), 1.0)
            contrast[group] = value
            total += value * math.sqrt(value)
            most = max(most, value)
            least = min(least, value)
        signal = _mean_of_powers(total, groups)
        out[pair, 0] = signal
        at = 1
        if groups > 1:
            for group in range(groups):
                out[pair, at] = contrast[group]
                at += 1
            out[pair, at] = most
            out[pair, at + 1] = least
            at += 2
        if not masked:
            continue
        half = 0.0
        full = 0.0
        compared = 0.0
        for group in range(groups):
            both = 0.0
            one_sided = 0.0
            for field in range(fields):
                if left_mask[i, field] and right_mask[j, field]:
                    both += weights[group, field]
                elif left_mask[i, field] or right_mask[j, field]:
                    one_sided += weights[group, field]
            compared += both
            value = contrast[group]
            if one_sided > 0.0 and value > 0.0:
                if decay[group] > 0.0:
                    lost = math.exp(decay[group] * one_sided)
                elif power[group] > 0.0:
                    # What both have is at most this share of the weight of both together.
                    lost = (1.0 + one_sided / (both + 1.0)) ** power[group]
                else:
                    lost = 1.0 + one_sided / (2.0 * both + 1.0)
                # A contrast that may be chance is not raised: it would be larger chance.
                believed = (value / noise[group] - clear) / (certain - clear)
                believed = min(max(believed, 0.0), 1.0)
                some = 1.0 + (min(math.sqrt(lost), strongest) - 1.0) * believed
                more = 1.0 + (min(lost, strongest) - 1.0) * believed
                some = min(value * some, 1.0)
                more = min(value * more, 1.0)
                half += some * math.sqrt(some)
                full += more * math.sqrt(more)
            else:
                half += value * math.sqrt(value)
                full += value * math.sqrt(value)
        out[pair, at] = _mean_of_powers(half, groups)
        out[pair, at + 1] = _mean_of_powers(full, groups)
        out[pair, at + 2] = signal * math.log1p(compared / 100.0)
        at += 3
        for field in range(fields):
            out[pair, at + field] = left_mask[i, field] != right_mask[j, field]
            out[pair, at + fields + field] = left_mask[i, field] and right_mask[j, field]


@kernel
def contrasts(
    shared: NDArray[np.int32],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    left_sizes: NDArray[np.int64],
    right_sizes: NDArray[np.int64],
    chance: NDArray[np.float64],
    signal: NDArray[np.float64],
    least: NDArray[np.float64],
) -> None:
    """Write each pair's power mean of the groups' contrasts, and the least of them.

    Args:
        shared: (p, g) common bits of each group.
        left: (p,) rows of the first file.
        right: (p,) rows of the second file.
        left_sizes: (n, g) set bits of each group.
        right_sizes: (m, g) the same of the second file.
        chance: (g,) Dice similarity of two random records.
        signal: Output, (p,) the power mean with exponent 1.5.
        least: Output, (p,) the least contrast.
    """
    groups = shared.shape[1]
    for pair in range(shared.shape[0]):
        total = 0.0
        low = 1.0
        for group in range(groups):
            size = left_sizes[left[pair], group] + right_sizes[right[pair], group]
            dice = 2.0 * shared[pair, group] / max(size, 1)
            value = (dice - chance[group]) / (1.0 - chance[group])
            value = min(max(value, 0.0), 1.0)
            total += value * math.sqrt(value)
            low = min(low, value)
        signal[pair] = _mean_of_powers(total, groups)
        least[pair] = low


@kernel
def best_two(
    place: NDArray[np.int64],
    score: NDArray[np.float64],
    best: NDArray[np.float64],
    second: NDArray[np.float64],
    holder: NDArray[np.int64],
    offset: int,
) -> None:
    """Keep for each place the best score, the next best, and which pair has the best.

    Args:
        place: (p,) the place that each pair takes up.
        score: (p,) scores.
        best: In and out, (places,) filled with what is no rival before the first call.
        second: In and out, (places,) the same.
        holder: In and out, (places,) filled with -1 before the first call.
        offset: Number of the first of these pairs.
    """
    for pair in range(place.shape[0]):
        at = place[pair]
        value = score[pair]
        if holder[at] < 0 or value > best[at]:
            if holder[at] >= 0:
                second[at] = max(second[at], best[at])
            best[at] = value
            holder[at] = offset + pair
        elif value > second[at]:
            second[at] = value


@kernel
def less_rivals(
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    score: NDArray[np.float64],
    best: NDArray[np.float64],
    second: NDArray[np.float64],
    holder: NDArray[np.int64],
    offset: int,
    floor: float,
    weight: float,
    out: NDArray[np.float64],
) -> None:
    """Lower each score by ``weight`` times what the best rival of its places exceeds ``floor`` by.

    Args:
        left: (p,) left places.
        right: (p,) right places.
        score: (p,) scores.
        best: (places,) from `best_two`.
        second: (places,) from `best_two`.
        holder: (places,) from `best_two`.
        offset: Number of the first of these pairs.
        floor: What is no rival.
        weight: How much of the rival's excess is taken off.
        out: Output, (p,).
    """
    for pair in range(left.shape[0]):
        i = left[pair]
        j = right[pair]
        one = second[i] if holder[i] == offset + pair else best[i]
        other = second[j] if holder[j] == offset + pair else best[j]
        out[pair] = score[pair] - weight * max(max(one, other) - floor, 0.0)


@inline
def dot(row, slope):  # type: ignore[no-untyped-def]
    """Add up products in four sums, which do not wait for each other."""
    first = 0.0
    second = 0.0
    third = 0.0
    fourth = 0.0
    whole = row.shape[0] // 4 * 4
    for at in range(0, whole, 4):
        first += row[at] * slope[at]
        second += row[at + 1] * slope[at + 1]
        third += row[at + 2] * slope[at + 2]
        fourth += row[at + 3] * slope[at + 3]
    for at in range(whole, row.shape[0]):
        first += row[at] * slope[at]
    return (first + second) + (third + fourth)


@kernel
def add_up(
    features: NDArray[np.float64],
    slope: NDArray[np.float64],
    constant: float,
    out: NDArray[np.float64],
) -> None:
    """Weigh features and add a constant: (p, f), (f,), output (p,).

    In place of a product of BLAS, which would start threads of its own.
    """
    for pair in range(features.shape[0]):
        out[pair] = constant + dot(features[pair], slope)


@kernel
def odds_of_match(
    features: NDArray[np.float64],
    positive: NDArray[np.bool_],
    weight: NDArray[np.float64],
    at: NDArray[np.float64],
    gradient: NDArray[np.float64],
) -> float:
    """Return the loss of weights for the log-odds z of a match, and write its gradient.

    The odds of a pair between the files, against a null pair, are 1 + exp(z).

    Args:
        features: (p, f) standardised.
        positive: (p,) which pairs are between the files.
        weight: (p,) importance weights.
        at: (f + 1,) the constant, then a weight for each feature.
        gradient: Output, (f + 1,).
    """
    total = 0.0
    slope = at[1:]
    steep = gradient[1:]
    gradient[:] = 0.0
    for pair in range(features.shape[0]):
        row = features[pair]
        value = at[0] + dot(row, slope)
        small = math.exp(-abs(value))
        if value > 0.0:
            both = value + math.log1p(2.0 * small)
            pull = 1.0 / (1.0 + 2.0 * small)
        else:
            both = math.log(2.0 + small)
            pull = small / (2.0 + small)
        if positive[pair]:
            both -= max(value, 0.0) + math.log1p(small)
            pull -= (1.0 if value > 0.0 else small) / (1.0 + small)
        total += weight[pair] * both
        pull *= weight[pair]
        gradient[0] += pull
        for column in range(row.shape[0]):
            steep[column] += pull * row[column]
    return total


@kernel
def best_partners(
    record: NDArray[np.int64],
    other: NDArray[np.int64],
    similarity: NDArray[np.float64],
    partner: NDArray[np.int64],
    best: NDArray[np.float64],
) -> None:
    """Find the most similar partner of each record; of equals the one of the lowest number.

    Args:
        record: (p,) records.
        other: (p,) their partners.
        similarity: (p,) similarities.
        partner: Output, (n,) filled with -1.
        best: Output, (n,) zeroed.
    """
    for pair in range(record.shape[0]):
        at = record[pair]
        value = similarity[pair]
        known = partner[at]
        better = value > best[at] or (value == best[at] and other[pair] < known)
        if known < 0 or better:
            partner[at] = other[pair]
            best[at] = value


@kernel
def common_bits_of_all(
    rows: NDArray[np.uint64], others: NDArray[np.uint64], out: NDArray[np.int32]
) -> None:
    """Count the common bits of every row with every other: (n, w), (m, w), output (n, m)."""
    for one in range(rows.shape[0]):
        for other in range(others.shape[0]):
            shared = np.uint64(0)
            for word in range(rows.shape[1]):
                shared += popcount64(rows[one, word] & others[other, word])
            out[one, other] = np.int32(shared)
