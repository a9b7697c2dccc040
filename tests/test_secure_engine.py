"""Three computing parties on the loopback: links, nothing in memory or logs, death and restart.

Needs the engine's own environment: `make secure`.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import pprl
from pprl.cli import app
from pprl.exchange.encodings import Encodings
from pprl.exchange.links import Links
from pprl.exchange.shares import put_together, read_answer
from pprl.linkage.secure import exact
from secure_parts import HOLDERS, Parts, counts, made_up, parts

WORKER = Path(__file__).parent.parent / "secure" / ".venv" / "bin" / "pprl-secure"

pytestmark = [
    pytest.mark.skipif(
        not WORKER.exists(),
        reason="THE ENGINE OF SECURE LINKAGE IS NOT INSTALLED, so it is not tested: make secure",
    ),
    # They would take the processors from each other.
    pytest.mark.xdist_group("secure-engine"),
]


def free_ports() -> tuple[int, int, int]:
    sockets = [socket.socket() for _ in range(3)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports[0], ports[1], ports[2]


def start(made: Parts, *more: str, parties: tuple[int, ...] = (0, 1, 2)) -> list[subprocess.Popen]:
    workers = []
    for party in parties:
        shares = [str(made.folder / "shares" / f"{name}.party{party}.age") for name in HOLDERS]
        command = [
            str(WORKER),
            "worker",
            "--party",
            str(party),
            "--config",
            str(made.folder / "job.toml"),
            "--identity",
            str(made.identity(f"party{party}")),
            "--shares",
            *shares,
            "--plain",
            "-o",
            str(made.folder / f"out{party}"),
            *more,
        ]
        with open(made.folder / f"log{party}", "ab") as log:
            workers.append(subprocess.Popen(command, stdout=log, stderr=log, env=quiet()))
    return workers


def quiet() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": "", "PYTHONWARNINGS": ""}


def finish(made: Parts, workers: list[subprocess.Popen], seconds: int = 240) -> list[int]:
    end = time.monotonic() + seconds
    try:
        return [one.wait(max(end - time.monotonic(), 1)) for one in workers]
    finally:
        for one in workers:
            if one.poll() is None:
                one.kill()
                one.wait()


def logs(made: Parts) -> str:
    return "\n".join((made.folder / f"log{party}").read_text() for party in range(3))


def collect(made: Parts, *steps: str) -> str:
    answers = [
        str(made.folder / f"out{party}" / f"{step}.party{party}.age")
        for step in steps
        for party in range(3)
    ]
    ids = [str(made.folder / "shares" / f"{name}.ids.age") for name in HOLDERS]
    said = CliRunner().invoke(
        app,
        [
            "secure",
            "collect",
            *answers,
            "--job",
            str(made.folder / "job.toml"),
            "--ids",
            ids[0],
            "--ids",
            ids[1],
            "--identity",
            str(made.identity("links")),
            "-o",
            str(made.folder / "res"),
        ],
    )
    assert said.exit_code == 0, said.output
    return said.output


@pytest.fixture(scope="module")
def files() -> tuple[Encodings, Encodings]:
    return made_up(40, 48, bits=1024)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, files: tuple[Encodings, Encodings]) -> Parts:
    """One linkage from files to links, with rivals, of which the tests look at the traces."""
    folder = tmp_path_factory.mktemp("secure")
    made = parts(folder, files, threshold=0.8, tile=1024, ports=free_ports())
    for step in ("compare", "order"):
        more = ["--step", str(folder / "res" / "step-order.json")] if step == "order" else []
        codes = finish(made, start(made, *more))
        assert codes == [0, 0, 0], logs(made)
        collect(made, *(["compare"] if step == "compare" else ["compare", "order"]))
    return made


def test_the_links_are_those_of_the_plaintext_path(
    compared: Parts, files: tuple[Encodings, Encodings]
) -> None:
    links = Links.load(compared.folder / "res" / "links.parquet").table
    plain = pprl.link(*files, threshold=0.8).links.table
    assert links.num_rows > 15
    assert links.select(["left_id", "right_id"]).equals(plain.select(["left_id", "right_id"]))


def test_a_partys_results_are_a_fair_coin(compared: Parts) -> None:
    for party in range(3):
        path = compared.folder / f"out{party}" / f"compare.party{party}.age"
        bits = np.unpackbits(
            np.frombuffer(read_answer(path, compared.identity("links")).payload, np.uint8)
        )
        assert abs(bits.mean() - 0.5) < 2.5 / np.sqrt(bits.size)


def test_counts_are_opened_in_sum_only_and_small_ones_not_at_all(
    tmp_path: Path, files: tuple[Encodings, Encodings]
) -> None:
    made = parts(
        tmp_path, files, threshold=None, blocks=4, ports=free_ports(), grid=(0.6, 0.8, 0.999)
    )
    codes = finish(made, start(made))
    assert codes == [0, 0, 0], logs(made)
    answers = [
        read_answer(tmp_path / f"out{n}" / f"count.party{n}.age", made.identity("links"))
        for n in range(3)
    ]
    got = np.frombuffer(put_together(answers, made.job, made.ids).payload, np.uint64).reshape(2, 3)
    bits = [np.unpackbits(file.clks, axis=1) for file in files]
    for number in range(2):
        keys = [file.block_keys[:, number] for file in files]
        common, both = counts(*bits)
        meet = (keys[0][:, None] % 4 == keys[1][None, :] % 4) & (keys[0][:, None] > 0)
        meet &= keys[1][None, :] > 0
        want = [
            int((meet & (2 * common >= t * both) & (both > 0)).sum()) for t in (0.6, 0.8, 0.999)
        ]
        assert got[number].tolist() == [n if n >= made.job.job.least_count else 0 for n in want]
    # These files repeat records, so that pairs within are as alike as pairs between.
    assert "no links" in collect(made, "count")


def test_nothing_that_a_party_holds_has_encodings_or_similarities(
    tmp_path: Path, files: tuple[Encodings, Encodings]
) -> None:
    """Memory is read while parties wait in the middle of the work; logs and files when they end."""
    made = parts(tmp_path, files, threshold=0.8, tile=1024, ports=free_ports())
    workers = start(made)
    try:
        memories = [caught(made, workers, party) for party in range(3)]
    finally:
        codes = finish(made, workers)
    assert codes == [0, 0, 0], logs(made)
    own = [made.shares(HOLDERS[0], party)[1][0][0].reshape(40, -1) for party in range(3)]
    needles = traces(files, made)
    for party in range(3):
        # What must be there is found: the search would see an encoding if it were.
        assert own[party][5].tobytes() in memories[party]
        traced = list((tmp_path / f"out{party}").iterdir())
        held = [memories[party], (tmp_path / f"log{party}").read_bytes()]
        held += [path.read_bytes() for path in traced]
        for name, needle in needles.items():
            assert not any(needle in one for one in held), (party, name)
    # A log has no digits but a party's number, counts of pairs and the name of a file.
    allowed = re.compile(r"party \d: compare done, 1,920 pairs; \S+\n")
    for party in range(3):
        assert allowed.fullmatch((tmp_path / f"log{party}").read_text())


def traces(files: tuple[Encodings, Encodings], made: Parts) -> dict[str, bytes]:
    """What encodings, counts and similarities would look like in memory, in the shares' order."""
    bits = [
        np.unpackbits(file.clks[ids.layout.passes[0][0]], axis=1).astype(np.int64)
        for file, ids in zip(files, made.ids, strict=True)
    ]
    common, both = counts(*bits)
    similarity = 2 * common / np.maximum(both, 1)
    out = {}
    for side, file in enumerate(files):
        for row in (0, 5, 30):
            out[f"packed {side} {row}"] = file.clks[row, :32].tobytes()
            for kind in (np.uint8, np.int32, np.int64):
                wide = bits[side][row, :128].astype(kind)
                out[f"bits {side} {row} {kind.__name__}"] = wide.tobytes()
                out[f"bits, times three {side} {row} {kind.__name__}"] = (3 * wide).tobytes()
    for row in (0, 5, 30):
        for kind in (np.float32, np.float64):
            out[f"similarity {row} {kind.__name__}"] = similarity[row, :6].astype(kind).tobytes()
        for kind in (np.int32, np.int64):
            out[f"common {row} {kind.__name__}"] = common[row, :6].astype(kind).tobytes()
            out[f"common, times nine {row} {kind.__name__}"] = (
                9 * common[row, :6].astype(kind)
            ).tobytes()
            out[f"popcounts {row} {kind.__name__}"] = both[row, :6].astype(kind).tobytes()
    return out


def caught(made: Parts, workers: list[subprocess.Popen], party: int) -> bytes:
    """Stop a party when it has compared something, and read its memory."""
    folder, end = made.folder / f"out{party}", time.monotonic() + 120
    while not any(path.stat().st_size for path in folder.glob("progress-*.bin")):
        assert workers[party].poll() is None, logs(made)
        assert time.monotonic() < end, logs(made)
        time.sleep(0.02)
    process = workers[party].pid
    os.kill(process, signal.SIGSTOP)
    try:
        return memory(process)
    except PermissionError:
        pytest.skip("the system does not let a process read another's memory")
    finally:
        os.kill(process, signal.SIGCONT)


def memory(process: int) -> bytes:
    """Read all that a process has written to memory."""
    parts = []
    with open(f"/proc/{process}/maps") as maps, open(f"/proc/{process}/mem", "rb") as held:
        for line in maps:
            span, rights = line.split()[:2]
            if not rights.startswith("rw"):
                continue
            low, high = (int(one, 16) for one in span.split("-"))
            try:
                held.seek(low)
                parts.append(held.read(high - low))
            except OSError:
                continue
    return b"".join(parts)


def test_a_party_dies_and_all_go_on_where_they_were(
    tmp_path: Path, files: tuple[Encodings, Encodings]
) -> None:
    made = parts(
        tmp_path, files, threshold=0.8, matching="many-to-many", tile=1024, ports=free_ports()
    )
    text = (tmp_path / "job.toml").read_text()
    (tmp_path / "job.toml").write_text(text.replace("timeout = 30", "timeout = 6"))
    workers = start(made)
    end = time.monotonic() + 120
    while not any(path.stat().st_size for path in (tmp_path / "out1").glob("progress-*.bin")):
        assert time.monotonic() < end, logs(made)
        assert workers[1].poll() is None, logs(made)
        time.sleep(0.02)
    workers[1].kill()
    codes = finish(made, workers)
    assert codes == [2, -9, 2], logs(made)
    assert "go on where they were" in logs(made)
    assert not list(tmp_path.glob("out*/*.age"))
    before = [next((tmp_path / f"out{n}").glob("progress-*.bin")) for n in range(3)]
    kept = min(path.stat().st_size for path in before)
    share = before[0].read_bytes()[:kept]
    assert finish(made, start(made)) == [0, 0, 0], logs(made)
    assert before[0].read_bytes()[:kept] == share
    collect(made, "compare")
    links = Links.load(tmp_path / "res" / "links.parquet").table
    plain = pprl.link(*files, threshold=0.8, matching="many-to-many").links.table
    assert links.select(["left_id", "right_id"]).equals(plain.select(["left_id", "right_id"]))


def test_parties_with_different_job_files_stop(
    tmp_path: Path, files: tuple[Encodings, Encodings]
) -> None:
    made = parts(tmp_path, files, threshold=0.8, ports=free_ports())
    workers = start(made, parties=(0, 1))
    p, q = exact(0.75, 1024)
    text = (tmp_path / "job.toml").read_text()
    said = re.sub(r"threshold_exact = .*", f"threshold_exact = [{p}, {q}]", text)
    assert said != text
    # Each reads the job when it starts: the third gets another one.
    time.sleep(1.5)
    (tmp_path / "job.toml").write_text(said)
    workers += start(made, parties=(2,))
    assert set(finish(made, workers)) == {2}
    assert "do not have the same job file" in logs(made)
    assert not list(tmp_path.glob("out*/*.age"))


def test_a_worker_refuses_another_partys_shares_and_plain_connections(
    tmp_path: Path, files: tuple[Encodings, Encodings]
) -> None:
    made = parts(tmp_path, files, threshold=0.8)
    shares = [str(tmp_path / "shares" / f"{name}.party1.age") for name in HOLDERS]
    common = [str(WORKER), "worker", "--party", "0", "--config", str(tmp_path / "job.toml")]
    common += ["-o", str(tmp_path / "out"), "--shares", *shares]

    def said(*more: str) -> str:
        ran = subprocess.run([*common, *more], capture_output=True, text=True, env=quiet())
        assert ran.returncode == 2
        return ran.stderr

    assert "sealed for another party" in said("--identity", str(made.identity("party0")), "--plain")
    assert "this is party 0" in said("--identity", str(made.identity("party1")), "--plain")
    common[3] = "1"
    assert "--certificate" in said("--identity", str(made.identity("party1")))
