"""Presence masks that too few records share are made coarser; blocking keys are counted."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import pprl
from conftest import SCHEMA_TOML, by_id, encode_by_id
from pprl.cli import app
from pprl.errors import UsageError
from pprl.holder.presence import coarser, pattern_counts, replace_patterns

PATTERNS = st.dictionaries(st.integers(0, 31), st.integers(1, 40), min_size=1, max_size=32)


@given(PATTERNS, st.integers(1, 12))
@settings(max_examples=200)
def test_every_pattern_is_shared_where_it_can_be(counts: dict[int, int], shared_by: int) -> None:
    found = coarser(counts, shared_by)
    written: Counter[int] = Counter()
    for pattern, count in counts.items():
        written[found.get(pattern, pattern)] += count
    assert sum(written.values()) == sum(counts.values())
    if sum(counts.values()) >= shared_by:
        assert min(written.values()) >= shared_by
    else:
        assert len(written) == 1
    # A frequent pattern costs nothing; a rare one calls filled what is empty only at the end.
    frequent = {pattern for pattern, count in counts.items() if count >= shared_by}
    assert not frequent & found.keys()
    false = [pattern for pattern, other in found.items() if other & ~pattern]
    assert sum(counts[one] for one in false) < shared_by


def test_the_rule_by_example() -> None:
    # Fields a, b, c as the bits 4, 2, 1; ten must share a pattern.
    assert coarser({0b111: 50, 0b110: 20, 0b100: 12}, 10) == {}
    assert coarser({0b111: 50, 0b110: 20, 0b101: 3, 0b100: 12}, 10) == {0b101: 0b100}
    # Who lacks b and who lacks c are together enough for what they have in common ...
    assert coarser({0b111: 50, 0b101: 6, 0b110: 5}, 10) == {0b101: 0b100, 0b110: 0b100}
    # ... which costs less than a frequent pattern with no field.
    found = coarser({0b1111: 50, 0b1101: 6, 0b1110: 5, 0: 12}, 10)
    assert found == {0b1101: 0b1100, 0b1110: 0b1100}
    # One that can be joined with none: the nearest.
    assert coarser({0b111: 50, 0b011: 6}, 10) == {0b011: 0b111}
    assert coarser({0b11: 2, 0b10: 3}, 10) == {0b11: 0b10}
    wide = 1 << 70
    assert coarser({wide | 3: 50, wide | 1: 4, wide | 2: 9}, 10) == {wide | 1: wide, wide | 2: wide}


@pytest.mark.parametrize("width", [1, 2, 3, 8, 9])
def test_patterns_of_any_width(width: int) -> None:
    mask = np.random.default_rng(1).integers(0, 3, (500, width)).astype(np.uint8) << 6
    plain = Counter(int.from_bytes(row.tobytes(), "big") for row in mask)
    assert pattern_counts(mask) == dict(plain)
    some = next(iter(plain))
    changed = replace_patterns(mask, {some: 0})
    for before, after in zip(mask, changed, strict=True):
        number = int.from_bytes(before.tobytes(), "big")
        assert int.from_bytes(after.tobytes(), "big") == (0 if number == some else number)
    assert replace_patterns(mask, {}) is mask


BLOCKING = """
[[blocking]]
name = "year"
parts = [{ field = "born", first = 4 }]

[[blocking]]
name = "place"
parts = [{ field = "postcode" }]
"""


def masked() -> tuple[pprl.Schema, pd.DataFrame]:
    """Thirty people; two lack the surname and one of these the postcode as well."""
    text = SCHEMA_TOML.replace("bits = 1024", "bits = 1024\npresence_mask = true", 1)
    people = pd.DataFrame(
        {
            "id": [f"p{i}" for i in range(30)],
            "surname": [None, None] + [f"name {i}" for i in range(28)],
            "born": ["1999-01-31"] * 10 + ["2001-12-01"] * 19 + [None],
            "postcode": [None] + ["1234AB"] * 25 + ["9999ZZ", "1111AA", "1111AA", "2222BB"],
        }
    )
    return pprl.Schema.from_toml(text + BLOCKING), people


def patterns(made: pprl.Encodings) -> list[str]:
    assert made.present is not None
    return ["".join(map(str, row[:3])) for row in np.unpackbits(made.present, axis=1)]


@pytest.mark.parametrize("in_file", [True, False])
def test_rare_masks_are_made_coarser(in_file: bool, tmp_path: Path, key: pprl.LinkageKey) -> None:
    schema, people = masked()
    if in_file:
        pprl.encode_file(people, schema, key, tmp_path / "a", id_column="id", shared_by=2)
        made = by_id(pprl.Encodings.load(tmp_path / "a"))
    else:
        made = encode_by_id(people, schema, key, id_column="id", shared_by=2)
    raw = encode_by_id(people, schema, key, id_column="id", shared_by=1)
    assert patterns(raw) == ["010", "011"] + ["111"] * 27 + ["101"]
    # Without a surname they are two; the one without a birth date has nothing in common with them.
    assert patterns(made) == ["000", "000"] + ["111"] * 27 + ["000"]
    np.testing.assert_array_equal(made.clks, raw.clks)
    told = made.info.exposure
    assert told is not None
    assert min(Counter(patterns(made)).values()) >= 2
    assert told.patterns == len(set(patterns(made)))
    assert told.alone_by_pattern == 0
    assert raw.info.exposure is not None
    assert raw.info.exposure.alone_by_pattern == pytest.approx(3 / 30)
    assert raw.info.exposure.coarsened == 0
    assert told.coarsened > 0
    assert made.info.present == raw.info.present


def test_blocking_keys_are_counted(key: pprl.LinkageKey) -> None:
    schema, people = masked()
    told = pprl.encode(people, schema, key, id_column="id").info.exposure
    assert told is not None
    assert told.blocks["year"].model_dump() == {"blocks": 2, "smallest": 10, "alone": 0.0}
    place = told.blocks["place"]
    assert (place.blocks, place.smallest) == (4, 1)
    assert place.alone == pytest.approx(2 / 30, abs=1e-6)
    # p0: no postcode; p26: 9999ZZ; p29: 2222BB and no year. The two of 1111AA share both keys.
    assert told.alone_by_keys == pytest.approx(3 / 30, abs=1e-6)


def test_impossible_numbers_are_refused(key: pprl.LinkageKey) -> None:
    schema, people = masked()
    with pytest.raises(UsageError, match="shared_by"):
        pprl.encode(people, schema, key, id_column="id", shared_by=0)


def test_the_command_line_says_what_lies_open(tmp_path: Path, key_file: Path) -> None:
    schema, people = masked()
    (tmp_path / "s.json").write_text(json.dumps(schema.model_dump(mode="json", exclude_none=True)))
    people.to_csv(tmp_path / "p.csv", index=False)
    arguments = ["encode", str(tmp_path / "p.csv"), "-s", str(tmp_path / "s.json")]
    arguments += ["-k", str(key_file), "--id-column", "id"]
    done = CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / "a"), "--json"])
    assert done.exit_code == 0, done.output
    assert "lies open: rows are in random order" in done.stderr
    assert "lies open: blocking 'place': 4 blocks, the smallest of 1" in done.stderr
    assert "presence mask" in done.stderr
    assert json.loads(done.stdout)["exposure"]["order"] == "random"
    with pytest.warns(pprl.errors.PprlWarning, match="keep the order"):
        done = CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / "b"), "--keep-order"])
    assert pprl.Encodings.load(tmp_path / "b").record_ids.to_pylist() == people["id"].to_list()
