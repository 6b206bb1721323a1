"""Reconstruction loss: cross-entropy of observed edges against sampled ones."""

from __future__ import annotations

import torch
from torch.nn import functional

from hashgnn.nn.losses._scores import check_scores


def reconstruction_loss(positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy with sampled negatives.

    Parameters
    ----------
    positive : Tensor of shape (n_edges,)
        Scores ``s = h_i · h_j`` of observed edges.
    negative : Tensor of shape (n_edges, n_negatives)
        Scores of the items sampled for each edge.

    Returns
    -------
    Tensor, scalar
        ``1/n_edges · Σ_e [ -log σ(s⁺_e) - Σ_m log(1 - σ(s⁻_em)) ]``: sum over an edge's negatives, mean over
        edges.

    References
    ----------
    Tan et al., WWW 2020, arXiv 2003.01917: the reconstruction loss.

    Examples
    --------
    >>> round(reconstruction_loss(torch.tensor([0.0]), torch.tensor([[0.0, 0.0]])).item(), 4)
    2.0794
    """
    check_scores(positive, negative)
    # -log σ(s) = softplus(-s) and -log(1 - σ(s)) = softplus(s) stay finite for any score.
    return (functional.softplus(-positive) + functional.softplus(negative).sum(dim=1)).mean()
