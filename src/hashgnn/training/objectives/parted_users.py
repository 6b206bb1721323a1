"""The objective ``users`` on several processes: the items of a step's softmax are parted among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hashgnn._types import Array
from hashgnn.config import ModelConfig
from hashgnn.graph import BipartiteGraph
from hashgnn.nn import GraphView, Targets
from hashgnn.nn._sparse import take
from hashgnn.nn.encoders.history import HistoryEncoder
from hashgnn.nn.losses.parted_softmax import (
    PartedItems,
    PartedScores,
    parted_bilateral_softmax,
    parted_softmax,
)
from hashgnn.nn.peers import differentiable_sum
from hashgnn.nn.relaxations.base import DrawsBefore
from hashgnn.training.hash_model import HashModel
from hashgnn.training.objectives.base import StepPosition
from hashgnn.training.objectives.code_penalty import code_penalty
from hashgnn.training.objectives.users import KindOfScores, Pairs, UserObjective, added
from hashgnn.training.workers.group import Group

_ENCODER_DRAWS, _ITEM_DRAWS = 0, 1


@dataclass(frozen=True)
class _Own:
    """The part of a step's softmax that this process computes.

    Attributes
    ----------
    items : LongTensor of shape (n_own,)
        Items: every n-th of all, as far as the step has them.
    correction : Tensor of shape (n_own,) or None
    targets : Targets
        Of these items, by place in ``items``.
    excluded : pair of LongTensor, or None
    parted : PartedItems
    """

    items: torch.Tensor
    correction: torch.Tensor | None
    targets: Targets
    excluded: Pairs | None
    parted: PartedItems


@dataclass(frozen=True)
class _Histories:
    """Items and weights that the users of a batch are summed from.

    Attributes
    ----------
    columns, rows : LongTensor of shape (n_entries,)
        Items of this process, one history after another, and where they stand in its tables.
    values : Tensor of shape (n_entries,)
        Their weights.
    lengths : LongTensor of shape (n_users,)
        Of the histories, of this process's items.
    all_values, all_owners : Tensor of shape (n_all_entries,)
        Weights in the whole histories, and the place of each one's user.
    """

    columns: torch.Tensor
    rows: torch.Tensor
    values: torch.Tensor
    lengths: torch.Tensor
    all_values: torch.Tensor
    all_owners: torch.Tensor


@dataclass(frozen=True)
class _Prepared:
    """Draws, targets and histories of a step: all that it needs before it reads a parameter.

    Attributes
    ----------
    view : GraphView
    own : _Own
    generator : torch.Generator
        Of what the encoder draws, equal in all processes. Each asks the encoder for other items, which must not move
        the generator of the step.
    item_generator : torch.Generator
        Of the codes of own items.
    draws : Tensor, optional
        What the relaxation draws for own items.
    histories : _Histories, optional
        Where tables are parted by rows.
    """

    view: GraphView
    own: _Own
    generator: torch.Generator
    item_generator: torch.Generator
    draws: torch.Tensor | None
    histories: _Histories | None


class PartedUserObjective(UserObjective):
    """:class:`UserObjective` for the processes of a group; the losses of all add up to that of one process alone.

    All have the batch of users, its targets and its sample of items, from equal draws. Each computes the embeddings,
    codes and scores of its own items, every n-th, and a part of the gradient. They exchange what is as large as the
    batch of users, never what is as large as the items: sums over histories, the sums that the softmax divides by,
    and gradients of the users.

    Parameters
    ----------
    sharded : bool
        Each process holds the rows of its own items only, in the tables of the encoder ``history`` and in the item
        bias. Otherwise every process holds all, and :func:`~hashgnn.training.workers.gradients.add_gradients` adds
        what they learn.
    """

    def __init__(
        self,
        graph: BipartiteGraph,
        view: GraphView,
        config: ModelConfig,
        rng: np.random.Generator,
        progress: bool | None,
        group: Group,
        *,
        sharded: bool,
    ) -> None:
        super().__init__(graph, view, config, rng, progress, group)
        self._sharded = sharded
        every = torch.arange(graph.n_items, device=view.device)
        # Looked up in each step, as divisions of integers are slow.
        self._owners, self._places = every % group.size, every // group.size
        self._prepared: tuple[Array, _Prepared] | None = None

    def prepare(
        self, model: HashModel, batch: Array, position: StepPosition, generator: torch.Generator
    ) -> None:
        """Make what the next batch needs in every second process, the others make it later.

        An optimiser waits for memory, and targets and draws do not. Processes of one machine share its memory, so both
        get on where one steps while the other prepares.
        """
        if self._group.rank % 2:
            self._prepared = batch, self._before_parameters(model, batch, position, generator)

    def loss(
        self, model: HashModel, batch: Array, position: StepPosition, generator: torch.Generator
    ) -> torch.Tensor:
        """Return this process's part of the loss of a batch of users."""
        group = self._group
        known, self._prepared = self._prepared, None
        if known is not None and known[0] is batch:
            prepared = known[1]
        else:
            prepared = self._before_parameters(model, batch, position, generator)
        own = prepared.own
        users, items = self._embeddings(model, batch, prepared)
        bias = None if model.item_bias is None else model.item_bias[self._rows(own.items)]
        kinds = self._kinds(
            model, users, items, bias, position, generator, prepared.item_generator, prepared.draws
        )
        kept = self._kept(model, batch)
        losses = self._parts_of_softmax(kinds, own, kept) if kinds else []
        self._keep(model, batch, kept)
        loss = torch.zeros((), device=users.device)
        for kind, of_kind in zip(kinds, losses, strict=True):
            loss = loss + kind.weight * of_kind
        return loss + code_penalty(model, users, items, self._settings, group)

    def _before_parameters(
        self, model: HashModel, batch: Array, position: StepPosition, generator: torch.Generator
    ) -> _Prepared:
        view, targets, excluded = self._batch_targets(batch, generator)
        own = self._part(targets, excluded, generator)
        step = position.epoch * position.n_steps + position.step
        common = _derived(generator, step, _ENCODER_DRAWS)
        of_items = _derived(generator, step, _ITEM_DRAWS, self._group.rank)
        draws = histories = None
        if self._settings.trains_codes and isinstance(model.relaxation, DrawsBefore):
            draws = model.relaxation.draw(len(own.items), model.hash_layer.n_bits, generator=of_items)
        if self._sharded:
            histories = self._histories(model, view, batch, common)
        return _Prepared(view, own, common, of_items, draws, histories)

    def _histories(
        self, model: HashModel, view: GraphView, batch: Array, generator: torch.Generator
    ) -> _Histories:
        assert isinstance(model.encoder, HistoryEncoder)
        index = torch.from_numpy(batch).to(view.device)
        columns, values, _, owners = model.encoder.histories(view, index, generator)
        mine = _where(self._owners[columns] == self._group.rank)
        lengths = torch.bincount(owners[mine], minlength=len(batch))
        own = columns[mine]
        return _Histories(own, self._places[own], values[mine], lengths, values, owners)

    def _part(self, targets: Targets, excluded: Pairs | None, generator: torch.Generator) -> _Own:
        size, rank, device = self._group.size, self._group.rank, targets.columns.device
        sample = self._sample(targets, generator)
        n_items = len(self._items)
        items = torch.arange(n_items, device=device) if sample is None else sample.items
        owners = self._owners[items]
        mine = _where(owners == rank)
        own = items[mine]
        place = torch.full((n_items,), -1, device=device)
        place[own] = torch.arange(len(own), device=device)
        row_weights = torch.zeros(targets.n_rows, dtype=targets.weights.dtype, device=device)
        row_weights.index_add_(0, targets.rows, targets.weights)
        columns = place[targets.columns]
        inside = _where(columns >= 0)
        if excluded is not None:
            rows, places = excluded[0], place[excluded[1]]
            # In a row without targets everything may be excluded, and a softmax over nothing is no number.
            kept = _where((places >= 0) & (row_weights[rows] > 0))
            excluded = rows[kept], places[kept]
        largest = int(torch.bincount(owners, minlength=size).max())
        return _Own(
            own,
            None if sample is None else sample.correction[mine],
            Targets(targets.n_rows, targets.rows[inside], columns[inside], targets.weights[inside]),
            excluded,
            PartedItems(self._group, row_weights, largest),
        )

    def _rows(self, items: torch.Tensor) -> torch.Tensor:
        """Return where items of this process stand in its tables."""
        return self._places[items] if self._sharded else items

    def _embeddings(
        self, model: HashModel, batch: Array, prepared: _Prepared
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the embeddings of the batch's users, equal in all processes, and of own items."""
        view, items, known = prepared.view, prepared.own.items, prepared.histories
        index = torch.from_numpy(batch).to(items.device)
        encoder = model.encoder
        if known is None:
            u = encoder(view, torch.cat([index, self._items[items]]), generator=prepared.generator)
            return u[: len(batch)], u[len(batch) :]
        assert isinstance(encoder, HistoryEncoder)
        sums = encoder.history_sums(view, known.columns, known.values, known.lengths, rows=known.rows)
        sums = differentiable_sum(self._group, sums)
        users = encoder.users_of_sums(view, index, sums, known.all_values, known.all_owners)
        rows = take(encoder.item_input.table, self._rows(items))
        projected = encoder.item_input.features(view.item_features, items)
        return users, rows if projected is None else rows + projected

    def _parts_of_softmax(
        self, kinds: list[KindOfScores], own: _Own, kept: torch.Tensor | None
    ) -> list[torch.Tensor]:
        settings = self._settings
        # The rule of the K best has the correction in its own place.
        correction = None if settings.top_k is not None else own.correction
        scores = [PartedScores(kind.queries, kind.items, added(kind.bias, correction)) for kind in kinds]
        options: dict[str, Any] = {"excluded": own.excluded, "workspace": self._workspace}
        if settings.bilateral_ratio is not None:
            options["ratio"] = settings.bilateral_ratio
            return parted_bilateral_softmax(scores, own.targets, own.parted, **options)
        rules = [
            rule for kind in kinds if (rule := self._top_k(own.correction, kept, kind.place)) is not None
        ]
        return parted_softmax(scores, own.targets, own.parted, top_k=rules or None, **options)


def _where(mask: torch.Tensor) -> torch.Tensor:
    """Return the places where a mask is true: by these, several tensors are cut for the price of one look at it."""
    return torch.nonzero(mask)[:, 0]


def _derived(generator: torch.Generator, *path: int) -> torch.Generator:
    """Return a generator for one purpose, without a draw from the given one."""
    seed = np.random.SeedSequence([generator.initial_seed(), *path]).generate_state(1, np.uint64)[0]
    return torch.Generator(generator.device).manual_seed(int(seed >> 1))
