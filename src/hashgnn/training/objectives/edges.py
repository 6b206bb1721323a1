"""Mini-batches of observed edges with sampled negatives: the paper's losses and BPR."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hashgnn.config import ModelConfig
from hashgnn.graph import BipartiteGraph, NegativeSampler, sample_neighbours
from hashgnn.nn import GraphView, combined
from hashgnn.training.model import HashModel


@dataclass(frozen=True)
class EdgeBatch:
    """Observed edges, their negatives, and the neighbours drawn for all of them.

    Attributes
    ----------
    users, items : LongTensor of shape (n_edges,)
        Indices of users and of the items they have an edge to.
    negatives : LongTensor of shape (n_edges, n_negatives)
        Item indices.
    distinct_users, distinct_items : LongTensor
        Each user and item of the batch once; ``users`` … are places among them.
    user_hops, item_hops : tuple of LongTensor or None
        Sampled neighbourhoods of the distinct nodes, or ``None`` for whole ones.
    """

    users: torch.Tensor
    items: torch.Tensor
    negatives: torch.Tensor
    distinct_users: torch.Tensor
    distinct_items: torch.Tensor
    user_hops: tuple[torch.Tensor, ...] | None
    item_hops: tuple[torch.Tensor, ...] | None


class EdgeObjective:
    """``L = w_reconstruction · L_reconstruction + λ · L_ranking`` over batches of edges.

    References
    ----------
    Tan et al., WWW 2020, arXiv 2003.01917.
    """

    def __init__(self, graph: BipartiteGraph, view: GraphView, config: ModelConfig) -> None:
        self._graph, self._view, self._config = graph, view, config
        self._sampler = NegativeSampler(graph, config.negatives, exponent=config.popularity_exponent)
        self._edge_users = np.repeat(np.arange(graph.n_users), graph.user_degrees)
        self._edge_items = graph.user_item.indices.astype(np.int64)

    def n_steps(self) -> int:
        """Return the number of batches in an epoch."""
        return math.ceil(len(self._edge_users) / self._config.batch_size)

    def batches(self, rng: np.random.Generator) -> Iterator[EdgeBatch]:
        """Yield every edge once, in an order drawn from ``rng``."""
        order = rng.permutation(len(self._edge_users))
        for start in range(0, len(order), self._config.batch_size):
            yield self._batch(order[start : start + self._config.batch_size], rng)

    def _batch(self, edges: np.ndarray[Any, Any], rng: np.random.Generator) -> EdgeBatch:
        users, items = self._edge_users[edges], self._edge_items[edges]
        negatives = self._sampler.sample(users, items, n_negatives=self._config.n_negatives, rng=rng)
        usable = (negatives >= 0).all(axis=1)  # nothing can be drawn for a user who has seen everything
        users, items, negatives = users[usable], items[usable], negatives[usable]
        distinct_users, user_places = np.unique(users, return_inverse=True)
        distinct_items, item_places = np.unique(
            np.concatenate([items, negatives.ravel()]), return_inverse=True
        )
        config = self._config
        return EdgeBatch(
            users=self._tensor(user_places),
            items=self._tensor(item_places[: len(items)]),
            negatives=self._tensor(item_places[len(items) :].reshape(negatives.shape)),
            distinct_users=self._tensor(distinct_users),
            distinct_items=self._tensor(distinct_items),
            user_hops=self._hops(distinct_users, config.fan_outs, rng),
            item_hops=self._hops(
                distinct_items + self._graph.n_users, config.item_fan_outs or config.fan_outs, rng
            ),
        )

    def _hops(
        self, nodes: np.ndarray[Any, Any], fan_outs: tuple[int, ...], rng: np.random.Generator
    ) -> tuple[torch.Tensor, ...] | None:
        if not fan_outs:
            return None
        return tuple(self._tensor(hop) for hop in sample_neighbours(self._graph, nodes, fan_outs, rng=rng))

    def _tensor(self, array: np.ndarray[Any, Any]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, np.int64)).to(self._view.device)

    def loss(self, model: HashModel, batch: EdgeBatch, p: float, generator: torch.Generator) -> torch.Tensor:
        """Return the loss of a batch; see :func:`hashgnn.nn.combined`."""
        if not len(batch.users):
            return torch.zeros((), device=self._view.device, requires_grad=True)
        users, items = self._embeddings(model, batch, generator)
        x_users = model.before_codes(users, "user")[batch.users]
        x_items = model.before_codes(items, "item")
        n_edges, n_negatives = batch.negatives.shape
        x = torch.cat([x_users, x_items[batch.items], x_items[batch.negatives.flatten()]])
        # With draws for rows, a user and its positive share one and each negative has its own, as in the
        # authors' code.
        edges = torch.arange(n_edges, device=x.device)
        others = torch.arange(n_edges, n_edges * (1 + n_negatives), device=x.device)
        codes = model.codes(x, p, generator, torch.cat([edges, edges, others]))
        h_users, h_items = codes[:n_edges], codes[n_edges : 2 * n_edges]
        h_negatives = codes[2 * n_edges :].view(n_edges, n_negatives, -1)
        positive = (h_users * h_items).sum(dim=1)
        negative = torch.einsum("eb,enb->en", h_users, h_negatives)
        # Not model.scale: the paper's scores have no learned temperature.
        positive, negative = self._config.score_scale * positive, self._config.score_scale * negative
        if model.item_bias is not None:
            bias = model.item_bias[batch.distinct_items]
            positive, negative = positive + bias[batch.items], negative + bias[batch.negatives]
        return combined(
            positive,
            negative,
            reconstruction_weight=self._config.reconstruction_weight,
            ranking_weight=self._config.ranking_weight,
            ranking=self._config.ranking_loss,
            margin=self._config.margin,
        )

    def _embeddings(
        self, model: HashModel, batch: EdgeBatch, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the encoder's output for the distinct users and items of a batch."""
        item_nodes = batch.distinct_items + self._graph.n_users
        if batch.user_hops is None and batch.item_hops is None:
            nodes = torch.cat([batch.distinct_users, item_nodes])
            u = model.encoder(self._view, nodes, generator=generator)
            return u[: len(batch.distinct_users)], u[len(batch.distinct_users) :]
        users = model.encoder(
            self._view.with_sampled(batch.user_hops), batch.distinct_users, generator=generator
        )
        items = model.encoder(self._view.with_sampled(batch.item_hops), item_nodes, generator=generator)
        return users, items
