"""Some items in place of all: what a batch asks for, and a sample of the rest that stands for the rest."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from hashgnn.nn import Targets

Pairs = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class ItemSample:
    """Items of one step's softmax.

    Attributes
    ----------
    items : LongTensor of shape (n_sampled,)
        Item indices, ascending, each once.
    place : LongTensor of shape (n_items,)
        Where each item stands in ``items``; -1 for those left out.
    correction : Tensor of shape (n_sampled,)
        Added to the scores: ``-log(share)`` for an item that was drawn, which so counts for ``1 / share`` items,
        and 0 for one that is there for certain.
    """

    items: torch.Tensor
    place: torch.Tensor
    correction: torch.Tensor

    @classmethod
    def draw(cls, asked: torch.Tensor, n_items: int, share: float, generator: torch.Generator) -> ItemSample:
        """Take every item of ``asked`` and each other item with probability ``share``."""
        device = asked.device
        certain = torch.zeros(n_items, dtype=torch.bool, device=device)
        certain[asked] = True
        drawn = torch.rand(n_items, generator=generator, device=generator.device).to(device) < share
        items = torch.nonzero(certain | drawn)[:, 0]
        place = torch.full((n_items,), -1, device=device)
        place[items] = torch.arange(len(items), device=device)
        return cls(items, place, torch.where(certain[items], 0.0, -math.log(share)))

    def places(self, targets: Targets, excluded: Pairs | None) -> tuple[Targets, Pairs | None]:
        """Return targets and excluded pairs with places in the sample for columns; pairs outside it go."""
        columns = self.place[targets.columns]
        assert bool((columns >= 0).all()), "what is asked for is in the sample"
        inside = Targets(targets.n_rows, targets.rows, columns, targets.weights)
        if excluded is None:
            return inside, None
        rows, columns = excluded[0], self.place[excluded[1]]
        return inside, (rows[columns >= 0], columns[columns >= 0])
