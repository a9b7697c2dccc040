"""Several files without duplicates, with everything automatic."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from typer.testing import CliRunner

import pprl
from conftest import changed, key_of
from pprl import synthetic
from pprl.cli import app
from pprl.errors import LengthMismatch, PprlWarning, UnreadableFile, UsageError
from pprl.evaluation.report.run import Run
from pprl.exchange.encodings import Encodings
from pprl.holder.choices import SuggestHardening
from pprl.holder.suggest import suggest_schema
from pprl.linkage.candidates.blocking import HammingLSH, KeyBlocking
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.candidates.pool import Pool
from pprl.linkage.decision.cut import Cut
from pprl.linkage.decision.design import SeveralFiles
from pprl.linkage.decision.estimate import Estimate
from pprl.linkage.local_fdr import false_links
from pprl.linkage.model.scoring import Criterion
from pprl.linkage.resolution.deliveries import load_previous

ERRORS = synthetic.Errors(
    keyboard=0.02, phonetic=0.01, digit=0.01, date_slip=0.01, outdated_address=0.1
)


@cache
def registers(
    hardening: SuggestHardening,
    persons: int = 5_000,
    names: str = "one two three",
    coverage: float = 0.5,
    duplicates: float = 0.0,
) -> tuple[list[Encodings], pd.DataFrame]:
    """Draw registers of a share of a population each; return them, and who their records are."""
    population = synthetic.population_table(persons, seed=11)
    schema, files, truth = None, [], []
    key = key_of("a secret for the tests of several files")
    for name in names.split():
        register = synthetic.Register(
            name=name,
            coverage=coverage,
            duplicates=duplicates,
            errors=ERRORS,
            missing={"postcode": 0.03},
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
    assert result.criterion.rivals
    assert result.criterion.evidence is not None
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
    design = SeveralFiles(("a", "b"), np.array([n_a, n_b]), np.repeat([0, 1], [n_a, n_b]))
    m = min(n_a, n_b, few)
    chosen = Pairs(rng.permutation(n_a)[:m], n_a + rng.permutation(n_b)[:m], np.zeros(m))
    rate = np.sort(rng.uniform(0, 0.2, m) ** 3)
    wanted = false_links(np.arange(1, m + 1), rate, n_a, n_b)
    assert np.allclose(design.expect(chosen)(rate), wanted)


def test_expected_false_links_between_ranks() -> None:
    """Above 1,024 links the records left over are interpolated."""
    rng = np.random.default_rng(4)
    n = 20_000
    design = SeveralFiles(("a", "b"), np.array([n, n]), np.repeat([0, 1], [n, n]))
    m = 12_345
    chosen = Pairs(rng.permutation(n)[:m], n + rng.permutation(n)[:m], np.zeros(m))
    rate = np.linspace(0, 1e-4, m) ** 2
    wanted = false_links(np.arange(1, m + 1), rate, n, n)
    assert np.allclose(design.expect(chosen)(rate), wanted, rtol=1e-3, atol=1e-6)


def test_a_rival_is_in_the_same_file() -> None:
    """By hand: two records of the second file near one of the first, and one of the third."""
    file = np.array([0, 1, 1, 2])
    pool = Pool(None, ("a", "b", "c"), file, None)  # type: ignore[arg-type]
    pairs = Pairs(np.array([0, 0, 0]), np.array([1, 2, 3]), np.array([0.9, 0.8, 0.7]))
    criterion = Criterion(0.5, 0.6, rivals=True)
    # Less 0.45 times what the rival exceeds 0.6 by: 0.8 for the first, 0.9 for the second.
    assert criterion.ranked(pool, pairs).similarity == pytest.approx([0.81, 0.665, 0.7])
    assert criterion.linked(pool, pairs).right.tolist() == [1, 2, 3]
    assert criterion.excess(pool, pairs) == pytest.approx([0.4, 0.3, 0.2])


def test_what_others_get_to_see(tmp_path: Path) -> None:
    files, _ = registers("default")
    said = command("link", *save(tmp_path, files), "-o", tmp_path / "job")
    run = Run.load(tmp_path / "job")
    result = pprl.cluster(*files)
    assert run.estimate is not None
    assert run.estimate == Run.of(result).estimate
    assert f"estimated precision {run.estimate['precision']['value']:.3f} " in said
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
    earlier = load_previous(tmp_path)
    criterion = earlier.criterion
    assert criterion is not None
    assert json.dumps(criterion.to_dict()) == json.dumps(before.criterion.to_dict())
    after = pprl.cluster(*files, threshold=criterion, rule=earlier.rule, against=earlier.clusters)
    sizes = [one.info.records for one in files]
    assert after.pairs_compared == sizes[2] * sum(sizes)
    assert after.criterion is criterion
    quality = pprl.evaluate_clusters(after.clusters, truth)
    at_once = pprl.evaluate_clusters(pprl.cluster(*files).clusters, truth)
    assert abs(quality.f1.value - at_once.f1.value) < 0.01
    # Without the criterion it is found anew, from old records, too.
    anew = pprl.cluster(*files, against=earlier.clusters)
    assert anew.pairs_compared == sum(sizes) * (sum(sizes) - 1) // 2
    assert pprl.evaluate_clusters(anew.clusters, truth).f1.value > 0.98


def test_a_delivery_to_nobody_known_is_decided_anew(tmp_path: Path) -> None:
    """An earlier job that found nobody in two files has nothing to go on from."""
    files, truth = registers("default")
    non_matches = non_matches_of(files, truth)[:2]
    folders = [tmp_path / name for name in ("first", "second")]
    paths = save(tmp_path, non_matches)
    with pytest.warns(PprlWarning, match="no two records stand out"):
        command("link", *paths, "-o", folders[0], "--deduplicated", "all")
    assert load_previous(folders[0]).criterion is None
    paths += save(tmp_path, files[2:])
    command("link", *paths, "-o", folders[1], "--against", folders[0])
    records = sum(map(len, [*non_matches, files[2]]))
    assert len(pprl.Clusters.load(folders[1] / "clusters.parquet")) < records - 1_000


def test_a_delivery_in_which_nobody_is_known(tmp_path: Path) -> None:
    files, _ = registers("default")
    before = pprl.cluster(*files[:2])
    nobody = replace(before.criterion, cut=1e6)
    after = pprl.cluster(*files, threshold=nobody, against=before.clusters)
    assert after.pairs_above == 0
    assert after.threshold > 1
    assert after.events is not None
    assert len(after.events) == 0


def test_another_schema_is_not_an_earlier_delivery(tmp_path: Path) -> None:
    files, _ = registers("default")
    command("link", *save(tmp_path, files), "-o", tmp_path / "job")
    other, _ = registers("none")
    paths = save(tmp_path / "other", other)
    with pytest.raises(LengthMismatch, match="Encode both with one schema"):
        command("link", *paths, "-o", tmp_path / "again", "--against", tmp_path / "job")
    criterion = pprl.cluster(*files).criterion
    with pytest.raises(UsageError, match="other CLK groups"):
        pprl.cluster(*other, threshold=criterion)
    unmasked = [Encodings(one.record_ids, one.clks, one.info, None, None) for one in files]
    with pytest.raises(UsageError, match="no field-presence masks"):
        pprl.cluster(*unmasked, threshold=criterion)


DAMAGES: list[tuple[str, object]] = [
    ("cut", float("nan")),
    ("cut", float("inf")),
    ("cut", "high"),
    ("floor", 7),
    ("rivals", "false"),
    ("evidence", "much"),
    ("evidence.learned", 1),
    ("evidence.mean", [float("nan")] * 9),
    ("evidence.weights", [1.0]),
    ("evidence.scale", []),
    ("evidence.view", None),
    ("evidence.view.decay", []),
    ("evidence.view.masked", "no"),
    ("evidence.view.starts", [0, 0, 0, 0, 0]),
    ("evidence.view.weights", [[1.0]]),
]


@pytest.mark.parametrize(("where", "what"), DAMAGES)
def test_a_damaged_criterion_is_not_believed(tmp_path: Path, where: str, what: object) -> None:
    files, _ = registers("default")
    before = pprl.cluster(*files[:2])
    before.clusters.save(tmp_path / "clusters.parquet")
    facts = before.facts(*(one.info for one in files[:2]))
    place = facts["criterion"]
    *path, last = where.split(".")
    for name in path:
        place = place[name]
    place[last] = what
    (tmp_path / "linkage.json").write_text(json.dumps(facts))
    with pytest.raises(UnreadableFile, match="which criterion and rule"):
        load_previous(tmp_path)


def test_a_job_of_before_there_were_criteria(tmp_path: Path) -> None:
    files, _ = registers("default")
    before = pprl.cluster(*files[:2], threshold=0.6)
    before.clusters.save(tmp_path / "clusters.parquet")
    facts = before.facts(*(one.info for one in files[:2]))
    del facts["criterion"]
    (tmp_path / "linkage.json").write_text(json.dumps(facts))
    criterion = load_previous(tmp_path).criterion
    assert criterion is not None
    assert criterion.to_dict() == before.criterion.to_dict()


@pytest.mark.parametrize("empty", [0, 1, 2])
def test_an_empty_file(empty: int) -> None:
    files, _ = registers("default")
    given = list(files)
    given[empty] = Pool.of([files[empty]]).subset(np.zeros(len(files[empty]), bool))
    rest = [one for at, one in enumerate(given) if at != empty]
    result = pprl.cluster(*given)
    assert result.clusters.table.equals(pprl.cluster(*rest).clusters.table)
    with pytest.warns(PprlWarning, match="no two records stand out"):
        assert pprl.cluster(rest[0], given[empty]).pairs_above == 0
    with pytest.warns(PprlWarning):
        assert len(pprl.link(rest[0], given[empty]).links) == 0
    with pytest.warns(PprlWarning):
        assert len(pprl.cluster(given[empty], given[empty - 1]).conflicts) == 0


def test_blocks_that_nobody_shares() -> None:
    """Keys of the files differ in every record: nothing is compared, nothing is found."""
    files, _ = registers("default")
    keyed = [
        Encodings(
            one.record_ids,
            one.clks,
            one.info.model_copy(update={"blocking": {"only": 1.0}}),
            None,
            one.present,
            (at * 10_000 + np.arange(len(one), dtype=np.uint64))[:, None],
        )
        for at, one in enumerate(files)
    ]
    with pytest.warns(PprlWarning, match="no two records stand out"):
        assert pprl.cluster(*keyed, blocking=KeyBlocking()).pairs_compared == 0
    with pytest.warns(PprlWarning, match="no links"):
        assert len(pprl.link(*keyed[:2], blocking=KeyBlocking()).links) == 0


def test_many_files_of_many_partners() -> None:
    """A record has its partner in each of twenty files: more than its nearest twenty of others."""
    files, truth = registers("default", 250, " ".join(f"holder{k}" for k in range(22)), 0.95)
    result = pprl.cluster(*files)
    quality = pprl.evaluate_clusters(result.clusters, truth)
    assert quality.recall.value > 0.99
    assert quality.precision.value > 0.99


@pytest.mark.parametrize("copies", [1, 2, 5])
def test_a_few_unmarked_duplicates_in_one_of_many_files(copies: int) -> None:
    """Of people who are in no other file, so that nothing else tells."""
    files, truth = registers("default", 3_000, " ".join(f"holder{k}" for k in range(16)), 0.12)
    rows = truth[truth["holder"] == "holder0"]
    counts = truth.groupby("person_id")["holder"].size()
    alone = np.flatnonzero(rows["person_id"].map(counts).to_numpy() == 1)[:copies]
    assert len(alone) == copies
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PprlWarning)
        result = pprl.cluster(again(files[0], alone), *files[1:])
    table = result.clusters.table
    kept = pc.invert(pc.ends_with(table["record_id"], "again"))
    quality = pprl.evaluate_clusters(pprl.Clusters(table.filter(kept)), truth)
    assert quality.recall.value > 0.97
    assert result.estimate is not None
    assert result.estimate.precision is not None
    # Too few to be told from chance after min-hash; the interval misses the truth by a hair.
    assert result.estimate.precision.low <= quality.precision.value + 0.01


def test_the_interval_knows_how_few_pairs_are_within() -> None:
    """With sixteen files, one pair within a file stands for fifteen false links."""
    for false, high in ((0.0, 3.7 * 15.0), (10.0, 25.0 + 2 * np.sqrt(150.0) + 3.7 * 15.0)):
        cut = Cut(1_000, false, np.empty(0), np.empty(0), (1_000, 1_000), weight=15.0)
        figure = Estimate.of(cut).precision
        assert figure is not None
        assert figure.low == pytest.approx(1 - high / 1_000)


def test_with_blocking_only_blocks_count() -> None:
    files, truth = registers("none")
    result = pprl.cluster(*files, blocking=HammingLSH(similarity=0.75, recall=0.9))
    assert result.blocking is not None
    assert result.pairs_compared < sum(one.info.records for one in files) ** 2 / 3
    assert pprl.evaluate_clusters(result.clusters, truth).f1.value > 0.9


@pytest.mark.parametrize("repeating", ["two", "two three"])
def test_files_that_repeat_people_teach_nothing(repeating: str) -> None:
    """They have everybody twice, and were said to be deduplicated."""
    files, truth = registers("default")
    given = [
        again(one, np.arange(len(one))) if one.info.holder in repeating else one for one in files
    ]
    with pytest.warns(PprlWarning, match=f"taken to be deduplicated.*{repeating[-3:]}'"):
        frame = pprl.cluster(*given).clusters.to_pandas()
    wanted = both(truth.rename(columns={"person_id": "cluster_id"}), "one", "three")
    frame["record_id"] = frame["record_id"].str.removesuffix(" again")
    assert len(wanted & both(frame, "one", "three")) > 0.95 * len(wanted)


@pytest.mark.parametrize("hardening", ["default", "none"])
def test_all_files_repeat_some_people(hardening: SuggestHardening) -> None:
    """They were said to be deduplicated; no file is there that shows non-matches only."""
    files, truth = registers(hardening, duplicates=0.1)
    with pytest.warns(PprlWarning, match="taken to be deduplicated.*'one', 'two', 'three'"):
        result = pprl.cluster(*files)
    frame = result.clusters.to_pandas()
    wanted = both(truth.rename(columns={"person_id": "cluster_id"}), "one", "two")
    found = both(frame, "one", "two")
    # Of a person's two records in a file, one can be found.
    persons = [set(truth.loc[truth["holder"] == name, "person_id"]) for name in ("one", "two")]
    most = (0.97 if hardening == "default" else 0.85) * len(persons[0] & persons[1])
    assert len(wanted & found) > most
    assert len(wanted & found) > 0.95 * len(found)
    with pytest.warns(PprlWarning, match="several times"):
        links = pprl.link(*files[:2]).links.to_pandas()
    linked = set(zip(links["left_id"], links["right_id"], strict=True))
    assert len(wanted & linked) > most
    assert len(wanted & linked) > 0.95 * len(linked)


def again(file: Encodings, rows: NDArray[np.int64]) -> Encodings:
    """Add exact copies of these records to a file."""
    assert file.present is not None
    ids, n = file.record_ids.to_pylist(), len(file) + len(rows)
    return Encodings(
        pa.array([*ids, *(f"{ids[row]} again" for row in rows)]),
        np.concatenate([file.clks, file.clks[rows]]),
        file.info.model_copy(update={"records": n, "rows": n}),
        None,
        np.concatenate([file.present, file.present[rows]]),
    )


def both(frame: pd.DataFrame, left: str, right: str) -> set[tuple[str, str]]:
    """Return the pairs of records of these holders that are in one cluster."""
    pairs = frame[frame["holder"] == left].merge(frame[frame["holder"] == right], on="cluster_id")
    return set(zip(pairs["record_id_x"], pairs["record_id_y"], strict=True))


def test_nobody_in_two_files() -> None:
    alone = non_matches_of(*registers("default"))
    with pytest.warns(PprlWarning, match="no two records stand out"):
        result = pprl.cluster(*alone)
    assert result.threshold > 1
    assert len(result.clusters) == sum(one.info.records for one in alone)


def non_matches_of(files: list[Encodings], truth: pd.DataFrame) -> list[Encodings]:
    """Leave out of each file who is in an earlier one."""
    first = truth.drop_duplicates("person_id")["record_id"]
    return [
        changed(Pool.of([file]).subset(np.isin(file.record_ids.to_pylist(), first.to_numpy())))
        for file in files
    ]


def command(*words: str | Path) -> str:
    """Run a command and return what it prints; an error of ours is raised."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception:
        raise done.exception
    return done.output


def save(folder: Path, files: list[Encodings]) -> list[str]:
    """Save encodings under their holders' names."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{one.info.holder}.parquet" for one in files]
    for one, path in zip(files, paths, strict=True):
        one.save(path)
    return [str(path) for path in paths]
