"""Whether a new version of a model may take the place of the one before."""

from hashgnn.checking.check import check_model
from hashgnn.checking.model_check import (
    CheckLimits,
    CheckRow,
    ListComparison,
    ListPair,
    ModelCheck,
    ModelFigures,
)

__all__ = [
    "CheckLimits",
    "CheckRow",
    "ListComparison",
    "ListPair",
    "ModelCheck",
    "ModelFigures",
    "check_model",
]
