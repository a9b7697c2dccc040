"""Nothing gives anybody away: every trace of a whole job is searched for what is secret.

People with unmistakable values go through keygen, schema suggest, encode, seal, link,
evaluate, report, pseudonyms and audit, with things going wrong on the way. Searched: every
file that any step leaves behind but the inputs and the key files, files that existed only
for a while, output, warnings, exceptions and the log, process arguments and environments.
"""

from __future__ import annotations

import base64
import logging
import os
import subprocess
import sys
import traceback
import warnings
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pprl
from pprl.errors import PprlError
from pprl.holder.encoder import _field_keys

if not Path("/proc/self/cmdline").exists():
    pytest.skip("needs /proc to see a process's arguments", allow_module_level=True)
pyrage = pytest.importorskip("pyrage")

# The command line, but what a file held is kept when it is deleted, and so are the arguments.
WATCHED = """
import atexit, os, sys
real_unlink, kept = os.unlink, []
def unlink(path, *rest, **more):
    try:
        with open(path, "rb") as file:
            # Not a second name of a file that stays, as a key has while it is written.
            if os.fstat(file.fileno()).st_nlink == 1:
                kept.append(file.read())
    except OSError:
        pass
    return real_unlink(path, *rest, **more)
os.unlink = os.remove = unlink
def keep():
    with open("/proc/self/cmdline", "rb") as arguments, open(os.environ["GONE"], "ab") as file:
        file.write(b"".join(kept) + arguments.read())
        file.write(repr(dict(os.environ)).encode())
atexit.register(keep)
from pprl.cli import main
main()
"""


def people(holder: int) -> pd.DataFrame:
    """Values that stand in no file by chance."""
    rows = [
        {
            "patient_id": f"{'LR'[holder]}{i:04}",
            "surname": f"Quxzwyck{'abcdefghijklmnopqrst'[i % 20]}velthoornse{i // 20}",
            "given_name": f"Xandrizelle{'abcdefghij'[i % 10]}",
            "date_of_birth": f"19{10 + i % 80}-{1 + i % 12:02}-{1 + i % 28:02}",
            "postcode": f"{7301 + i}XQ",
            "city": f"Zwimmerswaldkerk{i % 7}",
        }
        for i in range(60)
    ]
    return pd.DataFrame(rows)


def forms(secret: bytes) -> set[bytes]:
    """The ways in which bytes are written down."""
    return {
        secret[:12],
        secret[-12:],
        secret.hex()[:20].encode(),
        base64.b64encode(secret)[:20],
        base64.b32encode(secret)[:20],
        base64.b32encode(secret)[:20].lower(),
        repr(secret)[2:30].encode(),
    }


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, set[bytes]]:
    folder = tmp_path_factory.mktemp("leaks")
    gone = tmp_path_factory.mktemp("gone") / "gone"
    scratch = folder / "tmp"
    scratch.mkdir()
    seen = b""
    environment = {**os.environ, "TMPDIR": str(scratch), "GONE": str(gone)}

    def run(*arguments: object, code: int = 0, given: bytes = b"") -> None:
        nonlocal seen
        done = subprocess.run(
            [sys.executable, "-W", "default", "-c", WATCHED, *map(str, arguments)],
            capture_output=True,
            timeout=120,
            env=environment,
            input=given,
        )
        assert done.returncode == code, done.stderr
        seen += done.stdout + done.stderr

    for number, holder in enumerate(("left", "right")):
        people(number).to_csv(folder / f"{holder}.csv", index=False)
    truth = pd.DataFrame({"left_id": people(0)["patient_id"], "right_id": people(1)["patient_id"]})
    truth.to_csv(folder / "truth.csv", index=False)
    unit = pyrage.x25519.Identity.generate()
    (folder / "unit.txt").write_text(f"{unit}\n")
    run("keygen", folder / "one.key")
    run("keygen", folder / "two.key")
    combine = [f"{name}={folder / name}.key" for name in ("one", "two")]
    run("keygen", folder / "project.key", "--combine", combine[0], "--combine", combine[1])
    schema = folder / "schema.toml"
    run("schema", "suggest", folder / "left.csv", "-o", schema)
    run("schema", "check", schema)
    for holder in ("left", "right"):
        run(
            *("encode", folder / f"{holder}.csv", "-s", schema, "-k", "fd:0"),
            *("--id-column", "patient_id", "-o", folder / f"{holder}.clk.parquet.age"),
            *("--holder", holder, "--seal-to", unit.to_public()),
            given=(folder / "project.key").read_bytes(),
        )
        sealed = folder / f"{holder}.clk.parquet.age"
        opened = folder / f"{holder}.clk.parquet"
        run("unseal", sealed, "--identity", folder / "unit.txt", "-o", opened)
    run(
        *("link", folder / "left.clk.parquet.age", folder / "right.clk.parquet.age"),
        *("-o", folder / "linkage", "--threshold", 0.7, "--identity", folder / "unit.txt"),
    )
    run("evaluate", folder / "linkage", "--truth", folder / "truth.csv")
    run("report", folder / "linkage", "--truth", folder / "truth.csv")
    run("keygen", folder / "unit.key", "--pseudonyms")
    run("dedupe", folder / "left.clk.parquet", "-o", folder / "own", "--threshold", 0.7)
    run("pseudonyms", folder / "own", "-k", folder / "unit.key", "--project", "one")
    ids = people(0)["patient_id"]
    pd.DataFrame({"record_id": ids, "reference_id": ids}).to_csv(folder / "who.csv", index=False)
    run(
        *("audit", folder / "left.clk.parquet", "--reference", folder / "left.csv", "-s", schema),
        *("--id-column", "patient_id", "--truth", folder / "who.csv", "-k", "fd:0"),
        *("-o", folder / "audit"),
        given=(folder / "project.key").read_bytes(),
    )

    # And what goes wrong: values that break a rule, a damaged key, a column that is not there.
    strict = folder / "strict.toml"
    strict.write_text(
        schema.read_text().replace(
            'name = "postcode"', 'name = "postcode"\nformat = { type = "string", max_length = 3 }'
        )
    )
    common = ("--id-column", "patient_id", "-o", folder / "no.clk.parquet")
    key = folder / "project.key"
    bad = folder / "bad.key"
    bad.write_text(key.read_text()[:-6] + "aaaaa\n")
    bad.chmod(0o600)
    data = folder / "left.csv"
    rejects = ("--rejects", folder / "rejects.csv")
    run("encode", data, "-s", strict, "-k", key, *common, *rejects, code=3)
    run("encode", data, "-s", schema, "-k", bad, *common, code=2)
    run("encode", data, "-s", schema, "-k", key, *common, "--map", "surname=naam", code=3)
    run("link", data, data, "-o", folder / "no", "--threshold", 0.7, code=3)

    inputs = {
        "left.csv",
        "right.csv",
        "one.key",
        "two.key",
        "project.key",
        "bad.key",
        "unit.txt",
        "unit.key",
    }
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in inputs:
            seen += path.read_bytes()
            if path.suffix == ".parquet":
                seen += str(pq.read_table(path).to_pylist()).encode()
    seen += gone.read_bytes()
    assert b"fd:0" in seen
    assert not list(folder.rglob("*.part"))
    assert not list(scratch.iterdir())

    values = pd.concat([people(0), people(1)])
    secrets = {
        str(value).encode()
        for column in ("surname", "given_name", "date_of_birth", "postcode", "city")
        for value in values[column].unique()
    }
    secrets |= {value.lower() for value in secrets} | {
        value.replace(b"-", b"") for value in secrets
    }
    loaded = pprl.Schema.load(schema)
    for name in ("one", "two", "project"):
        made = pprl.LinkageKey.load(folder / f"{name}.key")
        secrets |= forms(made.secret_bytes())
        secrets |= {(folder / f"{name}.key").read_bytes()[6:40]}
        for part in loaded.parts:
            for pair in _field_keys(loaded, part, made):
                secrets |= forms(pair[0]) | forms(pair[1])
            for purpose in ("diffuse", "balance"):
                secrets |= forms(made.derive(purpose, loaded.fingerprint, part.name))
        for purpose in ("check", "self-test"):
            secrets |= forms(made.derive(purpose))
    secrets |= {str(unit).encode()[20:50], (folder / "unit.key").read_bytes()[6:40]}
    return folder, seen, secrets


def test_the_search_finds_what_is_there(job: tuple[Path, bytes, set[bytes]]) -> None:
    """A search that cannot find anything would pass."""
    folder, _, secrets = job
    for name in ("left.csv", "project.key", "unit.txt"):
        assert any(secret in (folder / name).read_bytes() for secret in secrets)
    assert len(secrets) > 300


def test_no_output_log_or_file_gives_anybody_away(job: tuple[Path, bytes, set[bytes]]) -> None:
    _, seen, secrets = job
    assert b"link" in seen
    assert len(seen) > 100_000
    found = [secret for secret in secrets if secret in seen]
    assert not found


def test_no_exception_gives_anybody_away(
    job: tuple[Path, bytes, set[bytes]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Messages, and the local variables' reprs of pprl's own objects, and the log."""
    folder, _, secrets = job
    caplog.set_level(logging.DEBUG)
    schema = pprl.Schema.load(folder / "schema.toml")
    strict = pprl.Schema.load(folder / "strict.toml")
    key = pprl.LinkageKey.load(folder / "project.key")
    frame = people(0)
    said = [repr(key), repr(schema)]
    attempts = [
        lambda: pprl.encode(frame, strict, key, id_column="patient_id"),
        lambda: pprl.encode(frame.drop(columns="surname"), schema, key, id_column="patient_id"),
        lambda: pprl.encode(frame, schema, key, id_column="city"),
        lambda: pprl.encode(
            pa.Table.from_pandas(frame.assign(surname=[[name] for name in frame["surname"]])),
            schema,
            key,
            id_column="patient_id",
        ),
        lambda: pprl.LinkageKey.load(folder / "bad.key"),
        lambda: pprl.Encodings.load(folder / "left.csv"),
        lambda: pprl.Links.load(folder / "left.csv"),
    ]
    for attempt in attempts:
        with warnings.catch_warnings(record=True) as warned, pytest.raises(PprlError) as caught:
            attempt()
        said += traceback.format_exception(caught.value)
        said += [str(one.message) for one in warned]
    made = pprl.encode(frame, schema, key, id_column="patient_id")
    said += [repr(made), repr(made.info), caplog.text]
    text = "\n".join(said).encode()
    assert not [secret for secret in secrets if secret in text]
