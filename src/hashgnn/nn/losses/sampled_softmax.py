"""Softmax of an observed item against a sample of the others."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hashgnn.errors import ParameterError
from hashgnn.nn.losses._scores import check_scores
from hashgnn.nn.losses.ranking_loss import RankingLoss


def sampled_softmax(
    positive: torch.Tensor,
    negative: torch.Tensor,
    *,
    log_q: torch.Tensor | None = None,
    log_q_positive: torch.Tensor | None = None,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the cross-entropy of the observed item among itself and the sampled ones.

    Parameters
    ----------
    positive : Tensor of shape (n_edges,)
        Scores of observed edges, already divided by any temperature.
    negative : Tensor of shape (n_edges, n_negatives)
        Scores of the sampled items.
    log_q : Tensor that broadcasts to (n_edges, n_negatives), optional
        Log of how often each sampled item is expected in the sample (``log(n_negatives · q)`` for draws with
        probability q). Subtracted from its score, it makes the sampled sum an unbiased estimate of the sum
        over the items drawn from.
    log_q_positive : Tensor of shape (n_edges,), optional
        The same for the observed item, for in-batch negatives, where it is drawn like the others.
    mask : bool Tensor of shape (n_edges, n_negatives), optional
        True where a sampled item must not count as a negative, an accidental hit for instance.

    Returns
    -------
    Tensor, scalar
        ``1/n_edges · Σ_e [ -a_e + log(exp(a_e) + Σ_m exp(b_em)) ]`` with ``a = s⁺ - log q⁺`` and
        ``b = s⁻ - log q``: mean over edges.

    References
    ----------
    Bengio, Senécal 2008; Yi et al., RecSys 2019: the logQ correction.

    Examples
    --------
    >>> round(sampled_softmax(torch.tensor([0.0]), torch.tensor([[0.0, 0.0]])).item(), 4)
    1.0986
    """
    check_scores(positive, negative)
    if log_q_positive is not None:
        positive = positive - log_q_positive
    if log_q is not None:
        negative = negative - log_q
    if mask is not None:
        if mask.shape != negative.shape or mask.dtype != torch.bool:
            raise ParameterError(
                f"mask must be bool of shape {tuple(negative.shape)}, got {mask.dtype} {tuple(mask.shape)}"
            )
        negative = negative.masked_fill(mask, -torch.inf)
    logits = torch.cat([positive.unsqueeze(1), negative], dim=1)
    return (torch.logsumexp(logits, dim=1) - positive).mean()


@dataclass(frozen=True)
class SampledSoftmax(RankingLoss):
    """:func:`sampled_softmax` as a ranking loss of edges.

    Parameters
    ----------
    popularity_correction : bool, default=False
        Subtract the log of how often each negative is expected.
    """

    popularity_correction: bool = False

    def __call__(
        self,
        positive: torch.Tensor,
        negative: torch.Tensor,
        *,
        users: torch.Tensor,
        log_expected: torch.Tensor,
    ) -> torch.Tensor:
        """Return the loss of a batch of edges."""
        return sampled_softmax(positive, negative, log_q=log_expected if self.popularity_correction else None)
