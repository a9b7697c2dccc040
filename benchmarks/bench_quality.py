"""Quality of two-file linkage with everything automatic: schema, weights, evidence, threshold.

A folder of data sets has a folder each, with ``a.parquet`` and ``b.parquet`` (``rec_id``, the truth
``entity_id``, and columns of text). One more, ``registers``, is made up: the two of
`pprl practice`, where a fifth are in both and households have their members in either. The schema
is suggested from the first file alone.

    python benchmarks/bench_quality.py DATA OUT.json                 sets, three keys, every profile
    python benchmarks/bench_quality.py DATA OUT.json --stress        overlap, duplicates, errors
    python benchmarks/bench_quality.py DATA OUT.json --fixed         other thresholds than auto
    python benchmarks/bench_quality.py DATA OUT.json --docs PAGE     write the tables of OUT.json
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import pprl
from pprl.holder.suggest import suggest_schema
from pprl.linkage.decision.gather import decide_two_files
from pprl.synthetic import practice

KEYS = 3
NOT_FIELDS = ["rec_id", "entity_id", "match_type"]
PROFILES = ("none", "default", "strong", "groups", "fields")
STRESSED = ("gecko_de", "pp_census_replicate", "dupehell_kyc", "febrl4_ov50")
OVERLAPS = (0.0, 0.02, 0.1, 0.3, 0.5, 1.0)
DUPLICATES = {"none": (0.0, 0.0), "5 % in a": (0.05, 0.0), "5 % in both": (0.05, 0.05)}
TYPING_ERRORS = (0.0, 0.15)
LACKING = ((0.05, 0.0), (0.35, 0.25))
RECORDS = 2_500
FIXED = (0.55, 0.65, 0.75, 0.85, "mixture")
MADE_UP = "registers"
PERSONS = 10_000


def schema_of(people: pd.DataFrame, profile: str) -> str:
    """Suggest a schema; ``groups`` are those of the default profile without diffusion."""
    fields = people.drop(columns=NOT_FIELDS, errors="ignore")
    if profile != "groups":
        return suggest_schema(fields, hardening=profile)  # type: ignore[arg-type]
    text = suggest_schema(fields, hardening="default")
    text = re.sub(r"hardening = \{[^}]*\}", 'hardening = { method = "none" }', text)
    text = re.sub(r"^bits = \d+", "bits = 1024", text, flags=re.MULTILINE)
    return re.sub(
        r"inserted_bits = (\d+)", lambda found: f"inserted_bits = {2 * int(found[1])}", text
    )


def encoded(
    a: pd.DataFrame, b: pd.DataFrame, profile: str, number: int
) -> tuple[pprl.Encodings, pprl.Encodings, pd.MultiIndex]:
    """Encode two tables with the schema that the first suggests; say who is in both."""
    truth = a[["rec_id", "entity_id"]].merge(b[["rec_id", "entity_id"]], on="entity_id")
    true = pd.MultiIndex.from_frame(truth[["rec_id_x", "rec_id_y"]])
    schema = pprl.Schema.from_toml(schema_of(a, profile))
    key = pprl.LinkageKey.from_secret(
        f"benchmark secret number {number} of quality", allow_weak=True
    )
    left, right = (
        pprl.encode(
            x.drop(columns=NOT_FIELDS[1:], errors="ignore"),
            schema,
            key,
            id_column="rec_id",
            on_invalid="warn",
        )
        for x in (a, b)
    )
    return left, right, true


def measure(a: pd.DataFrame, b: pd.DataFrame, profile: str, number: int) -> dict[str, Any]:
    """Link two tables with nothing set; compare with the truth."""
    left, right, true = encoded(a, b, profile, number)
    start = time.perf_counter()
    found = decide_two_files(left, right)
    seconds = time.perf_counter() - start
    ids = found.ranked.to_links(left, right).table
    pairs = pd.MultiIndex.from_arrays([ids["left_id"].to_pylist(), ids["right_id"].to_pylist()])
    hits = np.cumsum(pairs.isin(true))
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + max(len(true), 1))
    links = found.cut.links
    estimate = found.estimate.precision
    return {
        "f1": float(f1[links - 1]) if links else 0.0,
        "best": float(f1.max(initial=0.0)),
        "links": links,
        "false": int(links - hits[links - 1]) if links else 0,
        "true_pairs": len(true),
        "precision": float(hits[links - 1] / links) if links else None,
        "estimated": estimate and estimate.value,
        "low": estimate and estimate.low,
        "high": estimate and estimate.high,
        "seconds": round(seconds, 2),
    }


def registers() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The two registers of `pprl practice`, with the truth in a column."""
    with tempfile.TemporaryDirectory() as name:
        practice(name, persons=PERSONS)
        a, b, truth = (
            pd.read_csv(Path(name) / f"{file}.csv", dtype=str, keep_default_na=False)
            for file in ("hospital", "registry", "truth")
        )
    person = dict(zip(truth["right_id"], truth["left_id"], strict=True))
    a, b = (x.rename(columns={"record_id": "rec_id"}) for x in (a, b))
    return (
        a.assign(entity_id=a["rec_id"]),
        b.assign(entity_id=b["rec_id"].map(person).fillna("right " + b["rec_id"])),
    )


def tables_of(data: Path, names: list[str]) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    found = sorted(path.parent.name for path in data.glob("*/a.parquet"))
    for name in names or [*found, MADE_UP]:
        a, b = (
            registers()
            if name == MADE_UP
            else (pd.read_parquet(data / name / f"{side}.parquet") for side in "ab")
        )
        yield name, a, b


def fixed(data: Path, names: list[str]) -> Iterator[dict[str, Any]]:
    """Link at thresholds that are the same for every set, and at that of a mixture."""
    for name, a, b in tables_of(data, names):
        for profile in ("none", "default"):
            left, right, true = encoded(a, b, profile, 0)
            for threshold in FIXED:
                links = pprl.link(left, right, threshold=threshold).links.to_multiindex()
                f1 = 2 * links.isin(true).sum() / max(len(links) + len(true), 1)
                yield {
                    "set": name,
                    "profile": profile,
                    "threshold": str(threshold),
                    "f1": float(f1),
                }


def sets(data: Path, names: list[str]) -> Iterator[dict[str, Any]]:
    for name, a, b in tables_of(data, names):
        for profile in PROFILES:
            for number in range(KEYS):
                yield {"set": name, "profile": profile, "key": number} | measure(
                    a, b, profile, number
                )


def stress(data: Path, names: list[str]) -> Iterator[dict[str, Any]]:
    for name in names or STRESSED:
        a, b = (pd.read_parquet(data / name / f"{side}.parquet") for side in "ab")
        for how, x, y in harder(a, b):
            for profile in ("none", "default"):
                yield {"set": name, "profile": profile} | how | measure(x, y, profile, 0)


def harder(
    a: pd.DataFrame, b: pd.DataFrame
) -> Iterator[tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]]:
    """Make two files harder in every way, and say in which."""
    shared = len(set(a["entity_id"]) & set(b["entity_id"]))
    size = min(RECORDS, int(0.95 * shared))
    for overlap in OVERLAPS:
        seed = int(100 * overlap) + 7
        for (duplicates, shares), errors in itertools.product(DUPLICATES.items(), TYPING_ERRORS):
            files = spoilt(a, b, size, overlap, shares, errors, np.random.default_rng(seed))
            yield {"overlap": overlap, "duplicates": duplicates, "errors": errors}, *files
        rng = np.random.default_rng(seed)
        x, y = spoilt(a, b, size, overlap, DUPLICATES["none"], 0.0, rng)
        how = {"overlap": overlap, "duplicates": "none, b lacks fields", "errors": 0.0}
        yield (
            how,
            *(without(one, *shares, rng) for one, shares in zip((x, y), LACKING, strict=True)),
        )


def spoilt(
    a: pd.DataFrame,
    b: pd.DataFrame,
    size: int,
    overlap: float,
    duplicates: tuple[float, float],
    errors: float,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Take ``size`` people for each file, of whom a share is in both; spoil the files."""
    both = sorted(set(a["entity_id"]) & set(b["entity_id"]))
    rng.shuffle(both)
    shared, rest = both[: int(size * overlap)], both[int(size * overlap) :]
    files = []
    for file, others in ((a, rest[::2]), (b, rest[1::2])):
        alone = sorted(set(file["entity_id"]) - set(both))
        rng.shuffle(alone)
        people = [*shared, *[*alone, *others][: size - len(shared)]]
        files.append(file[file["entity_id"].isin(people)])
    for at, (file, share) in enumerate(zip(files, duplicates, strict=True)):
        if share:
            twice = with_errors(file.sample(frac=share, random_state=1), 0.15, rng)
            files[at] = pd.concat([file, twice.assign(rec_id="again " + twice["rec_id"])])
    left, right = files
    if errors:
        right = with_errors(right, errors, rng)
    mixed = [one.sample(frac=1, random_state=at) for at, one in enumerate((left, right))]
    return mixed[0].reset_index(drop=True), mixed[1].reset_index(drop=True)


def without(
    people: pd.DataFrame, four: float, third: float, rng: np.random.Generator
) -> pd.DataFrame:
    """Empty the last four columns at once in a share of the records, and the third in another."""
    made = people.copy()
    fields = [name for name in made.columns if name not in NOT_FIELDS]
    made.loc[rng.random(len(made)) < four, fields[-4:]] = ""
    made.loc[rng.random(len(made)) < third, fields[2]] = ""
    return made


def with_errors(people: pd.DataFrame, share: float, rng: np.random.Generator) -> pd.DataFrame:
    """Change, drop or add one character in a share of the values."""
    made = people.copy()
    for column in people.columns.difference([*NOT_FIELDS, "age"]):
        values = people[column].to_numpy(object).copy()
        for at in np.flatnonzero((rng.random(len(values)) < share) & (values != "")):
            text, place = values[at], int(rng.integers(len(values[at])))
            new = str(rng.integers(10)) if text[place].isdigit() else chr(rng.integers(97, 123))
            kind = rng.integers(3)
            rest = text[place:] if kind == 2 else text[place + 1 :]
            values[at] = text[:place] + ("" if kind == 1 else new) + rest
        made[column] = values
    return made


def tables(rows: list[dict[str, Any]]) -> dict[str, str]:
    frame = pd.DataFrame(rows)
    made = {}
    chosen = frame[frame["threshold"].notna()] if "threshold" in frame else frame.iloc[:0]
    frame = frame.drop(chosen.index)
    plain = frame[frame["overlap"].isna()] if "overlap" in frame else frame
    if len(plain):
        by = plain.groupby(["set", "profile"])
        shown = by.agg(
            f1=("f1", "median"),
            worst=("f1", "min"),
            best=("best", "median"),
            precision=("precision", "median"),
            estimated=("estimated", "median"),
        )
        wide = shown.reset_index().pivot_table(index="set", columns="profile", values="f1")
        columns = [name for name in PROFILES if name in wide]
        made["F1 at the automatic threshold, by profile (median of three keys)"] = markdown(
            wide[columns].reset_index()
        )
        made["Each profile, the worst of three keys, and the best threshold"] = markdown(
            shown.reset_index()
        )
    hard = frame[frame["overlap"].notna()] if "overlap" in frame else frame.iloc[:0]
    if len(hard):
        some = hard[hard["overlap"] > 0].copy()
        some["lost"] = some["best"] - some["f1"]
        some["covered"] = (some["low"] <= some["precision"]) & (some["precision"] <= some["high"])
        # Where nothing was linked there is no precision to estimate, but all F1 to lose.
        some["covered"] = some["covered"].where(some["links"] > 0)
        linked = some[some["links"] > 0]
        by = some.groupby(["profile", "overlap", "duplicates"])
        made["Files made harder: what the automatic threshold loses against the best"] = markdown(
            by.agg(
                runs=("f1", "size"),
                f1=("f1", "mean"),
                lost=("lost", "mean"),
                most_lost=("lost", "max"),
                covered=("covered", "mean"),
            ).reset_index()
        )
        nobody = hard[hard["overlap"] == 0]
        made["Nobody in both files"] = markdown(
            nobody.groupby("profile").agg(runs=("f1", "size"), links=("links", "sum")).reset_index()
        )
        made["Interval of the estimated precision"] = markdown(
            pd.DataFrame(
                [
                    {
                        "runs": len(linked),
                        "interval holds the real precision": linked["covered"].astype(bool).mean(),
                    }
                ]
            )
        )
    if len(chosen):
        wide = chosen.pivot_table(index="set", columns=["profile", "threshold"], values="f1")
        wide.columns = [f"{profile}, {threshold}" for profile, threshold in wide.columns]
        made["F1 at thresholds that are the same for every set, and at that of a mixture"] = (
            markdown(wide.reset_index())
        )
    return made


def markdown(frame: pd.DataFrame) -> str:
    lines = ["| " + " | ".join(map(str, frame.columns)) + " |", "|---" * len(frame.columns) + "|"]
    for row in frame.itertuples(index=False):
        cells = [f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_docs(rows: list[dict[str, Any]], page: Path) -> None:
    text = "\n\n".join(f"**{title}**\n\n{table}" for title, table in tables(rows).items())
    first, rest = page.read_text().split("<!-- quality: written by benchmarks/bench_quality.py -->")
    page.write_text(
        f"{first}<!-- quality: written by benchmarks/bench_quality.py -->\n\n{text}\n\n"
        f"<!-- end -->{rest.split('<!-- end -->', 1)[1]}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path, help="JSON file; rows are added to those it has")
    parser.add_argument("names", nargs="*", help="data sets; all by default")
    parser.add_argument("--stress", action="store_true")
    parser.add_argument("--fixed", action="store_true")
    parser.add_argument("--docs", type=Path, help="page to write the tables of OUT into")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = json.loads(given.out.read_text()) if given.out.exists() else []
    if given.docs:
        write_docs(rows, given.docs)
        return
    made = stress if given.stress else fixed if given.fixed else sets
    for row in made(given.data, given.names):
        rows.append(row)
        print(json.dumps(row), flush=True)
        given.out.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
