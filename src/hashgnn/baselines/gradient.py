"""Training of an encoder's float embeddings: batches of observed edges against sampled items."""

from __future__ import annotations

import copy
import difflib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from hashgnn import _rng
from hashgnn._checks import check_choice, check_float, check_int
from hashgnn._progress import progress as progress_bar
from hashgnn._types import Array
from hashgnn.baselines.base import SEARCH, EmbeddingBaseline
from hashgnn.baselines.run_options import RunOptions
from hashgnn.data import Interactions, split
from hashgnn.errors import DataError, ParameterError, TrainingError
from hashgnn.evaluation import evaluate
from hashgnn.graph import BipartiteGraph, NegativeSampler
from hashgnn.nn import Encoder, GraphView, bilateral_softmax, bpr, build_encoder

_SPLIT_STREAM, _BUILD_STREAM, _EPOCH_STREAM = 0, 1, 2
_MAX_VALIDATED = 2000  # users: enough to tell epochs apart, in a fraction of a second
_METRIC = "recall@50"


@dataclass(frozen=True)
class EdgeTraining:
    """How a trained baseline is trained.

    Attributes
    ----------
    loss : {"bpr", "bsl"}
        Bayesian personalised ranking of inner products, or bilateral softmax of cosines. Embeddings of a
        model trained on cosines are given back with unit length.
    epochs, patience : int
        At most so many epochs; stop when validation has not risen for ``patience`` validations.
    validate_every : int
        Epochs from one validation to the next.
    batch_size : int
        Observed edges a step.
    n_negatives : int
        ``bpr``: items sampled for each edge, uniform over what the user has not seen. ``bsl``: items sampled
        for a step, uniform and shared by its edges.
    learning_rate : float
        Adam's step.
    regularisation : float
        Weight of the mean squared length of the embeddings of a batch.
    temperature, temperature_ratio : float
        ``bsl``: that of the negatives, and of the positives as a multiple of it.
    encoder_options : dict
        Options of the encoder, ``n_layers`` for instance.
    """

    loss: str = "bpr"
    epochs: int = 60
    patience: int = 3
    validate_every: int = 3
    batch_size: int = 8192
    n_negatives: int = 1
    learning_rate: float = 0.01
    regularisation: float = 1e-4
    temperature: float = 0.15
    temperature_ratio: float = 1.2
    encoder_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice("loss", self.loss, ("bpr", "bsl"))
        for name in ("epochs", "patience", "validate_every", "batch_size", "n_negatives"):
            check_int(name, getattr(self, name), minimum=1)
        for name in ("learning_rate", "temperature", "temperature_ratio"):
            check_float(name, getattr(self, name), minimum=0, open_minimum=True)
        check_float("regularisation", self.regularisation, minimum=0)

    @classmethod
    def from_settings(cls, defaults: dict[str, Any], settings: dict[str, Any]) -> EdgeTraining:
        """Build from a baseline's defaults and what replaces them; an unknown name raises ParameterError."""
        known = [entry.name for entry in fields(cls)]
        for name in settings:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {close[0]!r}?" if close else f"; they are {', '.join(known)}"
                raise ParameterError(f"{name} is not a setting of a trained baseline{hint}")
        chosen = {**defaults.get("encoder_options", {}), **settings.get("encoder_options", {})}
        return cls(**{**defaults, **settings, "encoder_options": chosen})


def train_encoder(
    name: str,
    interactions: Interactions,
    dim: int,
    training: EdgeTraining,
    *,
    rng: _rng.RngLike,
    options: RunOptions,
) -> tuple[Array, Array]:
    """Train an encoder and return its embeddings of all users and all items, float32.

    Validation interactions choose the best epoch and then count again: embeddings are made over the graph
    of all interactions with the weights of that epoch, as :func:`hashgnn.training.train` does.

    Raises
    ------
    DataError
        If there are fewer than two users or items with interactions.
    TrainingError
        If the loss is NaN or infinite.
    """
    for side, index in (("users", interactions.user_index), ("items", interactions.item_index)):
        n_present = len(np.unique(index))
        if n_present < 2:
            raise DataError(f"training a baseline needs at least 2 {side} with interactions, got {n_present}")
    seed = _rng.as_seed(rng)
    fitted, valid = interactions, options.valid
    if valid is None:
        fitted, valid = split.random(interactions, 0.1, rng=_rng.derive(seed, _SPLIT_STREAM))
    device = options.torch_device()
    with threads(options.n_threads):
        graph = BipartiteGraph.from_interactions(fitted)
        view = GraphView.from_scipy(graph.user_item, adjacency=graph.adjacency).to(device)
        start = torch.Generator().manual_seed(int(_rng.derive(seed, _BUILD_STREAM).integers(2**63)))
        encoder = build_encoder(
            name, n_users=graph.n_users, n_items=graph.n_items, dim=dim, rng=start, **training.encoder_options
        ).to(device)
        _Run(encoder, view, graph, training, fitted, valid, seed).run(options.progress)
        if fitted is not interactions:
            whole = BipartiteGraph.from_interactions(interactions)
            view = GraphView.from_scipy(whole.user_item, adjacency=whole.adjacency).to(device)
        return _embeddings(encoder, view, training)


class _Run:
    """One training run; the encoder is left with the weights of the best epoch."""

    def __init__(
        self,
        encoder: Encoder,
        view: GraphView,
        graph: BipartiteGraph,
        training: EdgeTraining,
        fitted: Interactions,
        valid: Interactions,
        seed: int,
    ) -> None:
        self.encoder, self.view, self.training, self.seed = encoder, view, training, seed
        self.fitted = fitted
        users = np.unique(valid.user_index)
        chosen = users[:: max(1, -(-len(users) // _MAX_VALIDATED))]
        self.valid = valid.subset(np.isin(valid.user_index, chosen))
        self.sampler = NegativeSampler(graph)
        self.edges = (
            np.repeat(np.arange(graph.n_users), graph.user_degrees),
            graph.user_item.indices.astype(np.int64),
        )
        self.optimizer = torch.optim.Adam(encoder.parameters(), lr=training.learning_rate, fused=True)

    def run(self, show: bool | None) -> None:
        training = self.training
        n_steps = math.ceil(len(self.edges[0]) / training.batch_size)
        best, best_state, n_worse = -math.inf, self.encoder.state_dict(), 0
        with progress_bar("Training a baseline", training.epochs * n_steps, enabled=show) as advance:
            for epoch in range(1, training.epochs + 1):
                rng = _rng.derive(self.seed, _EPOCH_STREAM, epoch)
                generator = torch.Generator(self.view.device).manual_seed(int(rng.integers(2**63)))
                self.encoder.train()
                for batch in self._batches(rng):
                    self._step(batch, epoch, generator)
                    advance(1)
                if epoch % training.validate_every and epoch != training.epochs:
                    continue
                value = self._validated()
                advance(0, note=f"{_METRIC} {value:.4f}")
                if value > best:
                    best, best_state, n_worse = value, copy.deepcopy(self.encoder.state_dict()), 0
                else:
                    n_worse += 1
                if n_worse == training.patience:
                    break
        self.encoder.load_state_dict(best_state)

    def _batches(self, rng: np.random.Generator) -> Iterator[tuple[Array, Array, Array]]:
        """Yield users (e,), items (e,) of every edge once, with negatives (e, n), or (n,) for all of them."""
        order = rng.permutation(len(self.edges[0]))
        for start in range(0, len(order), self.training.batch_size):
            chosen = order[start : start + self.training.batch_size]
            users, items = (side[chosen] for side in self.edges)
            if self.training.loss == "bsl":
                n_items = self.encoder.n_items
                yield (
                    users,
                    items,
                    rng.choice(n_items, min(self.training.n_negatives, n_items), replace=False),
                )
                continue
            negatives = self.sampler.sample(users, items, n_negatives=self.training.n_negatives, rng=rng)
            usable = (negatives >= 0).all(axis=1)  # nothing can be drawn for who has seen everything
            if usable.any():
                yield users[usable], items[usable], negatives[usable]

    def _step(self, batch: tuple[Array, Array, Array], epoch: int, generator: torch.Generator) -> None:
        users, items, negatives = batch
        n_users, shape = self.encoder.n_users, negatives.shape
        nodes, places = np.unique(
            np.concatenate([users, n_users + items, n_users + negatives.ravel()]), return_inverse=True
        )
        device, training = self.view.device, self.training
        x = self.encoder(self.view, torch.from_numpy(nodes).to(device), generator=generator)
        if training.loss == "bsl":
            x = functional.normalize(x, dim=1)
        at = torch.from_numpy(places).to(device)
        u, i = (
            functional.embedding(at[: len(users)], x),
            functional.embedding(at[len(users) : 2 * len(users)], x),
        )
        j = functional.embedding(at[2 * len(users) :], x).view(*shape, -1)
        positive = (u * i).sum(dim=1)
        negative = u @ j.T if j.ndim == 2 else torch.einsum("ed,end->en", u, j)
        if training.loss == "bsl":
            groups = torch.unique(at[: len(users)], return_inverse=True)[1]
            scores = positive / training.temperature, negative / training.temperature
            loss = bilateral_softmax(*scores, users=groups, ratio=training.temperature_ratio)
        else:
            loss = bpr(positive, negative)
            squares = (u.square().sum() + i.square().sum() + j.square().sum()) / len(users)
            loss = loss + training.regularisation * squares
        if not math.isfinite(float(loss.detach())):
            raise TrainingError(
                f"the loss became {float(loss.detach())} in epoch {epoch}; "
                f"lower learning_rate (now {self.training.learning_rate:g})"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def _validated(self) -> float:
        if not len(self.valid):
            return 0.0
        model = EmbeddingBaseline(self.fitted, *_embeddings(self.encoder, self.view, self.training))
        metric = f"{_METRIC.split('@')[0]}@{min(int(_METRIC.split('@')[1]), model.n_items)}"
        report = evaluate(
            model, self.fitted, self.valid, metrics=[metric], n_bootstrap=0, n_timed=0, progress=False
        )
        return report.metrics[SEARCH][metric]


def _embeddings(encoder: Encoder, view: GraphView, training: EdgeTraining) -> tuple[Array, Array]:
    x = encoder.encode_all(view).float()
    rows = (functional.normalize(x, dim=1) if training.loss == "bsl" else x).cpu().numpy()
    return rows[: view.n_users], rows[view.n_users :]


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Set torch's thread count inside the block, where one is given, and put the former one back."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(check_int("n_threads", count, minimum=1))
    try:
        yield
    finally:
        torch.set_num_threads(before)
