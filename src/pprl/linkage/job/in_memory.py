"""The automatic decision of a job whose memory holds both files: that of `pprl.link`."""

from __future__ import annotations

import base64
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pprl.errors import PprlWarning
from pprl.exchange.encodings import Encodings
from pprl.linkage.candidates.blocking import KeyBlocking
from pprl.linkage.decision.gather import decide_two_files
from pprl.linkage.job.config import Job
from pprl.linkage.job.plan import Plan
from pprl.linkage.job.spill import RunWriter


def write_decided(job: Job, plan: Plan, path: Path) -> dict[str, int]:
    """Compare both files and decide; the links come out by left and right record."""
    a, b = (Encodings.load(one.path) for one in (job.inputs.left, job.inputs.right))
    blocking = None
    if job.blocking.method == "keys":
        blocking = KeyBlocking(job.blocking.largest_block, tuple(job.blocking.passes or ()))
    with warnings.catch_warnings():
        # The plan told which blocks are passed over.
        warnings.simplefilter("ignore", PprlWarning)
        decision = decide_two_files(
            a,
            b,
            precision=job.linkage.precision,
            blocking=blocking,
            workers=plan.workers,
            max_pairs=job.linkage.max_pairs,
        )
    kept = decision.kept
    order = np.lexsort((kept.right, kept.left))
    with RunWriter(path, "by-record", plan.spill) as writer:
        writer.append_sorted(kept.take(order))
        writer.end_run()
        writer.facts |= {
            "threshold": float(kept.similarity.min()) if len(kept) else None,
            "estimate": decision.estimate.to_dict(),
            "ranked": len(decision.ranked),
            "compared": decision.compared,
            "blocking": decision.blocking and decision.blocking.to_dict(),
            "range": list(decision.cut.range),
            "repeating": list(decision.repeating),
            "implausible": dict(decision.implausible),
            "crowded": dict(decision.crowded),
            "untold": decision.untold,
            "chances": _packed(decision.cut.probability[order]),
        }
    return {"links": writer.found, "pairs": decision.compared}


def chances(text: str) -> NDArray[np.float64]:
    """Read the estimated chance that each link is true, in the order of the links."""
    return np.frombuffer(base64.b64decode(text), "<f8")


def _packed(values: NDArray[np.float64]) -> str:
    return base64.b64encode(np.ascontiguousarray(values, "<f8").tobytes()).decode("ascii")
