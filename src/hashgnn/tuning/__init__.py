"""Hyper-parameter search: Optuna over a typed space, on held-out training interactions, within a budget."""

from hashgnn.tuning.space import SPACES, Choice, Range, Space, load_space
from hashgnn.tuning.study import TrialResult, TuneResult, tune

__all__ = ["SPACES", "Choice", "Range", "Space", "TrialResult", "TuneResult", "load_space", "tune"]
