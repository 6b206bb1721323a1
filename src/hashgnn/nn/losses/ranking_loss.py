"""``RankingLoss``: the contract of losses that rank observed items above sampled ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch

from hashgnn._components import RANKING_LOSSES
from hashgnn._registry import imported


class RankingLoss(ABC):
    """A loss over batches of edges: frozen options and a rule."""

    @abstractmethod
    def __call__(
        self,
        positive: torch.Tensor,
        negative: torch.Tensor,
        *,
        users: torch.Tensor,
        log_expected: torch.Tensor,
    ) -> torch.Tensor:
        """Return the loss of a batch of edges, a scalar: a mean over edges.

        Parameters
        ----------
        positive : Tensor of shape (n_edges,)
            Scores of observed edges.
        negative : Tensor of shape (n_edges, n_negatives)
            Scores of the items sampled for each edge.
        users : LongTensor of shape (n_edges,)
            The edges of one user have one number, below n_edges.
        log_expected : Tensor of shape (n_edges, n_negatives)
            Log of how often each negative is expected among those of its edge.
        """


def build_ranking_loss(name: str, **options: Any) -> RankingLoss:
    """Build a ranking loss by its registered name, with its own options.

    Raises
    ------
    ParameterError
        If the name is unknown.

    Examples
    --------
    >>> build_ranking_loss("hinge", margin=0.1)
    Hinge(margin=0.1)
    """
    loss: RankingLoss = imported(RANKING_LOSSES[name].implementation)(**options)
    return loss
