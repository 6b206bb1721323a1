"""The teacher: ranked lists of a closed-form model that a run is asked to reproduce."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from hashgnn._types import Array
from hashgnn.config import ModelConfig
from hashgnn.graph import Backend, BipartiteGraph, ChebyshevFilter, GraphFilter, SpectralFilter, choose_filter

# From so many users an item on, items are filtered instead of histories, and so many of what each reaches are kept:
# of lists of 50, 98 % or more stayed the same on MovieLens-1M and Last.fm.
_CROWDED, _KEPT = 3, 1000


@dataclass(frozen=True)
class Teacher:
    """What a teacher says of each user, and who it is.

    Attributes
    ----------
    lists : ndarray of shape (n_users, k), int64
        Each user's best unseen items, best first, -1 where a user has no more; ``k`` is ``config.teacher_k``
        or the number of items.
    facts : dict
        JSON values: its family and settings, and recall@20 on held-out interactions where it was chosen by
        that (``None`` where no user has two interactions).
    """

    lists: Array
    facts: dict[str, Any]


def build_teacher(
    graph: BipartiteGraph,
    config: ModelConfig,
    rng: np.random.Generator,
    progress: bool | None,
    backend: Backend,
) -> Teacher | None:
    """Fit the config's teacher and ask it for its lists; ``None`` where the config asks for none."""
    if config.teacher == "none" or (config.teacher_weight == 0 and config.teacher_count is None):
        return None
    shown = progress is not False
    rank = max(min(config.teacher_rank, graph.n_users - 1, graph.n_items - 1), 1)
    facts: dict[str, Any] = {"family": config.teacher, "rank": rank, "alpha": config.teacher_alpha}
    teacher: GraphFilter
    if config.teacher == "auto":
        choice = choose_filter(graph, rank=rank, rng=rng, show_progress=shown, backend=backend)
        teacher = choice.filter
        recall = None if math.isnan(choice.recall) else choice.recall
        facts = {"family": choice.family, **choice.settings, "held_out_recall@20": recall}
    elif config.teacher == "spectral":
        teacher = SpectralFilter.fit(graph, rank=rank, alpha=config.teacher_alpha, rng=rng, backend=backend)
    else:
        teacher = ChebyshevFilter.fit(graph, rank=rank, alpha=config.teacher_alpha, rng=rng, backend=backend)
    kept = _KEPT if graph.n_users > _CROWDED * graph.n_items else None
    k = min(config.teacher_k, graph.n_items)
    lists = teacher.top(k, kept=kept, show_progress=shown, backend=backend).positions
    return Teacher(lists, facts)
