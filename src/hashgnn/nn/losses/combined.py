"""The weighted sum of reconstruction and ranking loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from hashgnn._checks import check_choice, check_float
from hashgnn.nn.losses.bilateral_softmax import bilateral_softmax
from hashgnn.nn.losses.bpr import bpr
from hashgnn.nn.losses.ranking_hinge import ranking_hinge
from hashgnn.nn.losses.reconstruction import reconstruction_loss
from hashgnn.nn.losses.sampled_softmax import sampled_softmax

RANKING_LOSSES: dict[str, Callable[..., torch.Tensor]] = {
    "bilateral_softmax": bilateral_softmax,
    "bpr": bpr,
    "hinge": ranking_hinge,
    "sampled_softmax": sampled_softmax,
}


def combined(
    positive: torch.Tensor,
    negative: torch.Tensor,
    *,
    reconstruction_weight: float = 1.0,
    ranking_weight: float = 1.0,
    ranking: str = "hinge",
    **options: Any,
) -> torch.Tensor:
    """Return ``reconstruction_weight · L_reconstruction + ranking_weight · L_ranking``.

    Parameters
    ----------
    positive : Tensor of shape (n_edges,)
        Scores of observed edges.
    negative : Tensor of shape (n_edges, n_negatives)
        Scores of the items sampled for each edge.
    reconstruction_weight, ranking_weight : float, >= 0
        The paper has 1 and λ; the authors' code 0.1 and 1. A term of weight 0 is not computed.
    ranking : str, default="hinge"
        A name of ``RANKING_LOSSES``.
    **options
        Of the ranking loss: the hinge's ``margin``, for instance.

    Returns
    -------
    Tensor, scalar

    References
    ----------
    Tan et al., WWW 2020, arXiv 2003.01917: L = L_reconstruction + λ · L_ranking.
    """
    check_float("reconstruction_weight", reconstruction_weight, minimum=0)
    check_float("ranking_weight", ranking_weight, minimum=0)
    check_choice("ranking_loss", ranking, RANKING_LOSSES)
    loss = positive.new_zeros(())
    if reconstruction_weight:
        loss = loss + reconstruction_weight * reconstruction_loss(positive, negative)
    if ranking_weight:
        loss = loss + ranking_weight * RANKING_LOSSES[ranking](positive, negative, **options)
    return loss
