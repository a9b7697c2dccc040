"""Privacy-preserving record linkage with keyed Bloom-filter encodings.

Names are loaded when they are first used, so that ``import pprl`` is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pprl.evaluation.clusters import ClusterQuality, evaluate_clusters
    from pprl.evaluation.quality import Quality, evaluate
    from pprl.exchange.encodings import EncodingInfo, Encodings, check_compatible
    from pprl.exchange.links import Clusters, Links
    from pprl.holder.encode import encode, encode_file
    from pprl.holder.keys import LinkageKey
    from pprl.holder.schema import Schema
    from pprl.linkage.cluster import ClusterResult, cluster, dedupe
    from pprl.linkage.compare import compare, compare_file
    from pprl.linkage.link import LinkResult, link
    from pprl.linkage.pseudonyms import PseudonymKey, pseudonymise

_HOMES = {
    "ClusterQuality": "pprl.evaluation.clusters",
    "ClusterResult": "pprl.linkage.cluster",
    "Clusters": "pprl.exchange.links",
    "EncodingInfo": "pprl.exchange.encodings",
    "Encodings": "pprl.exchange.encodings",
    "LinkResult": "pprl.linkage.link",
    "LinkageKey": "pprl.holder.keys",
    "Links": "pprl.exchange.links",
    "PseudonymKey": "pprl.linkage.pseudonyms",
    "Quality": "pprl.evaluation.quality",
    "Schema": "pprl.holder.schema",
    "check_compatible": "pprl.exchange.encodings",
    "cluster": "pprl.linkage.cluster",
    "compare": "pprl.linkage.compare",
    "compare_file": "pprl.linkage.compare",
    "dedupe": "pprl.linkage.cluster",
    "encode": "pprl.holder.encode",
    "encode_file": "pprl.holder.encode",
    "evaluate": "pprl.evaluation.quality",
    "evaluate_clusters": "pprl.evaluation.clusters",
    "link": "pprl.linkage.link",
    "pseudonymise": "pprl.linkage.pseudonyms",
}

__all__ = [
    "ClusterQuality",
    "ClusterResult",
    "Clusters",
    "EncodingInfo",
    "Encodings",
    "LinkResult",
    "LinkageKey",
    "Links",
    "PseudonymKey",
    "Quality",
    "Schema",
    "check_compatible",
    "cluster",
    "compare",
    "compare_file",
    "dedupe",
    "encode",
    "encode_file",
    "evaluate",
    "evaluate_clusters",
    "link",
    "pseudonymise",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("pprl")
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    if name == "synthetic":
        return import_module("pprl.synthetic")
    raise AttributeError(f"module 'pprl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__", "errors", "synthetic"]
