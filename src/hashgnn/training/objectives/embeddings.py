"""Batches of observed edges against sampled items, for float embeddings without codes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch.nn import functional

from hashgnn._types import Array
from hashgnn.graph import BipartiteGraph, NegativeSampler
from hashgnn.nn import Encoder, GraphView, bilateral_softmax, bpr
from hashgnn.training.objectives.base import StepPosition


@dataclass(frozen=True)
class EmbeddingLoss:
    """The loss over the embeddings of observed edges.

    Attributes
    ----------
    kind : {"bpr", "apr", "bsl"}
        Bayesian personalised ranking of inner products, the same with an adversary, or bilateral softmax of
        cosines.
    n_negatives : int
        ``bpr``, ``apr``: items sampled for each edge, uniform over what the user has not seen. ``bsl``: items sampled
        for a step, uniform and shared by its edges.
    regularisation : float
        ``bpr``, ``apr``: weight of the mean squared norm of the embeddings of a batch.
    temperature, temperature_ratio : float
        ``bsl``: that of the negatives, and of the positives as a multiple of it.
    adversarial_weight, adversarial_norm, adversarial_from : float
        ``apr``: weight of the loss of moved embeddings, how far each is moved, and the share of the epochs before
        the adversary begins.
    """

    kind: Literal["bpr", "apr", "bsl"] = "bpr"
    n_negatives: int = 1
    regularisation: float = 1e-4
    temperature: float = 0.15
    temperature_ratio: float = 1.2
    adversarial_weight: float = 1.0
    adversarial_norm: float = 0.5
    adversarial_from: float = 0.5


class EmbeddingObjective:
    """BPR, with or without an adversary, or bilateral softmax over mini-batches of edges.

    It trains an :class:`~hashgnn.nn.Encoder`.

    References
    ----------
    Rendle et al., UAI 2009, arXiv 1205.2618. He et al., SIGIR 2018, arXiv 1808.03908. Wu et al., ICDE 2024, arXiv 2312.12882.
    """

    mixed_precision = False

    def __init__(
        self, graph: BipartiteGraph, view: GraphView, loss: EmbeddingLoss, *, batch_size: int
    ) -> None:
        self._view, self._loss, self._batch_size = view, loss, batch_size
        self._n_users, self._n_items = graph.n_users, graph.n_items
        self._sampler = NegativeSampler(graph)
        self._edge_users = np.repeat(np.arange(graph.n_users), graph.user_degrees)
        self._edge_items = graph.user_item.indices.astype(np.int64)
        self.facts: dict[str, Any] = {}

    def n_steps(self) -> int:
        """Return the number of batches in an epoch."""
        return math.ceil(len(self._edge_users) / self._batch_size)

    def batches(self, rng: np.random.Generator) -> Iterator[tuple[Array, Array, Array]]:
        """Yield users (e,), items (e,) of every edge once, with negatives (e, n), or (n,) for all of them."""
        order = rng.permutation(len(self._edge_users))
        for start in range(0, len(order), self._batch_size):
            chosen = order[start : start + self._batch_size]
            users, items = self._edge_users[chosen], self._edge_items[chosen]
            if self._loss.kind == "bsl":
                n_negatives = min(self._loss.n_negatives, self._n_items)
                yield users, items, rng.choice(self._n_items, n_negatives, replace=False)
                continue
            negatives = self._sampler.sample(users, items, n_negatives=self._loss.n_negatives, rng=rng)
            usable = (negatives >= 0).all(axis=1)  # nothing can be drawn for a user who has seen everything
            if usable.any():
                yield users[usable], items[usable], negatives[usable]

    def loss(
        self,
        model: Encoder,
        batch: tuple[Array, Array, Array],
        position: StepPosition,
        generator: torch.Generator,
    ) -> torch.Tensor:
        """Return the loss of a batch, computed over its distinct nodes."""
        users, items, negatives = batch
        nodes, places = np.unique(
            np.concatenate([users, self._n_users + items, self._n_users + negatives.ravel()]),
            return_inverse=True,
        )
        device = self._view.device
        x = model(self._view, torch.from_numpy(nodes).to(device), generator=generator)
        if self._loss.kind == "bsl":
            x = functional.normalize(x, dim=1)
        at = torch.from_numpy(places).to(device)
        u = functional.embedding(at[: len(users)], x)
        i = functional.embedding(at[len(users) : 2 * len(users)], x)
        j = functional.embedding(at[2 * len(users) :], x).view(*negatives.shape, -1)
        positive, negative = _scores(u, i, j)
        if self._loss.kind == "bsl":
            groups = torch.unique(at[: len(users)], return_inverse=True)[1]
            scores = positive / self._loss.temperature, negative / self._loss.temperature
            return bilateral_softmax(*scores, users=groups, ratio=self._loss.temperature_ratio)
        squares = (u.square().sum() + i.square().sum() + j.square().sum()) / len(users)
        ranked = bpr(positive, negative)
        begins = self._loss.adversarial_from * position.n_epochs
        if self._loss.kind == "apr" and position.epoch >= begins:
            moved = _moved((u, i, j), self._loss.adversarial_norm)
            ranked = ranked + self._loss.adversarial_weight * bpr(*_scores(*moved))
        return ranked + self._loss.regularisation * squares


def _scores(u: torch.Tensor, i: torch.Tensor, j: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inner products with observed items (e,) and with sampled ones (e, n)."""
    return (u * i).sum(dim=1), u @ j.T if j.ndim == 2 else torch.einsum("ed,end->en", u, j)


def _moved(vectors: Sequence[torch.Tensor], norm: float) -> list[torch.Tensor]:
    """Move each embedding by ``norm`` where the loss rises most, which is a constant to what follows (eq. 10)."""
    here = [vector.detach().requires_grad_() for vector in vectors]
    with torch.enable_grad():
        directions = torch.autograd.grad(bpr(*_scores(*here)), here)
    return [
        vector + norm * functional.normalize(direction, dim=-1)
        for vector, direction in zip(vectors, directions, strict=True)
    ]
