"""The automatic decision of a job whose memory holds both files: that of `pprl.link`."""

from __future__ import annotations

import warnings
from pathlib import Path

from pprl.errors import PprlWarning
from pprl.exchange.encodings import Encodings
from pprl.linkage.candidates.blocking import KeyBlocking
from pprl.linkage.decision.gather import decide_two_files
from pprl.linkage.job.config import Job
from pprl.linkage.job.plan import Plan
from pprl.linkage.job.streamed_assignment import write_kept


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
            matching=job.linkage.matching,
            blocking=blocking,
            workers=plan.workers,
            max_pairs=job.linkage.max_pairs,
        )
    facts = {
        "ranked": len(decision.ranked),
        "compared": decision.compared,
        "blocking": decision.blocking and decision.blocking.to_dict(),
        "repeating": list(decision.repeating),
        "implausible": dict(decision.implausible),
        "crowded": dict(decision.crowded),
        "untold": decision.untold,
    }
    made = write_kept(decision.kept, decision.cut, decision.estimate, facts, path, plan.spill)
    return made | {"pairs": decision.compared}
