"""Reading people's records: what a data holder takes from the one reader of tables."""

from __future__ import annotations

from pprl.tables.columns import require_columns
from pprl.tables.csv_files import CsvFormat
from pprl.tables.read import BATCH_ROWS, column_names, count_rows, read_batches
from pprl.tables.read import Table as Records

__all__ = [
    "BATCH_ROWS",
    "CsvFormat",
    "Records",
    "column_names",
    "count_rows",
    "read_batches",
    "require_columns",
]
