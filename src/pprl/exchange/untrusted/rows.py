"""Rows of foreign encodings: each is what a row can be, and all are what the header says."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from os import PathLike

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pprl.errors import PprlWarning, UnreadableFile
from pprl.exchange.bits import as_words, count_bits
from pprl.exchange.columns import KEY_LISTS, clk_columns, from_key_lists
from pprl.exchange.encodings import EncodingInfo
from pprl.exchange.untrusted.filters import FilterBounds
from pprl.exchange.untrusted.text import check_ids

# Shares and means are rounded in the header: to four digits, and to three.
_SHARE, _MEAN = 6e-5, 6e-4


def expected_columns(info: EncodingInfo, names: list[str]) -> dict[str, pa.DataType]:
    """Return the columns of an encodings file, with their types.

    Args:
        info: Its header.
        names: The columns that are there; ``variant`` and ``present`` need not be.
    """
    made = {"record_id": pa.string()}
    made |= {
        name: pa.binary(width // 8) for name, width in clk_columns(info.bits, info.groups).items()
    }
    if "variant" in names:
        made["variant"] = pa.uint8()
    if "present" in names:
        made["present"] = pa.binary(-(-len(info.present) // 8))
    if info.blocking:
        made["block_keys"] = KEY_LISTS
    return made


@dataclass
class RowChecks:
    """Sees the rows of a file, batch by batch, and compares them with the header at the end.

    Attributes:
        path: The file, for errors.
        info: Its header.
        bounds: Which filters no record can have.
        shares: Ids are looked through for repetitions in so many shares, by their digests.
        impossible: How many such filters there were.
    """

    path: str | PathLike[str]
    info: EncodingInfo
    bounds: FilterBounds
    shares: int = 1
    impossible: int = 0
    _share: int = 0
    _rows: int = 0
    _records: int = 0
    _last_id: str | None = None
    _last_variant: int = -1
    _hashes: list[NDArray[np.uint64]] = field(default_factory=list)
    _bits: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    _present: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    _keyed: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def see(
        self,
        ids: pa.StringArray,
        clks: NDArray[np.uint8],
        variants: NDArray[np.uint8] | None,
        present: NDArray[np.uint8] | None,
        block_keys: pa.ListArray | None,
    ) -> None:
        """Check a batch of rows.

        Raises:
            UnreadableFile: Says what is wrong in which row.
        """
        check_ids(self.path, "record_id", ids)
        own = np.ones(len(ids), bool)
        if variants is not None and len(ids):
            own = self._check_variants(ids, variants)
        self._records += int(own.sum())
        counts = count_bits(as_words(clks))
        wrong = self.bounds.impossible(clks)
        self.impossible += int(wrong.sum())
        # Those are not in the summary that is compared: they are set aside.
        seen = np.bincount(counts[~wrong], minlength=self.info.bits + 1)
        self._bits = seen if not len(self._bits) else self._bits + seen
        if present is not None:
            self._see_present(present, own)
        if block_keys is not None:
            keys = from_key_lists(self.path, block_keys, len(self.info.blocking))
            keyed = (keys > 0).sum(axis=0)
            self._keyed = keyed if not len(self._keyed) else self._keyed + keyed
        self.see_ids(ids, own)
        self._rows += len(ids)

    def see_ids(self, ids: pa.StringArray, own: NDArray[np.bool_] | None) -> None:
        """Keep the digests of the ids of records that fall into the share of now."""
        made = _hashed(ids if own is None or own.all() else ids.filter(pa.array(own)))
        if self.shares > 1:
            made = made[:, made[0] % np.uint64(self.shares) == self._share]
        self._hashes.append(made)

    def next_share(self, share: int) -> None:
        """Begin with another share of the ids."""
        self._share = share
        self._hashes.clear()

    def _check_variants(
        self, ids: pa.StringArray, variants: NDArray[np.uint8]
    ) -> NDArray[np.bool_]:
        """Refuse variants that do not stand behind their record, in rising order."""
        own: NDArray[np.bool_] = variants == 0
        before = pa.concat_arrays([pa.array([self._last_id], pa.string()), ids.slice(0, len(ids))])
        before = before.slice(0, len(ids))
        same = pc.fill_null(pc.equal(ids, before), False).to_numpy(zero_copy_only=False)
        earlier = np.concatenate([[self._last_variant], variants[:-1].astype(np.int64)])
        wrong = np.flatnonzero(~own & ~(same & (variants > earlier)))
        if len(wrong):
            raise UnreadableFile(
                f"{self.path}: row {self._rows + wrong[0] + 1:,} is a variant that does not stand "
                f"behind its record."
            )
        self._last_id, self._last_variant = ids[-1].as_py(), int(variants[-1])
        return own

    def _see_present(self, present: NDArray[np.uint8], own: NDArray[np.bool_]) -> None:
        fields = len(self.info.present)
        bits = np.unpackbits(present, axis=1)
        if bits[:, fields:].any():
            raise UnreadableFile(f"{self.path}: a presence mask has bits beyond its fields.")
        filled = bits[own, :fields].sum(axis=0, dtype=np.int64)
        self._present = filled if not len(self._present) else self._present + filled

    def finish(self) -> None:
        """Compare what was seen with what the header says.

        Raises:
            UnreadableFile: They do not agree, or two records have one id.
        """
        info = self.info
        if self._rows != info.rows:
            raise UnreadableFile(
                f"{self.path}: the header announces {info.rows:,} rows, the file holds "
                f"{self._rows:,}. Ask the holder to send it again."
            )
        if self._records != info.records:
            raise UnreadableFile(
                f"{self.path}: the header announces {info.records:,} records, the file holds "
                f"{self._records:,}. Ask the holder to send it again."
            )
        self.check_unique()
        if not self._rows:
            return
        # Rare masks are made coarser on their way into the file, and the header says how many.
        coarser = info.exposure.coarsened + _SHARE if info.exposure else 0.0
        for what, said, counted, of, room in (
            ("present", info.present, self._present, self._records, coarser),
            ("blocking", info.blocking, self._keyed, self._rows, 0.0),
        ):
            for (name, share), count in zip(said.items(), counted.tolist(), strict=False):
                if abs(share - count / of) > _SHARE + room:
                    raise UnreadableFile(
                        f"{self.path}: the header says {share:.2%} of {what} {name!r}, the rows "
                        f"have {count / of:.2%}. Header and rows are not of one file."
                    )
        self._check_popcounts()

    def _check_popcounts(self) -> None:
        said, n = self.info.popcounts, self._rows
        bits = np.flatnonzero(self._bits)
        rows = self._bits[bits]
        if not len(bits):
            return
        # Filters that were set aside may stand in the header's summary, or may have come later.
        out = n - int(rows.sum())
        rest = n * said.mean - float(rows @ bits)
        low, high = out * said.minimum, out * said.maximum
        agrees = said.minimum <= bits[0] and bits[-1] <= said.maximum
        agrees &= low - n * _MEAN <= rest <= high + n * _MEAN
        if not out:
            mean = float(rows @ bits) / n
            sd = float(np.sqrt(rows @ (bits - mean) ** 2 / n))
            agrees &= said.minimum == bits[0] and said.maximum == bits[-1]
            agrees &= abs(said.sd - sd) <= 2 * _MEAN
        if not agrees:
            raise UnreadableFile(
                f"{self.path}: the numbers of bits set (popcounts) are not those that the header "
                f"says. The file was damaged or altered; ask the holder to send it again."
            )

    def check_unique(self) -> None:
        """Refuse ids that stand more than once among those that were seen.

        Raises:
            UnreadableFile: Says how many.
        """
        every = np.concatenate([np.empty((2, 0), np.uint64), *self._hashes], axis=1)
        order = np.lexsort((every[1], every[0]))
        every = every[:, order]
        again = int((every[:, 1:] == every[:, :-1]).all(axis=0).sum())
        if again:
            raise UnreadableFile(
                f"{self.path}: {again:,} record ids stand more than once. Ids must be unique, but "
                f"for the variants of a record; ask the holder to encode again."
            )


def warn_impossible(path: str | PathLike[str], impossible: int, rows: int) -> None:
    """Tell how many filters of a file were set aside, if any."""
    if impossible:
        warnings.warn(
            f"{path}: {impossible:,} of {rows:,} filters have more bits set than any record's "
            f"filter can have. They were set aside: they link with nobody. Ask the holder how they "
            f"came to be.",
            PprlWarning,
            stacklevel=2,
        )


def _hashed(ids: pa.StringArray) -> NDArray[np.uint64]:
    """Hash ids to 128 bits each: (2, n) uint64; so unique ids need not be kept."""
    from pprl.kernels.numbering import hash_runs

    filled = pa.concat_arrays([ids])
    _, ends, data = filled.buffers()
    text = np.frombuffer(data or b"", np.uint8)
    borders = np.frombuffer(ends, np.int32)[filled.offset : filled.offset + len(filled) + 1]
    both = np.empty((2, len(filled)), np.uint64)
    for seed in range(2):
        hash_runs(text, borders, np.uint64(seed), both[seed])
    return both
