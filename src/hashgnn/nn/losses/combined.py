"""The weighted sum of reconstruction and ranking loss."""

from __future__ import annotations

from collections.abc import Callable

import torch

from hashgnn._checks import check_float
from hashgnn.nn.losses.reconstruction import reconstruction_loss


def combined(
    positive: torch.Tensor,
    negative: torch.Tensor,
    ranking: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    *,
    reconstruction_weight: float = 1.0,
    ranking_weight: float = 1.0,
) -> torch.Tensor:
    """Return ``reconstruction_weight · L_reconstruction + ranking_weight · L_ranking``.

    Parameters
    ----------
    positive : Tensor of shape (n_edges,)
        Scores of observed edges.
    negative : Tensor of shape (n_edges, n_negatives)
        Scores of the items sampled for each edge.
    ranking : callable
        Takes both and returns the ranking loss, a scalar.
    reconstruction_weight, ranking_weight : float, >= 0
        The paper has 1 and λ; the authors' code 0.1 and 1. A term of weight 0 is not computed.

    Returns
    -------
    Tensor, scalar

    References
    ----------
    Tan et al., WWW 2020, arXiv 2003.01917: L = L_reconstruction + λ · L_ranking.
    """
    check_float("reconstruction_weight", reconstruction_weight, minimum=0)
    check_float("ranking_weight", ranking_weight, minimum=0)
    loss = positive.new_zeros(())
    if reconstruction_weight:
        loss = loss + reconstruction_weight * reconstruction_loss(positive, negative)
    if ranking_weight:
        loss = loss + ranking_weight * ranking(positive, negative)
    return loss
