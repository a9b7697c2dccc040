"""The plan of a job: which rows go into which part, so that each part fits in memory."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Side = Literal["left", "right"]
SIDES: tuple[Side, Side] = ("left", "right")


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Chunk(_Value):
    """Rows of one file. ``first_record`` counts the records that begin before them."""

    side: Side
    start: int
    end: int
    first_record: int


class Pass(_Value):
    """A blocking pass, and how its keys are cut into buckets.

    Attributes:
        name: The pass's name.
        at: Its place among the file's passes.
        borders: The cell at which each bucket but the first begins.
        left_rows, right_rows: Rows of each bucket.
        pairs: Pairs of each bucket that share a key.
        dropped: Keys of the blocks that are too large.
        dropped_pairs: Pairs in them.
    """

    name: str
    at: int
    borders: tuple[int, ...]
    left_rows: tuple[int, ...]
    right_rows: tuple[int, ...]
    pairs: tuple[int, ...]
    dropped: tuple[int, ...]
    dropped_pairs: int


class Plan(_Value):
    """What a job is cut into.

    Attributes:
        records: Records of the left and of the right file.
        rows: Their rows, more than records where these have variants.
        words: Words of a CLK.
        bits: Bits of a CLK.
        keyless: Rows of each file without any key.
        chunks: Rows that are read at once.
        passes: Blocking passes; empty where every pair is compared.
        tiles: Pairs of places in ``chunks`` to compare with each other, without blocking.
        held: Rows of a bucket that a part holds at once.
        spill: Pairs that a part holds before it writes them, sorted.
        fan_in: Files that are merged at once.
        batch: Links whose record ids are looked up at once.
        workers: Threads of a process.
        memory: Its memory in bytes.
        automatic: Whether the threshold is found from the files.
        in_memory: Whether the memory holds both files for an automatic decision, which is then
            one part.
        samples: Records of each file that are drawn for an automatic decision where it
            does not; else 0.
        masked: Whether an automatic decision weighs missing fields: both files carry masks.
        once: Whether a person is in the left, and in the right file, once at most.
    """

    records: tuple[int, int]
    rows: tuple[int, int]
    words: int
    bits: int
    keyless: tuple[int, int]
    chunks: tuple[Chunk, ...]
    passes: tuple[Pass, ...]
    tiles: tuple[tuple[int, int], ...]
    held: int
    spill: int
    fan_in: int
    batch: int
    workers: int
    memory: int
    automatic: bool = False
    in_memory: bool = False
    samples: tuple[int, int] = (0, 0)
    masked: bool = False
    once: tuple[bool, bool] = (True, True)

    @property
    def sampled(self) -> bool:
        """Whether an automatic decision is learned from samples."""
        return self.automatic and not self.in_memory

    def check(self) -> None:
        """Refuse a plan that was read and does not add up.

        Raises:
            ValueError: Its numbers contradict each other.
        """
        numbers = (*self.records, *self.rows, *self.keyless, self.words, self.bits)
        good = min(numbers) >= 0 and self.bits > 0 and self.words == -(-self.bits // 64)
        good &= (
            min(self.held, self.spill, self.fan_in - 1, self.batch, self.workers, self.memory) > 0
        )
        for side, rows, records in zip(SIDES, self.rows, self.records, strict=True):
            at = 0
            for one in (chunk for chunk in self.chunks if chunk.side == side):
                good &= one.start == at <= one.end <= rows
                good &= 0 <= one.first_record <= records
                at = one.end
            good &= at == rows
        for held in self.passes:
            sizes = (held.left_rows, held.right_rows, held.pairs)
            good &= all(len(size) == len(held.borders) + 1 for size in sizes)
            good &= all(min(size) >= 0 for size in sizes) and held.at >= 0
            good &= list(held.borders) == sorted(held.borders)
        good &= all(0 <= s <= n for s, n in zip(self.samples, self.records, strict=True))
        good &= not self.sampled or min(self.samples) > 0
        for a, b in self.tiles:
            good &= 0 <= a < len(self.chunks) and 0 <= b < len(self.chunks)
        if not good:
            raise ValueError("the plan does not add up")

    @property
    def variants(self) -> bool:
        """Whether some record has several rows."""
        return self.rows != self.records

    @property
    def pairs(self) -> int:
        """Pairs of rows that are compared, those that two passes share counted twice."""
        if not self.passes:
            return self.rows[0] * self.rows[1]
        return sum(sum(one.pairs) for one in self.passes)

    def chunk_parts(self) -> dict[str, Chunk]:
        """Name the parts that sort rows into buckets, and take the sample out of them."""
        if self.in_memory or not (self.passes or self.automatic):
            return {}
        return {f"rows/{one.side}-{at:05}": one for at, one in enumerate(self.chunks)}

    def sampled_parts(self) -> dict[str, tuple[int, int]]:
        """Name the parts that compare samples: (pass, bucket); without blocking (chunk, 0)."""
        if not self.sampled:
            return {}
        if self.passes:
            return {
                f"sampled/{at:02}-{bucket:05}": (at, bucket)
                for at, one in enumerate(self.passes)
                for bucket in range(len(one.pairs))
            }
        return {f"sampled/{at:05}": (at, 0) for at in range(len(self.chunks))}

    def pair_parts(self) -> dict[str, tuple[int, int]]:
        """Name the parts that compare: (pass, bucket), or without blocking two chunks."""
        if self.in_memory:
            return {}
        if not self.passes:
            return {f"pairs/{a:05}-{b:05}": (a, b) for a, b in self.tiles}
        return {
            f"pairs/{at:02}-{bucket:05}": (at, bucket)
            for at, one in enumerate(self.passes)
            for bucket in range(len(one.pairs))
        }

    def merge_parts(self) -> dict[str, list[str]]:
        """Name the parts that merge others, where there are too many to merge at once.

        Pairs that are ranked by a score are not merged, unless records have variants, so that a
        pair may be met several times.
        """
        names = list(self.pair_parts())
        if len(names) <= self.fan_in or (self.sampled and not self.variants):
            return {}
        cuts = range(0, len(names), self.fan_in)
        return {f"runs/{at:05}": names[cut : cut + self.fan_in] for at, cut in enumerate(cuts)}
