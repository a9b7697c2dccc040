"""Descriptions of runs: what must be there, and what must not."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

import pprl
from conftest import SECRET, encodings_of
from pprl.cli import app
from pprl.errors import OutputExists, UnreadableFile, UsageError
from pprl.evaluation.catalogue import describe_dataset
from pprl.evaluation.facts import EHDS, Facts, template
from pprl.evaluation.provenance import PROFILE, describe_encoding, describe_link
from pprl.evaluation.report.facts import Facts as ReportFacts
from pprl.evaluation.runfolder import LinkRun
from test_link import filters

pytest.importorskip("rocrate")
rdflib = pytest.importorskip("rdflib")

RUN = """
[run.agent]
name = "Linkage unit"
identifier = "https://example.org/unit"
email = "unit@example.org"
homepage = "https://example.org/unit/about"
"""
REST = """
[dataset]
title = "Heart registry linked to cancer registry"
description = "Which records of the two registries are one person."
identifier = "https://example.org/datasets/heart-cancer"
keywords = ["record linkage", "cardiology"]
population = "Patients of either registry, 2020 to 2025"
health_categories = ["https://example.org/category/registries"]

[distribution]
access_url = "https://example.org/request"
license = "https://example.org/licence"
rights = "On request, for the study that asked for it."

[publisher]
name = "Institute"
identifier = "https://example.org/institute"
email = "data@example.org"
homepage = "https://example.org/institute/about"

[[creators]]
name = "Linkage unit"
identifier = "https://example.org/unit"
email = "unit@example.org"
homepage = "https://example.org/unit/about"

[contact]
name = "Data desk"
email = "desk@example.org"
"""


@pytest.fixture
def facts_file(tmp_path: Path) -> Path:
    path = tmp_path / "facts.toml"
    path.write_text(RUN + REST)
    return path


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "job"
    folder.mkdir()
    a, b = (encodings_of(filters(40), holder) for holder in ("secretid-a", "secretid-b"))
    result = pprl.link(a, b, threshold=0.9)
    result.links.save(folder / "links.parquet")
    (folder / "linkage.json").write_text(json.dumps(result.facts(a.info, b.info)))
    (folder / "report.html").write_text("<!doctype html><title>report</title>")
    (folder / "private.txt").write_text("not to be copied")
    return folder


def entities(folder: Path) -> dict[str, dict[str, Any]]:
    document = json.loads((folder / "ro-crate-metadata.json").read_text())
    assert document["@context"][0] == "https://w3id.org/ro/crate/1.1/context"
    graph = document["@graph"]
    found = {entity["@id"]: entity for entity in graph}
    assert len(found) == len(graph)
    return found


def ids(value: Any) -> list[str]:
    return [one["@id"] for one in (value if isinstance(value, list) else [value])]


def check_process_run_crate(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """RO-Crate 1.1 and Process Run Crate 0.5: all that they demand, most that they advise."""
    descriptor, root = found["ro-crate-metadata.json"], found["./"]
    assert descriptor["@type"] == "CreativeWork"
    assert ids(descriptor["conformsTo"]) == ["https://w3id.org/ro/crate/1.1"]
    assert ids(descriptor["about"]) == ["./"]
    assert root["@type"] == "Dataset"
    for name in ("name", "description", "datePublished", "license"):
        assert root[name], name
    assert PROFILE in ids(root["conformsTo"])
    assert found[PROFILE]["@type"] == "CreativeWork"
    (name,) = ids(root["mentions"])
    action = found[name]
    assert name.startswith("urn:uuid:")
    assert action["@type"] == "CreateAction"
    (instrument,) = ids(action["instrument"])
    tool = found[instrument]
    assert tool["@type"] == "SoftwareApplication"
    assert tool["name"]
    assert tool["softwareVersion"]
    for key in ("name", "description", "endTime", "agent", "object", "result"):
        assert action[key], key
    # Whatever is referred to is described; http addresses of the world excepted.
    for entity in found.values():
        for key, value in entity.items():
            if key.startswith("@"):
                continue
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, dict) and not one["@id"].startswith("http://schema.org/"):
                    if key == "conformsTo" and entity is descriptor:
                        continue
                    assert one["@id"] in found, (entity["@id"], key)
    return action


def test_a_linkage_crate(run_folder: Path, facts_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    written = describe_link(run_folder, Facts.load(facts_file), out)
    names = {path.name for path in written}
    assert names == {
        *("ro-crate-metadata.json", "dataset.jsonld", "dataset.ttl", "linkage.json", "report.html")
    }
    found = entities(out)
    action = check_process_run_crate(found)
    # Data entities are there, and are what they are said to be.
    parts = ids(found["./"]["hasPart"])
    assert set(parts) == names - {"ro-crate-metadata.json"}
    for part in ("linkage.json", "report.html"):
        data = (out / part).read_bytes()
        assert data == (run_folder / part).read_bytes()
        assert found[part]["sha256"] == hashlib.sha256(data).hexdigest()
        assert found[part]["contentSize"] == str(len(data))
    # Links are told of and left out; so are the inputs.
    assert "#links.parquet" in ids(action["result"])
    links = (run_folder / "links.parquet").read_bytes()
    assert found["#links.parquet"]["sha256"] == hashlib.sha256(links).hexdigest()
    for name in [*ids(action["object"]), "#links.parquet"]:
        assert found[name]["@type"] == "CreativeWork"
        assert name not in parts
    assert action["startTime"] <= action["endTime"]


def test_nothing_of_a_record_or_a_path_is_told(
    run_folder: Path, facts_file: Path, tmp_path: Path
) -> None:
    describe_link(run_folder, Facts.load(facts_file), tmp_path / "out")
    frame = pd.read_parquet(run_folder / "links.parquet")
    ids_told = [*frame["left_id"], *frame["right_id"]]
    for path in (tmp_path / "out").iterdir():
        text = path.read_text()
        assert str(tmp_path) not in text
        # The holder's name is meant to be there; its record ids, which begin with it, are not.
        assert not any(f'{one}"' in text for one in ids_told)


def test_an_encoding_crate(
    people: pd.DataFrame,
    schema: pprl.Schema,
    key: pprl.LinkageKey,
    facts_file: Path,
    tmp_path: Path,
) -> None:
    file = tmp_path / "hospital.clk.parquet"
    pprl.encode(people, schema, key, id_column="id", holder="hospital").save(file)
    (tmp_path / "small.toml").write_text(RUN)
    written = describe_encoding(file, Facts.load(tmp_path / "small.toml"), tmp_path / "out")
    assert [path.name for path in written] == ["ro-crate-metadata.json"]
    found = entities(tmp_path / "out")
    action = check_process_run_crate(found)
    assert action["name"] == "encode"
    assert "hasPart" not in found["./"] or not found["./"]["hasPart"]
    assert found["#encodings"]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    text = written[0].read_text()
    assert not any(name in text for name in people["surname"])
    assert not any(form in text for form in (SECRET.decode(), SECRET.hex()))


DATASET = (
    *("dct:accessRights", "dcatap:applicableLegislation", "dcat:contactPoint", "dct:creator"),
    *("dct:description", "dct:identifier", "dcat:keyword", "dct:publisher", "dcat:theme"),
    "dct:title",
)
DISTRIBUTION = ("dcat:accessURL", "dcat:byteSize", "dct:format", "dct:license", "dct:rights")


def test_the_mandatory_fields_of_health_ri_core(
    run_folder: Path, facts_file: Path, tmp_path: Path
) -> None:
    describe_link(run_folder, Facts.load(facts_file), tmp_path / "out")
    node = json.loads((tmp_path / "out" / "dataset.jsonld").read_text())
    assert node["@type"] == "dcat:Dataset"
    for name in DATASET:
        assert node[name], name
    assert {"@id": EHDS} in node["dcatap:applicableLegislation"]
    for name in DISTRIBUTION:
        assert node["dcat:distribution"][name], name
    size = (run_folder / "links.parquet").stat().st_size
    assert node["dcat:distribution"]["dcat:byteSize"]["@value"] == str(size)
    for agent in (node["dct:publisher"], *node["dct:creator"]):
        for name in ("foaf:name", "dct:identifier", "foaf:mbox", "foaf:homepage"):
            assert agent[name], name
    for name in ("vcard:fn", "vcard:hasEmail"):
        assert node["dcat:contactPoint"][name], name
    annotation = node["dqv:hasQualityAnnotation"]
    assert annotation["oa:hasTarget"]["@id"] == node["@id"]
    assert annotation["oa:hasBody"]["@id"] == "report.html"
    assert node["healthdcatap:numberOfRecords"]["@value"] == "40"
    activity = node["prov:wasGeneratedBy"]["@id"]
    assert activity in entities(tmp_path / "out")


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph:DeprecationWarning")
def test_turtle_says_the_same(run_folder: Path, facts_file: Path, tmp_path: Path) -> None:
    describe_link(run_folder, Facts.load(facts_file), tmp_path / "out")
    assert "<report.html>" in (tmp_path / "out" / "dataset.ttl").read_text()
    json_ld, turtle = (
        rdflib.Graph().parse(
            tmp_path / "out" / name, format=form, publicID="https://example.org/d/"
        )
        for name, form in (("dataset.jsonld", "json-ld"), ("dataset.ttl", "turtle"))
    )
    subject = rdflib.URIRef("https://example.org/datasets/heart-cancer")
    dcat = rdflib.Namespace("http://www.w3.org/ns/dcat#")
    assert (subject, rdflib.RDF.type, dcat.Dataset) in turtle
    assert len(turtle) == len(json_ld) > 40
    assert set(turtle.predicates()) == set(json_ld.predicates())
    health = rdflib.Namespace("http://healthdataportal.eu/ns/health#")
    (records,) = turtle.objects(subject, health.numberOfRecords)
    assert records.toPython() == 40
    assert records.datatype == rdflib.XSD.nonNegativeInteger


def test_facts_that_are_given_override_counts(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_text(
        RUN.replace("[run.agent]", '[run]\nreport_url = "https://example.org/r.html"\n[run.agent]')
        + REST.replace("[dataset]", "[dataset]\nindividuals = 17")
    )
    node = describe_dataset(LinkRun.load(run_folder), Facts.load(tmp_path / "f.toml"))
    assert node["healthdcatap:numberOfUniqueIndividuals"]["@value"] == "17"
    assert node["healthdcatap:numberOfRecords"]["@value"] == "40"
    assert node["dqv:hasQualityAnnotation"]["oa:hasBody"]["@id"] == "https://example.org/r.html"
    assert node["healthdcatap:healthCategory"] == [
        {"@id": "https://example.org/category/registries"}
    ]
    assert "dpv:hasLegalBasis" not in node


@pytest.mark.parametrize("linked", [True, False])
def test_the_template_can_be_filled_in(linked: bool, tmp_path: Path) -> None:
    """Empty, it says so of each entry; filled in, with what it offers besides, it is taken."""
    path = tmp_path / "f.toml"
    path.write_text(template(linked=linked))
    with pytest.raises(UsageError, match=r"run\.agent\.name is empty") as caught:
        Facts.load(path)
    assert "pattern" not in str(caught.value)
    filled = re.sub(r"^# (?=\w+ = )", "", template(linked=linked), flags=re.MULTILINE)
    filled = re.sub(r'^email = ""', 'email = "desk@example.org"', filled, flags=re.MULTILINE)
    filled = filled.replace("keywords = []", 'keywords = ["x"]')
    filled = re.sub(r'(?<=^)(\w+) = ""', r'\1 = "urn:x:y"', filled, flags=re.MULTILINE)
    path.write_text('limitations = ["Of the report."]\n' + filled)
    facts = Facts.load(path)
    assert (facts.dataset is not None) == linked
    assert ReportFacts.load(path).limitations == ["Of the report."]


def test_facts_that_lack_something_say_all_of_it(run_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_text(RUN + REST.replace('title = "H', 'titel = "H').replace("desk@example.org", "x"))
    with pytest.raises(UsageError, match=r"(?s)dataset\.title .*dataset\.titel .*contact\.email"):
        Facts.load(path)
    path.write_text(RUN)
    with pytest.raises(UsageError, match=r"\[dataset\], \[distribution\], \[publisher\]"):
        describe_link(run_folder, Facts.load(path), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    path.write_text("[run")
    with pytest.raises(UnreadableFile, match="TOML"):
        Facts.load(path)


def test_a_description_appears_whole_or_not_at_all(
    run_folder: Path, facts_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = Facts.load(facts_file)
    monkeypatch.setattr("pprl.evaluation.provenance.to_turtle", lambda node: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        describe_link(run_folder, facts, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["facts.toml", "job"]
    monkeypatch.undo()
    describe_link(run_folder, facts, tmp_path / "out")
    with pytest.raises(OutputExists):
        describe_link(run_folder, facts, tmp_path / "out")
    (run_folder / "links.parquet").unlink()
    with pytest.raises(UnreadableFile, match="neither links"):
        describe_link(run_folder, facts, tmp_path / "other")


def test_clusters_count_records_and_persons(facts_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    files = [encodings_of(filters(30, seed=at % 2), f"h{at}") for at in range(3)]
    result = pprl.cluster(*files, threshold=0.9)
    result.clusters.save(folder / "clusters.parquet")
    facts = result.facts(*(one.info for one in files))
    (folder / "linkage.json").write_text(json.dumps(facts))
    node = describe_dataset(LinkRun.load(folder), Facts.load(facts_file))
    assert node["healthdcatap:numberOfRecords"]["@value"] == "90"
    assert node["healthdcatap:numberOfUniqueIndividuals"]["@value"] == "60"
    assert "dqv:hasQualityAnnotation" not in node
    describe_link(folder, Facts.load(facts_file), tmp_path / "out")
    check_process_run_crate(entities(tmp_path / "out"))


def test_the_command(run_folder: Path, facts_file: Path, tmp_path: Path) -> None:
    arguments = ["describe", str(run_folder), "--facts", str(facts_file), "-o"]
    done = CliRunner().invoke(app, [*arguments, str(tmp_path / "out")], catch_exceptions=False)
    assert done.exit_code == 0
    assert "ro-crate-metadata.json" in done.output
