"""Learned codes of graph layers: signs with scales, and their export."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from hashgnn.baselines.coded import CodedBaseline
from hashgnn.codes import BinaryCodes
from hashgnn.data import Interactions
from hashgnn.nn import GraphView
from hashgnn.training.validation import VectorScorer

Slope = Callable[[torch.Tensor], torch.Tensor]


class _ScaledSign(torch.autograd.Function):
    """Signs times the mean absolute value of their row; the gradient is multiplied by a slope."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, slope: Slope) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.slope = slope
        return signs(x) * x.abs().mean(dim=1, keepdim=True)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        (x,) = ctx.saved_tensors
        return gradients[0] * ctx.slope(x), None


def scaled_sign(x: torch.Tensor, slope: Slope) -> torch.Tensor:
    """Return ``sign(x)`` times the mean absolute value of its row, (n, width); sign(0) is +1.

    Backward it is ``slope(x)`` times the gradient: no gradient reaches the scale, and that of the sign is not scaled.
    Both are so in the code of BiGeaR and BGCH.
    """
    result: torch.Tensor = _ScaledSign.apply(x, slope)  # type: ignore[no-untyped-call]
    return result


def signs(x: torch.Tensor) -> torch.Tensor:
    """Return -1 or +1 for each entry, +1 for 0."""
    return torch.where(x >= 0, 1.0, -1.0)


class LayerCodes(nn.Module, ABC):
    """A module whose codes are signs of the layers of a graph encoder.

    Parameters
    ----------
    n_users : int
    weights : sequence of float
        Factor on the scales of each layer, the tables first.
    """

    def __init__(self, n_users: int, weights: tuple[float, ...]) -> None:
        super().__init__()
        self.n_users, self.weights = n_users, weights

    @abstractmethod
    def layers(self, view: GraphView, generator: torch.Generator | None = None) -> list[torch.Tensor]:
        """Return the layers before signs are taken, each (n_nodes, width of the layer).

        What is drawn comes from ``generator``; ``None`` draws the same in each call.
        """

    @abstractmethod
    def slope(self, x: torch.Tensor) -> torch.Tensor:
        """Return what stands for the derivative of the sign at each entry."""

    def codes(self, view: GraphView, generator: torch.Generator | None = None) -> list[torch.Tensor]:
        """Return signs times their scales, layer by layer, each (n_nodes, width of the layer)."""
        layers = zip(self.layers(view, generator), self.weights, strict=True)
        return [weight * scaled_sign(layer, self.slope) for layer, weight in layers]

    @torch.no_grad()
    def scorer(self, view: GraphView) -> VectorScorer:
        """Return the scorer of the codes and their scales."""
        codes = torch.cat(self.codes(view), dim=1)
        return VectorScorer(codes[: self.n_users], codes[self.n_users :], {"scaled": lambda x: x})

    @torch.no_grad()
    def export(self, interactions: Interactions, view: GraphView) -> CodedBaseline:
        """Return packed codes and scales of all users and items."""
        layers = self.layers(view)
        means = [weight * layer.abs().mean(dim=1) for layer, weight in zip(layers, self.weights, strict=True)]
        scales = torch.stack(means, dim=1).cpu().numpy()
        values = signs(torch.cat(layers, dim=1)).cpu().numpy()
        return CodedBaseline(
            interactions,
            BinaryCodes.from_signs(values[: self.n_users]),
            BinaryCodes.from_signs(values[self.n_users :]),
            scales[: self.n_users],
            scales[self.n_users :],
            [layer.shape[1] for layer in layers],
        )
