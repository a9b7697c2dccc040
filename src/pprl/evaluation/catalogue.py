"""A linked dataset as catalogues want it: DCAT-AP 3 with Health-RI core v2, JSON-LD and Turtle.

Health-RI core v2 demands of a dataset access rights, applicable legislation (the EHDS among it),
contact point, creator, description, identifier, keyword, publisher, theme and title, and
of a distribution access URL, byte size, format, licence and rights. The quality annotation
(W3C DQV) points to the linkage report.
"""

from __future__ import annotations

import json
import warnings
from typing import Any

from pprl.errors import MissingDependency, UsageError
from pprl.evaluation.facts import EHDS, Agent, Facts
from pprl.evaluation.runfolder import LinkRun

CONTEXT = {
    "adms": "http://www.w3.org/ns/adms#",
    "dcat": "http://www.w3.org/ns/dcat#",
    "dcatap": "http://data.europa.eu/r5r/",
    "dct": "http://purl.org/dc/terms/",
    "dpv": "https://w3id.org/dpv#",
    "dqv": "http://www.w3.org/ns/dqv#",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "healthdcatap": "http://healthdataportal.eu/ns/health#",
    "oa": "http://www.w3.org/ns/oa#",
    "prov": "http://www.w3.org/ns/prov#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}

Node = dict[str, Any]

_BASE = "http://base.invalid/"


def describe_dataset(run: LinkRun, facts: Facts) -> Node:
    """Describe a linked dataset as JSON-LD.

    Counts are those of the run unless the facts give them: of links the number of links, for
    records and for individuals; of clusters the records and the clusters.

    Raises:
        UsageError: The facts lack a part that is mandatory.
    """
    facts.need_dataset()
    of, how = facts.dataset, facts.distribution
    if of is None or how is None or facts.publisher is None or facts.contact is None:
        raise UsageError("the facts lack the description of a dataset.")
    node: Node = {
        "@context": CONTEXT,
        "@id": of.identifier,
        "@type": "dcat:Dataset",
        "dct:title": _text(of.title, of.language),
        "dct:description": _text(of.description, of.language),
        "dct:identifier": of.identifier,
        "dcat:keyword": [_text(word, of.language) for word in of.keywords],
        "dcat:theme": _refs(of.themes),
        "dct:accessRights": {"@id": of.access_rights},
        "dcatap:applicableLegislation": _refs(dict.fromkeys((EHDS, *of.legislation))),
        "dct:publisher": _agent(facts.publisher),
        "dct:creator": [_agent(one) for one in facts.creators],
        "dcat:contactPoint": {
            "@type": "vcard:Kind",
            "vcard:fn": facts.contact.name,
            "vcard:hasEmail": {"@id": f"mailto:{facts.contact.email}"},
        },
        "healthdcatap:numberOfRecords": _count(run.records if of.records is None else of.records),
        "healthdcatap:numberOfUniqueIndividuals": _count(
            run.individuals if of.individuals is None else of.individuals
        ),
        "prov:wasGeneratedBy": {
            "@id": run.identifier,
            "@type": "prov:Activity",
            "rdfs:label": _text("privacy-preserving record linkage", "en"),
            "prov:startedAtTime": _time(run.started),
            "prov:endedAtTime": _time(run.ended),
            "prov:wasAssociatedWith": _agent(facts.run.agent),
        },
        "dcat:distribution": {
            "@type": "dcat:Distribution",
            "dcat:accessURL": {"@id": how.access_url},
            "dcat:byteSize": _count(run.bytes),
            "dct:format": {"@id": how.format},
            "dcat:mediaType": {"@id": how.media_type},
            "dct:license": {"@id": how.license},
            "dct:rights": {"@type": "dct:RightsStatement", "rdfs:label": how.rights},
            "dcatap:applicableLegislation": _refs((EHDS,)),
        },
    }
    if run.report:
        node["dqv:hasQualityAnnotation"] = {
            "@type": "dqv:QualityCertificate",
            "oa:hasTarget": {"@id": of.identifier},
            "oa:hasBody": {"@id": facts.run.report_url or run.report},
            "oa:motivatedBy": {"@id": "dqv:qualityAssessment"},
        }
    optional: Node = {
        "healthdcatap:healthCategory": _refs(of.health_categories),
        "healthdcatap:populationCoverage": of.population and _text(of.population, of.language),
        "dpv:hasLegalBasis": _refs(of.legal_basis),
        "dpv:hasPersonalData": _refs(of.personal_data),
        "dpv:hasPurpose": _refs(of.purposes),
        "dct:source": _refs(of.sources),
    }
    return node | {name: value for name, value in optional.items() if value}


def to_turtle(node: Node) -> str:
    """Write a JSON-LD node, whose context it carries itself, as Turtle.

    References without a scheme, to a report beside the description, stay as they are.

    Raises:
        MissingDependency: rdflib is not installed.
    """
    try:
        from rdflib import Graph
    except ImportError:
        raise MissingDependency.of("Turtle needs the package rdflib", "fair") from None
    graph = Graph()
    with warnings.catch_warnings():
        # rdflib's own JSON-LD parser uses what rdflib deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        graph.parse(data=json.dumps(node), format="json-ld", publicID=_BASE)
    for prefix, iri in CONTEXT.items():
        graph.bind(prefix, iri)
    return str(graph.serialize(format="turtle")).replace(f"<{_BASE}", "<")


def _agent(agent: Agent) -> Node:
    return {
        "@id": agent.identifier,
        "@type": "foaf:Agent",
        "foaf:name": agent.name,
        "dct:identifier": agent.identifier,
        "foaf:mbox": {"@id": f"mailto:{agent.email}"},
        "foaf:homepage": {"@id": agent.homepage},
    }


def _text(text: str, language: str) -> Node:
    return {"@value": text, "@language": language}


def _refs(iris: Any) -> list[Node]:
    return [{"@id": iri} for iri in iris]


def _count(number: int) -> Node:
    return {"@value": str(number), "@type": "xsd:nonNegativeInteger"}


def _time(moment: str) -> Node:
    return {"@value": moment, "@type": "xsd:dateTime"}
