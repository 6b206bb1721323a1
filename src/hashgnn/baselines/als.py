"""Weighted least squares over all pairs of users and items, by the library implicit."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

from hashgnn._checks import check_float, check_int
from hashgnn._extras import require
from hashgnn._rng import RngLike, as_seed
from hashgnn.baselines.base import EmbeddingBaseline
from hashgnn.data import Interactions
from hashgnn.graph import BipartiteGraph


def als(
    interactions: Interactions,
    *,
    dim: int,
    rng: RngLike,
    regularisation: float = 0.1,
    confidence: float = 10.0,
    n_iterations: int = 15,
) -> EmbeddingBaseline:
    """Alternating least squares: observed pairs are 1 with a larger weight, all others 0 with weight 1.

    Parameters
    ----------
    interactions : Interactions
    dim : int
    rng : int, numpy.random.Generator or None
        Draws the first tables.
    regularisation : float, default=0.1
        Weight of the squared norms.
    confidence : float, default=10.0
        Weight of an observed pair.
    n_iterations : int, default=15
        Each solves for all users and then for all items.

    Raises
    ------
    MissingExtraError
        If implicit is not installed.

    References
    ----------
    Hu, Koren, Volinsky, *Collaborative filtering for implicit feedback datasets*, ICDM 2008.
    """
    check_int("n_iterations", n_iterations, minimum=1)
    for name, value in (("regularisation", regularisation), ("confidence", confidence)):
        check_float(name, value, minimum=0, open_minimum=True)
    library = require("implicit.cpu.als", extra="benchmark", purpose="the baseline als")
    users = BipartiteGraph.from_interactions(interactions).user_item.astype(np.float32)
    with threadpool_limits(limits=1, user_api="blas"):  # both share the processors otherwise
        model = library.AlternatingLeastSquares(
            factors=dim,
            regularization=regularisation,
            alpha=confidence,
            iterations=n_iterations,
            use_cg=False,
            num_threads=1,
            random_state=as_seed(rng) % 2**32,
        )
        model.fit(users, show_progress=False)
    return EmbeddingBaseline(interactions, np.array(model.user_factors), np.array(model.item_factors))
