"""The sign with a shaped gradient: wide enough to pass a gradient, narrow enough to approximate a step."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from hashgnn._checks import check_float, check_int
from hashgnn.nn.relaxations.base import Relaxation
from hashgnn.nn.relaxations.ste import signs


class _SignWithSlope(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(slope)
        return signs(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradients[0] * ctx.saved_tensors[0], None


@dataclass(frozen=True)
class Surrogate(Relaxation):
    """Signs of ``a`` forward; backward the slope of a smooth step, which integrates to the sign's jump of 2.

    Parameters
    ----------
    width : float > 0, default=1.0
        How far from 0 the slope reaches.
    """

    before_tanh: ClassVar[bool] = True

    width: float = 1.0

    def __post_init__(self) -> None:
        check_float("width", self.width, minimum=0, open_minimum=True)

    @abstractmethod
    def slope(self, x: torch.Tensor) -> torch.Tensor:
        """Return the factor on the gradient at each entry."""

    def __call__(
        self,
        x: torch.Tensor,
        strength: float,
        *,
        generator: torch.Generator,
        groups: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the signs; nothing is drawn."""
        result: torch.Tensor = _SignWithSlope.apply(x, self.slope(x.detach()))  # type: ignore[no-untyped-call]
        return result


@dataclass(frozen=True)
class ClippedSign(Surrogate):
    """Slope of the hard tanh: ``1/width`` where ``|a| <= width``, 0 beyond.

    References
    ----------
    Hubara et al., *Binarized neural networks*, NIPS 2016: the gradient is cancelled where the input is large.
    """

    def slope(self, x: torch.Tensor) -> torch.Tensor:
        """Return the factor on the gradient at each entry."""
        return (x.abs() <= self.width).to(x.dtype) / self.width


@dataclass(frozen=True)
class GaussianSign(Surrogate):
    """Slope of the error function: ``2γ/√π · exp(-(γ a)²)`` with ``γ = 1/width``.

    References
    ----------
    Chen et al., *Learning binarized graph representations with multi-faceted quantization reinforcement for
    top-K recommendation*, KDD 2022 (BiGeaR): Dirac's delta as the limit of Gaussians.
    """

    def slope(self, x: torch.Tensor) -> torch.Tensor:
        """Return the factor on the gradient at each entry."""
        return torch.exp(-((x / self.width) ** 2)) * (2 / (self.width * math.sqrt(math.pi)))


@dataclass(frozen=True)
class FourierSign(Surrogate):
    """Slope of the first terms of a square wave's Fourier series: ``4/H · Σ_k cos((2k + 1) π a / H)``.

    H is half a period, twice the width. The square wave falls again at ±H, where its slope would push bits
    away from the sign they have; so the slope counts for ``|a| <= width`` only, and is 0 at that edge.

    Parameters
    ----------
    width : float > 0, default=1.0
    terms : int, default=4
        Terms of the series; more make the slope higher and narrower, with ripples on both sides.

    References
    ----------
    Xu et al., *Learning frequency domain approximation for binary neural networks*, NeurIPS 2021; Chen et
    al., *Bipartite graph convolutional hashing*, WWW 2023 (BGCH).
    """

    terms: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_int("terms", self.terms, minimum=1)

    def slope(self, x: torch.Tensor) -> torch.Tensor:
        """Return the factor on the gradient at each entry."""
        angle = x * (math.pi / (2 * self.width))
        waves = torch.zeros_like(x)
        for k in range(self.terms):
            waves += torch.cos((2 * k + 1) * angle)
        return torch.where(x.abs() <= self.width, waves * (2 / self.width), 0.0)
