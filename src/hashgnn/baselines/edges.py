"""Batches of observed edges with sampled items, and a loss over their nodes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hashgnn._types import Array
from hashgnn.graph import BipartiteGraph
from hashgnn.nn import GraphView
from hashgnn.training.objectives import EmbeddingLoss, EmbeddingObjective
from hashgnn.training.objectives.base import StepPosition

Edges = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
Module = TypeVar("Module", bound=nn.Module)


class EdgeObjective(Generic[Module], ABC):
    """A loss over batches of observed edges, each with sampled items that its user has not seen."""

    mixed_precision = False

    def __init__(
        self, graph: BipartiteGraph, view: GraphView, *, batch_size: int, n_negatives: int = 1
    ) -> None:
        self._view, self._n_users = view, graph.n_users
        sampled = EmbeddingLoss(n_negatives=n_negatives)
        self._edges = EmbeddingObjective(graph, view, sampled, batch_size=batch_size)
        self.facts: Mapping[str, Any] = {}

    def n_steps(self) -> int:
        """Return the number of batches in an epoch."""
        return self._edges.n_steps()

    def batches(self, rng: np.random.Generator) -> Iterator[tuple[Array, Array, Array]]:
        """Yield users (e,), items (e,) of every edge once, with sampled items (e, n)."""
        return self._edges.batches(rng)

    def loss(
        self,
        model: Module,
        batch: tuple[Array, Array, Array],
        position: StepPosition,
        generator: torch.Generator,
    ) -> torch.Tensor:
        """Return the loss of a batch, a scalar."""
        users, items, sampled = (torch.from_numpy(part.reshape(-1)).to(self._view.device) for part in batch)
        return self.edge_loss(model, (users, items + self._n_users, sampled + self._n_users), generator)

    @abstractmethod
    def edge_loss(self, model: Module, edges: Edges, generator: torch.Generator) -> torch.Tensor:
        """Return the loss of users (e,), their items (e,) and sampled items (e * n,), as numbers of nodes."""


def edge_scores(table: torch.Tensor, edges: Edges) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inner products of users with their items, (e,), and with sampled items, (e, n)."""
    users, items, sampled = (functional.embedding(nodes, table) for nodes in edges)
    sampled = sampled.view(len(users), -1, table.shape[1])
    return (users * items).sum(dim=1), (users.unsqueeze(1) * sampled).sum(dim=2)
