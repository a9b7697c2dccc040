"""Privacy-preserving record linkage with keyed Bloom-filter encodings.

Names are loaded when they are first used, so that ``import pprl`` is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pprl.evaluation.clusters import ClusterQuality, evaluate_clusters
    from pprl.evaluation.error_listing import list_errors
    from pprl.evaluation.provenance import describe_encoding, describe_link
    from pprl.evaluation.quality import BlockingQuality, Quality, evaluate
    from pprl.evaluation.report import report
    from pprl.evaluation.report.model import LinkageReport
    from pprl.evaluation.review import ReviewPlan, review_sample
    from pprl.evaluation.review_estimate import ReviewEstimate, review_estimate
    from pprl.evaluation.runs import RunComparison, compare_runs
    from pprl.evaluation.sweep import sweep
    from pprl.evaluation.tune import Tuning, tune
    from pprl.exchange.encodings import EncodingInfo, Encodings, check_compatible
    from pprl.exchange.links import Clusters, Links
    from pprl.holder.encode import encode, encode_file
    from pprl.holder.keys import LinkageKey
    from pprl.holder.match_keys import with_match_keys
    from pprl.holder.schema import Schema
    from pprl.linkage.cascade import CascadeResult, cascade, exact_clusters, exact_pass_links
    from pprl.linkage.cluster import ClusterResult, cluster, dedupe
    from pprl.linkage.compare import compare, compare_file
    from pprl.linkage.link import LinkResult, link
    from pprl.linkage.pseudonyms import PseudonymKey, pseudonymise

_HOMES = {
    "BlockingQuality": "pprl.evaluation.quality",
    "CascadeResult": "pprl.linkage.cascade",
    "ClusterQuality": "pprl.evaluation.clusters",
    "ClusterResult": "pprl.linkage.cluster",
    "Clusters": "pprl.exchange.links",
    "EncodingInfo": "pprl.exchange.encodings",
    "Encodings": "pprl.exchange.encodings",
    "LinkResult": "pprl.linkage.link",
    "LinkageKey": "pprl.holder.keys",
    "LinkageReport": "pprl.evaluation.report.model",
    "Links": "pprl.exchange.links",
    "PseudonymKey": "pprl.linkage.pseudonyms",
    "Quality": "pprl.evaluation.quality",
    "ReviewEstimate": "pprl.evaluation.review_estimate",
    "ReviewPlan": "pprl.evaluation.review",
    "RunComparison": "pprl.evaluation.runs",
    "Schema": "pprl.holder.schema",
    "Tuning": "pprl.evaluation.tune",
    "cascade": "pprl.linkage.cascade",
    "check_compatible": "pprl.exchange.encodings",
    "cluster": "pprl.linkage.cluster",
    "compare": "pprl.linkage.compare",
    "compare_file": "pprl.linkage.compare",
    "compare_runs": "pprl.evaluation.runs",
    "dedupe": "pprl.linkage.cluster",
    "describe_encoding": "pprl.evaluation.provenance",
    "describe_link": "pprl.evaluation.provenance",
    "encode": "pprl.holder.encode",
    "encode_file": "pprl.holder.encode",
    "evaluate": "pprl.evaluation.quality",
    "evaluate_clusters": "pprl.evaluation.clusters",
    "exact_clusters": "pprl.linkage.cascade",
    "exact_pass_links": "pprl.linkage.cascade",
    "link": "pprl.linkage.link",
    "list_errors": "pprl.evaluation.error_listing",
    "pseudonymise": "pprl.linkage.pseudonyms",
    "report": "pprl.evaluation.report",
    "review_estimate": "pprl.evaluation.review_estimate",
    "review_sample": "pprl.evaluation.review",
    "sweep": "pprl.evaluation.sweep",
    "tune": "pprl.evaluation.tune",
    "with_match_keys": "pprl.holder.match_keys",
}

_MODULES = {"plots": "pprl.evaluation.plots", "synthetic": "pprl.synthetic"}

__all__ = [
    "BlockingQuality",
    "CascadeResult",
    "ClusterQuality",
    "ClusterResult",
    "Clusters",
    "EncodingInfo",
    "Encodings",
    "LinkResult",
    "LinkageKey",
    "LinkageReport",
    "Links",
    "PseudonymKey",
    "Quality",
    "ReviewEstimate",
    "ReviewPlan",
    "RunComparison",
    "Schema",
    "Tuning",
    "cascade",
    "check_compatible",
    "cluster",
    "compare",
    "compare_file",
    "compare_runs",
    "dedupe",
    "describe_encoding",
    "describe_link",
    "encode",
    "encode_file",
    "evaluate",
    "evaluate_clusters",
    "exact_clusters",
    "exact_pass_links",
    "link",
    "list_errors",
    "pseudonymise",
    "report",
    "review_estimate",
    "review_sample",
    "sweep",
    "tune",
    "with_match_keys",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("pprl")
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return import_module(_MODULES[name])
    raise AttributeError(f"module 'pprl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *_MODULES, "__version__", "errors"]
