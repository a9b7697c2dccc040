"""Splink on FOLDER, in plaintext: what is possible where names may be shared.

Its README's settings for these columns: blocking on four rules, parameters by expectation
maximisation, term frequencies. Default: pairs at a match probability of 0.95, the README's.
"""

import logging
import re
import warnings

import pandas as pd
import splink.comparison_library as cl
from common import Run, greedy
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
run = Run("splink")
a, b = (pd.DataFrame(run.rows(name)).replace("", None) for name in "ab")
names = [name for name in a.columns if name != "id"]
born = next(name for name in names if re.search("birth|dob", name))
people = [name for name in names if name in ("given_name", "surname")]
rest = [name for name in names if name not in (born, *people)]
for side, frame in (("a", a), ("b", b)):
    frame["unique_id"] = [f"{side}{at}" for at in range(len(frame))]
run.start()
api = DuckDBAPI()
tables = [api.register(frame, dataset_display_name=side) for side, frame in (("a", a), ("b", b))]
comparisons = [cl.JaroWinklerAtThresholds(name, [0.9, 0.7]) for name in people]
comparisons += [cl.DamerauLevenshteinAtThresholds(born, [1, 2])]
comparisons += [cl.LevenshteinAtThresholds(name, 2) for name in rest]
rules = [
    block_on(*people),
    block_on(born),
    block_on("postcode", people[0]),
    block_on("postcode", people[1]),
]
linker = Linker(
    tables,
    SettingsCreator(
        link_type="link_only",
        comparisons=comparisons,
        blocking_rules_to_generate_predictions=rules,
    ),
)
linker.training.estimate_probability_two_random_records_match([block_on(*people, born)], recall=0.7)
linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
linker.training.estimate_parameters_using_expectation_maximisation(block_on(*people))
linker.training.estimate_parameters_using_expectation_maximisation(block_on(born))
found = linker.inference.predict(threshold_match_weight=-10).as_pandas_dataframe()
scored = sorted(
    (
        (weight, *sorted((one, other), key=lambda name: name[0]))
        for weight, one, other in zip(
            found["match_weight"], found["unique_id_l"], found["unique_id_r"], strict=True
        )
    ),
    reverse=True,
)
probability = dict(zip(found["match_weight"], found["match_probability"], strict=True))
scored = [(weight, int(one[1:]), int(other[1:])) for weight, one, other in scored]
run.keep("default", [(i, j) for weight, i, j in scored if probability[weight] >= 0.95])
run.took("link")
for weight in range(-8, 25):
    run.keep(weight, greedy(scored, weight))
run.done()
