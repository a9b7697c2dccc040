"""The threshold of two bell curves, which is there for those who ask for it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import norm
from typer.testing import CliRunner

import pprl
from conftest import encodings_of
from pprl.cli import app
from pprl.errors import PprlWarning, UsageError
from pprl.linkage.decision.gaussian_mixture import find_mixture_threshold


@settings(deadline=None, max_examples=25)
@given(
    share=st.floats(0.2, 0.8),
    low=st.floats(0.2, 0.45),
    apart=st.floats(0.25, 0.5),
    widths=st.tuples(st.floats(0.02, 0.06), st.floats(0.02, 0.06)),
    seed=st.integers(0, 2**32 - 1),
)
def test_it_lies_where_the_curves_cross(
    share: float, low: float, apart: float, widths: tuple[float, float], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    upper = rng.random(4_000) < share
    drawn = rng.normal(np.where(upper, low + apart, low), np.where(upper, *widths[::-1]))

    def odds(at: float) -> float:
        return share * norm.pdf(at, low + apart, widths[1]) - (1 - share) * norm.pdf(
            at, low, widths[0]
        )

    crossing = brentq(odds, low, low + apart)
    found = find_mixture_threshold(drawn)
    assert found is not None
    # It is a similarity that some link has, just above the crossing, where few have one.
    taken = (drawn >= found).sum()
    assert abs(taken - (drawn >= crossing).sum()) <= 0.01 * len(drawn)


def test_it_cuts_where_either_curve_is_as_likely() -> None:
    """Two that overlap: at the crossing a link is of the upper one with a chance of a half."""
    rng = np.random.default_rng(1)
    upper = rng.random(100_000) < 0.3
    drawn = rng.normal(np.where(upper, 0.7, 0.5), np.where(upper, 0.08, 0.05))
    found = find_mixture_threshold(drawn)
    crossing = brentq(
        lambda at: 0.3 * norm.pdf(at, 0.7, 0.08) - 0.7 * norm.pdf(at, 0.5, 0.05), 0.5, 0.7
    )
    assert found == pytest.approx(crossing, abs=0.004)


def test_where_there_are_no_two_curves() -> None:
    assert find_mixture_threshold(np.empty(0)) is None
    assert find_mixture_threshold(np.linspace(0.4, 0.9, 19)) is None
    assert find_mixture_threshold(np.full(50, 0.7)) is None
    # Most alike to the last bit: the upper curve is one value, and all that is below is lost.
    spike = np.concatenate([np.full(800, 1.0), np.linspace(0.3, 0.99, 500)])
    assert find_mixture_threshold(spike) == 1.0


def files(n: int = 400, shared: int = 200) -> tuple[pprl.Encodings, pprl.Encodings]:
    rng = np.random.default_rng(5)
    bits = rng.random((2, n, 512)) < 0.3
    bits[1, :shared] = bits[0, :shared] ^ (rng.random((shared, 512)) < 0.06)
    made = [
        encodings_of(np.packbits(one, axis=1), name, hardening={})
        for one, name in zip(bits, "ab", strict=True)
    ]
    return made[0], made[1]


def test_linking_says_what_it_rests_on() -> None:
    a, b = files()
    with pytest.warns(PprlWarning, match="two bell curves, .* F1 was between .* auto from"):
        result = pprl.link(a, b, threshold="mixture")
    table = result.links.table
    assert table["left_id"].to_pylist() == [f"a{i}" for i in range(200)]
    assert table["right_id"].to_pylist() == [f"b{i}" for i in range(200)]
    assert table["probability"].null_count == 200
    assert result.rule == "mixture"
    assert result.estimate is None
    assert result.threshold is not None
    assert min(table["similarity"].to_pylist()) >= result.threshold
    assert "mixture" in repr(result)
    # The same links as at that threshold, if it is given.
    assert pprl.link(a, b, threshold=result.threshold).links.table.equals(table)


@pytest.mark.filterwarnings("ignore:the threshold is that of two bell curves")
def test_few_records_give_no_links() -> None:
    a, b = files(15, 10)
    result = pprl.link(a, b, threshold="mixture")
    assert (len(result.links), result.threshold) == (0, None)


@pytest.mark.filterwarnings("ignore:the threshold is that of two bell curves")
def test_any_matching_but_no_clusters_and_no_precision() -> None:
    a, b = files()
    assert len(pprl.link(a, b, threshold="mixture", matching="many-to-many").links) >= 200
    with pytest.raises(UsageError, match="automatic threshold"):
        pprl.link(a, b, threshold="mixture", precision=0.9)
    with pytest.raises(UsageError, match="two files"):
        pprl.link(a, b, a, threshold="mixture")  # type: ignore[call-overload]


def test_from_the_command_line(tmp_path: Path) -> None:
    paths = [tmp_path / "a.pprl", tmp_path / "b.pprl"]
    for one, path in zip(files(), paths, strict=True):
        one.save(path)
    asked = ["link", *map(str, paths), "--threshold", "mixture"]
    with pytest.warns(PprlWarning, match="bell curves"):
        done = CliRunner().invoke(app, [*asked, "-o", str(tmp_path / "links")])
    assert done.exit_code == 0, done.output
    facts = json.loads((tmp_path / "links" / "linkage.json").read_text())
    assert (facts["rule"], facts["links"]) == ("mixture", 200)
    assert not (tmp_path / "links" / "estimate.json").exists()
