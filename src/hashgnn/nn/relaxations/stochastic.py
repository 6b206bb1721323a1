"""Stochastic binarisation: bits drawn from the relaxed code."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hashgnn.nn.relaxations.base import Relaxation
from hashgnn.nn.relaxations.ste import signs


@dataclass(frozen=True)
class StochasticBits(Relaxation):
    """A bit is +1 with probability ``(1 + z) / 2``, so that its mean is z; backward is the identity.

    References
    ----------
    Bengio, Léonard, Courville 2013, arXiv 1308.3432: the straight-through estimator of stochastic units;
    Hubara et al., *Binarized neural networks*, NIPS 2016: stochastic binarisation.
    """

    def __call__(
        self,
        x: torch.Tensor,
        strength: float,
        *,
        generator: torch.Generator,
        groups: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the drawn bits, ±1."""
        uniform = torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        drawn = signs((1 + x.detach()) / 2 - uniform)
        return drawn + (x - x.detach())
