"""Known pairs: encodings whose persons the attacker knows give others away.

Two attacks. *Ridge* learns from the pairs how bits go with tokens and reads tokens off
the other encodings. *Profile* learns nothing: it knows how two people's encodings agree
(see `pprl.evaluation.audit.attacker.Attacker.agreement`) and asks whose agreement with the
known people explains what is seen. In full that is a Gaussian process: each bit of an
encoding, as +1 or -1, is a random function of the person with that covariance, and the known
encodings are its observed values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix

from pprl.evaluation.audit.bits import Floats, Rows

STRENGTHS = (0.02, 0.2, 2.0)
"""Ridge and nugget, in parts of the kernel's diagonal; the best for the attacker counts."""
_LEAST_VARIANCE = 0.05


def ridge(known: Floats, known_tokens: csr_matrix, victims: Floats, tokens: csr_matrix) -> Rows:
    """Predict tokens from bits, and name the candidate whose tokens fit best.

    Args:
        known: (k, bits) centred encodings whose persons are known.
        known_tokens: (k, tokens) of these persons.
        victims: (n, bits) centred encodings.
        tokens: (m, tokens) of the candidates.

    Returns:
        (strengths, n) int64 places of candidates.
    """
    gram = known @ known.T
    scale = float(np.trace(gram)) / len(known)
    seen = victims @ known.T
    frequency = np.asarray(known_tokens.mean(axis=0)).reshape(-1)
    # Rare tokens tell more: each is weighted by one over its standard deviation.
    weight = 1 / np.sqrt(np.maximum(frequency * (1 - frequency), 1 / len(known)))
    scaled = tokens.multiply(weight).tocsr()
    mean = frequency * weight
    lengths = np.sqrt(
        np.asarray(scaled.multiply(scaled).sum(axis=1)).reshape(-1)
        - 2 * (scaled @ mean)
        + mean @ mean
    )
    shared = (known_tokens.multiply(weight).tocsr() @ scaled.T).toarray()
    shared = shared - (known_tokens @ (weight * mean))[:, None] - (scaled @ mean)[None]
    shared = ((shared + mean @ mean) / np.maximum(lengths, 1e-9)).astype(np.float32)
    guesses = []
    for strength in STRENGTHS:
        inverse = cho_factor(gram + strength * scale * np.eye(len(gram), dtype=np.float32))
        guesses.append((cho_solve(inverse, seen.T).T @ shared).argmax(axis=1))
    return np.array(guesses)


def profile(
    seen: Sequence[Floats],
    grams: Sequence[Floats],
    expected: Sequence[Floats],
    among_known: Sequence[Floats],
    bits: Sequence[int],
    prior: Sequence[Floats],
) -> Rows:
    """Name the candidate under whom an encoding's agreement with the known ones is likeliest.

    Args:
        seen: For each part the (n, k) mean products of the victims' bits with the known.
        grams: (k, k), the same among the known encodings.
        expected: (m, k) agreement predicted of the candidates with the known people.
        among_known: (k, k), predicted among the known people.
        bits: Length of each part.
        prior: (m,) predicted agreement of each candidate with himself.

    Returns:
        (strengths, n) int64 places of candidates.
    """
    guesses = []
    for strength in STRENGTHS:
        score = np.zeros((len(seen[0]), len(expected[0])), np.float32)
        for at in range(len(seen)):
            diagonal = float(np.mean(np.diag(among_known[at])))
            noise = strength * diagonal * np.eye(len(among_known[at]), dtype=np.float32)
            factor = cho_factor(among_known[at] + noise)
            weights = cho_solve(factor, expected[at].T).T
            variance = prior[at] - (weights * expected[at]).sum(axis=1)
            variance = np.maximum(variance, _LEAST_VARIANCE * diagonal)
            length = ((weights @ grams[at]) * weights).sum(axis=1)
            own = float(np.mean(np.diag(grams[at])))
            error = own - 2 * (seen[at] @ weights.T) + length[None]
            score -= bits[at] / 2 * (np.log(variance) + error / variance)
        guesses.append(score.argmax(axis=1))
    return np.array(guesses)
