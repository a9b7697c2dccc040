"""The frontier: what a hardening costs in links, and whom attacks name under it.

A folder of data sets has a folder each, with ``a.parquet`` and ``b.parquet`` (``rec_id``, the truth
``entity_id``, and columns of text). Two more are made up: ``registers``, of `pprl practice`, and
``households``, everybody of a made-up town, which is attacked only.

    python benchmarks/bench_frontier.py DATA OUT.json calibrate     what each file needs
    python benchmarks/bench_frontier.py DATA OUT.json links         F1 at several settings
    python benchmarks/bench_frontier.py DATA OUT.json attacks       named without the key
    python benchmarks/bench_frontier.py DATA OUT.json pairs         named with known pairs
    python benchmarks/bench_frontier.py DATA OUT.json --docs PAGE   write tables and picture

Results are added to OUT.json; what is there already is not run again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

import pprl
from bench_quality import MADE_UP, NOT_FIELDS, registers, tables_of
from pprl.evaluation.audit.agreement import expected_agreement
from pprl.evaluation.audit.percolation import Observed, percolate
from pprl.evaluation.calibration.calibrate import calibrate
from pprl.evaluation.calibration.trials import Case, PeopleList, spread
from pprl.holder.encoder import Encoder
from pprl.holder.profiles import STRONG, Setting, preset
from pprl.holder.suggest import (
    Study,
    hardening_of,
    people_of_dwellings,
    study_columns,
    write_schema,
)
from pprl.synthetic.population import population_table
from pprl.synthetic.registers import Register, register_table

HOUSEHOLDS = "households"
SETS = ("febrl3", "febrl4_ov50", "gecko_de", "dupehell_kyc", "pp_census_replicate",
        "splink_fake1000", "clkhash_dirty1000")  # fmt: skip
STEPS = ("2:4096", "3:4096", "4:4096", "4:2048", "5:4096", "6:4096", "7:4096", "8:2048")
"""Settings, t and bits of a group."""
SIZES = (2_000, 5_000, 20_000)
LISTS = {"exact": PeopleList(), "three times, a tenth mistyped": PeopleList(3, 0.1)}
PAIRS = (50, 200, 1_000)
KEYS = 2
CALIBRATED_ON = 3_000
SIMULATED = 6_000
"""Up to so many people what encodings show is drawn; more are encoded, which needs less memory."""


def households(persons: int) -> pd.DataFrame:
    """Everybody of a made-up town, households whole."""
    people, _ = register_table(
        population_table(persons, seed=1), Register(name="town", coverage=1.0), seed=1
    )
    return people.to_pandas().astype(str).replace({"None": ""})


def people_of(data: Path, name: str) -> pd.DataFrame:
    if name == HOUSEHOLDS:
        return households(24_000)
    if name == MADE_UP:
        return registers()[0].drop(columns=NOT_FIELDS, errors="ignore")
    table = pd.read_parquet(data / name / "a.parquet")
    return table.drop(columns=NOT_FIELDS, errors="ignore")


def calibrated(
    data: Path, names: list[str], known: list[int], limits: list[float]
) -> Iterator[dict[str, Any]]:
    for name in names:
        people = people_of(data, name)
        study = study_columns(people)
        of_pairs = {50: 0.02, 200: 0.1 if study.families else 0.05}
        asked = [(0, limit) for limit in limits if 0 in known]
        asked += [(pairs, limit) for pairs, limit in of_pairs.items() if pairs in known]
        for pairs, limit in asked:
            drawn = people_of_dwellings(people, study, CALIBRATED_ON, 1)
            if pairs > len(drawn) // 2:
                continue
            start = time.process_time()
            usual = hardening_of("default", study)
            assert isinstance(usual, Setting)
            found = calibrate(study, drawn, usual, withstand=limit, known_pairs=pairs)
            trials = [
                [one.setting.t, one.setting.bits, one.named, one.spread] for one in found.trials
            ]
            yield {
                "part": "calibrate", "set": name, "pairs": pairs, "limit": limit,
                "records": study.records, "families": study.families,
                "t": found.setting.t, "bits": found.setting.bits,
                "withstood": found.withstood, "seconds": time.process_time() - start,
                "trials": trials,
            }  # fmt: skip


def links(data: Path, names: list[str], steps: list[str]) -> Iterator[dict[str, Any]]:
    for name, a, b in tables_of(data, names):
        study = study_columns(a.drop(columns=NOT_FIELDS, errors="ignore"))
        usual = preset(study.records, study.families)
        settings = {"none": "none", "strong": STRONG}
        settings |= {step: _at(usual, step) for step in steps}
        for label, setting in settings.items():
            schema = write_schema(study, "s", setting)
            f1 = [_f1(a, b, schema, number) for number in range(KEYS)]
            bits = getattr(setting, "bits", 1024)
            yield {
                "part": "links", "set": name, "setting": label, "families": study.families,
                "bits": bits, "f1": float(np.median(f1)), "worst": min(f1),
            }  # fmt: skip


def _f1(a: pd.DataFrame, b: pd.DataFrame, schema: str, number: int) -> float:
    secret = f"benchmark secret number {number} of the frontier"
    key = pprl.LinkageKey(hashlib.sha256(secret.encode()).digest())
    left, right = (
        pprl.encode(
            x.drop(columns=NOT_FIELDS[1:], errors="ignore"), pprl.Schema.from_toml(schema), key,
            id_column="rec_id", on_invalid="warn",
        )
        for x in (a, b)
    )  # fmt: skip
    truth = a[["rec_id", "entity_id"]].merge(b[["rec_id", "entity_id"]], on="entity_id")
    truth = truth[["rec_id_x", "rec_id_y"]].set_axis(["left_id", "right_id"], axis=1)
    found = pprl.link(left, right).links
    return pprl.evaluate(found, truth).f1.value if len(found.table) else 0.0


def attacks(
    data: Path, names: list[str], steps: list[str], sizes: list[int]
) -> Iterator[dict[str, Any]]:
    for name, people, study, size in _attacked(data, names, sizes):
        for setting in _settings(study, steps):
            if len(people) > SIMULATED:
                yield _attack_encoded(name, study, people, size, setting)
                continue
            for label, has in LISTS.items():
                yield _attack(name, study, people, size, setting, 0, label, has)


def pairs(
    data: Path, names: list[str], steps: list[str], sizes: list[int]
) -> Iterator[dict[str, Any]]:
    for name, people, study, size in _attacked(data, names, sizes):
        for setting in _settings(study, steps):
            for number in PAIRS:
                yield _attack(name, study, people, size, setting, number, "exact", PeopleList())


def _attacked(
    data: Path, names: list[str], sizes: list[int]
) -> Iterator[tuple[str, pa.Table, Study, int]]:
    for name in names:
        frame = people_of(data, name)
        study = study_columns(frame)
        for size in sizes:
            people = people_of_dwellings(frame, study, size, 1)
            # A smaller file is attacked whole, once.
            if len(people) > 0.7 * size or size == min(sizes):
                yield name, people, study, size


def _settings(study: Study, steps: list[str]) -> Iterator[Setting]:
    usual = preset(study.records, study.families)
    yield from (_at(usual, step) for step in steps)


def _at(usual: Setting, step: str) -> Setting:
    t, bits = map(int, step.split(":"))
    return replace(usual, t=t, bits=bits)


def _attack(
    name: str,
    study: Study,
    people: pa.Table,
    size: int,
    setting: Setting,
    known: int,
    label: str,
    has: PeopleList,
) -> dict[str, Any]:
    trial = Case(study, people, known, has, 1).attack(setting)
    return {
        "part": "pairs" if known else "attacks", "set": name, "size": size, "n": trial.people,
        "listed": trial.listed, "list": label, "known": known, "t": setting.t,
        "bits": setting.bits, "families": setting.families, "named": trial.named,
        "spread": trial.spread * len(people) / max(study.records, len(people)),
        "seconds": trial.seconds,
    }  # fmt: skip


def _attack_encoded(
    name: str, study: Study, people: pa.Table, size: int, setting: Setting
) -> dict[str, Any]:
    """Encode people under a random key, and attack their encodings with an exact list."""
    schema = pprl.Schema.from_toml(write_schema(study, "s", setting))
    start = time.process_time()
    order = np.random.default_rng(1).permutation(len(people))
    (batch,) = people.take(pa.array(order)).combine_chunks().to_batches()
    clks = Encoder(schema, pprl.LinkageKey.generate()).encode(batch).clks
    edges = np.cumsum([0, *(part.bits // 8 for part in schema.parts)])
    groups = [np.ascontiguousarray(clks[:, a:b]) for a, b in pairwise(edges.tolist())]
    expected = expected_agreement(people, schema)
    found = percolate(Observed.of_clks(groups), expected)
    return {
        "part": "attacks", "set": name, "size": size, "n": len(people), "listed": len(people),
        "list": "exact", "known": 0, "t": setting.t, "bits": setting.bits,
        "families": setting.families, "named": float((found.guesses == order).mean()),
        "spread": spread(expected, [part.bits for part in schema.parts]),
        "seconds": time.process_time() - start,
    }  # fmt: skip


def run() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("parts", nargs="*", choices=["calibrate", "links", "attacks", "pairs", []])
    parser.add_argument("--sets", nargs="*", default=[*SETS, MADE_UP, HOUSEHOLDS])
    parser.add_argument("--steps", nargs="*", default=list(STEPS))
    parser.add_argument("--sizes", type=int, nargs="*", default=list(SIZES))
    parser.add_argument("--pairs", type=int, nargs="*", default=[0, 50, 200])
    parser.add_argument("--limits", type=float, nargs="*", default=[0.01, 0.05, 0.1])
    parser.add_argument("--docs", type=Path)
    given = parser.parse_args()
    rows: list[dict[str, Any]] = json.loads(given.out.read_text()) if given.out.exists() else []
    for part in given.parts:
        linked = [name for name in given.sets if name != HOUSEHOLDS]
        made = {
            "calibrate": lambda: calibrated(given.data, given.sets, given.pairs, given.limits),
            "links": lambda linked=linked: links(given.data, linked, given.steps),
            "attacks": lambda: attacks(given.data, given.sets, given.steps, given.sizes),
            "pairs": lambda: pairs(given.data, given.sets, given.steps, given.sizes),
        }[part]()
        for row in made:
            print(json.dumps(row), flush=True)
            rows.append(row)
            given.out.write_text(json.dumps(rows, indent=1))
    if given.docs:
        from frontier_page import write

        write(rows, given.docs)


if __name__ == "__main__":
    run()
