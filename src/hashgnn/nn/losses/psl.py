"""Pairwise softmax loss: another activation of the gap of each pair in place of the exponential."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn import functional

from hashgnn._checks import check_choice, check_float
from hashgnn.nn.losses._scores import check_scores
from hashgnn.nn.losses.ranking_loss import RankingLoss

ACTIVATIONS = ("tanh", "relu", "atan")
_SMALLEST = 1e-6  # of an activation under the logarithm; relu is 0 for a gap of -1 and less


def psl(
    positive: torch.Tensor,
    negative: torch.Tensor,
    *,
    activation: Literal["tanh", "relu", "atan"] = "tanh",
    temperature: float = 1.0,
) -> torch.Tensor:
    """Return the pairwise softmax loss of observed and sampled scores.

    An exponential lets the pairs that are most wrong decide alone. Its surrogates are bounded or grow in a straight
    line, nearer to the step that counts the items ranked above an observed one.

    Parameters
    ----------
    positive : Tensor of shape (n_edges,)
        Scores of observed edges; the paper's are cosines divided by a temperature.
    negative : Tensor of shape (n_edges, n_negatives)
        Scores of the items sampled for each edge.
    activation : {"tanh", "relu", "atan"}, default="tanh"
        φ(d) = tanh(d) + 1, max(0, d + 1) or atan(d) + 1. The last two reach 0 at gaps of -1 and -1.56; from there on
        they are held at 1e-6, and such a pair has no gradient.
    temperature : float > 0, default=1.0
        τ; with a small one the hardest negatives decide.

    Returns
    -------
    Tensor, scalar
        ``1/n_edges · Σ_e log Σ_m φ(s⁻_em - s⁺_e)^(1/τ)``: mean over edges.

    References
    ----------
    Yang et al., *PSL: rethinking and improving softmax loss from pairwise perspective for recommendation*, NeurIPS 2024,
    arXiv 2411.00163: its first form, of the three surrogates.

    Examples
    --------
    >>> round(psl(torch.tensor([0.0]), torch.tensor([[0.0, 0.0]])).item(), 4)
    0.6931
    """
    check_scores(positive, negative)
    check_choice("activation", activation, ACTIVATIONS)
    check_float("temperature", temperature, minimum=0, open_minimum=True)
    gaps = negative - positive.unsqueeze(1)
    if activation == "tanh":
        # tanh(d) + 1 = 2 σ(2d), whose logarithm is exact far below 0.
        logs = functional.logsigmoid(2 * gaps) + torch.log(gaps.new_tensor(2.0))
    else:
        values = gaps if activation == "relu" else torch.atan(gaps)
        logs = torch.log((values + 1).clamp_min(_SMALLEST))
    return torch.logsumexp(logs / temperature, dim=1).mean()


@dataclass(frozen=True)
class PSL(RankingLoss):
    """:func:`psl` as a ranking loss of edges.

    Parameters
    ----------
    activation : {"tanh", "relu", "atan"}, default="tanh"
    temperature : float > 0, default=1.0
    """

    activation: Literal["tanh", "relu", "atan"] = "tanh"
    temperature: float = 1.0

    def __call__(
        self,
        positive: torch.Tensor,
        negative: torch.Tensor,
        *,
        users: torch.Tensor,
        log_expected: torch.Tensor,
    ) -> torch.Tensor:
        """Return the loss of a batch of edges."""
        return psl(positive, negative, activation=self.activation, temperature=self.temperature)
