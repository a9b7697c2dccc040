"""How large a foreign file and its parts may be. Each limit is far above what honest files need."""

from __future__ import annotations

ID_BYTES = 1024
"""Bytes of a record id or a cluster id. A UUID has 36, a SHA-512 in hexadecimal 128."""

NAME_CHARACTERS = 200
"""Characters of a name in a header: holder, schema, field, group, pass, library."""

SENTENCE_CHARACTERS = 4_000
"""Characters of what a header says in sentences: consent and provenance."""

HEADER_BYTES = 1 << 20
"""Bytes of a header. With 64 groups and 1,000 fields it has about 100,000."""

CLK_BITS = 1 << 20
"""Bits of a CLK, all groups together. The largest in use have 2^14."""

GROUPS, FIELDS, PASSES = 64, 1_000, 256
"""CLK groups, fields and blocking passes of a header."""

DOCUMENT_BYTES = 1 << 20
"""Bytes of what people write: schemas, job files, facts."""

RESULT_BYTES = 256 << 20
"""Bytes of JSON that pprl writes: linkage.json, plans of reviews, manifests."""

CLKHASH_BYTES = 4 << 30
"""Bytes of a clkhash JSON file; with 1,024 bits that is 24 million CLKs."""

DEPTH = 64
"""How deep JSON and TOML may nest. Ours nest 8 deep."""

DOTS_IN_A_LINE = 1_000
"""Dots in a line of TOML; a reader takes time with the square of the parts of a dotted key."""

EXPANSION = 32
"""How much larger than its file a table may be in memory. CLKs cannot be compressed, and so are
as large in memory as in the file; plain CLKs of one bit in twenty compress to a third."""

EXPANSION_FROM = 64 << 20
"""Bytes that any file may take in memory, however small it is."""

FOOTER_STRING_BYTES, FOOTER_ITEMS = 16 << 20, 1 << 20
"""The longest string and list in a Parquet footer."""
