"""Encoders, by name. A new one is one file and one line in ``ENCODERS``."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from hashgnn._checks import check_choice
from hashgnn._types import Array
from hashgnn.errors import ParameterError
from hashgnn.nn.encoders.base import Encoder, FoldInExport, FullGraphEncoder
from hashgnn.nn.encoders.gat import GATEncoder
from hashgnn.nn.encoders.gcn import GCNEncoder
from hashgnn.nn.encoders.graphsage import GraphSAGEEncoder
from hashgnn.nn.encoders.history import HistoryEncoder
from hashgnn.nn.encoders.lightgcn import LightGCNEncoder
from hashgnn.nn.encoders.mf import MFEncoder
from hashgnn.nn.encoders.ngcf import NGCFEncoder
from hashgnn.nn.encoders.pinsage import PinSageEncoder

ENCODERS: dict[str, type[Encoder]] = {
    "gat": GATEncoder,
    "gcn": GCNEncoder,
    "graphsage": GraphSAGEEncoder,
    "history": HistoryEncoder,
    "lightgcn": LightGCNEncoder,
    "mf": MFEncoder,
    "ngcf": NGCFEncoder,
    "pinsage": PinSageEncoder,
}


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
        A key of ``ENCODERS``.
    n_users, n_items, dim : int
    rng : torch.Generator
        Source of the random start.
    n_user_features, n_item_features : int, default=0
        Columns of the view's feature matrices.
    initial : pair of ndarray of shape (n_users, dim) and (n_items, dim), optional
        Start of the tables, the low end of the spectrum for instance, already scaled.
    **options
        Options of encoders (``n_layers``, ``history_dropout``, ``aggregator`` …). Those that only other
        encoders know are let pass, so that one config can name any encoder.

    Raises
    ------
    ParameterError
        If the name or an option is unknown to every encoder, or a value breaks its rule.

    Examples
    --------
    >>> rng = torch.Generator().manual_seed(0)
    >>> build_encoder("lightgcn", n_users=3, n_items=4, dim=8, rng=rng, n_layers=1).dim
    8
    """
    check_choice("encoder", name, ENCODERS)
    known = {key: inspect.signature(encoder).parameters for key, encoder in ENCODERS.items()}
    for option in options:
        if not any(option in parameters for parameters in known.values()):
            raise ParameterError(f"{option} is not an option of any encoder")
    chosen = {key: value for key, value in options.items() if key in known[name]}
    build: Any = ENCODERS[name]
    encoder: Encoder = build(
        n_users,
        n_items,
        dim,
        rng=rng,
        n_user_features=n_user_features,
        n_item_features=n_item_features,
        initial=initial,
        **chosen,
    )
    return encoder


__all__ = [
    "ENCODERS",
    "Encoder",
    "FoldInExport",
    "FullGraphEncoder",
    "GATEncoder",
    "GCNEncoder",
    "GraphSAGEEncoder",
    "HistoryEncoder",
    "LightGCNEncoder",
    "MFEncoder",
    "NGCFEncoder",
    "PinSageEncoder",
    "build_encoder",
]
