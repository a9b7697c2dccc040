"""Hardening calibrated by attack: what falls is seen to fall, what is chosen withstood."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import pprl
from pprl.cli import app
from pprl.errors import UsageError
from pprl.evaluation.calibration import calibrate, points_lost
from pprl.evaluation.calibration.price import FEWEST, WRONG
from pprl.evaluation.calibration.trials import Case, PeopleList, spread
from pprl.holder.families import draw_dwellings, dwellings, whole_dwellings
from pprl.holder.profiles import Setting, setting_of
from pprl.holder.suggest import Study, people_of_dwellings, study_columns
from pprl.synthetic.population import population_table
from pprl.synthetic.registers import Register, register_table


@pytest.fixture(scope="module")
def town() -> pd.DataFrame:
    """Everybody of a made-up town, households whole."""
    people, _ = register_table(
        population_table(600, seed=3), Register(name="town", coverage=1.0), seed=3
    )
    return people.to_pandas().astype(str).replace({"None": ""})


@pytest.fixture(scope="module")
def study(town: pd.DataFrame) -> Study:
    found = study_columns(town)
    assert found.families
    return found


@pytest.fixture(scope="module")
def people(town: pd.DataFrame, study: Study) -> pa.Table:
    return people_of_dwellings(town, study, 400, seed=1)


def test_what_is_too_light_falls_to_the_attack(study: Study, people: pa.Table) -> None:
    """The positive control: without it, a setting that withstands would mean nothing."""
    light = Case(study, people, 0, PeopleList(), 1).attack(Setting(2, 2048))
    assert light.named > 0.9
    assert light.spread > light.limit
    heavy = Case(study, people, 0, PeopleList(), 1).attack(Setting(8, 2048, families=True))
    assert heavy.named < 0.02
    assert heavy.spread < 0.5


def test_the_lightest_setting_that_withstands_is_taken(study: Study, people: pa.Table) -> None:
    told: list[str] = []
    found = calibrate(study, people, Setting(7, 2048, families=True), tell=told.append)
    by_step = {(one.setting.t, -one.setting.bits): one for one in found.trials}
    assert found.withstood
    chosen = (found.setting.t, -found.setting.bits)
    assert by_step[chosen].withstood(0.01)
    lighter = [step for step in by_step if step < chosen]
    assert lighter
    assert not any(by_step[step].withstood(0.01) for step in lighter)
    assert len(told) == len(by_step)
    remarks = "\n".join(found.remarks())
    assert f"t = {found.setting.t:2}, {found.setting.bits} bits:" in remarks
    assert "withstood" in remarks
    assert "fell" in remarks
    assert max(map(len, remarks.splitlines())) <= 98


def test_the_price_grows_with_what_is_hidden(study: Study, people: pa.Table) -> None:
    light, heavy = Setting(3, 2048, families=True), Setting(12, 1024, families=True)
    lost = points_lost(study, people, [light, heavy])
    assert list(lost) == [light, heavy]
    assert len(lost[light]) == len(WRONG)
    assert lost[heavy][-1] > lost[light][-1] + 5
    assert abs(lost[light][0]) < 3
    assert points_lost(study, people.slice(0, FEWEST - 1), [light]) == {}


def test_the_schema_says_what_each_choice_costs(study: Study, people: pa.Table) -> None:
    found = calibrate(study, people, Setting(7, 2048, families=True))
    lost = {one.setting: (-0.04, 12.0) for one in found.trials}
    remarks = list(found.remarks(lost))
    assert sum("; F1 +0.0/-12.0" in line for line in remarks) == len(found.trials)
    assert max(map(len, remarks)) <= 98
    assert not any("F1" in line for line in found.remarks())
    tried = [one.setting for one in found.trials]
    near = found.choices()
    assert found.setting in near
    assert tried.index(near[-1]) - tried.index(near[0]) == len(near) - 1 <= 2


def test_a_larger_file_needs_no_less(study: Study, people: pa.Table) -> None:
    usual = Setting(7, 2048, families=True)
    small = calibrate(study, people, usual)
    large = calibrate(replace(study, records=100_000_000), people, usual)
    assert large.setting.t > small.setting.t


def test_where_nothing_withstands_it_is_said(study: Study, people: pa.Table) -> None:
    hopeless = calibrate(study, people, Setting(7, 2048, families=True))
    impossible = replace(hopeless, trials=tuple(replace(one, named=0.5) for one in hopeless.trials))
    assert not impossible.withstood
    assert "NO SETTING WITHSTOOD" in "\n".join(impossible.remarks())


def test_known_pairs_name_more(study: Study, people: pa.Table) -> None:
    setting = Setting(4, 2048)
    without = Case(study, people, 0, PeopleList(), 1).attack(setting)
    with_them = Case(study, people, 150, PeopleList(), 1).attack(setting)
    assert with_them.named > without.named + 0.05


def test_a_list_of_many_more_with_errors_names_fewer(study: Study, people: pa.Table) -> None:
    setting = Setting(3, 2048)
    exact = Case(study, people, 0, PeopleList(), 1).attack(setting)
    other = Case(study, people, 0, PeopleList(3, 0.1), 1).attack(setting)
    assert other.listed == len(people)
    assert 0.5 * len(people) / 3 < other.people <= len(people) / 3
    assert other.named < exact.named - 0.2


def test_options_are_checked(study: Study, people: pa.Table) -> None:
    usual = Setting(7, 2048, families=True)
    with pytest.raises(UsageError, match="withstand must be between 0 and 1"):
        calibrate(study, people, usual, withstand=1.0)
    with pytest.raises(UsageError, match="known pairs must be from 0"):
        calibrate(study, people, usual, known_pairs=len(people))
    with pytest.raises(UsageError, match="attacker must be one of"):
        calibrate(study, people, usual, attacker="god")  # type: ignore[arg-type]


def test_spread_adds_up_what_all_others_tell() -> None:
    rng = np.random.default_rng(1)
    agreements = np.zeros((7, 7, 2))
    upper = np.triu(rng.uniform(0, 0.05, (7, 7, 2)).transpose(2, 0, 1), 1).transpose(1, 2, 0)
    agreements += upper + upper.transpose(1, 0, 2)
    agreements[np.arange(7), np.arange(7)] = 1.0
    agreements[0, 1] = agreements[1, 0] = 0.9  # seen by itself
    bits = [1024, 2048]
    total = 0.0
    for group, length in enumerate(bits):
        for i in range(7):
            others = [j for j in range(7) if j != i and {i, j} != {0, 1}]
            row = agreements[i, others, group]
            total += ((row - row.mean()) ** 2).sum() * length / 2
    as_stored = np.rint(agreements * 32767).astype(np.int16)
    assert spread(as_stored, bits) == pytest.approx(total / 7, rel=1e-2)


@given(
    st.lists(st.sampled_from(["A", "B", "C", "D", "", None]), min_size=1, max_size=30),
    st.integers(1, 30),
    st.integers(0, 5),
)
def test_dwellings_are_drawn_whole(streets: list[str | None], most: int, seed: int) -> None:
    table = pa.table({"street": pa.array(streets, pa.string())})
    rows = whole_dwellings(table, ["street"], most, seed)
    assert len(rows) <= most
    assert (np.diff(rows) > 0).all()
    home = dwellings(table, ["street"])
    inside = np.isin(np.arange(len(streets)), rows)
    for one in np.unique(home):
        assert len(set(inside[home == one].tolist())) == 1
    # Who lives nowhere known lives with nobody.
    nowhere = [at for at, street in enumerate(streets) if not street]
    assert len(np.unique(home[nowhere])) == len(nowhere)


def test_dwellings_of_a_large_file_are_drawn_whole(tmp_path: Path) -> None:
    n = 20_000
    frame = pd.DataFrame({"surname": ["Vos"] * n, "street": [f"street {i // 4}" for i in range(n)]})
    file = tmp_path / "people.csv"
    frame.sample(frac=1, random_state=1).to_csv(file, index=False)
    drawn = draw_dwellings(file, ["surname", "street"], ["street"], 0.1, seed=2)
    assert 0.07 * n < len(drawn) < 0.13 * n
    assert set(drawn.to_pandas()["street"].value_counts()) == {4}
    again = draw_dwellings(file, ["surname", "street"], ["street"], 0.1, seed=3)
    assert set(again["street"].to_pylist()) != set(drawn["street"].to_pylist())


def test_the_command_calibrates_and_obeys_another_schema(
    town: pd.DataFrame, tmp_path: Path
) -> None:
    marked = town.head(400).assign(first_names=lambda frame: "zzq" + frame["first_names"])
    marked.to_csv(tmp_path / "people.csv", index=False)
    run = CliRunner()
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    said = run.invoke(app, ["schema", "suggest", str(tmp_path / "people.csv"), "-o", str(first)])
    assert said.exit_code == 0, said.output
    text = first.read_text()
    assert "Hardening calibrated by attacks on this file" in text
    assert "zzq" not in text
    ours = setting_of(pprl.Schema.load(first))
    stricter = pprl.suggest_schema(town, hardening="strong", withstand=None)
    (tmp_path / "other.toml").write_text(stricter)
    args = ["-o", str(second), "--at-least", str(tmp_path / "other.toml"), "--withstand", "0"]
    said = run.invoke(app, ["schema", "suggest", str(tmp_path / "people.csv"), *args])
    assert said.exit_code == 0, said.output
    both = setting_of(pprl.Schema.load(second))
    assert both.t >= 10 > ours.t
    assert both.bits == 2048


def test_too_few_people_are_not_attacked(town: pd.DataFrame) -> None:
    text = pprl.suggest_schema(town.head(20))
    assert "Not calibrated: 20 people are too few" in text
