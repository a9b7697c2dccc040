"""Damage files, fill the disk and kill commands, many times; write the table of reliability.md.

    python benchmarks/bench_faults.py [--trials 1000] [--only NAME] [--docs]

Every trial ends in one of four ways. "right": the content, or the result, of the undisturbed file
or command. "refused": an error of pprl, with its exit code. "wrong": another content without an
error, an error that is none of pprl's, or a rerun that fails. "crash": the process died. Only
the first two are allowed. `tests/faults.py` does the damage; the suite runs the same at small size.
"""

# ruff: noqa: E402 - what the tests do is found beside the sources

from __future__ import annotations

import argparse
import errno
import importlib
import io
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import dirty
import faults
import pprl
from pprl.exchange.files import write_table
from pprl.exchange.links import CLUSTERS_SCHEMA, Clusters, Links
from pprl.exchange.untrusted.documents import load_toml, read_json

ROOMY = 256 << 20
"""Bytes of a disk with room enough."""

WORDS = {"right": "right", "refused": "refused", "silent": "wrong", "traceback": "wrong"}


def forked(action: Callable[[], str]) -> str:
    """Do a trial in a process of its own, so that a crash is a result like any other."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(reading)
            os.write(writing, action().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as stream:
        said = stream.read().decode()
    os.waitpid(child, 0)
    return said or "crash"


def batches(trials: Iterator[Callable[[], str]], size: int = 25) -> Counter[str]:
    """Do trials in processes of so many; those of a process that died one by one."""
    counted: Counter[str] = Counter()
    held: list[Callable[[], str]] = []

    def go() -> None:
        ended = forked(lambda: json.dumps([one() for one in held]))
        if ended != "crash":
            counted.update(json.loads(ended))
        else:
            counted.update(forked(one) for one in held)
        held.clear()

    for trial in trials:
        held.append(trial)
        if len(held) == size:
            go()
    if held:
        go()
    return counted


def damaged(
    folder: Path, source: Path, read: Callable[[Path], Callable[[], Any]], n: int, seed: int
) -> Counter[str]:
    """Read n damaged copies of a file."""
    right, content, rng = read(source)(), source.read_bytes(), random.Random(seed)
    path = folder / "damaged.parquet"

    def trial(made: bytes) -> str:
        path.write_bytes(made)
        return WORDS[faults.tried(read(path), right)]

    made = (faults.mutated(content, rng) for _ in range(n))
    return batches((lambda m=one: trial(m)) for one in made)


def headers(folder: Path, source: Path, lies: Iterator[dict[str, Any]], n: int) -> Counter[str]:
    """Link a file whose header lies with one whose header does not."""
    made, path = pprl.Encodings.load(source), folder / "lie.parquet"

    def trial(lie: dict[str, Any]) -> str:
        faults.rewritten(source, path, lambda _: lie)

        def use() -> None:
            pprl.link(made, pprl.Encodings.load(path), threshold=0.5, workers=1)

        return WORDS[faults.tried(use, None)]

    return batches((lambda lie=lie: trial(lie)) for lie, _ in zip(lies, range(n), strict=False))


def documents(folder: Path) -> Counter[str]:
    """Read deep and huge JSON and TOML."""

    def trial(kind: str, text: bytes) -> str:
        path = folder / f"deep.{kind}"
        path.write_bytes(text)
        reader = read_json if kind == "json" else load_toml
        return WORDS[faults.tried(lambda: reader(path), "never")]

    return batches((lambda k=kind, t=text: trial(k, t)) for kind, text in faults.deep_documents())


def stopped_job(folder: Path) -> Callable[[str], Any]:
    """Do a job whole, in "whole", and half, in "out"; returns what makes such jobs."""
    from pprl.linkage.engine import LocalEngine
    from pprl.linkage.job.config import Job
    from pprl.linkage.job.run import run_job

    for name, seed in (("a", 1), ("b", 2)):
        faults.small_file(folder / f"{name}.clk.parquet", 200, seed, name)

    def job(out: str) -> Job:
        return Job.model_validate({
            "inputs": {"left": {"path": str(folder / "a.clk.parquet")},
                       "right": {"path": str(folder / "b.clk.parquet")}},
            "blocking": {"method": "keys"}, "linkage": {"threshold": 0.5},
            "output": {"folder": str(folder / out)},
            "resources": {"memory": "1GiB", "workers": 1},
        })  # fmt: skip

    class Stopping(LocalEngine):
        def run(self, part: Any, manifest: str, names: Any, done: Any) -> None:
            if names and names[0] == "links":
                raise KeyboardInterrupt
            super().run(part, manifest, names, done)

    def begin() -> str:
        run_job(job("whole"))
        try:
            run_job(job("out"), engine=Stopping(1))
        except KeyboardInterrupt:
            return "right"
        return "wrong"

    assert forked(begin) == "right"
    return job


def damaged_parts(folder: Path, n: int) -> Counter[str]:
    """Damage parts of a stopped job, and ask its ledger, as a resumed job does, what is done."""
    from pprl.linkage.job.ledger import Ledger
    from pprl.linkage.job.manifest import Manifest

    stopped_job(folder)
    own, rng = folder / "out" / "job", random.Random(12)
    manifest = Manifest.load(own / "manifest.json")
    ledger = Ledger(own, manifest.id)
    parts = {
        path: (part, path.read_bytes())
        for path in sorted(own.rglob("*.parquet"))
        if (part := str(path.relative_to(own).with_suffix(""))) in ledger.entries
    }
    assert len(parts) >= 4, sorted(ledger.entries)

    def trial(path: Path, made: bytes) -> str:
        part, whole = parts[path]
        path.write_bytes(made)
        held = ledger.holds(part, path)
        path.write_bytes(whole)
        return ("right" if made == whole else "wrong") if held else "refused"

    chosen = [rng.choice([*parts]) for _ in range(n)]
    made = [(path, faults.mutated(parts[path][1], rng)) for path in chosen]
    return batches((lambda p=path, m=one: trial(p, m)) for path, one in made)


def damaged_manifests(folder: Path, n: int) -> Counter[str]:
    """Read damaged manifests; the ledger's lines too: one that is damaged counts as missing."""
    from pprl.linkage.job.ledger import Ledger
    from pprl.linkage.job.manifest import Manifest

    stopped_job(folder)
    own, rng = folder / "out" / "job", random.Random(13)
    path, lines = own / "manifest.json", own / "done.jsonl"
    whole, done = path.read_bytes(), lines.read_bytes()
    right = Manifest.load(path)
    entries = Ledger(own, right.id).entries

    def manifest(made: bytes) -> str:
        path.write_bytes(made)
        ended = WORDS[faults.tried(lambda: Manifest.load(path).model_dump(), right.model_dump())]
        path.write_bytes(whole)
        return ended

    def ledger(made: bytes) -> str:
        lines.write_bytes(made)
        found: dict[str, Any] = {}
        ended = faults.tried(lambda: found.update(Ledger(own, right.id).entries), None)
        kept = all(entries.get(name) == one for name, one in found.items())
        if ended == "right" and not kept:
            return "wrong"
        return "refused" if len(found) < len(entries) and ended == "right" else WORDS[ended]

    made = [faults.mutated(done if at % 4 == 3 else whole, rng) for at in range(n)]
    return batches(
        (lambda a=at, m=one: ledger(m) if a % 4 == 3 else manifest(m))
        for at, one in enumerate(made)
    )


def dirty_columns(folder: Path) -> Counter[str]:
    """Encode 300 tables, each with one dirty column, in two ways."""
    (folder / "dirty.toml").write_text(dirty.SCHEMA)
    key = pprl.LinkageKey.generate()
    words = {"right": "right", "refused": "refused"}

    def trial(table: Any, on_invalid: str) -> str:
        ended = dirty.encoded(table, folder / "dirty.toml", key, on_invalid)
        return words.get(ended, "wrong")

    return batches(
        (lambda t=table, w=way: trial(t, w))
        for table in dirty.dirty_tables()
        for way in ("error", "skip")
    )


def tampered_jobs(folder: Path, n: int) -> Counter[str]:
    """Edit, cut or swap the parts, the ledger or the manifest of a stopped job, and resume it."""
    from pprl.linkage.job.run import run_job

    job = stopped_job(folder)
    shutil.copytree(folder / "out", folder / "kept")
    whole = Links.load(folder / "whole" / "links.parquet").table
    rng = random.Random(11)

    def trial(seed: int) -> str:
        own = random.Random(seed)
        shutil.rmtree(folder / "out", ignore_errors=True)
        shutil.copytree(folder / "kept", folder / "out")
        place = folder / "out" / "job"
        parts = sorted(place.rglob("*.parquet"))
        what = own.randrange(4)
        path = own.choice(parts) if what < 2 else place / ("manifest.json", "done.jsonl")[what - 2]
        content = path.read_bytes()
        if what == 0:
            other = own.choice(parts)
            content, swapped = other.read_bytes(), content
            other.write_bytes(swapped)
        else:
            content = faults.mutated(content, own)
        path.write_bytes(content)

        def resume() -> bytes:
            run_job(job("out"), resume=True)
            return faults.table_bytes(Links.load(folder / "out" / "links.parquet").table)

        return WORDS[faults.tried(resume, faults.table_bytes(whole))]

    seeds = [rng.randrange(2**32) for _ in range(n)]
    return batches((lambda s=one: trial(s)) for one in seeds)


def prepared(folder: Path) -> dict[str, list[str]]:
    """Make what the commands need, and return the commands."""
    from pprl.synthetic import practice

    practice(folder / "data", persons=900, seed=3)
    at_home = {name: str(folder / name) for name in (
        *("k.key", "u.key", "unit.txt", "sign", "s.toml", "a.clk.parquet", "b.clk.parquet"),
        *("c.clk.parquet", "a.age", "facts.toml", "job.toml"),
        *("run", "clusters", "review.csv", "data/hospital.csv"),
        *("data/registry.csv", "data/truth.csv"),
    )}  # fmt: skip
    at = {name: f"@{name}" for name in ("o", "o.parquet", "o.csv", "o.toml")}
    hospital, truth = at_home["data/hospital.csv"], at_home["data/truth.csv"]
    keys = ["-s", at_home["s.toml"], "-k", at_home["k.key"], "--id-column", "patient_id"]
    a, b, c = (at_home[f"{name}.clk.parquet"] for name in "abc")
    with open(hospital) as file:
        keys[-1] = file.readline().split(",")[0].strip('"\n')
    for arguments in (
        ["keygen", at_home["k.key"]],
        ["keygen", at_home["u.key"], "--pseudonyms"],
        ["keygen", at_home["unit.txt"], "--identity"],
        ["keygen", at_home["sign"], "--signing", "hospital"],
        ["schema", "suggest", hospital, "-o", at_home["s.toml"], "--hardening", "none"],
        ["encode", hospital, *keys, "-o", a, "--holder", "hospital"],
        ["encode", hospital, *keys, "-o", b, "--holder", "registry"],
        ["encode", hospital, *keys, "-o", c, "--holder", "school"],
        ["link", a, b, "-o", at_home["run"], "--threshold", "0.8"],
        ["dedupe", a, "-o", at_home["clusters"], "--threshold", "0.95"],
        ["review", "sample", at_home["run"], a, b, "-o", at_home["review.csv"], "-n", "30"],
        ["facts", at_home["run"], "-o", at_home["facts.toml"]],
    ):  # fmt: skip
        ended = command(arguments, None)
        assert ended[0] == 0, (arguments, ended)
    recipient = next(
        line.split()[-1] for line in Path(at_home["unit.txt"]).read_text().splitlines()
        if line.startswith("# public key")
    )  # fmt: skip
    assert command(["seal", a, "--to", recipient, "-o", at_home["a.age"]], None)[0] == 0
    facts = Path(at_home["facts.toml"])
    lines = []
    for line in facts.read_text().splitlines():
        value = "a@example.org" if line.startswith("email") else "https://example.org/a"
        lines.append(line.replace('""', f'"{value}"'))
    facts.write_text("\n".join(lines) + "\n")
    sheet = Path(at_home["review.csv"])
    lines = sheet.read_text().splitlines()
    sheet.write_text("\n".join([lines[0], *(f"{line}yes" for line in lines[1:])]) + "\n")
    return {
        "keygen": ["keygen", at["o"]],
        "keygen --pseudonyms": ["keygen", at["o"], "--pseudonyms"],
        "keygen --identity": ["keygen", at["o"], "--identity"],
        "keygen --signing": ["keygen", at["o"], "--signing", "hospital"],
        "schema suggest": ["schema", "suggest", hospital, "-o", at["o.toml"]],
        "encode": ["encode", hospital, *keys, "-o", at["o.parquet"], "--rejects", at["o.csv"]],
        "encode --seal-to": ["encode", hospital, *keys, "-o", at["o"], "--seal-to", recipient],
        "seal": ["seal", a, "--to", recipient, "-o", at["o"]],
        "seal --sign-key": ["seal", a, "--to", recipient, "-o", at["o"], "--sign-key",
                            at_home["sign"]],
        "encode --sign-key": ["encode", hospital, *keys, "-o", at["o"], "--seal-to", recipient,
                              "--sign-key", at_home["sign"], "--rejects", at["o.csv"]],
        "unseal": ["unseal", at_home["a.age"], "--identity", at_home["unit.txt"], "-o", at["o"]],
        "link": ["link", a, b, "-o", at["o"]],
        "link, three files": ["link", a, b, c, "-o", at["o"], "--threshold", "0.9"],
        "link, a job": ["link", a, b, "-o", at["o"], "--threshold", "0.9", "--memory", "1GiB",
                        "--resume"],
        "dedupe": ["dedupe", a, "-o", at["o"], "--threshold", "0.95"],
        "evaluate": ["evaluate", "@run", "--truth", truth, "--errors", at["o.csv"]],
        "report": ["report", "@run"],
        "facts": ["facts", at_home["run"], "-o", at["o.toml"]],
        "changes": ["changes", at_home["run"], at_home["run"], "-o", at["o.csv"]],
        "review sample": ["review", "sample", at_home["run"], a, b, "-o", at["o.csv"], "-n", "30"],
        "review estimate": ["review", "estimate", at_home["review.csv"], "-o", at["o"]],
        "pseudonyms": ["pseudonyms", at_home["clusters"], "-k", at_home["u.key"], "--project", "p",
                       "-o", at["o"]],
        "audit": ["audit", a, "-o", at["o"], "--victims", "20"],
        "practice": ["practice", "-o", at["o"], "--persons", "300"],
    }  # fmt: skip


def command(arguments: list[str], before: Callable[[], None] | None) -> tuple[int, str]:
    """Run a command in a process of its own; what to do there first. Its exit code and errors."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(writing, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.argv = ["pprl", *arguments]
        code = 99
        try:
            from pprl.cli import main

            if before is not None:
                before()
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(writing)
    with open(reading, encoding="utf-8", errors="replace") as errors:
        said = errors.read()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), said


def here(arguments: list[str]) -> int:
    """Run a command in this process; its exit code."""
    from pprl.cli import main

    before, sys.argv = sys.argv, ["pprl", *arguments]
    try:
        with redirect_stdout(io.StringIO()):
            main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    finally:
        sys.argv = before
    return 0


def placed(arguments: list[str], folder: Path, run: Path) -> list[str]:
    """Put a trial's own paths in place of those that begin with an @."""
    if "@run" in arguments:
        shutil.copytree(run, folder / "run")
    return [str(folder / one[1:]) if one.startswith("@") else one for one in arguments]


def outcome(
    first: tuple[int, str], arguments: list[str], folder: Path, expected: set[str], kills: bool
) -> str:
    """Judge a disturbed command, and run it again."""
    code, errors = first
    if code == 0:
        return "right" if files_of(folder) == expected else "wrong: files are missing"
    if kills and code not in (-9, 9):
        return f"wrong: {code} {errors[-300:]}"
    if not kills and (code != 3 or "the disk that holds" not in errors):
        return f"wrong: {code} {errors[-300:]}"
    left = {one for one in files_of(folder) if one in expected and not one.startswith("run/")}
    if not kills and left:
        return f"wrong: left {sorted(left)}"
    again = command(arguments, None)
    if again[0] == 0:
        if files_of(folder) != expected:
            return f"wrong: files differ {sorted(files_of(folder) ^ expected)}"
        return "right" if kills else "refused"
    if files_of(folder) == expected and "exists" in again[1]:
        return "right"
    return f"wrong: rerun {again[0]} {again[1][-300:]}"


def files_of(folder: Path) -> set[str]:
    """Name the files of a folder that are nobody's leftovers."""
    return {
        str(path.relative_to(folder)) for path in folder.rglob("*")
        if path.is_file() and ".part" not in str(path) and "/job/" not in str(path)
    }  # fmt: skip


def disturbed(
    folder: Path, ways: Callable[[int], Callable[[], None] | None], most: int, *, kills: bool
) -> Counter[str]:
    """Disturb every command at its first, second, ... step, until it is not met any more."""
    counted: Counter[str] = Counter()
    for name, arguments, expected, run in commands_in(folder):
        # Each of the first twelve steps, and every third after them.
        for kth in (*range(1, min(most, 12) + 1), *range(13, most + 1, 3)):
            place = folder / f"{name}-{kth}"
            place.mkdir()
            own = placed(arguments, place, run)
            first = command(own, ways(kth))
            note(counted, f"{name} {kth}", outcome(first, own, place, expected, kills))
            shutil.rmtree(place)
            if first[0] == 0:
                break
    return counted


def commands_in(folder: Path) -> Iterator[tuple[str, list[str], set[str], Path]]:
    """Yield each command: its name, its arguments, the files it writes, and the run it takes."""
    # Once here, in place of once in each process of a trial.
    for name in ("cli", "linkage.link", "linkage.job.run", "linkage.cluster", "evaluation.report",
                 "evaluation.audit", "holder.encode", "kernels.tiles", "synthetic"):  # fmt: skip
        importlib.import_module(f"pprl.{name}")
    run = folder / "prepared" / "run"
    for name, arguments in prepared(folder / "prepared").items():
        undisturbed = folder / f"{name}-whole"
        undisturbed.mkdir()
        # In this process, so that the processes of the trials find compiled loops in memory.
        assert here(placed(arguments, undisturbed, run)) == 0, name
        yield name, arguments, files_of(undisturbed), run
        shutil.rmtree(undisturbed)


def note(counted: Counter[str], trial: str, ended: str) -> None:
    """Count how a trial ended; print what must not be."""
    counted[ended.partition(":")[0]] += 1
    if ended.startswith("wrong"):
        print(trial, ended, file=sys.stderr, flush=True)


def on_a_small_disk(folder: Path) -> Counter[str]:
    """Run every command on a file system of its own: read-only, and with ever more room left.

    It takes Linux and the right to mount (root); without them there are no trials.
    """
    counted: Counter[str] = Counter()
    disk = folder / "disk"
    disk.mkdir()

    def mount(options: str) -> bool:
        made = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
        return subprocess.run(made, check=False, capture_output=True).returncode == 0

    if not mount(f"size={ROOMY}"):
        print("nothing can be mounted here", file=sys.stderr)
        return counted
    subprocess.run(["umount", str(disk)], check=True)
    for name, arguments, expected, run in commands_in(folder):
        for pages in (
            None,
            *range(1, 9),
            *range(10, 33, 2),
            *range(36, 129, 4),
            *range(136, 700, 8),
        ):
            mount(f"size={ROOMY}")
            try:
                own = placed(arguments, disk, run)
                used = sum(4096 * -(-one.stat().st_size // 4096) for one in disk.rglob("*")
                           if one.is_file())  # fmt: skip
                room = "ro" if pages is None else f"rw,size={used + 4096 * pages}"
                mount(f"remount,{room}")
                first = command(own, None)
                mount(f"remount,rw,size={ROOMY}")
                ended = outcome(first, own, disk, expected, kills=False)
                note(counted, f"{name} {pages} pages", ended)
            finally:
                subprocess.run(["umount", str(disk)], check=True)
            if first[0] == 0:
                break
    return counted


def full_at(kth: int) -> Callable[[], None]:
    """Make a disk that is full from the k-th new file, rename or flush on."""

    def before() -> None:
        seen = [0]

        def failing(real: Callable[..., Any], makes: Callable[..., bool]) -> Callable[..., Any]:
            def instead(*arguments: Any, **options: Any) -> Any:
                if makes(*arguments):
                    seen[0] += 1
                    if seen[0] >= kth:
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return real(*arguments, **options)

            return instead

        os.open = failing(os.open, lambda _p, flags, *_: bool(flags & os.O_CREAT))
        for name in ("fsync", "rename", "replace", "link", "mkdir"):
            setattr(os, name, failing(getattr(os, name), lambda *_: True))

    return before


def no_larger_than(kth: int) -> Callable[[], None]:
    """Let no file grow beyond a size, as a full disk or a quota does in the middle of a write."""
    size = (0, 40, 300, 1_000, 4_000, 12_000, 30_000, 80_000, 200_000, 500_000)[kth - 1]
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def killed_at(kth: int) -> Callable[[], None]:
    """End the process in place of its k-th rename, link or removal."""

    def before() -> None:
        seen = [0]

        def counted(real: Callable[..., Any]) -> Callable[..., Any]:
            def instead(*arguments: Any, **options: Any) -> Any:
                seen[0] += 1
                if seen[0] == kth:
                    os._exit(9)
                return real(*arguments, **options)

            return instead

        for name in ("rename", "replace", "link", "unlink"):
            setattr(os, name, counted(getattr(os, name)))

    return before


def tests(trials: int) -> dict[str, Callable[[Path], Counter[str]]]:
    """Name the tests."""

    def source(folder: Path) -> Path:
        faults.small_file(folder / "a.clk.parquet", 120)
        return folder / "a.clk.parquet"

    def header(folder: Path) -> dict[str, Any]:
        content = pq.read_metadata(source(folder)).metadata[b"pprl"]
        made: dict[str, Any] = json.loads(content)
        return made

    def links(folder: Path) -> Counter[str]:
        ids = [f"r{at}" for at in range(300)]
        table = pa.table({"left_id": ids, "right_id": ids, "similarity": np.linspace(0, 1, 300),
                          "probability": np.linspace(0, 1, 300)})  # fmt: skip
        write_table(table, folder / "links.parquet")
        read = lambda path: lambda: Links.load(path).table  # noqa: E731
        return damaged(folder, folder / "links.parquet", read, trials, 3)

    def clusters(folder: Path) -> Counter[str]:
        rows = [[f"c{at // 2}" for at in range(300)], ["a", "b"] * 150, [*map(str, range(300))]]
        write_table(pa.table(rows, schema=CLUSTERS_SCHEMA), folder / "clusters.parquet")
        read = lambda path: lambda: Clusters.load(path).table  # noqa: E731
        return damaged(folder, folder / "clusters.parquet", read, trials, 4)

    return {
        "damaged encodings": lambda f: damaged(f, source(f), faults.read_whole, trials, 1),
        "damaged encodings, read in pieces": lambda f: damaged(
            f, source(f), faults.read_in_pieces, trials, 2
        ),
        "damaged links": links,
        "damaged clusters": clusters,
        "headers with an entry of another type or value": lambda f: headers(
            f, f / "a.clk.parquet", faults.header_lies(header(f), random.Random(5)), 400
        ),
        "headers with another number of records or rows": lambda f: headers(
            f, f / "a.clk.parquet", faults.records_lies(header(f)), 99
        ),
        "deep or huge JSON and TOML": documents,
        "damaged parts of jobs": lambda f: damaged_parts(f, trials),
        "damaged manifests and ledgers of jobs": lambda f: damaged_manifests(f, trials),
        "300 dirty columns, encoded in two ways": dirty_columns,
        "parts, ledger or manifest of a job altered, then resumed": lambda f: tampered_jobs(
            f, trials * 2 // 5
        ),
        "disk full at the k-th step of every command": lambda f: disturbed(
            f, full_at, 40, kills=False
        ),
        "a real disk with 4 KiB of room, 8 KiB, ..., or read-only, every command": on_a_small_disk,
        "files that may not grow, every command": lambda f: disturbed(
            f, no_larger_than, 10, kills=False
        ),
        "killed at the k-th change of a name, every command": lambda f: disturbed(
            f, killed_at, 60, kills=True
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--only", default="")
    parser.add_argument("--docs", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = []
    for name, test in tests(options.trials).items():
        if options.only not in name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            ended = test(Path(folder))
        rows.append((name, sum(ended.values()), *(ended[one] for one in
                     ("right", "refused", "wrong", "crash"))))  # fmt: skip
        print(*rows[-1], sep="\t", flush=True)
    if options.docs:
        write_docs(rows)


def write_docs(rows: list[tuple[Any, ...]]) -> None:
    """Put the table into docs/explanation/reliability.md."""
    page = ROOT / "docs" / "explanation" / "reliability.md"
    text = page.read_text(encoding="utf-8")
    start, end = (
        "<!-- faults: written by benchmarks/bench_faults.py --docs -->",
        "<!-- end faults -->",
    )
    kept = {
        line.split(" | ")[0].strip("| "): line
        for line in text.partition(start)[2].partition(end)[0].splitlines()[4:]
        if line.startswith("| ")
    }
    for name, *counts in rows:
        kept[name] = f"| {name} | " + " | ".join(f"{n:,}" for n in counts) + " |"
    order = [*tests(0)]
    lines = ["| test | trials | right | refused | wrong | crash |", "|---|---|---|---|---|---|"]
    lines += [kept[name] for name in order if name in kept]
    head, _, rest = text.partition(start)
    made = f"{head}{start}\n\n" + "\n".join(lines) + f"\n\n{end}{rest.partition(end)[2]}"
    page.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
