"""What a run minimises."""

from __future__ import annotations

import numpy as np

from hashgnn.config import ModelConfig
from hashgnn.graph import BipartiteGraph
from hashgnn.nn import GraphView
from hashgnn.training.objectives.base import Objective, StepPosition
from hashgnn.training.objectives.edges import EdgeObjective
from hashgnn.training.objectives.embeddings import EmbeddingLoss, EmbeddingObjective
from hashgnn.training.objectives.users import UserObjective


def build_objective(
    graph: BipartiteGraph,
    view: GraphView,
    config: ModelConfig,
    rng: np.random.Generator,
    progress: bool | None = None,
) -> EdgeObjective | UserObjective:
    """Return the objective that the config names; ``rng`` is for what it prepares once, the teacher say."""
    if config.objective == "edges":
        return EdgeObjective(graph, view, config, rng, progress)
    return UserObjective(graph, view, config, rng, progress)


__all__ = [
    "EdgeObjective",
    "EmbeddingLoss",
    "EmbeddingObjective",
    "Objective",
    "StepPosition",
    "UserObjective",
    "build_objective",
]
