"""Attacks on the shipped profiles, and the frontier of attack success against F1.

    python benchmarks/bench_privacy.py OUT.json profiles [--data FOLDER] [--records 2000]
    python benchmarks/bench_privacy.py OUT.json frontier
    python benchmarks/bench_privacy.py OUT.json --docs

``profiles``: teeth (the unhardened file falls), graph matching and pattern mining on each
group and jointly with the positive control, known pairs, on ``gecko_de`` of a folder of data
sets and on a made-up register of whole households. ``frontier``: some thirty settings on
made-up registers, each with its F1 at the automatic threshold and what attacks reach; settings
that are in OUT.json already are kept, so a new file measures all of them.
``--docs`` writes tables and picture into docs/explanation.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

import pprl
from pprl import synthetic
from pprl.evaluation.audit.attacker import Attacker
from pprl.evaluation.audit.results import Attack
from pprl.evaluation.audit.run import (
    Case,
    control,
    graph_attacks,
    other_attacks,
    overlap_sweep,
    pair_attacks,
)
from pprl.holder import profiles as shipped
from pprl.holder.profiles import PERSON, Diffused
from pprl.holder.suggest import suggest_schema

DOCS = Path(__file__).parent.parent / "docs" / "explanation"
KEY = pprl.LinkageKey.from_secret("the holders' key of the privacy benchmark", allow_weak=True)
ERRORS = synthetic.Errors(
    keyboard=0.03,
    phonetic=0.01,
    truncation=0.01,
    digit=0.02,
    date_slip=0.02,
    day_month_swap=0.01,
    outdated_address=0.1,
    transliteration=0.3,
)
MISSING = {"first_names": 0.01, "postcode": 0.03, "house_number": 0.03}
VICTIMS = 1_500
GRAPHS = (
    *("plain", "one group t=4 2048", "one group t=6 2048"),
    *("three t=1 2048", "three t=4 2048", "three t=10 2048"),
)
"""Settings of the frontier on which graph matching is run."""


@dataclass(frozen=True)
class Setting:
    """One point of the frontier."""

    label: str
    family: str
    t: int
    bits: int
    groups: str = "three"
    inserted: int = 200
    salted: bool = False
    person: int = 0

    def profile(self) -> dict[str, Diffused]:
        """Say how each group is hardened."""
        if self.groups == "one":
            return {PERSON: Diffused(max(self.t, 2), self.bits)}
        usual = Diffused(max(self.t, 2), self.bits, self.salted)
        made = dict.fromkeys(("names_birth", "birth_address", "names_address"), usual)
        if self.salted:
            made["birth_address"] = Diffused(10)
        if self.person:
            made["names_address"] = Diffused(self.t + 1, self.bits)
            made[PERSON] = Diffused(self.person, self.bits)
        return made


def settings() -> Iterator[Setting]:
    yield Setting("plain", "plain", 1, 1024, "one", 400)
    for t in (4, 6, 8):
        yield Setting(f"one group t={t} 2048", "one group", t, 2048, "one", 200)
    for t in (1, 4, 6, 8, 9, 10, 11, 12, 14, 16):
        yield Setting(f"three t={t} 2048", "three groups, 2048 bits", t, 2048)
    for t in (8, 10, 12, 14):
        yield Setting(f"three t={t} 4096", "three groups, 4096 bits", t, 4096)
    for t in (6, 8, 10):
        yield Setting(f"three t={t} 1024", "three groups, 1024 bits", t, 1024)
    for t, person in ((9, 7), (10, 8), (11, 8), (12, 9), (13, 10), (15, 12)):
        yield Setting(f"four t={t} {person} 2048", "four groups, 2048 bits", t, 2048, person=person)
    for t, person in ((11, 9), (12, 10), (13, 11)):
        yield Setting(f"four t={t} {person} 4096", "four groups, 4096 bits", t, 4096, person=person)
    for inserted in (150, 250, 300):
        yield Setting(f"three t=10 inserted {inserted}", "three groups, other fill", 10, 2048,
                      inserted=inserted)  # fmt: skip
    for t, bits in ((4, 1024), (6, 1024), (8, 1024), (10, 1024), (10, 2048)):
        yield Setting(f"salted t={t} {bits}", "salted", t, bits, salted=True)


def suggested(people: pd.DataFrame, hardening: str) -> str:
    """Let the suggestion write the schema."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "people.parquet"
        people.to_parquet(path)
        return suggest_schema(path, name="b", hardening=hardening)  # type: ignore[arg-type]


def schema_of(people: pd.DataFrame, setting: Setting) -> pprl.Schema:
    """Let the suggestion write the schema with the setting's profile."""
    if setting.label == "plain":
        return pprl.Schema.from_toml(suggested(people, "none"))
    made = setting.profile()
    kept = shipped.PROFILES, shipped.INSERTED_SHARE, shipped.GROUPS
    try:
        shipped.PROFILES = {"salted" if setting.salted else "default": made}
        shipped.INSERTED_SHARE = setting.inserted / 1024
        shipped.GROUPS = {name: kept[2][name] for name in made}
        text = suggested(people, "salted" if setting.salted else "default")
    finally:
        shipped.PROFILES, shipped.INSERTED_SHARE, shipped.GROUPS = kept
    if setting.t == 1:
        text = re.sub(r"^bits = \d+", "bits = 1024", text, flags=re.MULTILINE)
        text = re.sub(r'method = "diffusion".*? }', 'method = "none" }', text)
    return pprl.Schema.from_toml(text)


def registers(persons: int, seed: int, coverage: float) -> tuple[list[pd.DataFrame], pd.DataFrame]:
    """Two registers of a made-up population, in whole households, and who is who."""
    population = synthetic.population_table(persons, seed=seed)
    tables, truths = [], []
    for name, share in (("hospital", coverage), ("registry", coverage)):
        register = synthetic.Register(
            name=name, coverage=((0, share),), errors=ERRORS, missing=MISSING
        )
        records, truth = synthetic.register_table(population, register, seed=seed)
        tables.append(records.to_pandas())
        truths.append(truth.to_pandas())
    both = truths[0].merge(truths[1], on="person_id", suffixes=("_x", "_y"))
    pairs = both.rename(columns={"record_id_x": "left_id", "record_id_y": "right_id"})
    return tables, pairs[["left_id", "right_id"]]


def encode(people: pd.DataFrame, schema: pprl.Schema, id_column: str) -> pprl.Encodings:
    return pprl.encode(people, schema, KEY, id_column=id_column, on_invalid="warn", workers=1)


def case_of(people: pd.DataFrame, schema: pprl.Schema, id_column: str, seed: int = 1) -> Case:
    """Encodings of the very people on the attacker's list."""
    table = pa.Table.from_pandas(people.drop(columns=id_column), preserve_index=False)
    # Not by `encode`, which brings rows into random order.
    clks = Attacker(table, schema, seed, KEY).encodings()
    return Case(clks, table, np.arange(len(people)), schema, seed)


def profiles(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Attack the shipped profiles on every set."""
    sets: dict[str, tuple[pd.DataFrame, str]] = {}
    if options.data:
        people = pd.read_parquet(options.data / "gecko_de" / "a.parquet")
        sets["gecko_de"] = people.drop(columns="entity_id"), "rec_id"
    (hospital, _), _ = registers(12_000, 3, 0.95)
    sets["households"] = hospital, "record_id"
    for name, (records, id_column) in sets.items():
        people = records.sample(frac=1, random_state=1)
        for profile in ("none", *shipped.PROFILES):
            if options.profile and profile not in options.profile:
                continue
            text = suggested(people.drop(columns=id_column), profile)
            schema = pprl.Schema.from_toml(text)
            whole = case_of(people, schema, id_column)
            case = whole.sample(options.records)
            mark = {"part": "profiles", "set": name, "profile": profile}
            if "graph" in options.attacks:
                for one in (*graph_attacks(case), *other_attacks(case)):
                    yield mark | one.to_dict()
                more = Case(*_longer(whole, options.records, 1.5))
                for one in graph_attacks(more, only_whole=True):
                    yield mark | one.to_dict()
                if profile == "default" and (bare := control(case)):
                    for one in graph_attacks(bare):
                        yield mark | {"profile": "default, undiffused"} | one.to_dict()
            if "pairs" in options.attacks:
                everybody = whole.sample(6_500)
                for one in pair_attacks(everybody, (50, 200, 1_000, 5_000), only_whole=True):
                    yield mark | one.to_dict()
            if "overlap" in options.attacks and profile in ("none", "default"):
                for one in overlap_sweep(case):
                    yield mark | one.to_dict()


def _longer(whole: Case, victims: int, times: float) -> tuple[Any, ...]:
    """Take victims, and a list that has others, too."""
    rng = np.random.default_rng(5)
    rows = rng.permutation(len(whole.clks))[:victims]
    others = rng.permutation(np.setdiff1d(np.arange(len(whole.people)), rows))
    persons = rng.permutation(np.concatenate([rows, others[: round(victims * (times - 1))]]))
    found = whole.with_list(rows, persons)
    return found.clks, found.people, found.who, found.schema, found.seed


def frontier(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """F1 at the automatic threshold, and attacks, over the settings."""
    (left, right), truth = registers(5_000, 7, 0.62)
    for setting in settings():
        if setting.label in options.done or (options.only and options.only not in setting.label):
            continue
        start = time.perf_counter()
        schema = schema_of(left.drop(columns="record_id"), setting)
        a, b = encode(left, schema, "record_id"), encode(right, schema, "record_id")
        f1 = pprl.evaluate(pprl.link(a, b, workers=1).links, truth).f1
        table = pa.Table.from_pandas(left.drop(columns="record_id"), preserve_index=False)
        case = Case(a.clks, table, np.arange(len(left)), schema, 1)
        known = {
            (one.name.split(",")[1].split(" on ")[0].strip(), one.known_pairs): one
            for one in pair_attacks(case, (200, 1_000), only_whole=True)
        }
        graph: Attack | None = None
        if setting.label in GRAPHS:
            (graph,) = graph_attacks(case.sample(VICTIMS), only_whole=True)
        yield {
            "part": "frontier",
            "setting": setting.label,
            "family": setting.family,
            "t": setting.t,
            "bits": schema.total_bits,
            "f1": f1.value,
            "f1_low": f1.low,
            "f1_high": f1.high,
            "true_pairs": len(truth),
            "graph": graph and graph.reidentification_rate,
            "ridge_1000": known["ridge", 1_000].reidentification_rate,
            "profile_200": known["similarity profile", 200].reidentification_rate,
            "profile_1000": known["similarity profile", 1_000].reidentification_rate,
            "seconds": round(time.perf_counter() - start, 1),
        }


def write_docs(rows: list[dict[str, Any]]) -> None:
    """Write tables and picture."""
    page = DOCS / "frontier.md"
    body = page.read_text(encoding="utf-8")
    points = [row for row in rows if row["part"] == "frontier"]
    order = [one.label for one in settings()]
    points.sort(key=lambda one: order.index(one["setting"]))
    if points:
        body = _between(body, "frontier", _frontier_table(points))
        (DOCS / "frontier.svg").write_text(picture(points), encoding="utf-8")
    attacks = [row for row in rows if row["part"] == "profiles"]
    for mark, large in (("profiles", False), ("larger files", True)):
        own = [row for row in attacks if (row["n_victims"] > 2_000) is large]
        if own:
            body = _between(body, mark, _attack_table(own))
    page.write_text(body, encoding="utf-8")


def _between(body: str, mark: str, made: str) -> str:
    pattern = rf"(<!-- {mark}: .*? -->\n).*?(<!-- end -->)"
    return re.sub(pattern, lambda m: f"{m[1]}\n{made}\n\n{m[2]}", body, flags=re.DOTALL)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _frontier_table(points: list[dict[str, Any]]) -> str:
    lines = [
        "| setting | bits | F1 | graph matching | ridge, 1,000 | profile, 200 | profile, 1,000 |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one['setting']} | {one['bits']:,} | {100 * one['f1']:.1f} | "
        f"{_percent(one['graph'])} | {_percent(one['ridge_1000'])} | "
        f"{_percent(one['profile_200'])} | {_percent(one['profile_1000'])} |"
        for one in points
    ]
    return "\n".join(lines)


def _attack_table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| set | profile | attack | known pairs | victims | list | re-identified % | 95 % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one['set']} | {one['profile']} | {one['name']} | {one['known_pairs'] or ''} | "
        f"{one['n_victims']:,} | {one['n_reference']:,} | "
        f"{100 * one['reidentification_rate']:.2f} | "
        f"{100 * one['low']:.2f}-{100 * one['high']:.2f} |"
        for one in rows
    ]
    return "\n".join(lines)


def picture(points: list[dict[str, Any]]) -> str:
    """Draw F1 against what 200 and 1,000 known pairs give away."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from pprl.evaluation.audit.report import svg

    with mpl.rc_context({"svg.hashsalt": "pprl", "font.size": 9, "svg.fonttype": "none"}):
        figure = Figure(figsize=(9, 4), layout="constrained")
        panels: Any = figure.subplots(1, 2, sharey=True)
        for axes, number in zip(panels, (200, 1_000), strict=True):
            for family in dict.fromkeys(one["family"] for one in points):
                own = [one for one in points if one["family"] == family]
                x = [max(100 * one[f"profile_{number}"], 0.05) for one in own]
                y = [100 * one["f1"] for one in own]
                axes.plot(x, y, "o-", ms=4, lw=1, label=family)
                for one, at, height in zip(own, x, y, strict=True):
                    axes.annotate(
                        str(one["t"]), (at, height), (3, 3), textcoords="offset points", fontsize=7
                    )
            axes.set_xscale("log")
            axes.minorticks_off()
            axes.set_xticks(ticks := [2, 5, 10, 20, 50, 100], labels=[str(one) for one in ticks])
            axes.set_xlabel(f"% of victims re-identified with {number:,} known pairs")
            axes.spines[["top", "right"]].set_visible(False)
        panels[0].set_ylabel("F1, %, at the automatic threshold")
        panels[1].legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
        return svg(figure)


PARTS = {one.__name__: one for one in (profiles, frontier)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--data", type=Path, help="folder with gecko_de/a.parquet")
    parser.add_argument("--records", type=int, default=2_000)
    parser.add_argument("--profile", action="append")
    parser.add_argument("--attacks", default="graph,pairs,overlap")
    parser.add_argument("--only", help="of the frontier, settings with this in their label")
    parser.add_argument("--docs", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = json.loads(options.out.read_text()) if options.out.exists() else []
    for part in options.parts:
        options.done = {row.get("setting") for row in rows}
        for row in PARTS[part](options):
            rows.append(row)
            print(json.dumps(row), flush=True)
            options.out.write_text(json.dumps(rows, indent=1))
    if options.docs:
        write_docs(rows)


if __name__ == "__main__":
    main()
