"""Where every file of somebody else enters: nothing of it is believed before it is checked.

A linkage unit reads files from parties it does not control. A file may be damaged, made by other
software, or made to do harm. This package is the one way in:

- `limits`: how large anything may be, and why.
- `text`: strings: UTF-8, of bounded length, without control characters.
- `documents`: JSON and TOML: bounded in size and depth, with finite numbers.
- `parquet`: Parquet: sizes from the metadata before memory is taken, checksums, digests.
- `header`: the header of encodings: known names, numbers in range.
- `rows`: rows of encodings: ids, variants, presence, blocking keys; they agree with the header.
- `filters`: filters that no record can have are set aside.
- `tables`: links, clusters, and the tables beside them.

An error is `UnreadableFile` and says what is wrong, and never repeats a value of a record. What
is not an error but should be known, as a file without checksums, is a `PprlWarning`.
"""
