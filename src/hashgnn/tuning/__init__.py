"""Hyper-parameter search: Optuna over a typed space, on held-out training interactions, within a budget."""

from hashgnn.tuning.search import TrialResult, TuneResult, tune
from hashgnn.tuning.space import SPACES, Choice, Range, Space, load_space

__all__ = ["SPACES", "Choice", "Range", "Space", "TrialResult", "TuneResult", "load_space", "tune"]
