"""Bayesian personalised ranking."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from hashgnn.nn.losses._scores import check_scores
from hashgnn.nn.losses.ranking_loss import RankingLoss


def bpr(positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
    """Return the negative log-likelihood that observed items are ranked above sampled ones.

    Parameters
    ----------
    positive : Tensor of shape (n_edges,)
        Scores of observed edges.
    negative : Tensor of shape (n_edges, n_negatives)
        Scores of the items sampled for each edge.

    Returns
    -------
    Tensor, scalar
        ``1/n_edges · Σ_e Σ_m softplus(-(s⁺_e - s⁻_em))``: sum over an edge's negatives, mean over edges.

    References
    ----------
    Rendle et al., UAI 2009, BPR-Opt. The authors' HashGNN code ranks by this and not by the hinge.

    Examples
    --------
    >>> round(bpr(torch.tensor([1.0]), torch.tensor([[1.0]])).item(), 4)
    0.6931
    """
    check_scores(positive, negative)
    return functional.softplus(negative - positive.unsqueeze(1)).sum(dim=1).mean()


@dataclass(frozen=True)
class BPR(RankingLoss):
    """:func:`bpr` as a ranking loss of edges."""

    def __call__(
        self,
        positive: torch.Tensor,
        negative: torch.Tensor,
        *,
        users: torch.Tensor,
        log_expected: torch.Tensor,
    ) -> torch.Tensor:
        """Return the loss of a batch of edges."""
        return bpr(positive, negative)
