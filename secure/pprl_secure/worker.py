"""The command of a computing party: ``pprl-secure worker``."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pprl_secure.files import Job, Shares, WorkerError, read_job, read_shares, write_sealed
from pprl_secure.units import Unit, cut

if TYPE_CHECKING:
    from pprl_secure.engine import Engine


def main() -> None:
    """Run the command; an error that a person can put right is one line, with exit code 2."""
    arguments = _parser().parse_args()
    os.umask(0o077)
    try:
        work(arguments)
    except WorkerError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        # The engine's threads may still wait for the other parties.
        os._exit(2)
    except MemoryError:
        print("error: not enough memory; make the tile of the job file smaller.", file=sys.stderr)
        os._exit(2)


def work(arguments: argparse.Namespace) -> None:
    """Do one step of a job together with the two other parties."""
    job = read_job(arguments.config)
    step = _read_step(arguments.step, job)
    files = [
        read_shares(path, arguments.identity, job, arguments.party) for path in arguments.shares
    ]
    by_holder = {file.holder: file for file in files}
    if set(by_holder) != set(job.holders):
        raise WorkerError(f"--shares must be two files, of {job.holders[0]} and {job.holders[1]}.")
    left, right = (by_holder[name] for name in job.holders)
    units = cut(job, left, right)
    arguments.output.mkdir(parents=True, exist_ok=True)
    tls = _tls(arguments)

    # The engine asks for four threads in each matrix product; where there are fewer processors,
    # they wait for each other, and a product takes forty times as long.
    os.environ.setdefault("OMP_THREAD_LIMIT", str(arguments.threads))
    from pprl_secure.engine import Engine

    engine = Engine(arguments.party, job.addresses, job.timeout, tls)
    agreed = _digest(job, step, left, right)
    if len(set(engine.tell(agreed))) > 1:
        raise WorkerError(
            "the parties do not have the same job file, step file or shares of the same split. "
            "Compare the files' SHA-256 digests."
        )
    header = {
        "job": job.id,
        "step": step["step"],
        "party": arguments.party,
        "agreed": agreed,
        "layouts": {left.holder: left.digest, right.holder: right.digest},
        "threshold": step.get("threshold"),
        "units": [unit.to_list() for unit in units],
    }
    out = arguments.output / f"{step['step']}.party{arguments.party}.age"
    if step["step"] == "compare":
        payload, run = _compare(engine, job, step, left, right, units, arguments.output, agreed)
    else:
        payload, run = _at_once(engine, job, step, left, right, units)
    write_sealed(header | {"run": run}, payload, out, job.links_to)
    engine.close()
    pairs = sum(unit.pairs for unit in units)
    print(f"party {arguments.party}: {step['step']} done, {pairs:,} pairs; {out}", flush=True)


def _compare(
    engine: Engine,
    job: Job,
    step: dict[str, Any],
    left: Shares,
    right: Shares,
    units: list[Unit],
    folder: Path,
    agreed: str,
) -> tuple[bytes, str]:
    """Compare all units, from the first that not all parties have done."""
    from pprl_secure.steps import compare

    kept = folder / f"progress-{agreed[:16]}.bin"
    named = folder / f"progress-{agreed[:16]}.run"
    size = kept.stat().st_size if kept.exists() else 0
    ends = np.cumsum([0, *(unit.packed for unit in units)])
    done = int(np.searchsorted(ends, size, "right")) - 1
    run = named.read_text() if named.exists() else ""
    others = [json.loads(one) for one in engine.tell(json.dumps([done, run]))]
    start = min(one[0] for one in others)
    if start == len(units) and len({one[1] for one in others}) > 1:
        start = max(start - 1, 0)
    if start < len(units):
        run = hashlib.sha256("".join(engine.tell(secrets.token_hex(16))).encode()).hexdigest()
    with open(kept, "ab") as file:
        file.truncate(int(ends[start]))
        file.seek(int(ends[start]))

        def keep(share: bytes) -> None:
            file.write(share)
            file.flush()
            os.fsync(file.fileno())

        todo = units[start:]
        compare(engine, job, tuple(step["threshold"]), left, right, todo, keep)
    named.write_text(run)
    return kept.read_bytes(), run


def _at_once(
    engine: Engine, job: Job, step: dict[str, Any], left: Shares, right: Shares, units: list[Unit]
) -> tuple[bytes, str]:
    from pprl_secure.steps import count, order

    run = hashlib.sha256("".join(engine.tell(secrets.token_hex(16))).encode()).hexdigest()
    if step["step"] == "count":
        return count(engine, job, left, right, units).tobytes(), run
    pairs, rivals = _checked(step, left, right)
    return order(engine, job, left, right, pairs, rivals), run


def _checked(step: dict[str, Any], left: Shares, right: Shares) -> tuple[np.ndarray, np.ndarray]:
    """Refuse a step that names places that are not there."""
    try:
        pairs = np.array(step["pairs"], np.int64).reshape(-1, 4)
        rivals = np.array(step["rivals"], np.int64).reshape(-1, 2)
        shapes = [
            (a[0].shape[0], a[0].shape[1], b[0].shape[1])
            for a, b in zip(left.passes, right.passes, strict=True)
        ]
        ends = np.array([shapes[number] for number in pairs[:, 0]]).reshape(-1, 3)
    except (ValueError, TypeError, IndexError, OverflowError):
        raise WorkerError("the step file names passes that are not there.") from None
    if (pairs < 0).any() or (pairs[:, 1:] >= ends).any():
        raise WorkerError("the step file names places that are not there.")
    if not len(rivals) or rivals.min() < 0 or rivals.max() >= len(pairs):
        raise WorkerError("the step file compares pairs that it does not name.")
    return pairs, rivals


def _read_step(path: Path | None, job: Job) -> dict[str, Any]:
    if path is None:
        if job.threshold is None:
            return {"step": "count"}
        return {"step": "compare", "threshold": list(job.threshold)}
    try:
        step = json.loads(path.read_bytes())
        if step["job"] != job.id:
            raise WorkerError(f"{path} is a step of job {step['job']}, not of {job.id}.")
        kind = step["step"]
        if kind == "compare" and tuple(step["threshold"]) in job.count_grid and not job.threshold:
            return {"step": "compare", "threshold": [int(one) for one in step["threshold"]]}
        if kind == "order" and len(step["pairs"]) <= job.order_most:
            return {"step": "order", "pairs": step["pairs"], "rivals": step["rivals"]}
    except (OSError, ValueError, KeyError, TypeError):
        raise WorkerError(f"{path} is no step that 'pprl secure collect' wrote.") from None
    raise WorkerError(f"{path} asks for what job {job.id} does not allow.")


def _digest(job: Job, step: dict[str, Any], left: Shares, right: Shares) -> str:
    said = json.dumps([job.digest, step, left.digest, right.digest], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def _tls(arguments: argparse.Namespace) -> dict[str, str] | None:
    given = [arguments.certificate, arguments.private_key, arguments.authority]
    if arguments.plain:
        if any(given):
            raise WorkerError("--plain and a certificate contradict each other.")
        return None
    if not all(given):
        raise WorkerError(
            "who can listen between the parties sees what three parties together see. Give "
            "--certificate, --private-key and --authority, or --plain where a tunnel protects "
            "the connections already."
        )
    missing = [path for path in given if not path.is_file()]
    if missing:
        raise WorkerError(f"{missing[0]} is not there.")
    return dict(zip(("certificate", "private_key", "authority"), map(str, given), strict=True))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pprl-secure", description=__doc__)
    one = parser.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "worker", help="be one of three computing parties"
    )
    one.add_argument("--party", type=int, choices=(0, 1, 2), required=True)
    one.add_argument(
        "--config", type=Path, required=True, help="the job file, alike at all parties"
    )
    one.add_argument("--identity", type=Path, required=True, help="this party's age identity")
    one.add_argument(
        "--shares", type=Path, nargs=2, required=True, help="both holders' sealed shares"
    )
    one.add_argument("--step", type=Path, help="what to do next, as 'pprl secure collect' wrote it")
    one.add_argument(
        "-o", "--output", type=Path, required=True, help="folder for the sealed result"
    )
    one.add_argument("--certificate", type=Path, help="this party's certificate, PEM")
    one.add_argument("--private-key", type=Path, help="the key of that certificate, PEM")
    one.add_argument("--authority", type=Path, help="certificate that signed all three, PEM")
    one.add_argument("--threads", type=int, default=1, help="threads of a matrix product; 1")
    one.add_argument(
        "--plain", action="store_true", help="no TLS: a tunnel protects the connections"
    )
    return parser
