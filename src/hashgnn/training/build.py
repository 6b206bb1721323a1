"""From a config to an untrained ``HashModel``."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hashgnn._types import Array
from hashgnn.config import ModelConfig
from hashgnn.config.encoders import History
from hashgnn.config.objectives import Users
from hashgnn.graph import Backend, BipartiteGraph, ItemRidge, low_spectrum, smooth_item_vectors
from hashgnn.nn import GraphView, HashLayer, build_encoder, build_relaxation
from hashgnn.training.hash_model import HashModel
from hashgnn.training.torch_backend import backend_of
from hashgnn.training.workers.group import ALONE, Group

_MANY = 1 << 27  # numbers in the users' part of a spectrum, from which on it is not held: 512 MB


def build_model(
    graph: BipartiteGraph,
    view: GraphView,
    config: ModelConfig,
    rng: np.random.Generator,
    group: Group = ALONE,
) -> HashModel:
    """Build encoder, hash layer and biases, warm-started where the config asks for it.

    The processes of ``group`` share the work of the warm start.
    """
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    encoder = build_encoder(
        config.encoder.name,
        n_users=graph.n_users,
        n_items=graph.n_items,
        dim=config.embedding_dim,
        rng=generator,
        n_user_features=_n_columns(view.user_features),
        n_item_features=_n_columns(view.item_features),
        **(_warm_start(graph, config, rng, backend_of(view.device, group)) if config.warm_start else {}),
        **config.encoder.options(),
    )
    relaxation = build_relaxation(config.relaxation.name, **config.relaxation.options())
    scale, float_scale = config.objective.scales
    hash_layer = HashLayer(
        config.embedding_dim,
        config.n_bits,
        mode=config.hash_layer,
        rng=generator,
        threshold=relaxation.learns_threshold,
    )
    bias = _log_degrees(graph) if config.item_bias else None
    return HashModel(
        encoder,
        hash_layer,
        bias,
        scale=scale,
        float_scale=float_scale,
        relaxation=relaxation,
        keeps_thresholds=isinstance(config.objective, Users) and config.objective.keeps_thresholds,
    )


def _n_columns(features: torch.Tensor | None) -> int:
    return 0 if features is None else int(features.shape[1])


def _warm_start(
    graph: BipartiteGraph, config: ModelConfig, rng: np.random.Generator, backend: Backend
) -> dict[str, Any]:
    """Return the start of an encoder's tables: the smoothest signals of the graph, as a rule.

    With ``normalization="unit"`` the start is the ideal low-pass filter: the items of a history as
    ``D^-1/2 V``, the items scored as ``V`` with rows of length ``sqrt(dim)``, which leaves popularity to be
    learned. With ``warm_start_from="ridge"`` they are the factors of an item ridge instead, rows scaled in the same way. A
    graph too small for that many signals has zeros in the rest, and a little noise everywhere lets them part.
    """
    width = config.encoder.table_width(config.embedding_dim)
    rank = min(width, graph.n_users, graph.n_items)
    unit = isinstance(config.encoder, History) and config.encoder.normalization == "unit"
    users = np.empty((0, width), np.float32)  # encoder 'history' has no table of users
    if config.warm_start_from == "ridge":
        fitted = ItemRidge.fit(graph, rng=rng, n_threads=torch.get_num_threads())
        sources, targets = fitted.factors(rank, rng=rng, backend=backend)
        if not isinstance(config.encoder, History):
            users = _padded(graph.user_item @ sources, width, rng)
        items, source = _padded(targets, width, rng), _padded(sources, width, rng)
    else:
        if isinstance(config.encoder, History) and graph.n_users * width > _MANY:
            items = _padded(smooth_item_vectors(graph, rank, rng=rng, backend=backend), width, rng)
        else:
            spectrum = low_spectrum(graph, rank, rng=rng, backend=backend)
            users = _padded(spectrum.user_vectors, width, rng)
            items = _padded(spectrum.item_vectors, width, rng)
        strengths = np.where(graph.item_strengths > 0, graph.item_strengths, 1)
        source = items / np.sqrt(strengths)[:, None]
    if not unit:
        return {"initial": (users, items)}
    lengths = np.maximum(np.linalg.norm(items, axis=1, keepdims=True), 1e-8)
    return {
        "initial": (users, (items * (width**0.5 / lengths)).astype(np.float32)),
        "initial_source": (source / source.std()).astype(np.float32),
    }


def _padded(vectors: Array, width: int, rng: np.random.Generator) -> Array:
    """Return singular vectors as a table of standard deviation 0.1 and the requested width."""
    table = 0.001 * rng.standard_normal((len(vectors), width), np.float32)
    table[:, : vectors.shape[1]] += 0.1 * vectors / (float(vectors.std()) or 1.0)
    return table


def _log_degrees(graph: BipartiteGraph) -> Array:
    """Return a start of the item bias: the log-odds of a draw by popularity, tempered."""
    return (0.6 * np.log(np.maximum(graph.item_strengths, 1))).astype(np.float32)
