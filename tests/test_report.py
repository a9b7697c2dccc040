"""The linkage report: its content, its page, its commands."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import pprl
from conftest import encodings_of
from pprl.cli import app
from pprl.errors import (
    MissingColumn,
    OutputExists,
    RecordIdError,
    UnreadableFile,
    UsageError,
)
from pprl.evaluation.figures import Figure
from pprl.evaluation.report import report
from pprl.evaluation.report.facts import Facts, template
from pprl.evaluation.report.model import LinkageReport
from pprl.evaluation.review_estimate import ReviewEstimate
from pprl.exchange.encodings import Encodings

SECTIONS = [
    "sources",
    "identifiers",
    "preprocessing",
    "encoding",
    "blocking",
    "matching",
    "flow",
    "results",
    "error_rates",
    "subgroups",
    "sensitivity",
    "plausibility",
    "separation",
    "limitations",
    "software",
]
SCHEMA_FILE = Path(__file__).parent.parent / "docs" / "reference" / "linkage_report.schema.json"
SHARED, ALONE = 300, 200


def filters(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((n, 512)) < 0.3


def files() -> tuple[Encodings, Encodings, pd.DataFrame]:
    """Two files that share people, with filters that differ in some bits, and the truth."""
    shared, noise = filters(SHARED, 1), np.random.default_rng(2)
    near = shared ^ (noise.random(shared.shape) < 0.02)
    present = {"surname": 1.0, "born": 0.93, "postcode": 0.998}
    a, b = (
        encodings_of(np.packbits(np.concatenate([part, filters(ALONE, at)]), axis=1), holder)
        for at, (part, holder) in enumerate([(shared, "xandria"), (near, "quorra")], start=5)
    )
    a, b = (
        dataclasses.replace(one, info=one.info.model_copy(update={"present": present}))
        for one in (a, b)
    )
    truth = pd.DataFrame(
        {
            "left_id": [f"xandria{i}" for i in range(SHARED)],
            "right_id": [f"quorra{i}" for i in range(SHARED)],
        }
    )
    return a, b, truth


def curve_of(result: pprl.LinkResult) -> pa.Table:
    """A curve such as an automatic threshold leaves."""
    links = np.arange(10, len(result.links) + 150, 5)
    links = np.union1d(links, [len(result.links)])
    false = np.maximum(links - SHARED, 0) * 0.9 + 0.5
    score = 1 - links / 1000
    return pa.table(
        {
            "score": score,
            "similarity": score + 0.02,
            "links": links,
            "expected_false": false,
            "false_low": false / 2,
            "false_high": np.minimum(false * 2 + 1, links),
        }
    )


def similarities_of(result: pprl.LinkResult) -> pa.Table:
    links = np.bincount(
        (result.links.table["similarity"].to_numpy() / 0.005 + 1e-9).astype(int), minlength=201
    )
    others = np.where(np.arange(201) < 80, 300, 0)
    return pa.table({"similarity": np.arange(201) * 0.005, "pairs": links + others, "links": links})


@pytest.fixture(scope="module")
def linked() -> tuple[pprl.LinkResult, pd.DataFrame]:
    a, b, truth = files()
    result = pprl.link(a, b, workers=1)
    return dataclasses.replace(
        result, curve=curve_of(result), similarities=similarities_of(result)
    ), truth


@pytest.fixture(scope="module")
def groups() -> dict[str, pd.DataFrame]:
    n = SHARED + ALONE
    return {
        "xandria": pd.DataFrame(
            {
                "record_id": [f"xandria{i}" for i in range(n)],
                "sex": np.where(np.arange(n) % 2, "woman", "man"),
                "region": np.where(
                    np.arange(n) < 30, "north", np.where(np.arange(n) < 34, "isle", "")
                ),
            }
        )
    }


@pytest.fixture(scope="module")
def folder(linked: tuple[pprl.LinkResult, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command leaves."""
    result, truth = linked
    there = tmp_path_factory.mktemp("linkage")
    result.links.save(there / "links.parquet")
    (there / "linkage.json").write_text(json.dumps(result.facts(*result.inputs)))
    assert result.estimate is not None
    (there / "estimate.json").write_text(json.dumps(result.estimate.to_dict()))
    pq.write_table(result.curve, there / "curve.parquet")
    pq.write_table(result.similarities, there / "similarities.parquet")
    truth.to_csv(there / "truth.csv", index=False)
    return there


@pytest.fixture(scope="module")
def written(
    linked: tuple[pprl.LinkResult, pd.DataFrame],
    groups: dict[str, pd.DataFrame],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[LinkageReport, Path]:
    """A report with everything in it, and where it was written."""
    result, truth = linked
    there = tmp_path_factory.mktemp("report")
    return report(result, there / "report.html", truth=truth, groups=groups), there


class Page(HTMLParser):
    """Collects what the tests look at, and insists on balanced tags."""

    VOID = frozenset({"meta", "br", "link", "img", "hr", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_published_schema_is_current() -> None:
    assert json.loads(SCHEMA_FILE.read_text()) == LinkageReport.json_schema()


@pytest.mark.parametrize(
    ("rule", "says"), [("mixture", "where two bell curves cross"), ("fixed", "given")]
)
def test_where_the_threshold_comes_from(
    linked: tuple[pprl.LinkResult, pd.DataFrame], tmp_path: Path, rule: str, says: str
) -> None:
    content = pprl.report(
        dataclasses.replace(linked[0], rule=rule, estimate=None, curve=None), tmp_path / "one.html"
    )
    assert content.matching.threshold_from == rule
    assert f", {says}</dd>" in (tmp_path / "one.html").read_text()


def test_the_precision_that_was_asked_for(
    linked: tuple[pprl.LinkResult, pd.DataFrame], tmp_path: Path
) -> None:
    content = pprl.report(
        dataclasses.replace(linked[0], precision_asked=0.99), tmp_path / "report.html"
    )
    assert content.matching.precision_asked == 0.99
    assert "an estimated precision of 0.99" in (tmp_path / "report.html").read_text()


def test_everything_in_it_is_of_the_run(
    linked: tuple[pprl.LinkResult, pd.DataFrame], written: tuple[LinkageReport, Path]
) -> None:
    (result, truth), (content, there) = linked, written
    stored = json.loads((there / "linkage_report.json").read_text())
    assert list(stored) == SECTIONS
    jsonschema.validate(stored, json.loads(SCHEMA_FILE.read_text()))
    assert LinkageReport.model_validate(stored) == content
    n, links = SHARED + ALONE, len(result.links)
    assert [one.linked.value for one in content.flow.sources] == [links, links]
    assert content.flow.compared == n * n
    quality = pprl.evaluate(result.links, truth)
    estimate, true = content.error_rates
    assert true.precision is not None
    assert true.precision.value == round(quality.precision.value, 4)
    assert true.counts is not None
    assert true.counts["false_negatives"] == quality.false_negatives
    assert result.estimate is not None
    assert result.estimate.precision is not None
    assert estimate.precision is not None
    assert estimate.precision.low == round(result.estimate.precision.low, 4)
    sex, region = content.subgroups
    assert sex.groups is not None
    assert {one.group: one.records for one in sex.groups} == {"man": n // 2, "woman": n // 2}
    women = result.links.to_pandas()["left_id"].str.removeprefix("xandria").astype(int) % 2
    assert {one.group: one.linked.value for one in sex.groups}["woman"] == int(women.sum())
    # Four on the isle are too few to be named.
    assert region.groups is not None
    assert "isle" not in {one.group for one in region.groups}
    assert region.merged == 2
    assert content.sensitivity.chosen is not None
    assert content.sensitivity.estimated is not None
    assert links in {cut.links for cut in content.sensitivity.estimated}
    assert all(b.links - a.links >= 10 for a, b in pairwise(content.sensitivity.estimated))
    assert content.sensitivity.against_truth is not None
    last = content.sensitivity.against_truth[-1]
    assert (last.links, last.precision) == (links, true.precision)
    assert content.results.similarities is not None
    assert sum(one.pairs for one in content.results.similarities.links) == links


def test_completeness_hides_few_people(linked: tuple[pprl.LinkResult, Any]) -> None:
    content = report(linked[0])
    shares = {one.field: [part.share for part in one.completeness] for one in content.identifiers}
    assert shares == {"surname": [1.0, 1.0], "born": [0.93, 0.93], "postcode": [None, None]}


def test_no_record_is_in_it(
    linked: tuple[pprl.LinkResult, pd.DataFrame],
    groups: dict[str, pd.DataFrame],
    written: tuple[LinkageReport, Path],
) -> None:
    result, _ = linked
    for name in ("report.html", "linkage_report.json"):
        text = (written[1] / name).read_text()
        assert not [
            i for i in groups["xandria"]["record_id"] if f"{i}<" in text or f'"{i}"' in text
        ]
        assert result.inputs[0].key_check not in text


def test_the_page_stands_alone_and_can_be_read(
    written: tuple[LinkageReport, Path],
) -> None:
    text = (written[1] / "report.html").read_text()
    page = Page(text)
    assert not page.all("script")
    assert not page.all("link")
    assert not page.all("img")
    addresses = {
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in {"src", "href", "xlink:href"}
    }
    assert all(value and value.startswith("#") for value in addresses)
    assert "@import" not in text
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {str(value)[1:] for value in addresses} <= set(ids)
    pictures = page.all("svg")
    # Of region all rates are withheld, so it has none.
    assert len(pictures) == 8
    for picture in pictures:
        assert picture["role"] == "img"
        assert picture["aria-labelledby"] in ids
    assert page.all("html")[0]["lang"] == "en"
    levels = [int(tag[1]) for tag, _ in page.tags if tag in {"h1", "h2", "h3", "h4"}]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all("scope" in attributes for attributes in page.all("th"))
    # Wide tables scroll, also by keyboard.
    assert all(
        one["tabindex"] == "0" and one["aria-label"]
        for one in page.all("div")
        if (one.get("class") or "").startswith("scroll")
    )
    for scheme in ("prefers-color-scheme: dark", "@media print"):
        assert scheme in text
    assert "#1f6391" not in text[text.index("<main") :], "pictures take the page's colours"


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast of two colours."""
    lights = []
    for colour in (one, other):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (
            p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
        )
        lights.append(0.2126 * red + 0.7152 * green + 0.0722 * blue)
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def test_colours_have_contrast() -> None:
    css = (Path(pprl.__file__).parent / "evaluation" / "report" / "report.css").read_text()
    light, dark = css.split("@media (prefers-color-scheme: dark)")[:2]
    for block in (light, dark.split("* {")[0]):
        colours = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", block))
        for name in ("ink", "muted", *(f"series-{at}" for at in range(1, 7))):
            assert contrast(colours[name], colours["paper"]) >= 4.5, name
        # Numbers stand on bars.
        assert contrast(colours["ink"], colours["faint"]) >= 4.5


def test_what_is_missing_is_said(linked: tuple[pprl.LinkResult, Any], tmp_path: Path) -> None:
    result, _ = linked
    bare = dataclasses.replace(result, curve=None, similarities=None)
    content = report(bare, tmp_path / "report.html")
    said = " ".join(one.text for one in content.limitations)
    for words in ("no similarities", "no curve", "Recall is not known", "no groups"):
        assert words in said
    fixed = dataclasses.replace(bare, estimate=None, rule="fixed")
    said = " ".join(one.text for one in report(fixed).limitations)
    assert "error rates are not known" in said
    assert "is not known" in (tmp_path / "report.html").read_text()


def test_from_a_folder_as_from_memory(
    linked: tuple[pprl.LinkResult, pd.DataFrame], folder: Path
) -> None:
    memory, stored = report(linked[0]), report(folder)
    assert set(stored.software.sha256) == {"links.parquet", "linkage.json"}
    apart = {"software", "results"}
    assert memory.model_dump(exclude=apart) == stored.model_dump(exclude=apart)


def test_clusters(tmp_path: Path) -> None:
    a, b, _ = files()
    c = encodings_of(np.packbits(np.concatenate([filters(SHARED, 1), filters(90, 8)]), axis=1), "c")
    c = dataclasses.replace(c, info=c.info.model_copy(update={"present": a.info.present}))
    result = pprl.cluster(a, b, c, threshold=0.8, workers=1)
    persons = pd.DataFrame(
        [
            (one.info.holder, record, at if at < SHARED else f"{one.info.holder}{at}")
            for one in (a, b, c)
            for at, record in enumerate(one.record_ids.to_pylist())
        ],
        columns=["holder", "record_id", "person_id"],
    )
    content = report(result, tmp_path / "report.html", truth=persons)
    assert content.flow.kind == "clusters"
    assert content.flow.links.value == SHARED
    assert [one.linked.value for one in content.flow.sources] == [SHARED] * 3
    assert content.results.cluster_sizes is not None
    assert {size: one.value for size, one in content.results.cluster_sizes.items()} == {
        "1": 2 * ALONE + 90,
        "3": SHARED,
    }
    (true,) = content.error_rates
    assert true.others["cluster_f1"] == 1.0
    Page((tmp_path / "report.html").read_text())
    alone = pprl.dedupe(a, threshold=0.8, workers=1)
    single = report(alone, tmp_path / "one" / "report.html")
    # Nobody is twice in the file, which is a small number.
    assert single.flow.links.value is None


def test_results_report_by_the_front_door(
    linked: tuple[pprl.LinkResult, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pprl, "report", report, raising=False)
    linked[0].report(tmp_path / "report.html", smallest=20)
    stored = json.loads((tmp_path / "linkage_report.json").read_text())
    assert stored["software"]["smallest_cell"] == 20
    with pytest.raises(OutputExists):
        linked[0].report(tmp_path / "report.html")


def test_facts_are_marked_and_small_ones_withheld(
    linked: tuple[pprl.LinkResult, Any], tmp_path: Path
) -> None:
    text = template(["xandria", "quorra"], ["surname", "born"])
    empty = Facts.model_validate(tomllib.loads(text))
    assert all(value is None for one in empty.sources.values() for _, value in one)
    assert set(empty.identifiers) == {"surname", "born"}
    filled = "\n".join(
        line.removeprefix("# ").split("#")[0].replace('""', '"some words"').replace("= 0 ", "= 3 ")
        if line.startswith("# ") and " = " in line and "invalid_share" not in line
        else line
        for line in text.splitlines()
    )
    (tmp_path / "facts.toml").write_text(filled.replace("received = 3", "received = 503"))
    content = report(linked[0], tmp_path / "report.html", facts=tmp_path / "facts.toml")
    source = content.sources[0]
    assert source.given is not None
    assert source.given.population == "some words"
    assert source.given.received is None
    assert source.removed_invalid is not None
    assert (source.removed_invalid.value, source.removed_invalid.high) == (None, 9)
    assert source.received is not None
    assert source.received.value is None
    assert content.plausibility.counts["two_deaths"].value is None
    assert all(one.given == "some words" for one in content.separation.not_protected)
    page = (tmp_path / "report.html").read_text()
    assert page.count('<span class="given">given</span>') > 40


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[sources.nobody]", "nobody"),
        ("[identifiers.shoe_size]", "shoe_size"),
        ('[software]\ntitel = "x"', "titel"),
        ("[sources.xandria]\nreceived = -1", "received"),
    ],
)
def test_wrong_facts_are_refused(
    linked: tuple[pprl.LinkResult, Any], tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "facts.toml").write_text(text)
    with pytest.raises(UsageError, match=words):
        report(linked[0], facts=tmp_path / "facts.toml")


def test_files_that_cannot_be_read(linked: tuple[pprl.LinkResult, Any], tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="no such file"):
        report(linked[0], facts=tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("= 3")
    with pytest.raises(UnreadableFile, match="TOML"):
        report(linked[0], facts=tmp_path / "bad.toml")
    with pytest.raises(UnreadableFile, match=r"no linkage\.json"):
        report(tmp_path)
    (tmp_path / "linkage.json").write_text("[]")
    with pytest.raises(UnreadableFile, match="not a JSON object"):
        report(tmp_path)
    (tmp_path / "linkage.json").write_text("{}")
    with pytest.raises(UnreadableFile, match="inputs"):
        report(tmp_path)


def test_wrong_groups_are_refused(
    linked: tuple[pprl.LinkResult, Any], groups: dict[str, pd.DataFrame]
) -> None:
    result, table = linked[0], groups["xandria"]
    with pytest.raises(UsageError, match="groups of 'nobody'"):
        report(result, groups={"nobody": table})
    with pytest.raises(MissingColumn):
        report(result, groups={"xandria": table.drop(columns="record_id")})
    with pytest.raises(RecordIdError):
        report(result, groups={"xandria": pd.concat([table, table.head(1)])})
    twice = pd.concat([table, table.assign(record_id="other" + table["record_id"])])
    with pytest.raises(UsageError, match="another holder's"):
        report(result, groups={"xandria": twice})
    with pytest.raises(UsageError, match="record ids"):
        report(result, groups={"quorra": table})
    # Groups of a part of the records leave the rest not stated.
    content = report(result, groups={"xandria": table.head(400)})
    assert content.subgroups[0].groups is not None
    assert content.subgroups[0].groups[-1].group == "not stated"
    assert content.subgroups[0].groups[-1].records == 100


def test_a_column_of_identifiers_shows_nobody(
    linked: tuple[pprl.LinkResult, Any], groups: dict[str, pd.DataFrame]
) -> None:
    table = groups["xandria"][["record_id"]].assign(name=lambda t: "Mr " + t["record_id"])
    (only,) = report(linked[0], groups={"xandria": table}).subgroups
    assert only.groups is not None
    assert [one.group for one in only.groups] == ["other"]


def test_commands(folder: Path, groups: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    groups["xandria"].to_csv(tmp_path / "groups.csv", index=False)
    run = CliRunner()
    facts = str(tmp_path / "facts.toml")
    assert run.invoke(app, ["facts", str(folder), "-o", facts]).exit_code == 0
    out = tmp_path / "out" / "report.html"
    done = run.invoke(
        app,
        [
            *("report", str(folder), "-o", str(out), "--truth", str(folder / "truth.csv")),
            *("--facts", facts, "--groups", f"xandria={tmp_path / 'groups.csv'}", "--json"),
        ],
    )
    assert done.exit_code == 0, done.output
    stored = json.loads((out.parent / "linkage_report.json").read_text())
    assert json.loads(done.output) == stored
    assert stored["subgroups"][0]["variable"] == "sex"
    again = run.invoke(app, ["report", str(folder), "-o", str(out)])
    assert isinstance(again.exception, OutputExists)
    wrong = run.invoke(
        app, ["report", str(folder), "-o", str(tmp_path / "x.html"), "--groups", "g"]
    )
    assert isinstance(wrong.exception, UsageError)


def test_the_evaluator_never_loads_the_holders_room() -> None:
    code = (
        "import sys, pprl.evaluation.report.build, pprl.evaluation.report.html, "
        "pprl.evaluation.plots\nprint(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert not [name for name in loaded if name.startswith("pprl.holder")]
    assert "matplotlib" not in loaded


def test_notebooks_show_no_record(linked: tuple[pprl.LinkResult, pd.DataFrame]) -> None:
    result, truth = linked
    a, b, _ = files()
    clusters = pprl.cluster(a, b, threshold=0.8, workers=1)
    for shown, words in (
        (result, "estimated precision"),
        (clusters, "of several records"),
        (pprl.evaluate(result.links, truth), "recall"),
        (a, "surname filled"),
    ):
        html = shown._repr_html_()
        Page(html)
        assert words in html
        assert "xandria1" not in html
        assert a.info.key_check not in html
    few = pprl.evaluate(result.links, truth.head(1))
    Page(few._repr_html_())


def test_a_review_and_an_evaluation_are_taken_over(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    result, truth = pprl.Links.load(folder / "links.parquet"), folder / "truth.csv"
    quality = pprl.evaluate(result, truth).to_dict()
    share = {"value": 0.9, "low": 0.85, "high": 0.95}
    (tmp_path / "quality.json").write_text(
        json.dumps(quality | {"blocking": {"pairs_completeness": share}})
    )
    review = {"precision": share, "recall": share, "f1": share, "answered": 80, "unsure": 2}
    (tmp_path / "review.json").write_text(json.dumps(review))
    facts = json.loads((tmp_path / "linkage.json").read_text())
    blocking = {"compared": 1000, "all_pairs": 250_000, "keyless": [3, 0]}
    blocking |= {"dropped_blocks": {"lsh": 2}, "dropped_pairs": 40, "reduction_ratio": 0.996}
    (tmp_path / "linkage.json").write_text(
        json.dumps(facts | {"blocking": blocking, "pairs_compared": 1000, "ambiguous": 4})
    )
    content = report(tmp_path, tmp_path / "report.html")
    assert [one.method for one in content.error_rates] == ["estimate", "review", "truth"]
    assert content.error_rates[1].counts == {"answered": 80}
    figure = Figure(0.8, 0.7, 0.9)
    given = report(tmp_path, review=ReviewEstimate(figure, figure, figure, 3.0, 4.0, 70, 1, 0.5))
    assert given.error_rates[1].recall is not None
    assert given.error_rates[1].recall.low == 0.7
    assert content.error_rates[2].precision == report(folder, truth=truth).error_rates[1].precision
    assert content.blocking.pairs_completeness is not None
    assert content.blocking.reduction_ratio == 0.996
    assert [one.value for one in content.blocking.keyless or ()] == [None, 0]
    assert content.matching.ambiguous is not None
    assert content.matching.ambiguous.value is None
    page = (tmp_path / "report.html").read_text()
    Page(page)
    assert "90.0 % (85.0 to 95.0)" in page
    assert "40 pairs were not compared" in page
