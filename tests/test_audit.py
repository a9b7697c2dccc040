"""The audit's attacks must break what is weak, and the default must hold at the same size."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import pprl
from conftest import encode_by_id, key_of
from pprl import synthetic
from pprl.cli import app, main
from pprl.errors import (
    AuditFailed,
    MissingColumn,
    RecordIdError,
    SchemaMismatch,
    UsageError,
)
from pprl.evaluation.audit import Attack, audit
from pprl.evaluation.audit.attacker import Attacker, targets_of, undiffused
from pprl.evaluation.audit.frequency import align_frequencies
from pprl.evaluation.audit.run import (
    Case,
    graph_attacks,
    key_attack,
    other_attacks,
    pair_attacks,
    with_errors,
)
from pprl.evaluation.audit.tokens import token_matrix
from pprl.holder.encoder import Encoder
from pprl.holder.suggest import suggest_schema

KEY = key_of(b"the holders' key, never the attacker's")
N = 600


@pytest.fixture(scope="module")
def people() -> pa.Table:
    population = synthetic.population_table(4000, seed=5)
    register = synthetic.Register(name="r", coverage=((0, 1.0),))
    return synthetic.register_table(population, register, seed=5)[0].slice(0, N)


def schema_for(people: pa.Table, hardening: str) -> pprl.Schema:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "people.parquet"
        pq.write_table(people.drop_columns("record_id"), path)
        return pprl.Schema.from_toml(suggest_schema(path, name="s", hardening=hardening))  # type: ignore[arg-type]


def diffused(people: pa.Table) -> pprl.Schema:
    """The suggested schema, hardened by diffusion into as many bits as its filters have."""
    text = suggest_schema(people.drop_columns("record_id"), name="s")
    text = re.sub(r'method = "minhash", t = \d+', 'method = "diffusion", t = 12', text)
    text = re.sub(r"^bits = \d+", "bits = 2048", text, flags=re.MULTILINE)
    return pprl.Schema.from_toml(
        re.sub(r"^(fields = .*)$", r"\1\ninserted_bits = 400", text, flags=re.MULTILINE)
    )


def case_of(people: pa.Table, schema: pprl.Schema) -> Case:
    """Encodings of the list's own people, in another order."""
    order = np.random.default_rng(2).permutation(len(people))
    # The encoder itself keeps the order of rows.
    (batch,) = people.take(pa.array(order)).combine_chunks().to_batches()
    return Case(Encoder(schema, KEY).encode(batch).clks, people, order, schema, 1)


@pytest.fixture(scope="module")
def plain(people: pa.Table) -> Case:
    return case_of(people, schema_for(people, "none"))


@pytest.fixture(scope="module")
def default(people: pa.Table) -> Case:
    return case_of(people, schema_for(people, "default"))


def test_attacks_without_the_key_break_an_unhardened_file(plain: Case) -> None:
    (graph,) = graph_attacks(plain)
    assert graph.reidentification_rate >= 0.95
    assert graph.succeeded(0.01)
    found = {one.name: one for one in other_attacks(plain)}
    assert found["pattern mining"].reidentification_rate > 0.3
    # Every CLK is unique, so frequencies tell nothing.
    assert not found["frequency alignment"].succeeded(0.01)


def test_the_same_attacks_do_not_succeed_on_the_default(default: Case) -> None:
    attacks = [*graph_attacks(default), *other_attacks(default)]
    assert {one.name for one in attacks} >= {
        "spectral graph matching on names_birth",
        "spectral graph matching on all groups",
        "pattern mining on birth_address",
    }
    for one in attacks:
        assert one.reidentification_rate <= 0.02, one.name
        assert one.chance == 1 / N
        assert one.low < one.reidentification_rate + 1e-9 < one.high


def test_known_pairs_tell_more_by_profile_than_by_ridge(plain: Case, people: pa.Table) -> None:
    default = case_of(people, diffused(people))
    rates = {
        (which, one.name.split(",")[1].split(" on ")[0].strip(), one.known_pairs): one
        for which, case in (("plain", plain), ("default", default))
        for one in pair_attacks(case, (50, 200, 10_000), only_whole=True)
    }
    assert len(rates) == 8, "ten thousand pairs are more than there are"
    assert rates["plain", "ridge", 200].reidentification_rate > 0.9
    assert rates["plain", "similarity profile", 50].reidentification_rate > 0.95
    ridge = rates["default", "ridge", 200].reidentification_rate
    profile = rates["default", "similarity profile", 200].reidentification_rate
    assert 0.02 < ridge < profile < 0.9
    assert rates["default", "similarity profile", 50].reidentification_rate < profile


def test_the_key_opens_everything(default: Case) -> None:
    assert key_attack(default, KEY).reidentification_rate > 0.98
    assert not key_attack(default, pprl.LinkageKey.generate()).succeeded(0.01)


def test_frequencies_break_a_field_level_filter() -> None:
    """Every value is as frequent as no other: the crowd is named, and one person of it."""
    sizes = [200, 120, 75, 46, 28, 17, 10, 6]
    values = [value for value, size in zip("abcdefgh", sizes, strict=True) for _ in range(size)]
    people = pa.table({"record_id": [str(at) for at in range(len(values))], "city": values})
    schema = pprl.Schema.from_toml(
        'version = 1\nname = "s"\nbits = 256\nhardening = { method = "none" }\n'
        '[[fields]]\nname = "city"\ntokens = { type = "exact" }\nbits_per_token = 20\n'
    )
    case = case_of(people, schema)
    theirs = Attacker(case.people, schema, 1).encodings()
    named = align_frequencies(case.clks, theirs)
    assert (named >= 0).all()
    assert (theirs[named] == theirs[case.who]).all(axis=1).mean() > 0.95


@pytest.mark.filterwarnings("ignore:field '")  # mistyped dates and numbers are missing
@pytest.mark.parametrize("method", ["diffusion", "minhash"])
def test_an_expected_agreement_is_what_another_key_shows(people: pa.Table, method: str) -> None:
    """The kernel (1 - 2 d)**t, or J**t, which the profile attack rests on."""
    schema = diffused(people) if method == "diffusion" else schema_for(people, "default")
    twice = pa.concat_tables([people, with_errors(people, schema, 0.2, 4)]).set_column(
        0, "record_id", pa.array([str(at) for at in range(2 * N)])
    )
    clks = encode_by_id(twice, schema, KEY, id_column="record_id", on_invalid="warn").clks
    target = targets_of(schema)[0]
    attacker = Attacker(twice, schema, 1)
    (expected,) = attacker.agreement(target, np.arange(N), np.arange(2 * N))
    pairs = expected[np.arange(N), N + np.arange(N)]
    signs = 2.0 * np.unpackbits(clks[:, target.columns], axis=1) - 1
    seen = (signs[:N] * signs[N:]).mean(axis=1)
    assert ((pairs > 0.1) & (pairs < 0.9)).sum() > 100
    assert np.abs(seen - pairs).mean() < 0.05
    assert np.corrcoef(seen, pairs)[0, 1] > 0.95
    if method == "diffusion":
        assert abs(np.diag(expected) - 1).max() < 1e-6
        assert undiffused(schema).parts[0].bits == 2048


def test_tokens_of_the_list(people: pa.Table) -> None:
    schema = pprl.Schema.from_toml(
        'version = 1\nname = "s"\nbits = 64\nhardening = { method = "none" }\n'
        '[[fields]]\nname = "a"\nbits_per_token = 2\n'
        '[[fields]]\nname = "b"\ntokens = { type = "exact" }\nbits_per_token = 2\n'
    )
    table = pa.table({"a": ["ana", None, "na"], "b": ["x", "y", "x"]})
    matrix = token_matrix(table, schema).toarray()
    # " a", "an", "na", "a ", " n" and then x, y: each at most once.
    assert matrix.shape == (3, 7)
    assert matrix.sum(axis=1).tolist() == [5, 1, 4]
    assert matrix[0] @ matrix[2] == 3


def test_counts_and_intervals() -> None:
    who = np.array([3, 1, -1, 0])
    guesses = np.array([[0, 0, 0, 0], [3, 1, 2, -1]])
    one = Attack.of("x", guesses, who, 10, seed=1, seconds=0.5)
    assert one.reidentification_rate == 2 / 3
    assert one.precision_at_1 == 2 / 3
    assert one.overlap == 0.75
    assert one.chance == 0.1
    assert (one.low, one.high) == (pytest.approx(0.2077, abs=1e-4), pytest.approx(0.9385, abs=1e-4))
    # A single hit among few is not surely above chance.
    hit = Attack.of("x", np.array([0, 5, 6]), np.array([0, 1, 2]), 3, seed=1, seconds=0)
    assert not hit.succeeded(0.01)


@pytest.fixture(scope="module")
def files(people: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audit")
    pyarrow.csv.write_csv(
        people.rename_columns(["patient", *people.column_names[1:]]), folder / "p.csv"
    )
    pq.write_table(people.drop_columns("record_id"), folder / "columns.parquet")
    text = suggest_schema(folder / "columns.parquet", name="s", hardening="none")
    diffusion = '{ method = "diffusion", t = 10 }'
    for name in ("none", "diffused"):
        schema = folder / f"{name}.toml"
        schema.write_text(
            text if name == "none" else text.replace('{ method = "none" }', diffusion)
        )
        order = np.random.default_rng(3).permutation(N)
        fresh = people.take(pa.array(order)).set_column(
            0, "record_id", pa.array([f"x{at}" for at in range(N)])
        )
        encode_by_id(
            fresh, pprl.Schema.load(schema), KEY, id_column="record_id", on_invalid="warn"
        ).save(folder / f"{name}.clk.parquet")
        pd.DataFrame(
            {
                "record_id": [f"x{at}" for at in range(N)],
                "reference_id": np.array(people["record_id"].to_pylist())[order],
            }
        ).to_csv(folder / "who.csv", index=False)
    return folder


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["pprl", *map(str, arguments)])
    with pytest.raises(SystemExit) as done:
        main()
    return int(done.value.code or 0)


def test_the_gate_refuses_an_unhardened_file_and_reports(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    code = run(
        monkeypatch,
        *("audit", files / "none.clk.parquet", "--reference", files / "p.csv"),
        *("-s", files / "none.toml", "--truth", files / "who.csv", "-o", out),
        *("--fail-above", 0.01),
    )
    said = capsys.readouterr()
    assert code == 3
    assert "above the limit of 1.0%" in said.err
    assert "spectral graph matching" in said.err
    found = json.loads((out / "audit.json").read_text())
    needed = {"name", "reidentification_rate", "precision_at_1", "chance", "low", "high"}
    needed |= {"n_victims", "n_reference", "known_pairs", "seed", "seconds", "overlap", "noise"}
    assert all(needed <= set(one) for one in found["attacks"])
    assert {one["overlap"] for one in found["attacks"]} >= {1.0, 0.5}
    assert {one["noise"] for one in found["attacks"]} == {0.0, 0.1, 0.3}
    assert {"percolation", "order of rows beside a sorted list"} <= {
        one["name"] for one in found["attacks"]
    }
    assert found["broken"]
    assert "This file is broken" in (out / "audit.html").read_text()
    assert {one["known_pairs"] for one in found["attacks"]} == {0, 50, 200}
    assert len(found["does_not_protect_against"]) == 6
    assert "distances show who is like whom" in {one["weakness"] for one in found["weaknesses"]}
    page = (out / "audit.html").read_text()
    assert page.count("<svg") == 2
    assert "not anonymous" in page
    # An XML namespace is a name, not something to fetch.
    assert not re.findall(r"""(?:src|href)=["']https?:""", page)
    assert "safe" not in (page + json.dumps(found)).lower()
    # Nothing of the list is told: no value of three letters or more that stands for itself.
    text = page + json.dumps(found) + said.out + said.err
    people = pd.read_csv(files / "p.csv", dtype=str)
    for column in ("patient", "surname", "birth_date", "postcode", "street"):
        values = {value for value in people[column].dropna() if len(value) > 4}
        assert len(values) > 20 or column == "street"
        assert not [value for value in values if value in text], column


def test_the_gate_lets_a_diffused_file_pass(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = run(
        monkeypatch,
        *("audit", files / "diffused.clk.parquet", "--reference", files / "p.csv"),
        *("-s", files / "diffused.toml", "--truth", files / "who.csv", "-o", tmp_path),
        *("--fail-above", 0.03, "--json"),
    )
    assert code == 0
    found = json.loads((tmp_path / "audit.json").read_text())
    control = [one["reidentification_rate"] for one in found["positive_control"]]
    assert max(control) > 0.9, "the same code must break the same people without hardening"


def test_a_file_alone_is_measured(files: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["audit", str(files / "diffused.clk.parquet"), "-o", str(tmp_path), "--json"]
    )
    found = json.loads(done.stdout)
    assert done.exit_code == 0
    assert found["attacks"] == []
    assert found["metrics"]["groups"][""]["contrast"] < 0.05
    assert found["weaknesses"] == []
    again = CliRunner().invoke(
        app, ["audit", str(files / "diffused.clk.parquet"), "-o", str(tmp_path)]
    )
    assert again.exit_code != 0, "nothing is overwritten"


def test_what_does_not_fit_is_refused(files: Path) -> None:
    encodings = pprl.Encodings.load(files / "diffused.clk.parquet")
    schema = pprl.Schema.load(files / "diffused.toml")
    with pytest.raises(SchemaMismatch, match="another schema"):
        audit(encodings, reference=files / "p.csv", schema=pprl.Schema.load(files / "none.toml"))
    with pytest.raises(UsageError, match="go together"):
        audit(encodings, schema=schema)
    with pytest.raises(UsageError, match="reference list"):
        audit(encodings, truth=files / "who.csv")
    with pytest.raises(UsageError, match="between 0 and 1"):
        audit(encodings, limit=2)
    with pytest.raises(UsageError, match="at least 50"):
        audit(encodings, victims=3)
    for truth, error, words in (
        ({"record_id": ["x1"], "reference_id": ["nobody"]}, RecordIdError, "no column"),
        ({"record_id": ["x1", "x1"], "reference_id": ["a", "b"]}, RecordIdError, "twice"),
        ({"record": ["x1"]}, MissingColumn, "reference_id"),
        ({"record_id": ["x1", None], "reference_id": ["a", "b"]}, RecordIdError, "without"),
    ):
        with pytest.raises(error, match=words):
            audit(encodings, reference=files / "p.csv", schema=schema, truth=pd.DataFrame(truth))
    few = pd.read_csv(files / "who.csv").head(10)
    with pytest.raises(UsageError, match="need 50"):
        audit(encodings, reference=files / "p.csv", schema=schema, truth=few)
    with pytest.raises(RecordIdError, match="not a unique"):
        audit(encodings, reference=files / "p.csv", schema=schema, id_column="sex")


def test_the_gate_needs_a_truth(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("audit", files / "none.clk.parquet", "-o", tmp_path, "--fail-above", 0.01)
    assert run(monkeypatch, *arguments) == 2
    assert not list(tmp_path.iterdir())


def test_the_gate_counts_only_who_knows_nothing() -> None:
    from pprl.evaluation.audit import Audit

    def attack(knowledge: str, hits: int) -> Attack:
        who = np.arange(100)
        guesses = np.where(who < hits, who, (who + 1) % 100)
        return Attack.of("x", guesses, who, 100, seed=1, seconds=0, knowledge=knowledge)

    Audit({}, {}, [], attacks=(attack("the key", 100), attack("known pairs", 90))).check()
    with pytest.raises(AuditFailed, match=r"50\.0%"):
        Audit({}, {}, [], attacks=(attack("nothing", 50),)).check()
