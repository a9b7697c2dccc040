"""The linkage report: how long pictures take, and estimated error rates beside the true ones.

Usage: python benchmarks/bench_report.py [--pairs N] [--docs PAGE]

Times are CPU seconds, the medians of three drawings to SVG on N pairs, 1,000,000 unless others
are asked for.
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pyarrow as pa

import pprl
from pprl import demo
from pprl.evaluation import plots
from pprl.evaluation.plots._drawing import to_svg
from pprl.evaluation.report import report
from pprl.evaluation.report.html import figure, render


def linked() -> tuple[pprl.LinkResult, list[pprl.Encodings], object]:
    """Half-overlap FEBRL 4, with the key of the benchmark."""
    people = demo.half_overlap(demo.febrl4())
    schema = pprl.Schema.load(str(files("pprl") / "schemas" / "febrl4.toml"))
    key = pprl.LinkageKey.from_secret("benchmark secret of the linkage report", allow_weak=True)
    encodings = [
        pprl.encode(table, schema, key, id_column="rec_id", holder=holder)
        for holder, table in zip(demo.HOLDERS, (people.left, people.right), strict=True)
    ]
    return pprl.link(*encodings, workers=1), encodings, people.truth


def seconds(draw: Callable[[], object]) -> float:
    taken = []
    for _ in range(4):
        start = time.process_time()
        draw()
        taken.append(time.process_time() - start)
    return statistics.median(taken[1:])


def crowd(n: int, like: pprl.Encodings) -> pprl.Encodings:
    """As many encodings as pairs, with random bits."""
    clks = np.random.default_rng(1).integers(0, 256, (n, 128), np.uint8)
    info = like.info.model_copy(update={"records": n, "rows": n})
    return pprl.Encodings(pa.array(np.arange(n).astype(str)), clks, info)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--docs", type=Path, help="page to write the tables into")
    options = parser.parse_args()
    result, encodings, truth = linked()
    content = report(result, truth=truth)
    rows = ["| FEBRL 4, half overlap | precision | recall |", "|---|---|---|"]
    rows += [
        f"| {'estimated without the truth' if one.method == 'estimate' else 'true'} | "
        f"{figure(one.precision)} | {figure(one.recall)} |"
        for one in content.error_rates
    ]
    groups = {
        "hospital": encodings[0]
        .record_ids.to_pandas()
        .to_frame("record_id")
        .assign(half=lambda frame: np.where(np.arange(len(frame)) % 2, "one", "other"))
    }
    full = report(result, truth=truth, groups=groups)
    n = options.pairs
    similarity = np.random.default_rng(2).beta(6, 2, n)
    hit = similarity > 0.6
    many = crowd(n, encodings[0])
    timed = {
        "similarity_distribution": lambda: plots.similarity_distribution(similarity, hit),
        "precision_recall": lambda: plots.precision_recall(similarity, hit, n),
        "threshold_sensitivity": lambda: plots.threshold_sensitivity(similarity, hit, n),
        "popcounts": lambda: plots.popcounts(many),
        "completeness": lambda: plots.completeness(many, many),
        "flow": lambda: plots.flow(full),
        "blocking_funnel": lambda: plots.blocking_funnel(full),
        "subgroup_rates": lambda: plots.subgroup_rates(full),
    }
    rows += [
        "",
        f"| picture, {n:,} pairs or records where it takes them | CPU seconds |",
        "|---|---|",
    ]
    for name, draw in timed.items():
        rows.append(f"| `{name}` | {seconds(lambda draw=draw: to_svg(draw())):.2f} |")
    rows.append(f"| the whole page of FEBRL 4 | {seconds(lambda: render(full)):.2f} |")
    print("\n".join(rows))
    if options.docs:
        body = options.docs.read_text(encoding="utf-8")
        made = "\n".join(rows)
        options.docs.write_text(
            re.sub(
                r"(<!-- report: .*? -->\n).*?(<!-- end -->)",
                rf"\g<1>{made}\n\g<2>",
                body,
                flags=re.DOTALL,
            ),
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()
