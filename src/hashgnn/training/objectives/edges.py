"""Mini-batches of edges with sampled negatives: the paper's losses, BPR and the sampled softmaxes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from scipy import sparse

from hashgnn._types import Array
from hashgnn.config import ModelConfig
from hashgnn.config.objectives import Edges, Popularity
from hashgnn.config.teachers import ListTeacherConfig
from hashgnn.graph import BipartiteGraph, NegativeSampler, sample_levels
from hashgnn.nn import GraphView, SampledHop, build_ranking_loss, combined
from hashgnn.training.hash_model import HashModel
from hashgnn.training.objectives.base import StepPosition
from hashgnn.training.objectives.code_penalty import code_penalty
from hashgnn.training.objectives.teacher import build_teacher
from hashgnn.training.torch_backend import backend_of
from hashgnn.training.workers.group import ALONE, Group


@dataclass(frozen=True)
class EdgeBatch:
    """Observed edges, their negatives, and the neighbours drawn for all of them.

    Attributes
    ----------
    users, items : LongTensor of shape (n_edges,)
        Indices of users and of the items they have an edge to.
    negatives : LongTensor of shape (n_edges, n_negatives)
        Item indices.
    log_expected : Tensor of shape (n_edges, n_negatives)
        Log of how often each negative is expected among those of its edge.
    distinct_users, distinct_items : LongTensor
        Each user and item of the batch once; ``users`` … are places among them.
    sampled : tuple of tuple of SampledHop
        Neighbourhoods drawn for the distinct nodes: one for users and items together, where both draw as many,
        or one for users and one for items; empty for whole ones. A node draws once a level, and all that
        reach it there share what it drew: see :func:`hashgnn.graph.sample_levels`.
    """

    users: torch.Tensor
    items: torch.Tensor
    negatives: torch.Tensor
    log_expected: torch.Tensor
    distinct_users: torch.Tensor
    distinct_items: torch.Tensor
    sampled: tuple[tuple[SampledHop, ...], ...]


class EdgeObjective:
    """``L = w_reconstruction · L_reconstruction + λ · L_ranking`` over batches of edges.

    An epoch has each edge once. With weights it has as many, drawn in proportion to them: an edge of weight
    w, where the mean is 1, comes w times, rounded up or down by chance.

    With a teacher, a share of the edges lead to an item drawn from the user's list instead. Items of higher
    rank are more likely.

    The processes of a group have one order of edges. Each takes the edges of its users, those of every n-th, and
    draws their negatives.

    References
    ----------
    Tan et al., WWW 2020, arXiv 2003.01917.
    """

    mixed_precision = True

    def __init__(
        self,
        graph: BipartiteGraph,
        view: GraphView,
        config: ModelConfig,
        rng: np.random.Generator,
        progress: bool | None,
        group: Group = ALONE,
    ) -> None:
        settings = config.objective
        assert isinstance(settings, Edges)
        self._group = group
        self._own_draws: torch.Generator | None = None
        self._graph, self._view, self._settings = graph, view, settings
        self._teacher, self._batch_size = config.teacher, config.optimizer.batch_size
        self._user_fan_outs, self._item_fan_outs = config.encoder.sampled_hops
        self._sampler = NegativeSampler(graph, settings.negatives.name, **settings.negatives.options())
        self._ranking = build_ranking_loss(settings.ranking_loss.name, **settings.ranking_loss.options())
        self._expected = _expected_counts(graph, settings)
        teacher = build_teacher(graph, config.teacher, rng, progress, backend_of(view.device, group))
        self._lists = None if teacher is None else teacher.lists
        self.facts = {} if teacher is None else {"teacher": teacher.facts}
        self._edge_users = np.repeat(np.arange(graph.n_users), graph.user_degrees)
        self._edge_items = graph.user_item.indices.astype(np.int64)

    def n_steps(self) -> int:
        """Return the number of batches in an epoch."""
        return math.ceil(len(self._edge_users) / self._batch_size)

    def batches(self, rng: np.random.Generator) -> Iterator[EdgeBatch]:
        """Yield the edges of an epoch, in an order drawn from ``rng``."""
        order = rng.permutation(len(self._edge_users))
        if self._graph.is_weighted:
            order = _in_proportion(self._graph.user_item.data, rng)[order]
        draws = rng
        if self._group.size > 1:
            own = np.random.default_rng([int(rng.integers(2**63)), self._group.rank])
            self._own_draws = torch.Generator(self._view.device).manual_seed(int(own.integers(2**63)))
            # Negatives from the batch are drawn by all for all, as they are the positives of all.
            draws = rng if self._draws_from_batch else own
        for start in range(0, len(order), self._batch_size):
            yield self._batch(order[start : start + self._batch_size], draws)

    @property
    def _draws_from_batch(self) -> bool:
        return self._settings.negatives.name == "in_batch"

    def _batch(self, edges: Array, rng: np.random.Generator) -> EdgeBatch:
        users, items = self._edge_users[edges], self._edge_items[edges]
        mine = slice(None) if self._group.size == 1 else users % self._group.size == self._group.rank
        if not self._draws_from_batch:
            users, items = users[mine], items[mine]
        if self._lists is not None:
            items = self._taught(self._lists[users], items, rng)
        negatives = self._sampler.sample(users, items, n_negatives=self._settings.n_negatives, rng=rng)
        if self._draws_from_batch:
            users, items, negatives = users[mine], items[mine], negatives[mine]
        usable = (negatives >= 0).all(axis=1)  # nothing can be drawn for a user who has seen everything
        users, items, negatives = users[usable], items[usable], negatives[usable]
        distinct_users, user_places = np.unique(users, return_inverse=True)
        distinct_items, item_places = np.unique(
            np.concatenate([items, negatives.ravel()]), return_inverse=True
        )
        item_share, user_share = self._expected
        log_expected = np.log(item_share[negatives] * user_share[users, None]).astype(np.float32)
        return EdgeBatch(
            users=self._tensor(user_places),
            items=self._tensor(item_places[: len(items)]),
            negatives=self._tensor(item_places[len(items) :].reshape(negatives.shape)),
            log_expected=torch.from_numpy(log_expected).to(self._view.device),
            distinct_users=self._tensor(distinct_users),
            distinct_items=self._tensor(distinct_items),
            sampled=self._sampled(distinct_users, distinct_items + self._graph.n_users, rng),
        )

    def _taught(self, lists: Array, items: Array, rng: np.random.Generator) -> Array:
        """Return the items of edges with a share replaced by draws from the users' lists (n_edges, k)."""
        assert isinstance(self._teacher, ListTeacherConfig)
        weights = np.exp(-np.arange(lists.shape[1]) / self._teacher.decay)
        ranks = rng.choice(lists.shape[1], size=len(items), p=weights / weights.sum())
        drawn = lists[np.arange(len(items)), ranks]
        replaced = (rng.random(len(items)) < self._teacher.weight) & (drawn >= 0)
        return np.where(replaced, drawn, items)

    def _sampled(
        self, users: Array, items: Array, rng: np.random.Generator
    ) -> tuple[tuple[SampledHop, ...], ...]:
        """Draw the neighbourhoods of distinct user and item nodes."""
        of_users, of_items = self._user_fan_outs, self._item_fan_outs
        if not of_users:
            return ()
        drawn = [(np.concatenate([users, items]), of_users)]
        if of_users != of_items:
            drawn = [(users, of_users), (items, of_items)]
        device = self._view.device
        return tuple(
            tuple(
                SampledHop.from_arrays(level, device)
                for level in sample_levels(self._graph, nodes, fan_outs, rng=rng)
            )
            for nodes, fan_outs in drawn
        )

    def _tensor(self, array: Array) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, np.int64)).to(self._view.device)

    def loss(
        self, model: HashModel, batch: EdgeBatch, position: StepPosition, generator: torch.Generator
    ) -> torch.Tensor:
        """Return the loss of a batch; see :func:`hashgnn.nn.combined`.

        In a group it is this process's part: the parts of all add up to the loss of the whole batch.
        """
        group = self._group
        n_edges = group.sum(len(batch.users)) if group.size > 1 else len(batch.users)
        if not len(batch.users):
            nothing = torch.zeros((), device=self._view.device, requires_grad=True)
            if group.size == 1:
                return nothing
            nobody = torch.zeros(0, model.encoder.dim, device=self._view.device)
            return nothing + code_penalty(model, nobody, nobody, self._settings, group)
        users, items = self._embeddings(model, batch, generator)
        loss = self._loss_of_edges(model, batch, users, items, position, self._own_draws or generator)
        if group.size > 1:
            loss = loss * (len(batch.users) / n_edges)
        return loss + code_penalty(model, users, items, self._settings, group)

    def _loss_of_edges(
        self,
        model: HashModel,
        batch: EdgeBatch,
        users: torch.Tensor,
        items: torch.Tensor,
        position: StepPosition,
        generator: torch.Generator,
    ) -> torch.Tensor:
        x_users = model.before_codes(users, "user")[batch.users]
        x_items = model.before_codes(items, "item")
        n_edges, n_negatives = batch.negatives.shape
        x = torch.cat([x_users, x_items[batch.items], x_items[batch.negatives.flatten()]])
        # With draws for rows, a user and its positive share one and each negative has its own, as in the
        # authors' code.
        edges = torch.arange(n_edges, device=x.device)
        others = torch.arange(n_edges, n_edges * (1 + n_negatives), device=x.device)
        strength = model.relaxation.strength(*position)
        codes = model.codes(x, strength, generator, torch.cat([edges, edges, others]))
        h_users, h_items = codes[:n_edges], codes[n_edges : 2 * n_edges]
        h_negatives = codes[2 * n_edges :].view(n_edges, n_negatives, -1)
        positive = (h_users * h_items).sum(dim=1)
        negative = torch.einsum("eb,enb->en", h_users, h_negatives)
        # Not model.scale: the paper's scores have no learned temperature.
        scale = self._settings.score_scale
        positive, negative = scale * positive, scale * negative
        if model.item_bias is not None:
            bias = model.item_bias[batch.distinct_items]
            positive, negative = positive + bias[batch.items], negative + bias[batch.negatives]
        return combined(
            positive,
            negative,
            partial(self._ranking, users=batch.users, log_expected=batch.log_expected),
            reconstruction_weight=self._settings.reconstruction_weight,
            ranking_weight=self._settings.ranking_weight,
        )

    def _embeddings(
        self, model: HashModel, batch: EdgeBatch, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the encoder's output for the distinct users and items of a batch."""
        item_nodes = batch.distinct_items + self._graph.n_users
        if len(batch.sampled) == 2:
            of_users, of_items = (self._view.with_sampled(hops) for hops in batch.sampled)
            users = model.encoder(of_users, batch.distinct_users, generator=generator)
            return users, model.encoder(of_items, item_nodes, generator=generator)
        view = self._view.with_sampled(batch.sampled[0] if batch.sampled else None)
        nodes = torch.cat([batch.distinct_users, item_nodes])
        u = model.encoder(view, nodes, generator=generator)
        return u[: len(batch.distinct_users)], u[len(batch.distinct_users) :]


def _in_proportion(weights: Array, rng: np.random.Generator) -> Array:
    """Draw as many places as there are weights, each as often as its weight, rounded up or down by chance."""
    ends = np.cumsum(weights, dtype=np.float64)
    points = (np.arange(len(weights)) + rng.random()) * (ends[-1] / len(weights))
    places: Array = np.searchsorted(ends, points, side="right")
    return np.minimum(places, len(weights) - 1)


def _expected_counts(graph: BipartiteGraph, config: Edges) -> tuple[Array, Array]:
    """Return a factor per item and one per user; their product is the expected count of an item in a user's draws.

    A user's draws fall on unseen items, in proportion to the items' weights. The items of a batch
    come in proportion to their degrees.
    """
    drawn = config.negatives
    exponent = drawn.exponent if isinstance(drawn, Popularity) else float(drawn.name == "in_batch")
    degrees = graph.item_strengths if drawn.name == "in_batch" else graph.item_degrees
    weights = np.asarray(degrees, np.float64) ** exponent
    seen = sparse.csr_matrix(
        (np.ones(graph.user_item.nnz), graph.user_item.indices, graph.user_item.indptr),
        shape=graph.user_item.shape,
    )
    unseen = weights.sum() - seen @ weights
    usable = unseen > 0  # for the others nothing is drawn
    return weights, np.divide(config.n_negatives, unseen, out=np.zeros_like(unseen), where=usable)
