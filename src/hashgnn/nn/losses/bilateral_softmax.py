"""Bilateral softmax: a log of a mean of exponentials on both sides."""

from __future__ import annotations

import torch

from hashgnn._checks import check_float
from hashgnn.errors import ParameterError
from hashgnn.nn.losses._scores import check_scores


def bilateral_softmax(
    positive: torch.Tensor, negative: torch.Tensor, *, users: torch.Tensor, ratio: float = 1.0
) -> torch.Tensor:
    """Return the softmax loss whose positives, too, are averaged as exponentials.

    A user's doubtful positives, those that score far below its others, count for less.

    Parameters
    ----------
    positive : Tensor of shape (n_edges,)
        Scores of observed edges, already divided by the temperature of the negatives, τ₂.
    negative : Tensor of shape (n_edges, n_negatives)
        Scores of the sampled items, divided by τ₂.
    users : LongTensor of shape (n_edges,)
        The edges of one user have one number, below n_edges.
    ratio : float > 0, default=1.0
        τ₁ / τ₂, the temperature of the positives over that of the negatives; the larger it is, the more
        alike a user's positives count.

    Returns
    -------
    Tensor, scalar
        ``1/n_edges · Σ_e [ -ratio · log mean_{e'} exp(s⁺_e' / ratio) + log mean_m exp(s⁻_em) ]`` with e'
        over the edges of the user of e in the batch: mean over edges.

    References
    ----------
    Wu et al., *BSL: understanding and improving softmax loss for recommendation*, ICDE 2024, arXiv
    2312.12882. Its loss is τ₂ times this one.

    Examples
    --------
    >>> users = torch.tensor([0, 0])
    >>> round(bilateral_softmax(torch.tensor([1.0, 1.0]), torch.zeros(2, 3), users=users).item(), 4)
    -1.0
    """
    check_scores(positive, negative)
    check_float("ratio", ratio, minimum=0, open_minimum=True)
    if users.shape != positive.shape:
        raise ParameterError(f"users must have shape {tuple(positive.shape)}, got {tuple(users.shape)}")
    n_edges = len(positive)
    scaled = positive / ratio
    top = torch.full_like(scaled, -torch.inf).scatter_reduce(0, users, scaled.detach(), "amax")[users]
    sums = torch.zeros_like(scaled).index_add(0, users, torch.exp(scaled - top))
    counts = torch.zeros_like(scaled).index_add(0, users, torch.ones_like(scaled))
    means = torch.log(sums[users] / counts[users]) + top
    others = torch.logsumexp(negative, dim=1) - torch.log(negative.new_tensor(negative.shape[1]))
    return (others - ratio * means).sum() / n_edges
