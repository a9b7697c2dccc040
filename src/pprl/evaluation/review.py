"""Which pairs the holders should look at, where no truth is known.

Clerical review is dear, so the pairs are drawn where an answer says most. Links are divided
into strata by how likely they are to be true, and so are the pairs that would be linked
next if the threshold were lower, and rivals of links. Strata hold equal shares of expected standard
deviation (the rule of the cumulative square root; Dalenius and Hodges, JASA 54 (1959), p. 88, as
Marchant and Rubinstein, PVLDB 10 (2017), p. 1322, use it for linkage), and the sample is
shared out so that the variances of precision and recall together are least (Neyman, JRSS 97
(1934), p. 558; Cochran, Sampling Techniques, 1977, section 5.5). The guesses of how likely a
pair is decide how good the plan is, not whether the estimates are right.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pprl.errors import UnreadableFile, UsageError
from pprl.evaluation.tables import (
    PairTable,
    best_first,
    csv_text,
    links_of,
    pair_codes,
    read_table,
)
from pprl.exchange.files import json_text, new_folder, write_texts
from pprl.exchange.untrusted.documents import read_json_object
from pprl.exchange.untrusted.text import from_spreadsheets
from pprl.linkage.link import LinkResult

Kind: TypeAlias = Literal["link", "next", "rival"]

MARGIN = 0.05
"""A pair that comes so near to a link of one of its records is a rival of that link."""

_STRATA: dict[Kind, int] = {"link": 5, "next": 5, "rival": 2}
_LEAST = 5
_SURE = 0.002
_SHEET = ["pair", "left_id", "right_id"]


@dataclass(frozen=True)
class Stratum:
    """Pairs among which some are drawn at random.

    Attributes:
        kind: ``link``; ``next``, not linked, and would be with a lower threshold;
            or ``rival``, not linked, and nearly as similar as a link of one of its records.
        low, high: Least and greatest similarity.
        pairs: Number of pairs in the stratum.
        sampled: Number of pairs to look at.
        expected: Share of true pairs that was guessed.
    """

    kind: Kind
    low: float
    high: float
    pairs: int
    sampled: int
    expected: float


@dataclass(frozen=True, eq=False)
class ReviewPlan:
    """A sample of pairs to look at, and what is needed to estimate from the answers.

    Attributes:
        pairs: ``pair, left_id, right_id, stratum``, in the random order of the sheet.
        strata: What ``stratum`` numbers.
        links: Number of links.
        floor: The least similarity of the pairs that could be drawn.
        seed: What the draw was made with.
    """

    pairs: pd.DataFrame
    strata: tuple[Stratum, ...]
    links: int
    floor: float
    seed: int

    def __repr__(self) -> str:
        return f"ReviewPlan({len(self.pairs):,} pairs of {len(self.strata)} strata)"

    def sheet(self) -> pd.DataFrame:
        """Return what reviewers get: ``pair, left_id, right_id, match``, the last to fill in.

        Neither similarity nor stratum is there, so that nothing sways them.
        """
        return self.pairs[_SHEET].assign(match="")

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the sheet as CSV, and the plan beside it as ``<name>.plan.json``.

        Returns:
            The path of the plan, which stays with the linkage unit.

        Raises:
            OutputExists: There is a file already.
        """
        sheet, plan = Path(path), plan_path(path)
        new_folder(sheet.parent, [sheet, plan])
        content = {
            "strata": [asdict(one) for one in self.strata],
            "pairs": self.pairs.to_dict("list"),
            "links": self.links,
            "floor": self.floor,
            "seed": self.seed,
        }
        texts = {sheet: csv_text(self.sheet()), plan: json_text(content)}
        write_texts(texts, private=True)
        return plan

    def check(self) -> None:
        """Refuse a plan that was read and cannot be.

        Raises:
            ValueError: A number is out of range, or a pair is of no stratum.
        """
        for one in self.strata:
            numbers = (one.low, one.high, one.pairs, one.sampled, one.expected)
            good = all(type(number) in (int, float) for number in numbers)
            if not good or not (0 <= one.sampled <= one.pairs and 0 <= one.expected <= 1):
                raise ValueError("a stratum cannot be")
        of = self.pairs["stratum"]
        if len(of) and not (of.dtype.kind == "i" and 0 <= of.min() <= of.max() < len(self.strata)):
            raise ValueError("a pair is of no stratum")

    @classmethod
    def load(cls, path: str | PathLike[str]) -> ReviewPlan:
        """Read the plan that belongs to a sheet; give the path of either.

        Raises:
            UnreadableFile: It is missing or no plan.
        """
        plan = plan_path(path)
        if not plan.exists():
            raise UnreadableFile(f"{plan}: there is no such file; it was written with the sheet.")
        try:
            content = read_json_object(plan)
            pairs = pd.DataFrame(content["pairs"])[[*_SHEET, "stratum"]]
            strata = tuple(Stratum(**one) for one in content["strata"])
            made = cls(
                pairs,
                strata,
                int(content["links"]),
                float(content["floor"]),
                int(content["seed"]),
            )
            made.check()
            return made
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise UnreadableFile(
                f"{plan} is not the plan of a review ({type(error).__name__})."
            ) from None


def plan_path(sheet: str | PathLike[str]) -> Path:
    """Return where the plan of a sheet is."""
    path = Path(sheet)
    return path if path.name.endswith(".plan.json") else path.with_suffix(".plan.json")


def read_answers(path: str | PathLike[str]) -> pd.DataFrame:
    """Read a sheet that reviewers have filled in.

    Raises:
        UnreadableFile: It is missing or no table.
    """
    made = read_table(path)
    for name in ("left_id", "right_id"):
        if name in made.columns:
            made[name] = from_spreadsheets(made[name])
    return made


def review_sample(
    links: LinkResult | PairTable,
    candidates: PairTable,
    n: int = 200,
    *,
    one_to_one: bool | None = None,
    seed: int = 0,
) -> ReviewPlan:
    """Choose the pairs to look at so that precision and recall can be estimated.

    Args:
        links: The links, with similarity, and better with the probability of the
            automatic threshold.
        candidates: Pairs with their similarity above a floor that lies well below the
            threshold, as ``pprl.compare(a, b, threshold=floor)`` returns them. Matches that
            are not among them cannot be found: recall is then too high.
        n: How many pairs to look at.
        one_to_one: Whether a record has one partner at most. Then of the pairs that are not
            links only those can be drawn that a lower threshold would link, and rivals of links.
            By default as the links are.
        seed: Another number draws other pairs.

    Raises:
        UsageError: ``n`` is too small, there are no links, or pairs have no similarity.
        MissingColumn: A table has no column ``left_id`` or ``right_id``.
    """
    given = links.links if isinstance(links, LinkResult) else links_of(links, "the links")
    found, pool = given.to_pandas(), links_of(candidates, "the candidate pairs").to_pandas()
    if not len(found):
        raise UsageError("there are no links to review.")
    if found["similarity"].isna().any() or pool["similarity"].isna().any():
        raise UsageError("links and candidate pairs need a similarity.")
    if one_to_one is None:
        one_to_one = not (
            found["left_id"].duplicated().any() or found["right_id"].duplicated().any()
        )
    population = _guessed(_population(found, pool, one_to_one))
    labels, strata = _stratify(population)
    sizes = np.bincount(labels)
    shares = _allocate(population, labels, sizes, n)
    rng = np.random.default_rng(seed)
    drawn = [
        rng.choice(np.flatnonzero(labels == at), shares[at], replace=False)
        for at in range(len(sizes))
    ]
    places = rng.permutation(np.concatenate(drawn))
    pairs = population.iloc[places][["left_id", "right_id"]].reset_index(drop=True)
    pairs.insert(0, "pair", np.arange(1, len(pairs) + 1))
    pairs["stratum"] = labels[places]
    return ReviewPlan(
        pairs=pairs,
        strata=tuple(
            replace(one, pairs=int(size), sampled=int(share))
            for one, size, share in zip(strata, sizes, shares, strict=True)
        ),
        links=len(found),
        floor=float((pool if len(pool) else found)["similarity"].min()),
        seed=seed,
    )


def _population(found: pd.DataFrame, pool: pd.DataFrame, one_to_one: bool) -> pd.DataFrame:
    """Return the pairs that can be drawn, with their kind, and for a rival its link's place."""
    codes, pool_codes = pair_codes(found, pool)
    rest = pool[~np.isin(pool_codes, codes)].reset_index(drop=True)
    found = found.assign(kind="link", of=-1)
    if not one_to_one:
        return pd.concat([found, rest.assign(kind="next", of=-1)], ignore_index=True)
    # Links come first, whatever their similarity, and then what would be linked next.
    both = pd.concat([found, rest], ignore_index=True)
    score = both["similarity"].to_numpy().copy()
    score[: len(found)] = np.inf
    order = best_first(both[["left_id", "right_id"]], score, one_to_one=True)
    chosen = np.sort(order[order >= len(found)])
    after = both.iloc[chosen].assign(kind="next", of=-1)
    others: pd.DataFrame = rest[~np.isin(np.arange(len(rest)), chosen - len(found))]
    beside = np.full(len(others), -1)
    for name in ("left_id", "right_id"):
        place = pd.Series(np.arange(len(found)), found[name].to_numpy())
        at = others[name].map(place[~place.index.duplicated()]).fillna(-1).to_numpy(np.int64)
        near = others["similarity"].to_numpy() >= found["similarity"].to_numpy()[at] - MARGIN
        beside = np.where((at >= 0) & near & (beside < 0), at, beside)
    rivals = others.assign(kind="rival", of=beside)[beside >= 0]
    return pd.concat([found, after, rivals], ignore_index=True)


def _guessed(population: pd.DataFrame) -> pd.DataFrame:
    """Guess for each pair how likely it is to be true; a plan needs no more than a guess."""
    kind, similarity = population["kind"].to_numpy(), population["similarity"].to_numpy()
    link = kind == "link"
    least, middle = similarity[link].min(), np.median(similarity[link])
    width = max((middle - least) / 8, 0.01)
    guess = 1 / (1 + np.exp((least - similarity) / width))
    known = population["probability"].to_numpy(np.float64)
    guess = np.where(link & ~np.isnan(known), known, guess)
    rival = kind == "rival"
    of = population["of"].to_numpy()[rival]
    behind = 1 / (1 + np.exp((similarity[of] - similarity[rival]) / width))
    guess[rival] = (1 - guess[of]) * behind
    return population.assign(guess=np.clip(guess, _SURE, 1 - _SURE))


def _stratify(population: pd.DataFrame) -> tuple[NDArray[np.int64], list[Stratum]]:
    """Cut each kind, by guess, into strata of equal shares of expected standard deviation."""
    labels = np.empty(len(population), np.int64)
    strata: list[Stratum] = []
    for kind, most in _STRATA.items():
        places = np.flatnonzero(population["kind"].to_numpy() == kind)
        if not len(places):
            continue
        part = population.iloc[places]
        guess, similarity = part["guess"].to_numpy(), part["similarity"].to_numpy()
        order = np.lexsort((similarity, guess))
        deviation = np.cumsum(np.sqrt(guess * (1 - guess))[order])
        pieces = max(min(most, len(places) // _LEAST), 1)
        cuts = np.searchsorted(deviation, deviation[-1] * np.arange(1, pieces) / pieces)
        for piece in np.split(order, cuts):
            if len(piece):
                labels[places[piece]] = len(strata)
                low, high = similarity[piece].min(), similarity[piece].max()
                expected = float(guess[piece].mean())
                strata.append(Stratum(kind, float(low), float(high), len(piece), 0, expected))
    return labels, strata


def _allocate(
    population: pd.DataFrame, labels: NDArray[np.int64], sizes: NDArray[np.int64], n: int
) -> NDArray[np.int64]:
    """Share out the sample, so that the variances of precision and recall have the least sum."""
    least = np.minimum(sizes, _LEAST)
    if n < least.sum():
        raise UsageError(f"n must be {least.sum()} or more: {_LEAST} pairs of each stratum.")
    guess, link = population["guess"].to_numpy(), (population["kind"] == "link").to_numpy()
    true, missed = guess[link].sum(), guess[~link].sum()
    recall = true / (true + missed)
    of_link = math.hypot(1 / link.sum(), (1 - recall) / (true + missed))
    weight = np.where(link, of_link, recall / (true + missed))
    # The mean guess of a stratum, since pairs are drawn from it blindly.
    mean = np.bincount(labels, guess) / sizes
    want = sizes * np.sqrt(mean * (1 - mean)) * np.bincount(labels, weight) / sizes
    shares = least.copy()
    while (left := min(n, int(sizes.sum())) - int(shares.sum())) > 0:
        room = shares < sizes
        ideal = np.where(room, want / want[room].sum(), 0.0) * min(n, int(sizes.sum()))
        short = np.where(room, np.maximum(ideal - shares, 0.0), 0.0)
        if short.sum() <= 0:
            short = np.where(room, want, 0.0)
        extra = np.floor(short / short.sum() * left).astype(np.int64)
        if not extra.any():
            extra[np.argmax(short)] = 1
        shares = np.minimum(shares + extra, sizes)
    return shares
