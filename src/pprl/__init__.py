"""Privacy-preserving record linkage with keyed Bloom-filter encodings.

Names are loaded when they are first used, so that ``import pprl`` is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pprl.evaluation.audit import Audit, audit
    from pprl.evaluation.calibration import suggest_schema
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
    from pprl.holder.token_schemes import make_tokens
    from pprl.linkage.candidates.blocking import (
        BlockingUnion,
        HammingLSH,
        KeyBlocking,
        LambdaFold,
        PSig,
    )
    from pprl.linkage.cascade import CascadeResult, cascade, exact_clusters, exact_pass_links
    from pprl.linkage.cluster import ClusterResult, cluster, dedupe
    from pprl.linkage.compare import compare, compare_file
    from pprl.linkage.engine import DaskEngine, LocalEngine
    from pprl.linkage.explain import explain
    from pprl.linkage.job.config import Job
    from pprl.linkage.job.run import JobResult, plan_job, run_job
    from pprl.linkage.link import LinkResult, link
    from pprl.linkage.pseudonyms import PseudonymKey, pseudonymise

_HOMES = {
    "Audit": "pprl.evaluation.audit",
    "BlockingQuality": "pprl.evaluation.quality",
    "BlockingUnion": "pprl.linkage.candidates.blocking",
    "CascadeResult": "pprl.linkage.cascade",
    "ClusterQuality": "pprl.evaluation.clusters",
    "ClusterResult": "pprl.linkage.cluster",
    "Clusters": "pprl.exchange.links",
    "DaskEngine": "pprl.linkage.engine",
    "EncodingInfo": "pprl.exchange.encodings",
    "Encodings": "pprl.exchange.encodings",
    "HammingLSH": "pprl.linkage.candidates.blocking",
    "Job": "pprl.linkage.job.config",
    "JobResult": "pprl.linkage.job.run",
    "KeyBlocking": "pprl.linkage.candidates.blocking",
    "LambdaFold": "pprl.linkage.candidates.blocking",
    "LinkResult": "pprl.linkage.link",
    "LinkageKey": "pprl.holder.keys",
    "LinkageReport": "pprl.evaluation.report.model",
    "Links": "pprl.exchange.links",
    "LocalEngine": "pprl.linkage.engine",
    "PSig": "pprl.linkage.candidates.blocking",
    "PseudonymKey": "pprl.linkage.pseudonyms",
    "Quality": "pprl.evaluation.quality",
    "ReviewEstimate": "pprl.evaluation.review_estimate",
    "ReviewPlan": "pprl.evaluation.review",
    "RunComparison": "pprl.evaluation.runs",
    "Schema": "pprl.holder.schema",
    "Tuning": "pprl.evaluation.tune",
    "audit": "pprl.evaluation.audit",
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
    "explain": "pprl.linkage.explain",
    "link": "pprl.linkage.link",
    "list_errors": "pprl.evaluation.error_listing",
    "make_tokens": "pprl.holder.token_schemes",
    "plan_job": "pprl.linkage.job.run",
    "pseudonymise": "pprl.linkage.pseudonyms",
    "report": "pprl.evaluation.report",
    "review_estimate": "pprl.evaluation.review_estimate",
    "review_sample": "pprl.evaluation.review",
    "run_job": "pprl.linkage.job.run",
    "suggest_schema": "pprl.evaluation.calibration",
    "sweep": "pprl.evaluation.sweep",
    "tune": "pprl.evaluation.tune",
    "with_match_keys": "pprl.holder.match_keys",
}

_MODULES = {"plots": "pprl.evaluation.plots", "synthetic": "pprl.synthetic"}

__all__ = [
    "Audit",
    "BlockingQuality",
    "BlockingUnion",
    "CascadeResult",
    "ClusterQuality",
    "ClusterResult",
    "Clusters",
    "DaskEngine",
    "EncodingInfo",
    "Encodings",
    "HammingLSH",
    "Job",
    "JobResult",
    "KeyBlocking",
    "LambdaFold",
    "LinkResult",
    "LinkageKey",
    "LinkageReport",
    "Links",
    "LocalEngine",
    "PSig",
    "PseudonymKey",
    "Quality",
    "ReviewEstimate",
    "ReviewPlan",
    "RunComparison",
    "Schema",
    "Tuning",
    "audit",
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
    "explain",
    "link",
    "list_errors",
    "make_tokens",
    "plan_job",
    "pseudonymise",
    "report",
    "review_estimate",
    "review_sample",
    "run_job",
    "suggest_schema",
    "sweep",
    "tune",
    "with_match_keys",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from pprl.version import library_version

        return library_version()
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return import_module(_MODULES[name])
    raise AttributeError(f"module 'pprl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *_MODULES, "__version__", "errors"]
