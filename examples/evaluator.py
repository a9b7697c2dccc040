"""An evaluator: how good are the links?

python examples/evaluator.py links.parquet truth.csv
"""

import sys

import pprl

links, truth = sys.argv[1:]
quality = pprl.evaluate(pprl.Links.load(links), truth)
for name in ("precision", "recall", "f1"):
    figure = getattr(quality, name)
    print(f"{name:<10} {figure.value:.4f}  ({figure.low:.4f} to {figure.high:.4f})")
