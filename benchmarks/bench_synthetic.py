"""How like real people the synthetic ones are, and what making them costs.

    python benchmarks/bench_synthetic.py --persons 18000000 --folder /somewhere/with/5/GB

Makes a population and a register in processes of their own, for time and peak memory, at one
million persons and at ``--persons``; compares the larger with published figures; and writes
both tables into docs/reference/synthetic.md.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pprl import synthetic
from pprl.synthetic.households import REFERENCE

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "synthetic.md"
SEED = 2025
REGISTER = synthetic.Register(
    name="admissions",
    coverage=((0, 0.05), (40, 0.05), (70, 0.25), (85, 0.3)),
    errors=synthetic.Errors(
        keyboard=0.01,
        phonetic=0.005,
        digit=0.005,
        day_month_swap=0.001,
        date_slip=0.004,
        wrong_sex=0.001,
        outdated_address=0.08,
    ),
)


def cost(persons: int, folder: Path) -> list[dict[str, float]]:
    """Make a population, then a register of it, and measure each."""
    population, records = folder / f"p{persons}.parquet", folder / f"r{persons}.parquet"
    truth = folder / f"t{persons}.parquet"
    steps = {
        "population": f"synthetic.population({str(population)!r}, {persons}, seed={SEED})",
        "register": "from bench_synthetic import REGISTER; "
        f"synthetic.register({str(population)!r}, {str(records)!r}, {str(truth)!r}, REGISTER, "
        f"seed={SEED})",
    }
    made = []
    for what, statement in steps.items():
        code = (
            "import json, os, time\nfrom peak import peak_mib\nfrom pprl import synthetic\n"
            "os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})\nstart = time.perf_counter()\n"
            f"{statement}\n"
            "print(json.dumps([time.perf_counter() - start, peak_mib()]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
        seconds, mib = json.loads(done.stdout)
        file = population if what == "population" else records
        made.append(
            {
                "what": what,
                "persons": persons,
                "rows": pq.read_metadata(file).num_rows,
                "seconds": seconds,
                "mib": mib,
                "file_mb": file.stat().st_size / 1e6,
            }
        )
        print(made[-1], file=sys.stderr)
    return made


def likeness(population: Path, records: Path) -> list[tuple[str, str, str, str]]:
    """Return rows: figure, here, published, source."""
    file = pq.ParquetFile(population)
    keys, sizes, ages, moved, surnames, firsts = [], Counter(), [], 0, {}, {}
    twins = born = homes = prefixed = 0
    names: Counter[str] = Counter()
    columns = ["household_id", "sex", "birth_date", "death_date", "postcode", "surname", "prefix"]
    columns += ["first_names", "moved_on", "twin_id", "origin"]
    for group in range(file.num_row_groups):
        table = file.read_row_group(group, columns=columns)
        table = table.filter(pc.is_null(table["death_date"]))
        day = days(table["birth_date"])
        keys.append(key(day, table["sex"], table["postcode"]))
        ages.append((REFERENCE - day) / 365.2425)
        _, size = np.unique(np.asarray(table["household_id"]), return_counts=True)
        sizes.update(size.tolist())
        homes += len(size)
        prefixed += len(table) - table["prefix"].null_count
        moved += int((days(pc.drop_null(table["moved_on"])) >= REFERENCE - 365).sum())
        recent = (REFERENCE - day) < 10 * 365
        born += int(recent.sum())
        twins += int((recent & np.asarray(pc.is_valid(table["twin_id"]))).sum())
        whole = pc.binary_join_element_wise(
            pc.fill_null(table["prefix"].cast(pa.string()), ""), table["surname"], " "
        )
        add(surnames, whole)
        add(
            firsts,
            pc.binary_join_element_wise(table["sex"].cast(pa.string()), table["first_names"], " "),
        )
        add(names, pc.replace_substring_regex(table["first_names"], " .*", ""))
    key_all, age = np.concatenate(keys), np.concatenate(ages)
    people = len(age)
    once, count = np.unique(key_all, return_counts=True)
    bearers = np.sort(np.fromiter(surnames.values(), np.int64))[::-1]
    rows = [("living persons", f"{people:,}", "–", "")]
    published = (0.399, 0.323, 0.116, 0.114, 0.048)
    for size, share in enumerate(published, start=1):
        here = sum(n for s, n in sizes.items() if s == size or (size == 5 and s > 5)) / homes
        label = f"households of {size}{' or more' if size == 5 else ''}"
        rows.append((label, percent(here), percent(share), "CBS StatLine 37975, 2024"))
    rows.append(("persons a household", f"{people / homes:.2f}", "2.1", "CBS, 2023"))
    bands = (0, 20, 40, 65, 80, 200)
    for low, high, share in zip(
        bands, bands[1:], (0.219, 0.249, 0.339, 0.146, 0.046), strict=False
    ):
        here = ((age >= low) & (age < high)).mean()
        label = f"aged {low} to {high - 1}" if high < 200 else f"aged {low} or more"
        rows.append((label, percent(here), percent(share), "CBS StatLine 37296ned, 2019"))
    rows.append(
        (
            "twins and more, of births in ten years: persons",
            percent(twins / born),
            "3.1 %",
            "CBS: 1.5 to 1.6 % of deliveries",
        )
    )
    rows.append(
        ("moved within a year", percent(moved / people), "10.5 %", "CBS: 1.8 million in 2016")
    )
    jong = surnames["de Jong"] / people
    rows.append(
        ("named de Jong", percent(jong, 2), "0.51 %", "83,782 of 16.4 million, 2007 (name list)")
    )
    rows.append(
        ("commonest 10 surnames", percent(bearers[:10].sum() / people), "3.5 %", "the same")
    )
    rows.append(
        ("commonest 1,000 surnames", percent(bearers[:1000].sum() / people), "31.5 %", "the same")
    )
    rows.append(("different surnames", f"{len(bearers):,}", "about 320,000", "the same"))
    rows.append(("surname with tussenvoegsel, of persons", percent(prefixed / people), "–", ""))
    for name, share in (("Maria", 0.021), ("Johannes", 0.019)):
        rows.append(
            (
                f"first name {name}",
                percent(names[name] / people),
                percent(share),
                "Bloothooft 2020, of 17.1 million",
            )
        )
    alone = sum(1 for n in firsts.values() if n == 1) / people
    rows.append(("first names together borne once", percent(alone), "25 %", "Bloothooft 2020"))
    rows.append(
        (
            "birth date + sex + PC4 unique",
            percent(count[count == 1].sum() / people),
            "87-88 %",
            "acute myocardial infarction admissions, Eur J Epidemiol 2007",
        )
    )
    found, several, none = lookup(records, once, count)
    for label, here, share in (
        ("unique", found, "84 %"),
        ("multiple", several, "11 %"),
        ("none", none, "5 %"),
    ):
        rows.append(
            (
                f"a register against the population on these: {label}",
                percent(here),
                share,
                "admissions against population register, PubMed 14655296",
            )
        )
    return rows


def lookup(records: Path, once: np.ndarray, count: np.ndarray) -> tuple[float, float, float]:
    """Return shares of records with one, several and no persons of their key."""
    table = pq.read_table(records, columns=["birth_date", "sex", "postcode"])
    known = pc.and_(
        pc.match_substring_regex(table["birth_date"], r"-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$"),
        pc.is_valid(table["postcode"]),
    )
    dates = pc.strptime(
        table["birth_date"].filter(known), format="%Y-%m-%d", unit="s", error_is_null=True
    )
    table = table.filter(known)
    real = pc.is_valid(dates)
    day = days(dates.filter(real).cast(pa.date32()))
    sex = pc.if_else(pc.equal(table["sex"].filter(real), "V"), "female", "male")
    wanted = key(day, sex, table["postcode"].filter(real))
    at = np.minimum(np.searchsorted(once, wanted), len(once) - 1)
    hits = np.where(once[at] == wanted, count[at], 0)
    total = len(known)
    return (hits == 1).sum() / total, (hits > 1).sum() / total, 1 - (hits > 0).sum() / total


def days(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(column.cast(pa.int32()).cast(pa.int64()))


def key(day: np.ndarray, sex: pa.ChunkedArray, postcode: pa.ChunkedArray) -> np.ndarray:
    pc4 = np.asarray(pc.utf8_slice_codeunits(postcode, 0, 4).cast(pa.int64()))
    return (day * 2 + np.asarray(pc.equal(sex, "female"))) * 10_000 + pc4


def add(counter: dict[str, int], column: pa.ChunkedArray) -> None:
    for entry in pc.value_counts(pc.utf8_trim_whitespace(column)).to_pylist():
        counter[entry["values"]] = counter.get(entry["values"], 0) + entry["counts"]


def percent(share: float, places: int = 1) -> str:
    return f"{100 * share:.{places}f} %"


def write_page(marked: str, table: str) -> None:
    """Replace what stands between two comments on the page."""
    begin, end = f"<!-- {marked} -->", f"<!-- end {marked} -->"
    page = PAGE.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    PAGE.write_text(pattern.sub(lambda _: f"{begin}\n{table}\n{end}", page), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=18_000_000)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        costs = [row for n in sorted({1_000_000, options.persons}) for row in cost(n, folder)]
        last = options.persons
        start = time.perf_counter()
        rows = likeness(folder / f"p{last}.parquet", folder / f"r{last}.parquet")
        print(f"compared in {time.perf_counter() - start:.0f} s", file=sys.stderr)
    lines = [
        "| | persons | rows written | seconds | peak memory, MiB | file, MB |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['what']} | {row['persons']:,} | {row['rows']:,} | {row['seconds']:.1f} | "
        f"{row['mib']:.0f} | {row['file_mb']:.0f} |"
        for row in costs
    ]
    lines += [
        "",
        (
            f"One process on one core, {platform.machine()}, Python {platform.python_version()}, "
            f"numpy {np.__version__}, pyarrow {pa.__version__}."
        ),
    ]
    write_page("cost", "\n".join(lines))
    lines = [
        f"Population of {last:,} persons, seed {SEED}.",
        "",
        "| figure | here | published | source |",
        "|---|---|---|---|",
    ]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    write_page("likeness", "\n".join(lines))


if __name__ == "__main__":
    main()
