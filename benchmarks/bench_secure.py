"""Secure linkage between three network namespaces: speed, bytes, time from files to links.

    python benchmarks/bench_secure.py [--net loopback|lan|wan] [--records 2000] [--blocks 256]

Needs `make secure`, and for lan and wan the rights to make network namespaces. ``lan`` is
1 Gbit/s; ``wan`` is 100 Mbit/s with 20 ms for a round trip, by a relay in a namespace of its own
that hands bytes on 10 ms later, since not every kernel can delay packets. Encodings are
random bits at a quarter's density with a partner for half the records: the work does not depend
on what they are. With blocks there are two passes of random keys, five records to a key.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa

from pprl.exchange.encodings import EncodingInfo, Encodings, Popcounts
from pprl.exchange.identities import new_identity
from pprl.exchange.secure_job import LinksTo, Party, SecureJob, Terms, new_id
from pprl.exchange.shares import Ids, lay_out, put_together, read_answer, split
from pprl.linkage.link import link
from pprl.linkage.secure import choose_links, exact, find_rivals, read_reached

ROOT = Path(__file__).resolve().parent.parent
WORKER = ROOT / "secure" / ".venv" / "bin" / "pprl-secure"
BITS, THRESHOLD, DELAY = 1024, 0.8, 0.010
RATE = {"lan": "1gbit", "wan": "100mbit"}


def made_up(records: int, seed: int) -> tuple[Encodings, Encodings]:
    rng = np.random.default_rng(seed)
    left = rng.random((records, BITS)) < 0.25
    right = rng.random((records, BITS)) < 0.25
    half = records // 2
    right[:half] = left[:half] ^ (rng.random((half, BITS)) < 0.03)
    keys = rng.integers(1, max(records // 5, 2), (2, records, 2)).astype(np.uint64)
    # Multiplied, as hashes are spread; partners share the first key, and nine in ten the second.
    keys *= np.uint64(0x9E3779B97F4A7C15)
    keys[1, :half, 0] = keys[0, :half, 0]
    keys[1, : half * 9 // 10, 1] = keys[0, : half * 9 // 10, 1]
    files = []
    for name, bits, own in zip("ab", (left, right), keys, strict=True):
        info = EncodingInfo(
            holder=name,
            schema_name="bench",
            schema_fingerprint="f" * 64,
            key_check="c" * 16,
            self_test="s" * 16,
            bits=BITS,
            hardening={"method": "none"},
            records=records,
            rows=records,
            popcounts=Popcounts(mean=0, sd=0, minimum=0, maximum=0),
            present={},
            blocking={"x": 1.0, "y": 1.0},
            created="2026-01-01T00:00:00+00:00",
        )
        ids = pa.array([f"{name}{n}" for n in range(records)], pa.string())
        files.append(Encodings(ids, np.packbits(bits, axis=1), info, block_keys=own))
    return files[0], files[1]


class Network:
    """Three namespaces and a relay between them; or nothing, on the loopback."""

    def __init__(self, kind: str) -> None:
        self.kind, self.relay = kind, None
        self.names = [f"pprl{os.getpid()}n{n}" for n in range(4)]
        self.bridge = f"pprl{os.getpid() % 10000}"

    def addresses(self) -> list[str]:
        if self.kind == "loopback":
            return [f"127.0.0.1:{9700 + n}" for n in range(3)]
        return [f"party{n}:9700" for n in range(3)]

    def within(self, party: int) -> list[str]:
        return [] if self.kind == "loopback" else ["ip", "netns", "exec", self.names[party]]

    def __enter__(self) -> Self:
        if self.kind == "loopback":
            return self
        say("ip", "link", "add", self.bridge, "type", "bridge")
        say("ip", "link", "set", self.bridge, "up")
        for n, name in enumerate(self.names):
            outer = f"{self.bridge}v{n}"
            say("ip", "netns", "add", name)
            say("ip", "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", name)
            say("ip", "link", "set", outer, "master", self.bridge, "up")
            inside = ["ip", "netns", "exec", name]
            say(*inside, "ip", "link", "set", "lo", "up")
            say(*inside, "ip", "link", "set", "eth0", "up")
            for at in [n + 1] if n < 3 else [101, 102, 103]:
                say(*inside, "ip", "addr", "add", f"10.77.0.{at}/24", "dev", "eth0")
            if n < 3:
                shape = [
                    "root",
                    "tbf",
                    "rate",
                    RATE[self.kind],
                    "burst",
                    "256kb",
                    "latency",
                    "80ms",
                ]
                say(*inside, "tc", "qdisc", "add", "dev", "eth0", *shape)
            hosts = Path("/etc/netns") / name / "hosts"
            hosts.parent.mkdir(parents=True)
            far = 101 if self.kind == "wan" else 1
            lines = ["127.0.0.1 localhost"]
            lines += [f"10.77.0.{k + (1 if k == n else far)} party{k}" for k in range(3)]
            hosts.write_text("\n".join(lines) + "\n")
        if self.kind == "wan":
            command = ["ip", "netns", "exec", self.names[3], sys.executable, __file__, "--relay"]
            self.relay = subprocess.Popen(command)
            time.sleep(2)
        return self

    def sent(self) -> int:
        """Bytes that the three parties have sent so far."""
        if self.kind == "loopback":
            return 0
        counter = "/sys/class/net/eth0/statistics/tx_bytes"
        return sum(int(say(*self.within(n), "cat", counter)) for n in range(3))

    def __exit__(self, *_: object) -> None:
        if self.kind == "loopback":
            return
        if self.relay:
            self.relay.kill()
            self.relay.wait()
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=False)
            hosts = Path("/etc/netns") / name / "hosts"
            if hosts.exists():
                hosts.unlink()
                hosts.parent.rmdir()
        subprocess.run(["ip", "link", "del", self.bridge], check=False)


def say(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


async def relay() -> None:
    """Hand on to party n what arrives for it, ten milliseconds later."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                due, data = await waiting.get()
                await asyncio.sleep(max(due - time.monotonic(), 0))
                if not data:
                    writer.close()
                    return
                writer.write(data)
                await writer.drain()

        task = asyncio.create_task(deliver())
        while data := await reader.read(1 << 18):
            waiting.put_nowait((time.monotonic() + DELAY, data))
        waiting.put_nowait((time.monotonic() + DELAY, b""))
        await task

    def to(party: int):
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                far = await asyncio.open_connection(f"10.77.0.{party + 1}", 9700)
            except OSError:
                writer.close()
                return
            await asyncio.gather(copy(reader, far[1]), copy(far[0], writer), return_exceptions=True)

        return connected

    servers = [await asyncio.start_server(to(n), f"10.77.0.{101 + n}", 9700) for n in range(3)]
    await asyncio.gather(*(server.serve_forever() for server in servers))


def run_step(network: Network, folder: Path, *more: str) -> dict[str, float]:
    before, start = network.sent(), time.perf_counter()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    workers = []
    for n in range(3):
        shares = [str(folder / "shares" / f"{name}.party{n}.age") for name in "ab"]
        command = [*network.within(n), str(WORKER), "worker", "--party", str(n), "--config"]
        command += [str(folder / "job.toml"), "--identity", str(folder / f"party{n}"), "--plain"]
        command += ["--shares", *shares, "-o", str(folder / f"out{n}"), *more]
        environment = {**os.environ, "PYTHONPATH": ""}
        workers.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment))
    if sum(worker.wait() for worker in workers):
        raise SystemExit("a party failed")
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return {"wall": wall, "cpu": cpu, "bytes": network.sent() - before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--net", choices=("loopback", "lan", "wan"), default="loopback")
    parser.add_argument("--records", type=int, default=2000)
    parser.add_argument("--blocks", type=int, default=1)
    parser.add_argument("--tile", type=int, default=1 << 20)
    parser.add_argument("--relay", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.relay:
        asyncio.run(relay())
        return
    files = made_up(options.records, 1)
    with tempfile.TemporaryDirectory() as name, Network(options.net) as network:
        folder = Path(name)
        recipients = [new_identity(folder / f"party{n}") for n in range(3)]
        job = SecureJob(
            job=Terms(
                id=new_id(),
                holders=("a", "b"),
                bits=BITS,
                matching="one-to-one",
                blocking="none" if options.blocks == 1 else "keys",
                blocks=options.blocks,
                threshold=THRESHOLD,
                threshold_exact=exact(THRESHOLD, BITS),
                least_count=10,
                most_order=20_000,
                timeout=120,
                tile=options.tile,
            ),
            links_to=LinksTo(recipient=new_identity(folder / "links")),
            party=tuple(
                Party(name=f"p{n}", address=address, recipient=recipient)
                for n, (address, recipient) in enumerate(
                    zip(network.addresses(), recipients, strict=True)
                )
            ),
        )
        job.save(folder / "job.toml")
        begin = time.perf_counter()
        for label, file in zip("ab", files, strict=True):
            split(file, job, label, lay_out(file, job), [], folder / "shares")
        cut = time.perf_counter() - begin
        figures = run_step(network, folder)
        begin_collect = time.perf_counter()
        ids = tuple(
            Ids.load(folder / "shares" / f"{one}.ids.age", folder / "links") for one in "ab"
        )
        answers = [
            read_answer(folder / f"out{n}" / f"compare.party{n}.age", folder / "links")
            for n in range(3)
        ]
        whole = put_together(answers, job, ids)
        reached = read_reached(whole, *ids)
        asked, rivals = find_rivals(reached, "one-to-one", 20_000)
        if len(rivals):
            raise SystemExit("these encodings have rivals; that is not measured here")
        links = choose_links(reached, "one-to-one", asked, rivals, None, *ids)
        collected = time.perf_counter() - begin_collect
        total = time.perf_counter() - begin
        pairs = sum((u[2] - u[1]) * (u[4] - u[3]) * (u[6] - u[5]) for u in whole.header["units"])
        plain = link(*(replace(one, block_keys=None) for one in files), threshold=THRESHOLD)
        load = os.getloadavg()[0]
        result = {
            "net": options.net,
            "records": options.records,
            "blocks": options.blocks,
            "pairs": pairs,
            "split_s": cut,
            "parties_wall_s": figures["wall"],
            "parties_cpu_s": figures["cpu"],
            "collect_s": collected,
            "files_to_links_s": total,
            "pairs_per_wall_s": pairs / figures["wall"],
            "pairs_per_cpu_s": pairs / figures["cpu"],
            "bytes_per_pair": figures["bytes"] / pairs,
            "links": len(links),
            "links_of_all_pairs": len(plain.links),
            "load": load,
        }
        print(
            json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in result.items()})
        )


if __name__ == "__main__":
    main()
