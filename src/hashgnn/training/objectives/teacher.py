"""The teacher: ranked lists of a closed-form model, used as training targets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from hashgnn._types import Array
from hashgnn.config.teachers import AutoTeacher, FilterTeacherConfig, FixedTeacherConfig, TeacherConfig
from hashgnn.graph import Backend, BipartiteGraph, GraphFilter, choose_filter
from hashgnn.graph.filters.choice import filter_class

# From so many users an item on, items are filtered instead of histories, and so many of what each reaches are kept:
# of lists of 50, 98 % or more stayed the same on MovieLens-1M and Last.fm.
_CROWDED, _KEPT = 3, 1000


@dataclass(frozen=True)
class Teacher:
    """The ranked list of each user, and the name of the teacher.

    Attributes
    ----------
    lists : ndarray of shape (n_users, k), int64
        Each user's best unseen items, best first, -1 where a user has no more; ``k`` is ``teacher.k``
        or the number of items.
    facts : dict
        JSON values: its family and settings, and recall@20 on held-out interactions where it was chosen by
        that (``None`` where no user has two interactions).
    """

    lists: Array
    facts: dict[str, Any]


def build_teacher(
    graph: BipartiteGraph,
    config: TeacherConfig,
    rng: np.random.Generator,
    progress: bool | None,
    backend: Backend,
) -> Teacher | None:
    """Fit the teacher and compute its lists; ``None`` where there is none or it has no weight."""
    if not isinstance(config, FilterTeacherConfig) or (config.weight == 0 and config.count is None):
        return None
    shown = progress is not False
    rank = max(min(config.rank, graph.n_users - 1, graph.n_items - 1), 1)
    teacher: GraphFilter
    if isinstance(config, AutoTeacher):
        choice = choose_filter(graph, rank=rank, rng=rng, show_progress=shown, backend=backend)
        teacher = choice.filter
        recall = None if math.isnan(choice.recall) else choice.recall
        facts = {"family": choice.family, **choice.settings, "held_out_recall@20": recall}
    else:
        assert isinstance(config, FixedTeacherConfig)
        options = {"rank": rank, "alpha": config.alpha}
        teacher = filter_class(config.name).fit(graph, rng=rng, backend=backend, **options)
        facts = {"family": config.name, **options}
    kept = _KEPT if graph.n_users > _CROWDED * graph.n_items else None
    k = min(config.k, graph.n_items)
    lists = teacher.top(k, kept=kept, show_progress=shown, backend=backend).positions
    return Teacher(lists, facts)
