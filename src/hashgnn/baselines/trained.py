"""Baselines trained by gradient descent: an encoder, scores as inner products, a loss over observed edges."""

from __future__ import annotations

from typing import Any

from hashgnn._extras import require
from hashgnn._rng import RngLike
from hashgnn.baselines.base import EmbeddingBaseline
from hashgnn.baselines.run_options import RunOptions
from hashgnn.data import Interactions


def mf_bpr(
    interactions: Interactions, *, dim: int, rng: RngLike, options: RunOptions, **settings: Any
) -> EmbeddingBaseline:
    """Matrix factorisation by Bayesian personalised ranking.

    References
    ----------
    Rendle et al., UAI 2009.
    """
    return _train("mf", interactions, dim, rng, options, {}, settings)


def _train(
    encoder: str,
    interactions: Interactions,
    dim: int,
    rng: RngLike,
    options: RunOptions,
    defaults: dict[str, Any],
    settings: dict[str, Any],
) -> EmbeddingBaseline:
    require("torch", extra="train", purpose="training a baseline")
    from hashgnn.baselines.gradient import EdgeTraining, train_encoder

    training = EdgeTraining.from_settings(defaults, settings)
    users, items = train_encoder(encoder, interactions, dim, training, rng=rng, options=options)
    return EmbeddingBaseline(interactions, users, items)
