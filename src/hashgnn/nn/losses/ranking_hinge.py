"""Ranking loss of the paper: a hinge on sigmoids with a margin."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hashgnn._checks import check_float
from hashgnn.nn.losses._scores import check_scores
from hashgnn.nn.losses.ranking_loss import RankingLoss


def ranking_hinge(positive: torch.Tensor, negative: torch.Tensor, *, margin: float = 0.2) -> torch.Tensor:
    """Return the hinge between the sigmoids of observed and sampled scores.

    Parameters
    ----------
    positive : Tensor of shape (n_edges,)
        Scores of observed edges.
    negative : Tensor of shape (n_edges, n_negatives)
        Scores of the items sampled for each edge.
    margin : float >= 0, default=0.2
        The paper's α. Sigmoids lie in (0, 1), so a margin of 1 or more is never met.

    Returns
    -------
    Tensor, scalar
        ``1/n_edges · Σ_e Σ_m max(0, -σ(s⁺_e) + σ(s⁻_em) + α)``: sum over an edge's negatives, mean over edges.

    References
    ----------
    Tan et al., WWW 2020, arXiv 2003.01917: the ranking loss.

    Examples
    --------
    >>> round(ranking_hinge(torch.tensor([0.0]), torch.tensor([[0.0, -9.0]]), margin=0.2).item(), 4)
    0.2
    """
    check_scores(positive, negative)
    check_float("margin", margin, minimum=0)
    gap = torch.sigmoid(negative) - torch.sigmoid(positive).unsqueeze(1)
    return torch.relu(gap + margin).sum(dim=1).mean()


@dataclass(frozen=True)
class Hinge(RankingLoss):
    """:func:`ranking_hinge` as a ranking loss of edges.

    Parameters
    ----------
    margin : float >= 0, default=0.2
    """

    margin: float = 0.2

    def __call__(
        self,
        positive: torch.Tensor,
        negative: torch.Tensor,
        *,
        users: torch.Tensor,
        log_expected: torch.Tensor,
    ) -> torch.Tensor:
        """Return the loss of a batch of edges."""
        return ranking_hinge(positive, negative, margin=self.margin)
