"""Hardening calibrated by attack: the lightest that withstands on a holder's own file.

The more a hardening hides, the fewer dirty records it links. How much must be hidden depends on
the file: how many people it holds, whether they live in families, how alike they are. So the
audit's attacks are run on the file itself, under one setting after the other.
"""

from pprl.evaluation.calibration.calibrate import WITHSTAND, Calibration, calibrate
from pprl.evaluation.calibration.price import points_lost
from pprl.evaluation.calibration.suggest import Suggested, suggest, suggest_schema
from pprl.evaluation.calibration.trials import Trial

__all__ = [
    "WITHSTAND",
    "Calibration",
    "Suggested",
    "Trial",
    "calibrate",
    "points_lost",
    "suggest",
    "suggest_schema",
]
