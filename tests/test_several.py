"""Several files without duplicates, with everything automatic."""

from __future__ import annotations

import json
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import pprl
from pprl import synthetic
from pprl.cli import app
from pprl.errors import PprlWarning
from pprl.evaluation.report.run import Run
from pprl.exchange.encodings import Encodings
from pprl.holder.choices import SuggestHardening
from pprl.holder.suggest import suggest_schema
from pprl.linkage.blocking import HammingLSH
from pprl.linkage.deliveries import load_previous
from pprl.linkage.measure import Measure
from pprl.linkage.pairs import Pairs
from pprl.linkage.pool import Pool
from pprl.linkage.several import _expected
from pprl.linkage.threshold import false_links

ERRORS = synthetic.Errors(
    keyboard=0.02, phonetic=0.01, digit=0.01, date_slip=0.01, outdated_address=0.1
)


@cache
def registers(
    hardening: SuggestHardening, persons: int = 5_000, names: str = "one two three"
) -> tuple[list[Encodings], pd.DataFrame]:
    """Draw registers of half of a population each; return them, and who their records are."""
    population = synthetic.population_table(persons, seed=11)
    schema, files, truth = None, [], []
    key = pprl.LinkageKey.from_secret("a secret for the tests of several files")
    for name in names.split():
        register = synthetic.Register(
            name=name, coverage=0.5, errors=ERRORS, missing={"postcode": 0.03}
        )
        table, known = synthetic.register_table(population, register, seed=11)
        people = table.to_pandas()
        if schema is None:
            text = suggest_schema(people.drop(columns="record_id"), hardening=hardening)
            schema = pprl.Schema.from_toml(text)
        files.append(
            pprl.encode(people, schema, key, id_column="record_id", holder=name, on_invalid="warn")
        )
        truth.append(known.to_pandas().assign(holder=name))
    return files, pd.concat(truth)


@pytest.mark.filterwarnings("ignore:files that are taken to be deduplicated")
@pytest.mark.parametrize("hardening", ["default", "none"])
def test_three_registers(hardening: SuggestHardening) -> None:
    files, truth = registers(hardening)
    result = pprl.cluster(*files)
    quality = pprl.evaluate_clusters(result.clusters, truth)
    assert quality.f1.value > (0.985 if hardening == "default" else 0.92)
    assert result.measure.rivals
    assert result.measure.evidence is not None
    assert result.estimate is not None
    precision = result.estimate.precision
    assert precision is not None
    assert precision.low <= quality.precision.value <= precision.high
    assert result.expected_precision == precision.value
    assert 0 < result.threshold < 1
    # What a threshold of similarity gives, at its best, is less where there are groups.
    if hardening == "default":
        cuts = np.arange(0.54, 0.66, 0.02).tolist()
        plain = [pprl.cluster(*files, threshold=cut).clusters for cut in cuts]
        best = max(pprl.evaluate_clusters(one, truth).f1.value for one in plain)
        assert quality.f1.value > best


def test_two_files_are_linked_as_by_link() -> None:
    files, _ = registers("default", names="one two")
    linked = pprl.link(*files).links.to_pandas()
    pairs = both(pprl.cluster(*files).clusters.to_pandas(), "one", "two")
    links = set(zip(linked["left_id"], linked["right_id"], strict=True))
    assert len(pairs & links) >= 0.995 * max(len(pairs), len(links))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(20, 300), st.integers(20, 300), st.integers(1, 20))
def test_expected_false_links_of_two_files(seed: int, n_a: int, n_b: int, few: int) -> None:
    """With two files, what is expected is what `link` expects of them."""
    rng = np.random.default_rng(seed)
    pool = Pool(None, ("a", "b"), np.repeat([0, 1], [n_a, n_b]), None)  # type: ignore[arg-type]
    m = min(n_a, n_b, few)
    chosen = Pairs(rng.permutation(n_a)[:m], n_a + rng.permutation(n_b)[:m], np.zeros(m))
    rate = np.sort(rng.uniform(0, 0.2, m) ** 3)
    wanted = false_links(np.arange(1, m + 1), rate, n_a, n_b)
    assert np.allclose(_expected(pool, chosen)(rate), wanted)


def test_expected_false_links_between_ranks() -> None:
    """Above 1,024 links the records left over are interpolated."""
    rng = np.random.default_rng(4)
    n = 20_000
    pool = Pool(None, ("a", "b"), np.repeat([0, 1], [n, n]), None)  # type: ignore[arg-type]
    m = 12_345
    chosen = Pairs(rng.permutation(n)[:m], n + rng.permutation(n)[:m], np.zeros(m))
    rate = np.linspace(0, 1e-4, m) ** 2
    wanted = false_links(np.arange(1, m + 1), rate, n, n)
    assert np.allclose(_expected(pool, chosen)(rate), wanted, rtol=1e-3, atol=1e-6)


def test_a_rival_is_in_the_same_file() -> None:
    """By hand: two records of the second file near one of the first, and one of the third."""
    file = np.array([0, 1, 1, 2])
    pool = Pool(None, ("a", "b", "c"), file, None)  # type: ignore[arg-type]
    pairs = Pairs(np.array([0, 0, 0]), np.array([1, 2, 3]), np.array([0.9, 0.8, 0.7]))
    measure = Measure(0.5, 0.6, rivals=True)
    # Less 0.45 times what the rival exceeds 0.6 by: 0.8 for the first, 0.9 for the second.
    assert measure.ranked(pool, pairs).similarity == pytest.approx([0.81, 0.665, 0.7])
    assert measure.linked(pool, pairs).right.tolist() == [1, 2, 3]
    assert measure.excess(pool, pairs) == pytest.approx([0.4, 0.3, 0.2])


def test_what_others_get_to_see(tmp_path: Path) -> None:
    files, _ = registers("default")
    paths = [str(tmp_path / f"{one.info.holder}.parquet") for one in files]
    for one, path in zip(files, paths, strict=True):
        one.save(path)
    done = CliRunner().invoke(app, ["link", *paths, "-o", str(tmp_path / "job")])
    assert done.exit_code == 0, done.output
    assert "estimated precision 0.9" in done.output
    run = Run.load(tmp_path / "job")
    result = pprl.cluster(*files)
    assert run.estimate is not None
    assert run.estimate == Run.of(result).estimate
    made = result.report(tmp_path / "report.html")
    rates = made.error_rates[0]
    assert (rates.method, rates.unit) == ("estimate", "pairs of records")
    assert rates.precision.value == round(run.estimate["precision"]["value"], 4)
    assert any("factor of 2.5" in one.text for one in made.limitations)
    assert "estimated precision" in result._repr_html_()


def test_another_delivery_is_linked_in_the_same_way(tmp_path: Path) -> None:
    files, truth = registers("default")
    before = pprl.cluster(*files[:2])
    before.clusters.save(tmp_path / "clusters.parquet")
    facts = before.facts(*(one.info for one in files[:2]))
    (tmp_path / "linkage.json").write_text(json.dumps(facts))
    clusters, measure, rule = load_previous(tmp_path)
    assert json.dumps(measure.to_dict()) == json.dumps(before.measure.to_dict())
    after = pprl.cluster(*files, threshold=measure, rule=rule, against=clusters)
    sizes = [one.info.records for one in files]
    assert after.pairs_compared == sizes[2] * sum(sizes)
    assert after.measure is measure
    quality = pprl.evaluate_clusters(after.clusters, truth)
    at_once = pprl.evaluate_clusters(pprl.cluster(*files).clusters, truth)
    assert abs(quality.f1.value - at_once.f1.value) < 0.01
    # Without the measure it is found anew, from old records, too.
    anew = pprl.cluster(*files, against=clusters)
    assert anew.pairs_compared == sum(sizes) * (sum(sizes) - 1) // 2
    assert pprl.evaluate_clusters(anew.clusters, truth).f1.value > 0.98


def test_with_blocking_only_blocks_count() -> None:
    files, truth = registers("none")
    result = pprl.cluster(*files, blocking=HammingLSH(similarity=0.75, recall=0.9))
    assert result.blocking is not None
    assert result.pairs_compared < sum(one.info.records for one in files) ** 2 / 3
    assert pprl.evaluate_clusters(result.clusters, truth).f1.value > 0.9


def test_a_file_that_repeats_people_teaches_nothing() -> None:
    """The second file has everybody twice and was said to be deduplicated."""
    files, truth = registers("default")
    one, two, three = files
    assert two.present is not None
    ids = two.record_ids.to_pylist()
    twice = Encodings(
        pa.array([*ids, *(f"{one} again" for one in ids)]),
        np.concatenate([two.clks, two.clks]),
        two.info.model_copy(update={"records": 2 * len(two), "rows": 2 * len(two)}),
        None,
        np.concatenate([two.present, two.present]),
    )
    with pytest.warns(PprlWarning, match="taken to be deduplicated"):
        frame = pprl.cluster(one, twice, three).clusters.to_pandas()
    wanted = both(truth.rename(columns={"person_id": "cluster_id"}), "one", "three")
    assert len(wanted & both(frame, "one", "three")) > 0.95 * len(wanted)


def both(frame: pd.DataFrame, left: str, right: str) -> set[tuple[str, str]]:
    """Return the pairs of records of these holders that are in one cluster."""
    pairs = frame[frame["holder"] == left].merge(frame[frame["holder"] == right], on="cluster_id")
    return set(zip(pairs["record_id_x"], pairs["record_id_y"], strict=True))


def test_nobody_in_two_files() -> None:
    files, _ = registers("default")
    everyone = pprl.cluster(*files).clusters.to_pandas()
    known = {name: set(part["cluster_id"]) for name, part in everyone.groupby("holder")}
    alone = []
    for one, other in combinations(known, 2):
        known[other] -= known[one]
    for file in files:
        part = everyone[everyone["holder"] == file.info.holder]
        keep = part["cluster_id"].isin(known[file.info.holder]).to_numpy()
        alone.append(Pool.of([file]).subset(keep))
    with pytest.warns(PprlWarning, match="no two records stand out"):
        result = pprl.cluster(*alone)
    assert result.threshold > 1
    assert len(result.clusters) == sum(one.info.records for one in alone)
