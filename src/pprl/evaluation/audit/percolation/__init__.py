"""Percolation: naming people from how their encodings agree, without key and known pairs.

The attacker knows, without noise, how any two people on his list agree under any key
(`pprl.evaluation.audit.agreement`). Members of a household, a building or a family agree
more than others; small clusters of them are found again among the encodings, all groups
together, by a beam search. Those that are certain become anchors: every other encoding is then
compared with them, which names more, until nothing changes.
"""

from pprl.evaluation.audit.percolation.observed import Observed
from pprl.evaluation.audit.percolation.predict import Predicted, predict
from pprl.evaluation.audit.percolation.rounds import Percolation, Settings, percolate

__all__ = ["Observed", "Percolation", "Predicted", "Settings", "percolate", "predict"]
