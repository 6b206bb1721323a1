"""Batches of users with a softmax over all items: observed items and a teacher's ranked list as target."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from hashgnn.config import ModelConfig
from hashgnn.graph import BipartiteGraph
from hashgnn.nn import GraphView, SoftmaxWorkspace, Targets, bilateral_full_softmax, full_softmax
from hashgnn.training.device import has_fast_bfloat16
from hashgnn.training.model import HashModel
from hashgnn.training.objectives._penalty import code_penalty
from hashgnn.training.objectives._teacher import teacher_lists


class UserObjective:
    """Cross-entropy of a user's target distribution against the softmax over all items.

    The target is ``(1 - w) · uniform(observed items) + w · teacher``, the teacher's weights falling with
    rank. It is asked of the codes, with scores ``scale · h_u · h_i + bias_i``, and of the embeddings,
    ``float_scale · u_u · u_i``, with weights of their own.
    """

    def __init__(
        self,
        graph: BipartiteGraph,
        view: GraphView,
        config: ModelConfig,
        rng: np.random.Generator,
        progress: bool | None,
    ) -> None:
        self._graph, self._view, self._config = graph, view, config
        self._users = np.flatnonzero(graph.user_degrees)
        self._batch_size = max(1, min(config.batch_size, len(self._users) // config.min_steps))
        self._items = torch.arange(graph.n_users, graph.n_nodes, device=view.device)
        # Where bfloat16 is emulated, or the catalogue small, single precision is the faster one.
        self._workspace = SoftmaxWorkspace() if has_fast_bfloat16(view.device) else None
        self._lists = teacher_lists(graph, config, rng, progress)
        self._list_weights = torch.exp(-torch.arange(config.teacher_k) / config.teacher_decay)

    def n_steps(self) -> int:
        """Return the number of batches in an epoch."""
        return math.ceil(len(self._users) / self._batch_size)

    def batches(self, rng: np.random.Generator) -> Iterator[np.ndarray[Any, Any]]:
        """Yield every user who has interactions once, in an order drawn from ``rng``."""
        order = rng.permutation(self._users)
        for start in range(0, len(order), self._batch_size):
            yield np.sort(order[start : start + self._batch_size])

    def loss(
        self, model: HashModel, batch: np.ndarray[Any, Any], p: float, generator: torch.Generator
    ) -> torch.Tensor:
        """Return the weighted sum of the softmax losses of codes and embeddings for a batch of users."""
        config = self._config
        targets = self._targets(batch)
        nodes = torch.cat([torch.from_numpy(batch).to(self._items.device), self._items])
        u = model.encoder(self._view, nodes, generator=generator)
        users, items = u[: len(batch)], u[len(batch) :]
        loss = torch.zeros((), device=u.device)
        if config.code_weight > 0:
            h_users = model.codes(model.before_codes(users, "user"), p, generator)
            h_items = model.codes(model.before_codes(items, "item"), p, generator)
            scores = self._softmax(model.scale * h_users, h_items, targets, model.item_bias)
            loss = loss + config.code_weight * scores
        if config.float_weight > 0:
            scores = self._softmax(model.float_scale * users, items, targets, None)
            loss = loss + config.float_weight * scores
        return loss + code_penalty(model, users, items, config)

    def _softmax(
        self, queries: torch.Tensor, items: torch.Tensor, targets: Targets, bias: torch.Tensor | None
    ) -> torch.Tensor:
        ratio = self._config.bilateral_ratio
        options: dict[str, Any] = {"bias": bias, "workspace": self._workspace}
        if ratio is None:
            return full_softmax(queries, items, targets, **options)
        return bilateral_full_softmax(queries, items, targets, ratio=ratio, **options)

    def _targets(self, batch: np.ndarray[Any, Any]) -> Targets:
        rows = self._graph.user_item[batch]
        observed = Targets.from_lists(
            torch.from_numpy(rows.indices.astype(np.int64)),
            torch.from_numpy(np.diff(rows.indptr).astype(np.int64)),
        )
        if self._lists is None:
            return self._moved(observed)
        lists = torch.from_numpy(self._lists[batch])
        weights = self._list_weights[: lists.shape[1]].expand(len(batch), -1)
        return self._moved(
            observed.mixed_with(Targets.from_ranked(lists, weights), self._config.teacher_weight)
        )

    def _moved(self, targets: Targets) -> Targets:
        device = self._items.device
        return Targets(
            targets.n_rows, targets.rows.to(device), targets.columns.to(device), targets.weights.to(device)
        )
