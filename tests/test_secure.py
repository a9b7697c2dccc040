"""Secure linkage but for its engine: shares say nothing, and results become the right links."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import pprl
from pprl.cli import app
from pprl.errors import (
    JobError,
    LengthMismatch,
    TooManyPairs,
    UnreadableFile,
    UsageError,
    WrongRecipient,
)
from pprl.exchange.links import Links
from pprl.exchange.secure_job import SecureJob
from pprl.exchange.shares import Ids, lay_out, put_together, read_answer, split
from pprl.linkage.candidates.similarity import UNREACHABLE, fewest_common_bits
from pprl.linkage.secure import (
    choose_links,
    choose_threshold,
    exact,
    find_rivals,
    read_reached,
)
from secure_parts import HOLDERS, Parts, answered, made_up, parts, rebuilt


@given(st.floats(0.01, 1.0), st.sampled_from([8, 64, 1024]))
def test_whole_numbers_decide_as_the_plaintext_path(threshold: float, bits: int) -> None:
    p, q = exact(threshold, bits)
    counts = np.arange(1, bits + 1, max(bits // 64, 1))
    fewest = fewest_common_bits("dice", threshold, counts, counts, bits).astype(np.int64)
    both = counts[:, None] + counts[None, :]
    most = np.minimum(counts[:, None], counts[None, :])
    inside = fewest != UNREACHABLE
    assert (2 * q * most < p * both)[~inside].all()
    assert (2 * q * fewest >= p * both)[inside].all()
    assert (2 * q * (fewest - 1) < p * both)[inside].all()


def test_a_threshold_that_is_a_similarity_is_reached_by_it() -> None:
    assert exact(2 / 3, 1024) == (2, 3)
    assert exact(1.0, 1024) == (1, 1)
    assert exact(0.8, 1024) == (4, 5)


@pytest.mark.parametrize("blocks", [1, 4])
def test_three_shares_are_the_encodings_and_each_stands_somewhere(
    tmp_path: Path, blocks: int
) -> None:
    files = made_up(40, 50)
    made = parts(tmp_path, files, threshold=0.7, blocks=blocks)
    for file, ids in zip(files, made.ids, strict=True):
        bits = rebuilt(made, ids.holder)
        for number, slots in enumerate(ids.layout.passes):
            held = np.packbits(bits[number], axis=-1)
            assert (held[slots >= 0] == file.clks[slots[slots >= 0]]).all()
            assert not held[slots < 0].any()
            rows = np.sort(slots[slots >= 0])
            keyed = (
                np.arange(len(file)) if blocks == 1 else np.flatnonzero(file.block_keys[:, number])
            )
            assert (rows == keyed).all()
        assert ids.record_ids.equals(file.record_ids)


def test_records_with_one_key_stand_in_one_block_of_both_files(tmp_path: Path) -> None:
    files = made_up(40, 50)
    made = parts(tmp_path, files, threshold=0.7, blocks=4)
    for number in range(2):
        block_of = [
            {
                int(ids.layout.passes[number][block, place]): int(block)
                for block, place in np.argwhere(ids.layout.passes[number] >= 0)
            }
            for ids in made.ids
        ]
        for i, key in enumerate(files[0].block_keys[:, number]):
            for j in np.flatnonzero(files[1].block_keys[:, number] == key):
                if key:
                    assert block_of[0][i] == block_of[1][int(j)]


def test_blocks_are_filled_up_and_capacity_is_rounded(tmp_path: Path) -> None:
    made = parts(tmp_path, made_up(40, 50), threshold=0.7, blocks=4)
    for ids in made.ids:
        for slots in ids.layout.passes:
            assert slots.shape[0] == 4
            assert slots.shape[1] % 8 == 0
            # Empty places are mixed with the others: not all at a block's end.
            assert any((row[: (row >= 0).sum()] < 0).any() for row in slots if (row < 0).any())


def test_what_a_party_gets_is_random_whatever_the_encodings_are(tmp_path: Path) -> None:
    """All bits set, and none: each string is a fair coin for either, and strings do not repeat."""
    n, bits = 400, 256
    full, empty = made_up(n, n, bits)
    full = replace(full, clks=np.full_like(full.clks, 255))
    empty = replace(empty, clks=np.zeros_like(empty.clks))
    made = parts(tmp_path, (full, empty), threshold=0.7)
    for holder in HOLDERS:
        strings = []
        for party in range(3):
            own, following = made.shares(holder, party)[1][0]
            strings.append(own)
            assert (following == made.shares(holder, (party + 1) % 3)[1][0][0]).all()
            for string in (own, following, own ^ following):
                flat = np.unpackbits(string)
                # Five standard deviations of a fair coin.
                assert abs(flat.mean() - 0.5) < 2.5 / np.sqrt(flat.size)
        assert len({string.tobytes() for string in strings}) == 3
        again = tmp_path / f"again-{holder}"
        file = full if holder == HOLDERS[0] else empty
        split(file, made.job, holder, lay_out(file, made.job), [], again)
        moved = Parts(tmp_path, made.job, made.ids)
        (again / f"{holder}.party0.age").replace(tmp_path / "shares" / f"{holder}.party0.age")
        assert (moved.shares(holder, 0)[1][0][0] != strings[0]).mean() > 0.9


def test_rows_are_shuffled(tmp_path: Path) -> None:
    file = made_up(200, 200)[0]
    job = parts(tmp_path, made_up(4, 4), threshold=0.7).job
    one, two = (lay_out(file, job).passes[0][0] for _ in range(2))
    assert (one != np.arange(200)).sum() > 150
    assert (one != two).sum() > 150


@pytest.mark.parametrize("matching", ["one-to-one", "one-to-many", "many-to-one", "many-to-many"])
@pytest.mark.parametrize("threshold", [0.6, 0.8, 0.9])
def test_links_are_those_of_the_plaintext_path(
    tmp_path: Path, matching: str, threshold: float
) -> None:
    files = made_up(40, 50)
    made = parts(tmp_path, files, threshold=threshold, matching=matching)
    p, q = made.job.job.threshold_exact
    step = {"step": "compare", "threshold": [p, q]}
    reached = read_reached(put_together(answered(made, step), made.job, made.ids), *made.ids)
    asked, rivals = find_rivals(reached, matching, 10_000)
    order = None
    if len(rivals):
        step = {"step": "order", "pairs": reached.places[asked], "rivals": rivals}
        order = put_together(answered(made, step), made.job, made.ids)
    links = choose_links(reached, matching, asked, rivals, order, *made.ids)
    plain = pprl.link(*files, threshold=threshold, matching=matching).links
    assert len(plain) > 5
    columns = ["left_id", "right_id"]
    assert links.table.select(columns).equals(plain.table.select(columns))
    assert links.table["similarity"].null_count == len(links)
    links.save(tmp_path / "links.parquet")
    assert len(Links.load(tmp_path / "links.parquet")) == len(links)


def test_links_of_blocks_are_those_within_the_blocks(tmp_path: Path) -> None:
    files = made_up(40, 50)
    made = parts(tmp_path, files, threshold=0.7, matching="many-to-many", blocks=4)
    step = {"step": "compare", "threshold": list(made.job.job.threshold_exact)}
    reached = read_reached(put_together(answered(made, step), made.job, made.ids), *made.ids)
    got = set(zip(reached.left.tolist(), reached.right.tolist(), strict=True))
    shares_block = (
        (files[0].block_keys[:, None, :] % 4 == files[1].block_keys[None, :, :] % 4)
        & (files[0].block_keys[:, None, :] > 0)
        & (files[1].block_keys[None, :, :] > 0)
    ).any(2)
    plain = pprl.link(*files, threshold=0.7, matching="many-to-many").links.table
    ids = [{name: at for at, name in enumerate(file.record_ids.to_pylist())} for file in files]
    every = {
        (ids[0][x], ids[1][y])
        for x, y in zip(plain["left_id"].to_pylist(), plain["right_id"].to_pylist(), strict=True)
    }
    assert got == {pair for pair in every if shares_block[pair]}
    assert got != every


def test_too_many_rivals_are_refused(tmp_path: Path) -> None:
    files = made_up(40, 50)
    made = parts(tmp_path, files, threshold=0.5)
    step = {"step": "compare", "threshold": list(made.job.job.threshold_exact)}
    reached = read_reached(put_together(answered(made, step), made.job, made.ids), *made.ids)
    with pytest.raises(TooManyPairs, match="most-order"):
        find_rivals(reached, "one-to-one", 3)


def test_answers_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    made = parts(tmp_path, made_up(8, 9), threshold=0.7)
    answers = answered(made, {"step": "compare", "threshold": [7, 10]})

    def changed(**header: object) -> list:
        return [*answers[:2], replace(answers[2], header=answers[2].header | header)]

    for wrong, said in [
        (answers[:2], "parties 0, 1 and 2"),
        (changed(party=1), "parties 0, 1 and 2"),
        (changed(run="two"), "same run"),
        (changed(agreed="other"), "same run"),
        ([replace(answers[0], payload=b""), *answers[1:]], "cut short"),
        ([replace(a, header=a.header | {"job": "0" * 32}) for a in answers], "another job"),
        ([replace(a, header=a.header | {"layouts": {}}) for a in answers], "same shares"),
    ]:
        with pytest.raises(UnreadableFile, match=said):
            put_together(wrong, made.job, made.ids)


def test_the_threshold_from_counts_ends_where_half_of_the_added_pairs_are_false() -> None:
    grid = [(6, 10), (7, 10), (8, 10), (9, 10)]
    # Of a million pairs within each file as many are alike by chance as between the files.
    within = [np.array([[4000, 300, 20, 0]]), np.array([[4000, 300, 20, 0]])]
    between = np.array([[9000, 1200, 780, 500]])
    assert choose_threshold(grid, between, within, (1000, 1000)) == (8, 10)
    few = [np.array([[400, 30, 2, 0]])] * 2
    assert choose_threshold(grid, np.array([[1500, 900, 780, 500]]), few, (1000, 1000)) == (7, 10)
    assert choose_threshold(grid, np.array([[8000, 600, 40, 0]]), within, (1000, 1000)) is None


def test_shares_are_sealed_to_one_party_each(tmp_path: Path) -> None:
    made = parts(tmp_path, made_up(8, 9), threshold=0.7)
    with pytest.raises(WrongRecipient):
        read_answer(tmp_path / "shares/hospital.party0.age", made.identity("party1"))
    with pytest.raises(WrongRecipient):
        Ids.load(tmp_path / "shares/hospital.ids.age", made.identity("party0"))
    with pytest.raises(UnreadableFile, match="record ids"):
        Ids.load(tmp_path / "shares/hospital.party0.age", made.identity("party0"))


def test_what_cannot_be_split_is_refused(tmp_path: Path) -> None:
    files = made_up(8, 9)
    made = parts(tmp_path, files, threshold=0.7)
    layout = lay_out(files[0], made.job)
    out = tmp_path / "other"
    with pytest.raises(UsageError, match="between hospital and registry"):
        split(files[0], made.job, "school", layout, [], out)
    info = files[0].info.model_copy(update={"records": 7})
    variants = replace(files[0], variants=np.array([0, 1, *[0] * 6], np.uint8), info=info)
    with pytest.raises(UsageError, match="variants"):
        split(variants, made.job, "hospital", layout, [], out)
    long = made_up(8, 9, bits=512)[0]
    with pytest.raises(LengthMismatch, match="512"):
        split(long, made.job, "hospital", layout, [], out)
    terms = made.job.job.model_copy(update={"blocking": "keys", "blocks": 4})
    keyed = made.job.model_copy(update={"job": terms})
    with pytest.raises(UsageError, match="blocking keys"):
        lay_out(replace(files[0], block_keys=None), keyed)
    assert not out.exists()


def test_a_job_file_says_what_is_wrong(tmp_path: Path) -> None:
    made = parts(tmp_path, made_up(8, 9), threshold=0.7)
    assert SecureJob.load(tmp_path / "job.toml") == made.job
    text = (tmp_path / "job.toml").read_text()
    for old, new, said in [
        ('"hospital", "registry"', '"hospital", "hospital"', "different names"),
        ("blocks = 1", "blocks = 2", "has more"),
        ("bits = 256", "bits = 255", "bits"),
        ("[links_to]", "[links", "not TOML"),
    ]:
        wrong = tmp_path / "wrong.toml"
        wrong.write_text(text.replace(old, new))
        with pytest.raises(JobError, match=said):
            SecureJob.load(wrong)


def test_the_commands_write_a_job_and_shares(tmp_path: Path) -> None:
    from pprl.exchange.identities import new_identity

    names = [new_identity(tmp_path / f"{n}.txt") for n in range(4)]
    made_up(20, 20)[0].save(tmp_path / "a.clk.parquet")
    run = CliRunner()
    options = ["--left", "hospital", "--right", "registry", "--bits", "256"]
    options += ["--links-to", names[3], "--threshold", "0.8", "-o", str(tmp_path / "job.toml")]
    for n in range(3):
        options += ["--party", f"p{n},127.0.0.1:{7000 + n},{names[n]}"]
    made = run.invoke(app, ["secure", "job", *options])
    assert made.exit_code == 0, made.output
    job = SecureJob.load(tmp_path / "job.toml")
    assert job.job.threshold_exact == (4, 5)
    out = ["--job", str(tmp_path / "job.toml"), "--holder", "hospital", "-o", str(tmp_path / "s")]
    cut = run.invoke(app, ["secure", "split", str(tmp_path / "a.clk.parquet"), *out])
    assert cut.exit_code == 0, cut.output
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == [
        "hospital.ids.age",
        "hospital.party0.age",
        "hospital.party1.age",
        "hospital.party2.age",
    ]
