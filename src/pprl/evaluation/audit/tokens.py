"""Which tokens each person on the attacker's list has: he knows the schema."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix

from pprl.holder.groups import Part
from pprl.holder.schema import Schema
from pprl.holder.tokens import tokenise
from pprl.holder.values import distinct_texts


def token_matrix(table: pa.Table, schema: Schema, part: Part | None = None) -> csr_matrix:
    """Mark the tokens of every record.

    Args:
        table: A column for every field that is encoded, by the field's name.
        schema: How values are cleaned and cut.
        part: Only its fields; all by default.

    Returns:
        (n, tokens) with ones, tokens numbered field by field.
    """
    names = {field.name for field in (part.fields if part else schema.encoded_fields)}
    blocks = []
    for field in schema.encoded_fields:
        if field.name not in names:
            continue
        column = table[field.name].combine_chunks()
        texts = distinct_texts(column, field, verbatim=schema.clkhash is not None, validate=False)
        cut = tokenise(texts.values, field.tokens)
        has = texts.rows >= 0
        values = texts.rows[has]
        lengths = np.zeros(len(texts.rows), np.int64)
        lengths[has] = np.diff(cut.offsets)[values]
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        starts = np.zeros(len(texts.rows), np.int64)
        starts[has] = cut.offsets[:-1][values]
        places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        block = csr_matrix(
            (np.ones(len(places), np.float32), cut.members[places], offsets),
            shape=(len(texts.rows), max(len(cut.texts), 1)),
        )
        block.sum_duplicates()
        block.data[:] = 1
        blocks.append(block)
    from scipy.sparse import hstack

    return csr_matrix(hstack(blocks, format="csr"))
