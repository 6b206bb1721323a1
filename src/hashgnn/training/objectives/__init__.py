"""Objectives: the losses that a run minimises."""

from __future__ import annotations

import numpy as np

from hashgnn._components import OBJECTIVES
from hashgnn._registry import imported
from hashgnn.config import ModelConfig
from hashgnn.graph import BipartiteGraph
from hashgnn.nn import GraphView
from hashgnn.training.hash_model import HashModel
from hashgnn.training.objectives.base import Objective, StepPosition
from hashgnn.training.objectives.edges import EdgeObjective
from hashgnn.training.objectives.embeddings import EmbeddingLoss, EmbeddingObjective
from hashgnn.training.objectives.parted_users import PartedUserObjective
from hashgnn.training.objectives.users import UserObjective
from hashgnn.training.workers.group import ALONE, Group


def build_objective(
    graph: BipartiteGraph,
    view: GraphView,
    config: ModelConfig,
    rng: np.random.Generator,
    progress: bool | None = None,
    group: Group = ALONE,
    sharded: bool = False,
) -> Objective[HashModel]:
    """Return the objective that the config names; ``rng`` is for its preparation, such as a teacher.

    ``group`` are the processes that train together, and ``sharded`` says that each of them holds some of the items'
    rows.
    """
    kind = imported(OBJECTIVES[config.objective.name].implementation)
    if group.size > 1 and kind is UserObjective:
        return PartedUserObjective(graph, view, config, rng, progress, group, sharded=sharded)
    objective: Objective[HashModel] = kind(graph, view, config, rng, progress, group)
    return objective


__all__ = [
    "EdgeObjective",
    "EmbeddingLoss",
    "EmbeddingObjective",
    "Objective",
    "StepPosition",
    "UserObjective",
    "build_objective",
]
