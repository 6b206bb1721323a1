"""Encoders, by name. A new one is its file here, its fold-in rule, its settings, and a row in ``ENCODERS``."""

from __future__ import annotations

from typing import Any

import torch

from hashgnn._components import ENCODERS
from hashgnn._registry import imported
from hashgnn._types import Array
from hashgnn.nn.encoders.base import Encoder, FoldInExport, FullGraphEncoder


def build_encoder(
    name: str,
    *,
    n_users: int,
    n_items: int,
    dim: int,
    rng: torch.Generator,
    n_user_features: int = 0,
    n_item_features: int = 0,
    initial: tuple[Array, Array] | None = None,
    **options: Any,
) -> Encoder:
    """Build an encoder by its registered name.

    Parameters
    ----------
    name : str
        A name of ``ENCODERS``.
    n_users, n_items, dim : int
    rng : torch.Generator
        Source of the random start.
    n_user_features, n_item_features : int, default=0
        Columns of the view's feature matrices.
    initial : pair of ndarray of shape (n_users, dim) and (n_items, dim), optional
        Start of the tables, the low end of the spectrum for instance, already scaled.
    **options
        The encoder's own: ``n_layers``, ``history_dropout``, ``aggregator`` …

    Raises
    ------
    ParameterError
        If the name is unknown, or a value breaks its rule.
    TypeError
        If the encoder has no such option.

    Examples
    --------
    >>> rng = torch.Generator().manual_seed(0)
    >>> build_encoder("lightgcn", n_users=3, n_items=4, dim=8, rng=rng, n_layers=1).dim
    8
    """
    build: Any = imported(ENCODERS[name].implementation)
    encoder: Encoder = build(
        n_users,
        n_items,
        dim,
        rng=rng,
        n_user_features=n_user_features,
        n_item_features=n_item_features,
        initial=initial,
        **options,
    )
    return encoder


__all__ = ["ENCODERS", "Encoder", "FoldInExport", "FullGraphEncoder", "build_encoder"]
