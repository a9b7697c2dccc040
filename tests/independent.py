"""A second implementation of docs/reference/encoding.md and files.md; nothing of pprl.

It reads and writes encodings files with pyarrow and encodes values that are clean already.
Slow and plain on purpose: it is there to be compared with.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR


def u32(number: int) -> bytes:
    return number.to_bytes(4, "big")


def derive(key: bytes, *parts: str, length: int = 32) -> bytes:
    """HKDF-SHA-256, by hand (RFC 5869)."""
    info = b"".join(u32(len(part.encode())) + part.encode() for part in parts)
    pseudorandom = hmac.digest(b"pprl/v1", key, "sha256")
    block, stream = b"", b""
    for number in range(1, -(-length // 32) + 1):
        block = hmac.digest(pseudorandom, block + info + bytes([number]), "sha256")
        stream += block
    return stream[:length]


def key_check(key: bytes) -> str:
    return hmac.digest(derive(key, "check"), b"", "sha256").hex()[:16]


def tokens(value: str, rule: dict[str, Any]) -> list[str]:
    if rule["type"] == "exact":
        return [value]
    n = rule.get("n", 2)
    padded = " " * (n - 1) + value + " " * (n - 1)
    grams = [padded[at : at + n] for at in range(len(padded) - n + 1)]
    if rule.get("positional"):
        return [f"{place} {gram}" for place, gram in enumerate(grams, start=1)]
    return grams


def positions(token: bytes, count: int, bits: int, key: bytes) -> list[int]:
    found: list[int] = []
    block = 0
    while len(found) < count:
        digest = hashlib.blake2b(token, key=key, salt=str(block).encode()).digest()
        found += [int.from_bytes(digest[at : at + 2], "little") % bits for at in range(0, 64, 2)]
        block += 1
    return found[:count]


class Stream:
    """Numbers from AES-256 in counter mode."""

    def __init__(self, key: bytes) -> None:
        self.cipher = Cipher(AES(key), CTR(bytes(16))).encryptor()

    def below(self, limit: int) -> int:
        while True:
            number = int.from_bytes(self.cipher.update(bytes(4)), "little")
            if number < 2**32 - 2**32 % limit:
                return number % limit

    def shuffled(self, size: int) -> list[int]:
        numbers = list(range(size))
        for i in range(size - 1, 0, -1):
            j = self.below(i + 1)
            numbers[i], numbers[j] = numbers[j], numbers[i]
        return numbers


def dealt(length: int, bits: int, t: int, key: bytes) -> list[list[int]]:
    stream, pool, out = Stream(key), [], []
    for _ in range(bits):
        chosen: list[int] = []
        aside: list[int] = []
        while len(chosen) < t:
            pool = pool or stream.shuffled(length)
            position = pool.pop()
            (aside if position in chosen else chosen).append(position)
        pool += aside
        out.append(chosen)
    return out


def diffused(filter_: list[int], bits: int, t: int, key: bytes) -> list[int]:
    sets = dealt(len(filter_), bits, t, key)
    return [sum(filter_[position] for position in chosen) % 2 for chosen in sets]


def race(j: int) -> int:
    return 16384 + round(1024 * math.log(-math.log((j + 0.5) / 32768)))


def scaled_log(n: int) -> int:
    return round(1024 * math.log(min(n, 65536)))


def minhash_clk(
    document: dict[str, Any],
    group: dict[str, Any],
    person: dict[str, str | None],
    key: bytes,
    mark: str,
) -> bytes:
    """Encode one group that is hardened by minhash."""
    fields = {field["name"]: field for field in document["fields"]}
    hardening = group.get("hardening") or document["hardening"]
    bits = group.get("bits", document["bits"])
    slots = hardening.get("slots", bits)
    weights = {
        name: group.get("weights", {}).get(name)
        or fields[name].get("bits_per_feature")
        or fields[name]["bits_per_token"]
        for name in group["fields"]
    }
    salt = b""
    for one in group.get("salts", []):
        text = person[one["field"]]
        text = text and (text[: one["characters"]] if "characters" in one else text)
        if not text:
            return bytes(bits // 8)
        salt += u32(len(text.encode())) + text.encode()
    purpose = "salted-minhash" if group.get("salts") else "minhash"
    least = [(1 << 16, 0)] * slots
    for name, weight in weights.items():
        secret = derive(key, purpose, mark, name, *filter(None, [group["name"]]), length=96)
        cut = tokens(person[name] or "", fields[name]["tokens"]) if person[name] else []
        for token, times in Counter(cut).items():
            lighter = scaled_log(max(weights.values())) - scaled_log(weight)
            if "bits_per_feature" in fields[name]:
                lighter += scaled_log(len(cut))
            moved = min(lighter, 13 * 1024) - scaled_log(min(times, 128))
            nonce = hashlib.blake2b(salt + token.encode(), key=secret[:64], digest_size=12)
            counter = nonce.digest() + bytes(4)
            stream = Cipher(AES(secret[64:]), CTR(counter)).encryptor().update(bytes(2 * slots))
            for slot in range(slots):
                r = int.from_bytes(stream[2 * slot : 2 * slot + 2], "little")
                least[slot] = min(least[slot], (race(r >> 1) + moved, r & 1))
    sets = dealt(slots, bits, hardening["t"], derive(key, "minhash-slots", mark, group["name"]))
    return packed([sum(least[slot][1] for slot in chosen) % 2 for chosen in sets])


def packed(bits: list[int]) -> bytes:
    out = bytearray(-(-len(bits) // 8))
    for at, bit in enumerate(bits):
        if bit:
            out[at >> 3] |= 0x80 >> (at & 7)
    return bytes(out)


def group_clk(
    document: dict[str, Any],
    group: dict[str, Any],
    person: dict[str, str | None],
    key: bytes,
    mark: str,
) -> bytes:
    fields = {field["name"]: field for field in document["fields"]}
    hardening = document["hardening"]
    filter_ = [0] * hardening["filter_bits"]
    total = sum(fields[name]["bits_per_feature"] for name in group["fields"])
    for name in group["fields"]:
        value = person[name]
        if not value:
            continue
        bits = max(1, round(group["inserted_bits"] * fields[name]["bits_per_feature"] / total))
        secret = derive(key, "token", mark, name, group["name"], length=128)[:64]
        cut = tokens(value, fields[name]["tokens"])
        for at, token in enumerate(cut):
            count = bits // len(cut) + (at < bits % len(cut))
            for position in positions(token.encode(), count, len(filter_), secret):
                filter_[position] = 1
    secret = derive(key, "diffuse", mark, group["name"])
    return packed(diffused(filter_, document["bits"], hardening["t"], secret))


def block_key(
    one: dict[str, Any], person: dict[str, str | None], key: bytes, mark: str
) -> bytes | None:
    parts = [(person[part["field"]] or "")[: part.get("first")] for part in one["parts"]]
    if not all(parts):
        return None
    message = b"".join(u32(len(part.encode())) + part.encode() for part in parts)
    return hmac.digest(derive(key, "blocking", mark, one["name"]), message, "sha256")[:8]


def encode(
    document: dict[str, Any], mark: str, key: bytes, people: list[dict[str, str | None]]
) -> dict[str, list[Any]]:
    """Return the columns of an encodings file for people whose values are clean."""
    columns: dict[str, list[Any]] = {"record_id": [person["id"] for person in people]}
    for group in document["groups"]:
        columns[f"clk_{group['name']}"] = [
            group_clk(document, group, person, key, mark) for person in people
        ]
    names = [field["name"] for field in document["fields"]]
    columns["present"] = [packed([bool(person[name]) for name in names]) for person in people]
    columns["block_keys"] = [
        [block_key(one, person, key, mark) for one in document["blocking"]] for person in people
    ]
    return columns


def write(path: Path, columns: dict[str, list[Any]], header: dict[str, Any]) -> None:
    """Write an encodings file as files.md describes it."""
    kinds = {
        name: pa.string()
        if name == "record_id"
        else pa.list_(pa.binary(8))
        if name == "block_keys"
        else pa.binary(len(values[0]))
        for name, values in columns.items()
    }
    table = pa.table({name: pa.array(columns[name], kind) for name, kind in kinds.items()})
    pq.write_table(table.replace_schema_metadata({"pprl": json.dumps(header)}), path)


def read(path: Path) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """Read columns and header of an encodings file."""
    table = pq.read_table(path)
    header = json.loads(pq.read_metadata(path).metadata[b"pprl"])
    return {name: table[name].to_pylist() for name in table.column_names}, header


def dice(x: bytes, y: bytes) -> float:
    ones = [int.from_bytes(value, "big").bit_count() for value in (x, y)]
    both = (int.from_bytes(x, "big") & int.from_bytes(y, "big")).bit_count()
    return 2 * both / sum(ones) if sum(ones) else 0.0
