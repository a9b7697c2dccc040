"""How encodings or links came about, as a research object: RO-Crate 1.1, Process Run Crate 0.5.

A crate describes what went in and what came out, with sizes and SHA-256. It holds the
reports of a run; files that name records, encodings and schemas are described and left out.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pprl.errors import MissingDependency, OutputExists
from pprl.evaluation.catalogue import describe_dataset, to_turtle
from pprl.evaluation.facts import Agent, Facts
from pprl.evaluation.runfolder import SHOWN, LinkRun, Thing
from pprl.exchange.atomic import writing
from pprl.exchange.encodings import EncodingInfo
from pprl.exchange.files import new_folder, read_info, write_json, write_text

if TYPE_CHECKING:
    from rocrate.rocrate import ROCrate

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_RUN_TERMS = "https://w3id.org/ro/terms/workflow-run/context"
_DONE = {"@id": "http://schema.org/CompletedActionStatus"}
_PARQUET = "application/vnd.apache.parquet"


def describe_link(
    folder: str | PathLike[str], facts: Facts, out: str | PathLike[str]
) -> list[Path]:
    """Describe a linkage run: a crate with its reports, and a catalogue's entry of the dataset.

    Args:
        folder: What ``pprl link`` or ``pprl dedupe`` wrote.
        facts: What only people know.
        out: A new folder: ``ro-crate-metadata.json``, ``dataset.jsonld``, ``dataset.ttl`` and
            copies of the reports.

    Returns:
        The files that were written.

    Raises:
        OutputExists: The folder exists.
        UsageError: The facts lack a mandatory part.
        UnreadableFile: The folder is not that of a run.
        MissingDependency: rocrate or rdflib is not installed.
    """
    run = LinkRun.load(folder)
    node = describe_dataset(run, facts)
    crate = _crate(
        facts, f"Record linkage: {facts.dataset.title if facts.dataset else ''}", run.ended
    )
    with _whole_folder(out) as made:
        results = [
            crate.add_file(
                run.folder / thing.name,
                dest_path=thing.name,
                properties=_of_file(thing, SHOWN[thing.name][1]),
            )
            for thing in run.shown
        ]
        for name, media in (
            ("dataset.jsonld", "application/ld+json"),
            ("dataset.ttl", "text/turtle"),
        ):
            source = made.parent / name
            if name.endswith("ttl"):
                write_text(to_turtle(node), source)
            else:
                write_json(node, source)
            properties = {"name": "description of the linked dataset", "encodingFormat": media}
            crate.add_file(source, dest_path=name, properties=properties)
        results += [_described(crate, thing) for thing in run.kept]
        inputs = [
            _encodings(crate, info, f"#encodings-{at}")
            for at, info in enumerate(run.inputs, start=1)
        ]
        action = _action(
            crate,
            facts.run.agent,
            run.facts["library"],
            identifier=run.identifier,
            name="link",
            description=(
                f"Linked {len(run.inputs)} files of encodings, threshold {run.facts['threshold']} "
                f"({run.facts['rule']}), {run.facts['pairs_compared']:,} pairs compared."
            ),
            started=run.started,
            ended=run.ended,
        )
        action["object"], action["result"] = inputs, results
        crate.write(made)
    return sorted(Path(out).iterdir())


def describe_encoding(
    file: str | PathLike[str], facts: Facts, out: str | PathLike[str]
) -> list[Path]:
    """Describe an encoding run from the header of the file that it wrote.

    The crate holds nothing but its metadata: neither the encodings nor the records.

    Args:
        file: An encodings file, not sealed.
        facts: What only people know; ``[run]`` is enough.
        out: A new folder.

    Returns:
        The files that were written.

    Raises:
        OutputExists: The folder exists.
        UnreadableFile: The file is no encodings file, or sealed.
        MissingDependency: rocrate is not installed.
    """
    info = read_info(file)
    thing = Thing.of(Path(file), "encodings of records (CLKs), with record ids")
    crate = _crate(
        facts, f"Encoding of the records of {info.holder or 'a data holder'}", info.created
    )
    with _whole_folder(out) as made:
        terms = {"conditionsOfAccess": info.consent, "creditText": info.provenance}
        records = _contextual(
            crate,
            "#records",
            name=f"records of {info.holder or 'the data holder'}",
            description=f"{info.records:,} records with identifiers, which stay with the holder",
            **{name: said for name, said in terms.items() if said},
        )
        schema = _contextual(
            crate,
            f"urn:sha256:{info.schema_fingerprint}",
            name=f"linkage schema {info.schema_name}",
            description="fields, normalisation, tokens and bits; holds no secret",
        )
        identifier = uuid.uuid5(uuid.NAMESPACE_OID, f"pprl encode {thing.sha256}")
        action = _action(
            crate,
            facts.run.agent,
            info.library,
            identifier=f"urn:uuid:{identifier}",
            name="encode",
            description=f"Encoded {info.records:,} records into {info.bits} bits each.",
            ended=info.created,
        )
        action["object"] = [records, schema]
        encodings = _encodings(crate, info, "#encodings")
        encodings["sha256"], encodings["contentSize"] = thing.sha256, str(thing.bytes)
        action["result"] = [encodings]
        crate.write(made)
    return sorted(Path(out).iterdir())


def _crate(facts: Facts, name: str, published: str) -> ROCrate:
    try:
        from rocrate.rocrate import ROCrate
    except ImportError:
        raise MissingDependency.of("crates need the package rocrate", "fair") from None
    # The library's own default is a later version, which the profile does not build on.
    crate = ROCrate(version="1.1")
    crate.metadata.extra_contexts.append(_RUN_TERMS)
    root = crate.root_dataset
    root["name"], root["datePublished"] = name, published
    root["description"] = (
        f"{name}. Inputs are described, not held; no identifier, encoding or key is here."
    )
    root["license"] = _contextual(crate, facts.run.license, name=facts.run.license)
    profile = _contextual(crate, PROFILE, name="Process Run Crate", version="0.5")
    root["conformsTo"] = [profile]
    return crate


def _contextual(
    crate: ROCrate, identifier: str, kind: str = "CreativeWork", **properties: Any
) -> Any:
    from rocrate.model.contextentity import ContextEntity

    return crate.add(ContextEntity(crate, identifier, properties={"@type": kind, **properties}))


def _action(
    crate: ROCrate,
    agent: Agent,
    library: str,
    *,
    identifier: str,
    name: str,
    description: str,
    ended: str,
    started: str = "",
) -> Any:
    software, _, version = library.partition(" ")
    tool = _contextual(
        crate,
        f"#{software}",
        "SoftwareApplication",
        name=software,
        softwareVersion=version or "unknown",
        description="privacy-preserving record linkage",
    )
    who = _contextual(crate, agent.identifier, "Organization", name=agent.name, url=agent.homepage)
    properties = {
        "name": name,
        "description": description,
        "endTime": ended,
        "actionStatus": _DONE,
    } | ({"startTime": started} if started else {})
    action = crate.add_action(tool, identifier=identifier, properties=properties)
    action["agent"] = who
    # add_action does not say at the root that the crate tells of the action.
    crate.root_dataset.append_to("mentions", action)
    return action


def _encodings(crate: ROCrate, info: EncodingInfo, identifier: str) -> Any:
    return _contextual(
        crate,
        identifier,
        name=f"encodings of {info.holder or 'a data holder'}",
        description=(
            f"{info.records:,} records, {info.bits} bits each, schema {info.schema_name!r} "
            f"({info.schema_fingerprint}), hardening {info.hardening.get('method', 'by group')}; "
            f"not part of this crate"
        ),
        dateCreated=info.created,
        encodingFormat=_PARQUET,
    )


def _described(crate: ROCrate, thing: Thing) -> Any:
    return _contextual(
        crate,
        f"#{thing.name}",
        name=thing.name,
        description=f"{thing.what}; not part of this crate",
        encodingFormat=_PARQUET,
        contentSize=str(thing.bytes),
        sha256=thing.sha256,
    )


def _of_file(thing: Thing, media: str) -> dict[str, str]:
    return {
        "name": thing.what,
        "encodingFormat": media,
        "contentSize": str(thing.bytes),
        "sha256": thing.sha256,
    }


@contextmanager
def _whole_folder(out: str | PathLike[str]) -> Iterator[Path]:
    """Give the name of a folder to make, which gets its own name when the block succeeds."""
    target = Path(out)
    new_folder(target.parent, [target])
    with writing(target):
        temporary = Path(tempfile.mkdtemp(prefix=".pprl-", dir=target.parent))
        try:
            yield temporary / "crate"
            if target.exists():
                raise OutputExists(f"{target} exists. Delete it or choose another name.")
            (temporary / "crate").replace(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
