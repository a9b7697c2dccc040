"""Files with one thing wrong each, kept since they were found: refused, whole or in pieces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import faults
import pprl
from pprl.errors import PprlError

FOLDER = Path(__file__).parent / "golden" / "failures"
SAID = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))

pytestmark = pytest.mark.filterwarnings("ignore:.* is unverified")


@pytest.mark.parametrize("name", sorted(SAID))
def test_one_thing_wrong(name: str) -> None:
    for read in (faults.read_whole, faults.read_in_pieces):
        with pytest.raises(PprlError) as caught:
            read(FOLDER / name)()
        assert caught.value.exit_code == 3
        if read is faults.read_whole:
            # What follows may be in the words of Python or Arrow, which change.
            assert str(caught.value).replace(str(FOLDER / name), "FILE")[:30] == SAID[name][:30]


def test_the_whole_file_is_read() -> None:
    assert len(pprl.Encodings.load(FOLDER / "whole.clk.parquet")) == 24
    assert {one.name for one in FOLDER.glob("*.parquet")} == {*SAID, "whole.clk.parquet"}
