"""The teacher: ranked lists of a closed-form model, used as training targets."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hashgnn._types import Array
from hashgnn.config.teachers import (
    AutoTeacher,
    FixedTeacherConfig,
    ListTeacherConfig,
    RidgeTeacher,
    TeacherConfig,
)
from hashgnn.graph import Backend, BipartiteGraph, GraphFilter, ItemRidge, choose_teacher
from hashgnn.graph.filters.choice import filter_class
from hashgnn.graph.teachers import CROWDED

_log = logging.getLogger(__name__)
# Where users crowd, items are filtered instead of histories, and so many of what each reaches are kept: of lists of
# 50, 98 % or more stayed the same on MovieLens-1M and Last.fm.
_KEPT = 1000
# Of a ridge, so many of an item's weights are kept that the lists of all users reach at most so many of them.
_REACHED, _FEWEST_WEIGHTS = 1_500_000_000, 50


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
    if not isinstance(config, ListTeacherConfig) or (config.weight == 0 and config.count is None):
        return None
    shown = progress is not False
    n_threads = torch.get_num_threads()
    model: GraphFilter | ItemRidge
    facts: dict[str, Any]
    if isinstance(config, AutoTeacher):
        choice = choose_teacher(
            graph,
            **config.model_dump(include={"rank", "n_neighbours", "max_history", "filter_budget"}),
            rng=rng,
            n_threads=n_threads,
            show_progress=shown,
            backend=backend,
        )
        model = choice.model
        facts = {"family": choice.family, **choice.settings}
        facts |= {"held_out_recall@20": choice.recall, "held_out_ndcg@20": choice.ndcg}
        facts["tried"] = {name: {"recall@20": r, "ndcg@20": n} for name, (r, n) in choice.tried.items()}
        if choice.left_out is not None:
            facts["left_out"] = choice.left_out
            _log.log(logging.WARNING if shown else logging.INFO, choice.left_out)  # on stderr, unless quiet
    elif isinstance(config, RidgeTeacher):
        options = config.model_dump(exclude=set(ListTeacherConfig.model_fields))
        model = ItemRidge.fit(graph, rng=rng, n_threads=n_threads, show_progress=shown, **options)
        facts = {"family": config.name, **options}
    else:
        assert isinstance(config, FixedTeacherConfig)
        rank = max(min(config.rank, graph.n_users - 1, graph.n_items - 1), 1)
        options = {"rank": rank, "alpha": config.alpha}
        model = filter_class(config.name).fit(graph, rng=rng, backend=backend, **options)
        facts = {"family": config.name, **options}
    k = min(config.k, graph.n_items)
    if isinstance(model, ItemRidge):
        if model.n_shortened:
            facts["n_sampled_histories"] = model.n_shortened
        n_kept = max(_FEWEST_WEIGHTS, _REACHED // max(1, graph.n_edges))
        if n_kept < graph.n_items:
            facts["n_kept_weights"] = n_kept
        mine = graph.user_item[backend.part(graph.n_users)]
        found = model.top(k, mine, kept=n_kept, n_threads=n_threads, show_progress=shown)
        return Teacher(backend.join(found.positions), facts)
    kept = _KEPT if graph.n_users > CROWDED * graph.n_items else None
    lists = model.top(k, kept=kept, show_progress=shown, backend=backend).positions
    return Teacher(lists, facts)
