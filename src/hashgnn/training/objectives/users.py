"""Batches of users with a softmax over all items: observed items and a teacher's ranked list as target."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hashgnn._types import Array
from hashgnn.config import ModelConfig
from hashgnn.config.encoders import History
from hashgnn.config.objectives import Users
from hashgnn.config.teachers import ListTeacherConfig
from hashgnn.graph import BipartiteGraph
from hashgnn.nn import GraphView, SoftmaxWorkspace, Targets, TopK, bilateral_full_softmax, full_softmax
from hashgnn.training.device import has_fast_bfloat16
from hashgnn.training.hash_model import N_KINDS, HashModel
from hashgnn.training.objectives.base import StepPosition
from hashgnn.training.objectives.code_penalty import code_penalty
from hashgnn.training.objectives.teacher import build_teacher
from hashgnn.training.step_size import users_per_step
from hashgnn.training.torch_backend import backend_of
from hashgnn.training.workers.group import ALONE, Group

Pairs = tuple[torch.Tensor, torch.Tensor]
_CODES, _EMBEDDINGS, _FLOAT_QUERIES = range(N_KINDS)  # places among a model's thresholds


@dataclass(frozen=True)
class ItemSample:
    """Items of one step's softmax.

    Attributes
    ----------
    items : LongTensor of shape (n_sampled,)
        Item indices, ascending, each once.
    place : LongTensor of shape (n_items,)
        Position of each item in ``items``; -1 for those left out.
    correction : Tensor of shape (n_sampled,)
        Added to the scores: ``-log(share)`` for an item that was drawn, which so counts for ``1 / share`` items,
        and 0 for one that is always included.
    """

    items: torch.Tensor
    place: torch.Tensor
    correction: torch.Tensor

    @classmethod
    def draw(
        cls, required: torch.Tensor, n_items: int, share: float, generator: torch.Generator
    ) -> ItemSample:
        """Take every item of ``required`` and each other item with probability ``share``."""
        device = required.device
        certain = torch.zeros(n_items, dtype=torch.bool, device=device)
        certain[required] = True
        drawn = torch.rand(n_items, generator=generator, device=generator.device).to(device) < share
        items = torch.nonzero(certain | drawn)[:, 0]
        place = torch.full((n_items,), -1, device=device)
        place[items] = torch.arange(len(items), device=device)
        return cls(items, place, torch.where(certain[items], 0.0, -math.log(share)))

    def places(self, targets: Targets, excluded: Pairs | None) -> tuple[Targets, Pairs | None]:
        """Return targets and excluded pairs by position in the sample; excluded pairs outside it are dropped."""
        columns = self.place[targets.columns]
        assert bool((columns >= 0).all()), "every target is in the sample"
        inside = Targets(targets.n_rows, targets.rows, columns, targets.weights)
        if excluded is None:
            return inside, None
        rows, columns = excluded[0], self.place[excluded[1]]
        return inside, (rows[columns >= 0], columns[columns >= 0])


@dataclass(frozen=True)
class KindOfScores:
    """One kind of scores of a step, ``queries @ items.T + bias``, and what its softmax counts in the loss.

    Attributes
    ----------
    place : int
        Of the kind, among the thresholds of a model.
    weight : float
    queries, items : Tensor of shape (n_users, dim), (n_items, dim)
    bias : Tensor of shape (n_items,) or None
    """

    place: int
    weight: float
    queries: torch.Tensor
    items: torch.Tensor
    bias: torch.Tensor | None = None


class UserObjective:
    """Cross-entropy of a user's target distribution against the softmax over all items.

    The target is ``(1 - w) · observed items + w · teacher``. Observed items have equal shares, or shares in
    proportion to the weights of their interactions; the teacher's fall with rank. Observed are all items of the user,
    or those that were left out of the encoder's input history. In the second case the items of the input are excluded
    from the softmax. The loss has three terms with weights of their own: of the codes, with scores ``scale · h_u · h_i + bias_i``, of the embeddings, with scores
    ``float_scale · u_u · u_i``, and of float queries, with scores ``scale · q_u · h_i + bias_i``. Here q_u are the
    activations of the user's code, scaled to its length.

    With ``item_share`` below 1 the softmax runs over the targets of the batch and a sample of the
    other items. Each is drawn with that probability and counts as ``1 / item_share`` items. This is an unbiased
    estimate of the sum over all items, at a fraction of its cost.

    With ``top_k`` all terms compare their scores with that of a user's K-th item, each with its own: see
    :class:`~hashgnn.nn.TopK`.
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
        self._group = group
        settings, encoder = config.objective, config.encoder
        assert isinstance(settings, Users)
        self._graph, self._view, self._settings = graph, view, settings
        self._left_out: float | None = None
        if isinstance(encoder, History) and settings.observed_target != "all":
            self._left_out = encoder.history_dropout
        self._users = np.flatnonzero(graph.user_degrees)
        self._batch_size = users_per_step(config, len(self._users))
        self._items = torch.arange(graph.n_users, graph.n_nodes, device=view.device)
        # Where bfloat16 is emulated, or the catalogue small, single precision is the faster one.
        self._workspace = (
            SoftmaxWorkspace(rounds_up=settings.item_share < 1) if has_fast_bfloat16(view.device) else None
        )
        teacher = build_teacher(graph, config.teacher, rng, progress, backend_of(view.device, group))
        self._lists = None if teacher is None else teacher.lists
        self.facts = {} if teacher is None else {"teacher": teacher.facts}
        if isinstance(config.teacher, ListTeacherConfig):
            self._weight, self._count = config.teacher.weight, config.teacher.count
            self._list_weights = torch.exp(-torch.arange(config.teacher.k) / config.teacher.decay)

    def n_steps(self) -> int:
        """Return the number of batches in an epoch."""
        return math.ceil(len(self._users) / self._batch_size)

    def batches(self, rng: np.random.Generator) -> Iterator[Array]:
        """Yield every user who has interactions once, in an order drawn from ``rng``."""
        order = rng.permutation(self._users)
        for start in range(0, len(order), self._batch_size):
            yield np.sort(order[start : start + self._batch_size])

    def loss(
        self, model: HashModel, batch: Array, position: StepPosition, generator: torch.Generator
    ) -> torch.Tensor:
        """Return the weighted sum of the softmax losses of all kinds of scores for a batch of users."""
        settings = self._settings
        view, targets, excluded = self._batch_targets(batch, generator)
        sample = self._sample(targets, generator)
        if sample is not None:
            targets, excluded = sample.places(targets, excluded)
        nodes = self._items if sample is None else self._items[sample.items]
        u = model.encoder(
            view, torch.cat([torch.from_numpy(batch).to(nodes.device), nodes]), generator=generator
        )
        users, items = u[: len(batch)], u[len(batch) :]
        correction = None if sample is None else sample.correction
        kept = self._kept(model, batch)
        bias: torch.Tensor | None = model.item_bias
        if sample is not None and bias is not None:
            bias = bias[sample.items]
        loss = torch.zeros((), device=u.device)
        for kind in self._kinds(model, users, items, bias, position, generator):
            loss = loss + kind.weight * self._softmax(kind, targets, excluded, correction, kept)
        self._keep(model, batch, kept)
        return loss + code_penalty(model, users, items, settings)

    def _kinds(
        self,
        model: HashModel,
        users: torch.Tensor,
        items: torch.Tensor,
        bias: torch.Tensor | None,
        position: StepPosition,
        generator: torch.Generator,
        item_generator: torch.Generator | None = None,
        draws: torch.Tensor | None = None,
    ) -> list[KindOfScores]:
        """Return the kinds of scores of a step, by the embeddings of its users and items and the bias of the items.

        What the relaxation draws for items comes from ``item_generator``, or was drawn before.
        """
        settings, kinds = self._settings, []
        if settings.trains_codes:
            strength = model.relaxation.strength(*position)
            user_strength = model.relaxation.user_strength(strength)
            h_users = model.codes(model.before_codes(users, "user"), user_strength, generator)
            before = model.before_codes(items, "item")
            h_items = model.codes(before, strength, item_generator or generator, draws=draws)
            by_place = {_CODES: h_users, _FLOAT_QUERIES: model.float_queries(users)}
            weights = {_CODES: settings.code_weight, _FLOAT_QUERIES: settings.float_query_weight}
            kinds += [
                KindOfScores(place, weights[place], model.scale * queries, h_items, bias)
                for place, queries in by_place.items()
                if weights[place] > 0
            ]
        if settings.float_weight > 0:
            kinds.append(KindOfScores(_EMBEDDINGS, settings.float_weight, model.float_scale * users, items))
        return kinds

    def _sample(self, targets: Targets, generator: torch.Generator) -> ItemSample | None:
        if self._settings.item_share == 1:
            return None
        return ItemSample.draw(targets.columns, len(self._items), self._settings.item_share, generator)

    def _kept(self, model: HashModel, batch: Array) -> torch.Tensor | None:
        """Return the thresholds that the model keeps for the users of a batch, (3, n_users), or ``None``."""
        return None if model.thresholds is None else model.thresholds[:, torch.from_numpy(batch)]

    def _keep(self, model: HashModel, batch: Array, kept: torch.Tensor | None) -> None:
        if kept is not None and model.thresholds is not None:
            model.thresholds[:, torch.from_numpy(batch)] = kept

    def _top_k(self, correction: torch.Tensor | None, kept: torch.Tensor | None, kind: int) -> TopK | None:
        """Return the rule of one kind of scores, or ``None``; it has the correction of a sample in its own place."""
        settings = self._settings
        if settings.top_k is None:
            return None
        return TopK(
            settings.top_k,
            settings.top_k_temperature,
            settings.top_k_loss,
            log_counts=correction,
            thresholds=None if kept is None else kept[kind],
            rate=settings.top_k_rate,
        )

    def _softmax(
        self,
        kind: KindOfScores,
        targets: Targets,
        excluded: Pairs | None,
        correction: torch.Tensor | None,
        kept: torch.Tensor | None,
    ) -> torch.Tensor:
        top_k = self._top_k(correction, kept, kind.place)
        bias = kind.bias if top_k is not None else added(kind.bias, correction)
        ratio = self._settings.bilateral_ratio
        options: dict[str, Any] = {"bias": bias, "excluded": excluded, "workspace": self._workspace}
        if ratio is None:
            return full_softmax(kind.queries, kind.items, targets, top_k=top_k, **options)
        return bilateral_full_softmax(kind.queries, kind.items, targets, ratio=ratio, **options)

    def _batch_targets(
        self, batch: Array, generator: torch.Generator
    ) -> tuple[GraphView, Targets, Pairs | None]:
        """Return the encoder's input for a batch, the targets, and the excluded pairs."""
        rows = self._graph.user_item[batch]
        columns = torch.from_numpy(rows.indices.astype(np.int64))
        lengths = torch.from_numpy(np.diff(rows.indptr).astype(np.int64))
        if self._left_out is None:
            weights = torch.from_numpy(rows.data)
            return self._view, self._moved(self._targets(batch, columns, lengths, weights)), None
        owner = torch.repeat_interleave(torch.arange(len(batch)), lengths)
        draws = torch.rand(len(columns), generator=generator, device=generator.device).cpu()
        shown = draws >= self._left_out
        count = torch.bincount(owner[shown], minlength=len(batch))
        weights = torch.from_numpy(rows.data).to(self._view.degrees.dtype)
        device = self._items.device
        view = self._view.with_histories(
            columns[shown].to(device), weights[shown].to(device), count.to(device)
        )
        targets = self._targets(batch, columns[~shown], lengths - count, weights[~shown])
        return view, self._moved(targets), (owner[shown].to(device), columns[shown].to(device))

    def _targets(
        self, batch: Array, columns: torch.Tensor, lengths: torch.Tensor, weights: torch.Tensor
    ) -> Targets:
        """Return the mixture of the observed items, given as lists one after another, and the teacher's."""
        observed = Targets.from_lists(columns, lengths, weights if self._graph.is_weighted else None)
        if self._lists is None:
            return observed
        lists = torch.from_numpy(self._lists[batch])
        ranked = Targets.from_ranked(lists, self._list_weights[: lists.shape[1]].expand(len(batch), -1))
        if self._count is None:
            share = torch.full((len(batch),), self._weight)
        else:
            share = self._count / (self._count + lengths)
        # A user without held-out items, or without a list, has the other part as the whole target.
        share = torch.where(lengths == 0, 1.0, share)
        return observed.mixed_with(
            ranked, torch.where(torch.from_numpy(self._lists[batch, 0] < 0), 0.0, share)
        )

    def _moved(self, targets: Targets) -> Targets:
        device = self._items.device
        return Targets(
            targets.n_rows, targets.rows.to(device), targets.columns.to(device), targets.weights.to(device)
        )


def added(one: torch.Tensor | None, other: torch.Tensor | None) -> torch.Tensor | None:
    """Return the sum of two biases, each of which may be missing."""
    if one is None or other is None:
        return other if one is None else one
    return one + other
