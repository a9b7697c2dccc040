"""goldenmatch's linkage of Bloom filters on FOLDER; called by side_by_side.py.

Defaults: `auto_configure_pprl` with the fields and threshold it chooses, and the preset "high" of
its command line with the fields of its documentation. For the oracle the same, at every threshold.
Its clusters are its output: every pair across the two parties in one.
"""

import dataclasses
import logging
import warnings

import pyarrow as pa
from common import Run
from goldenmatch.pprl.autoconfig import auto_configure_pprl
from goldenmatch.pprl.protocol import PPRLConfig, run_pprl

logging.disable(logging.WARNING)
warnings.simplefilter("ignore")
run = Run("goldenmatch")
a, b = (pa.Table.from_pylist(run.rows(name)).drop_columns(["id"]) for name in "ab")
dated = next(name for name in a.column_names if "birth" in name or "dob" in name)
documented = [
    name for name in ("given_name", "surname", dated, "postcode") if name in a.column_names
]


def link(config):
    found = run_pprl(a, b, config, hmac_key_a="a secret", hmac_key_b="a secret")
    return [
        (i, j)
        for members in found.clusters.values()
        for side, i in members
        if side == "party_a"
        for other, j in members
        if other == "party_b"
    ]


run.start()
auto = auto_configure_pprl(a).recommended_config
run.keep("default", link(auto))
run.took("encode and link")
high = PPRLConfig(fields=documented)
run.keep("default, high", link(high))
for name, config in (("auto", auto), ("high", high)):
    for step in range(5):
        threshold = round(0.76 + 0.04 * step, 2)
        run.keep(f"{name} {threshold}", link(dataclasses.replace(config, threshold=threshold)))
run.done()
