"""What was taken for missing while encoding: counted by field and reason, and told."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pprl.errors import InvalidValues, PprlWarning
from pprl.holder.schema import Field, Schema
from pprl.holder.sexes import as_read, counted, reading
from pprl.holder.values import as_text

Dropped = tuple[str, NDArray[np.int64], str]
"""A field, the rows where its value was taken for missing, and why."""

_MANY = 0.1


class Told:
    """Counts what was taken for missing, batch after batch."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._moved: Counter[str] = Counter()

    def add(self, dropped: Iterable[Dropped]) -> None:
        """Count a batch's."""
        for field, rows, reason in dropped:
            self._counts[field, reason] += len(rows)

    def add_moved(self, moved: Mapping[str, int]) -> None:
        """Count times of the evening that were taken for midnight of the next day."""
        self._moved.update(moved)

    def warn(self, present: Mapping[str, int]) -> None:
        """Warn of each field with values that were taken for missing.

        Args:
            present: How many records have each field.
        """
        for name in dict.fromkeys(field for field, _ in self._counts):
            reasons = {why: n for (field, why), n in self._counts.items() if field == name and n}
            lost = sum(reasons.values())
            if not lost:
                continue
            share = lost / (lost + present.get(name, 0))
            parts = "; ".join(f"{n:,} {_plural(why)}" for why, n in sorted(reasons.items()))
            dates = any("date_" in why for why in reasons) and share > _MANY
            hint = " Is the day or the month first (date_dmy, date_mdy)?" if dates else ""
            warnings.warn(
                f"field {name!r}: {lost:,} values ({share:.1%}) were taken for missing: "
                f"{parts}.{hint}",
                PprlWarning,
                stacklevel=6,
            )
        for name, count in self._moved.items():
            warnings.warn(
                f"field {name!r}: {count:,} values without a time zone are 21:00, 22:00 or 23:00 "
                f"and none is another time of day; they were taken for midnight of the next day, "
                f"as a birth date becomes when it is converted to UTC. If that is wrong, give "
                f"dates without a time",
                PprlWarning,
                stacklevel=6,
            )


def _plural(reason: str) -> str:
    for one, many in (("is a date", "are dates"), ("is ", "are "), ("means ", "mean ")):
        if reason.startswith(one):
            return many + reason[len(one) :]
    return reason


class Sexes:
    """Reads codes of sex by what their column holds, where a code alone does not tell.

    The first batch decides; a later one that would be read otherwise ends the run.
    """

    def __init__(self, schema: Schema, columns: Iterable[Mapping[str, str]]) -> None:
        self._fields: dict[str, Field] = {
            of[field.name]: field
            for field in schema.encoded_fields
            for of in columns
            if "sex_code" in field.normalise and not field.values
        }
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in self._fields}
        self._settled: dict[str, Mapping[str, str]] = {}

    def read(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Write the codes as m or f where the column decides.

        Raises:
            InvalidValues: Nothing in a column says what its codes mean, or later records
                say otherwise than the first.
        """
        for column, field in self._fields.items():
            at = batch.schema.get_field_index(column)
            texts = as_text(batch.column(at), field)
            self._counts[column].update(counted(texts))
            meaning = reading(self._counts[column], field.name)
            if meaning != self._settled.setdefault(column, meaning):
                raise InvalidValues(
                    f"field {field.name!r}: the codes of sex of the first records have another "
                    f"meaning than those of later ones. Say in the schema what they mean: "
                    f'values = {{ "H" = "m", "M" = "f" }}, with your codes.'
                )
            if meaning:
                batch = batch.set_column(at, column, as_read(texts, meaning))
        return batch
