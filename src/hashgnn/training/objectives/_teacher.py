"""The teacher: ranked lists of a closed-form model that a run is asked to reproduce."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashgnn.config import ModelConfig
from hashgnn.graph import BipartiteGraph, ChebyshevFilter, GraphFilter, SpectralFilter


def teacher_lists(
    graph: BipartiteGraph, config: ModelConfig, rng: np.random.Generator, progress: bool | None
) -> np.ndarray[Any, Any] | None:
    """Return each user's best unseen items by the config's teacher, or ``None`` where it asks for none.

    Returns
    -------
    ndarray of shape (n_users, k), int64, or None
        Best first, -1 where a user has no more; ``k`` is ``config.teacher_k`` or the number of items.
    """
    if config.teacher == "none" or config.teacher_weight == 0:
        return None
    rank = max(min(config.teacher_rank, graph.n_users - 1, graph.n_items - 1), 1)
    fit = SpectralFilter.fit if config.teacher == "spectral" else ChebyshevFilter.fit
    teacher: GraphFilter = fit(graph, rank=rank, alpha=config.teacher_alpha, rng=rng)
    return teacher.top(min(config.teacher_k, graph.n_items), show_progress=progress is not False)
