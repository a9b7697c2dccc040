"""Plain JSON-LD descriptions of a linkage's results: a run crate, and a dataset.

Written with the standard library, so that a secure environment without the network can do it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from pathlib import Path
from typing import Any

import pprl
from pprl.exchange.files import write_json

PROCESS_RUN = "https://w3id.org/ro/wfrun/process/0.5"
EHDS = "http://data.europa.eu/eli/reg/2025/327/oj"


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def run_crate(
    path: Path,
    *,
    name: str,
    description: str,
    instrument: str,
    started: dt.datetime,
    used: dict[str, str],
    made: dict[str, str],
) -> None:
    """Write ``ro-crate-metadata.json`` for one step (RO-Crate 1.1, Process Run Crate 0.5).

    Args:
        path: The file to write.
        name: What the step is called.
        description: What it did.
        instrument: What ran, ``pprl encode``.
        started: When it started.
        used: SHA-256 of what it used, by a name. Described, never enclosed: no record, no
            encoding and no key goes into a crate.
        made: SHA-256 of what it made, by a name.
    """
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    action = f"urn:uuid:{uuid.uuid4()}"
    software = f"https://pypi.org/project/pprl/{pprl.__version__}"
    things = [
        {"@id": f"#{digest[:16]}", "@type": "CreativeWork", "name": what, "sha256": digest}
        for what, digest in (used | made).items()
    ]

    def ids(of: dict[str, str]) -> list[dict[str, str]]:
        return [{"@id": f"#{digest[:16]}"} for digest in of.values()]

    write_json(
        {
            "@context": "https://w3id.org/ro/crate/1.1/context",
            "@graph": [
                {
                    "@id": "ro-crate-metadata.json",
                    "@type": "CreativeWork",
                    "about": {"@id": "./"},
                    "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
                },
                {
                    "@id": "./",
                    "@type": "Dataset",
                    "name": name,
                    "description": description,
                    "datePublished": now,
                    "license": "not for distribution",
                    "conformsTo": {"@id": PROCESS_RUN},
                    "mentions": {"@id": action},
                },
                {"@id": PROCESS_RUN, "@type": "CreativeWork", "name": "Process Run Crate"},
                {
                    "@id": software,
                    "@type": "SoftwareApplication",
                    "name": instrument,
                    "softwareVersion": pprl.__version__,
                },
                {
                    "@id": action,
                    "@type": "CreateAction",
                    "name": name,
                    "description": description,
                    "instrument": {"@id": software},
                    "startTime": started.isoformat(timespec="seconds"),
                    "endTime": now,
                    "actionStatus": "http://schema.org/CompletedActionStatus",
                    "object": ids(used),
                    "result": ids(made),
                },
                *things,
            ],
        },
        path,
    )


def dataset(
    path: Path,
    *,
    identifier: str,
    title: str,
    description: str,
    records: int,
    individuals: int,
    quality: dict[str, Any],
    publisher: str,
    keywords: list[str],
) -> None:
    """Write a DCAT dataset with what the Dutch core v2 asks of one, and its linkage quality.

    Quality is annotated with DQV: each figure is a measurement of the dataset.
    """
    agent = {
        "@type": "foaf:Agent",
        "foaf:name": publisher,
        "dct:identifier": "https://ror.org/to-be-filled-in",
    }
    write_json(
        {
            "@context": {
                "dcat": "http://www.w3.org/ns/dcat#",
                "dct": "http://purl.org/dc/terms/",
                "dcatap": "http://data.europa.eu/r5r/",
                "dqv": "http://www.w3.org/ns/dqv#",
                "oa": "http://www.w3.org/ns/oa#",
                "foaf": "http://xmlns.com/foaf/0.1/",
                "vcard": "http://www.w3.org/2006/vcard/ns#",
                "healthdcatap": "http://healthdataportal.eu/ns/health#",
                "prov": "http://www.w3.org/ns/prov#",
            },
            "@id": identifier,
            "@type": "dcat:Dataset",
            "dct:identifier": identifier,
            "dct:title": title,
            "dct:description": description,
            "dct:creator": agent,
            "dct:publisher": agent,
            "dcat:contactPoint": {
                "@type": "vcard:Kind",
                "vcard:fn": publisher,
                "vcard:hasEmail": {"@id": "mailto:data@station.example"},
            },
            "dcat:keyword": keywords,
            "dcat:theme": {
                "@id": "http://publications.europa.eu/resource/authority/data-theme/HEAL"
            },
            "dct:accessRights": {
                "@id": "http://publications.europa.eu/resource/authority/access-right/NON_PUBLIC"
            },
            "dcatap:applicableLegislation": {"@id": EHDS},
            "healthdcatap:numberOfRecords": records,
            "healthdcatap:numberOfUniqueIndividuals": individuals,
            "prov:wasGeneratedBy": {
                "@type": "prov:Activity",
                "dct:title": f"pprl {pprl.__version__}",
            },
            "dqv:hasQualityMeasurement": [
                {
                    "@type": "dqv:QualityMeasurement",
                    "dqv:isMeasurementOf": {"@id": f"urn:pprl:metric:{name}"},
                    "dqv:value": value,
                }
                for name, value in quality.items()
            ],
            "dqv:hasQualityAnnotation": {
                "@type": ["dqv:QualityAnnotation", "oa:Annotation"],
                "oa:hasTarget": {"@id": identifier},
                "oa:hasBody": "linkage quality, see the measurements",
                "oa:motivatedBy": {"@id": "dqv:qualityAssessment"},
            },
        },
        path,
    )
