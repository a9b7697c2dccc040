"""A linkage unit: link two files of encodings; neither names nor the key are needed.

python examples/linkage_unit.py hospital.clk.parquet registry.clk.parquet links.parquet
"""

import sys

import pprl

left, right, out = sys.argv[1:]
result = pprl.link(pprl.Encodings.load(left), pprl.Encodings.load(right))
result.links.save(out)
print(result)
print(result.estimate)
