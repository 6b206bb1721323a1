"""Bilateral softmax: a log of a mean of exponentials on both sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from hashgnn._checks import check_float
from hashgnn.errors import ParameterError
from hashgnn.nn.losses._scores import check_scores
from hashgnn.nn.losses.full_softmax import full_softmax
from hashgnn.nn.losses.ranking_loss import RankingLoss
from hashgnn.nn.losses.targets import Targets


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
        equally a user's positives count.

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
    counts = torch.zeros_like(positive).index_add(0, users, torch.ones_like(positive))
    means = _log_means(positive / ratio, 1 / counts[users], users, len(positive))[users]
    others = torch.logsumexp(negative, dim=1) - torch.log(negative.new_tensor(negative.shape[1]))
    return (others - ratio * means).mean()


@dataclass(frozen=True)
class BilateralSoftmax(RankingLoss):
    """:func:`bilateral_softmax` as a ranking loss of edges.

    Parameters
    ----------
    ratio : float > 0, default=1.0
    """

    ratio: float = 1.0

    def __call__(
        self,
        positive: torch.Tensor,
        negative: torch.Tensor,
        *,
        users: torch.Tensor,
        log_expected: torch.Tensor,
    ) -> torch.Tensor:
        """Return the loss of a batch of edges."""
        return bilateral_softmax(positive, negative, users=users, ratio=self.ratio)


def bilateral_full_softmax(
    queries: torch.Tensor,
    items: torch.Tensor,
    targets: Targets,
    *,
    ratio: float,
    bias: torch.Tensor | None = None,
    **options: Any,
) -> torch.Tensor:
    """Return the bilateral softmax of target rows against all items.

    Parameters
    ----------
    queries, items, targets, bias, **options
        As :func:`full_softmax` takes them.
    ratio : float > 0
        Temperature of the targets over that of all items; without end it is the plain softmax.

    Returns
    -------
    Tensor, scalar
        ``1/n_rows · Σ_r w_r · [ logsumexp_j s_rj - ratio · log Σ_i t_ri / w_r · exp(s_ri / ratio) ]`` with
        ``w_r = Σ_i t_ri``: mean over rows.

    References
    ----------
    Wu et al., ICDE 2024, arXiv 2312.12882; the negatives are all items instead of a sample.
    """
    check_float("ratio", ratio, minimum=0, open_minimum=True)
    plain = full_softmax(queries, items, targets, bias=bias, **options)
    rows, columns = targets.rows, targets.columns
    scores = (queries[rows] * items[columns]).sum(dim=1)
    if bias is not None:
        scores = scores + bias[columns]
    weights = targets.weights.to(scores.dtype)
    totals = torch.zeros(targets.n_rows, dtype=scores.dtype, device=scores.device).index_add(0, rows, weights)
    has_targets = totals > 0
    means = _log_means(scores / ratio, weights / totals[rows].clamp_min(1e-30), rows, targets.n_rows)
    # The plain loss takes the mean of the targets' scores; in its place comes the log of a mean of exponentials.
    gain = (weights * scores).sum() - ratio * (totals * means.masked_fill(~has_targets, 0.0)).sum()
    return plain + gain / targets.n_rows


def _log_means(
    values: torch.Tensor, shares: torch.Tensor, groups: torch.Tensor, n_groups: int
) -> torch.Tensor:
    """Return ``log Σ shares · exp(values)`` over each group, -inf where a group is empty."""
    top = torch.full((n_groups,), -torch.inf, dtype=values.dtype, device=values.device)
    top = top.scatter_reduce(0, groups, values.detach(), "amax")
    sums = torch.zeros_like(top).index_add(0, groups, shares * torch.exp(values - top[groups]))
    return torch.log(sums.clamp_min(torch.finfo(sums.dtype).tiny)) + top
