"""The sign with the identity for its gradient, with a learned threshold or without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from hashgnn.nn.relaxations.base import Relaxation


class _SignSTE(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: torch.Tensor) -> torch.Tensor:
        return signs(z)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0]


def signs(x: torch.Tensor) -> torch.Tensor:
    """Return the signs of ``x`` as ±1 in its own type, sign(0) = +1; no gradient passes."""
    # Comparing into floats is vectorised on a processor, choosing by booleans is not.
    return torch.ge(x.detach(), 0, out=torch.empty_like(x)).mul_(2).sub_(1)


def sign_ste(z: torch.Tensor) -> torch.Tensor:
    """Return ``sign(z)`` with sign(0) = +1; backward is the identity.

    References
    ----------
    Bengio, Léonard, Courville 2013, arXiv 1308.3432: the straight-through estimator.

    Examples
    --------
    >>> sign_ste(torch.tensor([-0.5, 0.0, 2.0])).tolist()
    [-1.0, 1.0, 1.0]
    """
    result: torch.Tensor = _SignSTE.apply(z)  # type: ignore[no-untyped-call]
    return result


@dataclass(frozen=True)
class StraightThrough(Relaxation):
    """Signs from the first step on; see :func:`sign_ste`."""

    def __call__(
        self,
        x: torch.Tensor,
        strength: float,
        *,
        generator: torch.Generator,
        groups: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the signs; nothing is drawn."""
        return sign_ste(x)


@dataclass(frozen=True)
class LearnedThreshold(StraightThrough):
    """``sign(tanh(a) - t)`` with a threshold t for each bit, learned through the same estimator.

    The threshold belongs to the hash layer and is saved with it. Its gradient is not damped by tanh,
    unlike that of the bias.

    References
    ----------
    Liu, Shen, Savvides, Cheng, *ReActNet: towards precise binary neural network with generalized
    activation functions*, ECCV 2020: RSign.
    """

    learns_threshold: ClassVar[bool] = True
