"""What a file of encodings gives away without any attack: order, masks, blocking keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Blocks(BaseModel):
    """What one blocking pass shows.

    Attributes:
        blocks: Number of different keys.
        smallest: Rows in the smallest block; 0 without a block.
        alone: Share of rows that nobody shares a block with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    blocks: int
    smallest: int
    alone: float


class Exposure(BaseModel):
    """What lies open in a file, whatever the key and the hardening.

    Attributes:
        order: Whether rows are in random order, or in that of the holder's data.
        patterns: Number of different presence patterns, as written; 0 without a mask.
        coarsened: Share of records whose pattern was made coarser, as too few shared it.
        alone_by_pattern: Share of records that nobody shares the pattern with, as written.
        blocks: By blocking pass.
        alone_by_keys: Share of rows that nobody shares all blocking keys with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    order: Literal["random", "as given"]
    patterns: int = 0
    coarsened: float = 0.0
    alone_by_pattern: float = 0.0
    blocks: Mapping[str, Blocks] = Field(default_factory=dict)
    alone_by_keys: float = 0.0

    def lines(self, records: int) -> Iterator[str]:
        """Say it in words, a line for each thing.

        Args:
            records: How many records the file has.
        """
        yield f"rows are in {'random order' if self.order == 'random' else 'the order given'}"
        if self.patterns:
            yield (
                f"presence mask: {self.patterns:,} patterns; {self.coarsened:.2%} of records made "
                f"coarser, {self.alone_by_pattern:.2%} singled out by it alone; guessing within "
                f"a pattern names {self.patterns / max(records, 1):.2%} on average"
            )
        for name, one in self.blocks.items():
            yield (
                f"blocking {name!r}: {one.blocks:,} blocks, the smallest of {one.smallest:,}; "
                f"{one.alone:.2%} alone in their block"
            )
        if self.blocks:
            yield f"all blocking keys together single out {self.alone_by_keys:.2%}"
