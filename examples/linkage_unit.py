"""A linkage unit: link two files of encodings; neither names nor the key are needed.

python examples/linkage_unit.py hospital.clk.parquet registry.clk.parquet 0.64 links.parquet
"""

import sys

import pprl

left, right, threshold, out = sys.argv[1:]
result = pprl.link(
    pprl.Encodings.load(left), pprl.Encodings.load(right), threshold=float(threshold)
)
result.links.save(out)
print(result)
