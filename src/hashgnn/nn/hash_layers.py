"""Hash layer, sign with straight-through gradient, and its guidance."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from hashgnn._checks import check_bits, check_choice, check_float, check_int, check_matrix
from hashgnn.errors import ParameterError

SIDES = ("user", "item")


class HashLayer(nn.Module):
    """Map embeddings to relaxed codes ``z = tanh(W^T u + b)`` in (-1, 1)^n_bits.

    Parameters
    ----------
    dim : int
        Width of the embeddings.
    n_bits : int
        Width of a code, a positive multiple of 8.
    mode : {"shared", "per_side"}, default="shared"
        One projection for all nodes, or one for users and one for items.
    rng : torch.Generator
        Source of the random orthogonal start; both sides of ``per_side`` start equal, so that an inner
        product of embeddings is what the codes first stand for.
    rotation : ndarray of shape (dim, n_bits), optional
        A start that replaces the random one, an ITQ rotation for instance.
    gain : float, default=1.0
        Factor on the start.

    Notes
    -----
    The start has orthonormal columns where ``n_bits <= dim`` and orthonormal rows otherwise. The bias
    starts at 0.

    References
    ----------
    Tan et al., WWW 2020, arXiv 2003.01917, the hash layer.
    """

    def __init__(
        self,
        dim: int,
        n_bits: int,
        *,
        mode: str = "shared",
        rng: torch.Generator,
        rotation: np.ndarray[Any, Any] | None = None,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.dim = check_int("dim", dim, minimum=1)
        self.n_bits = check_bits(n_bits)
        self.mode = check_choice("hash_layer", mode, ("shared", "per_side"))
        check_float("gain", gain, minimum=0, open_minimum=True)
        if rotation is None:
            start = orthogonal(self.dim, self.n_bits, rng)
        else:
            start = torch.tensor(
                check_matrix("rotation", rotation, dtype=np.float32, n_rows=dim, n_columns=n_bits)
            )
        names = ("shared",) if self.mode == "shared" else SIDES
        self.weights = nn.ParameterDict({name: nn.Parameter(gain * start.clone()) for name in names})
        self.biases = nn.ParameterDict({name: nn.Parameter(torch.zeros(self.n_bits)) for name in names})

    def forward(self, u: torch.Tensor, side: str) -> torch.Tensor:
        """Return the relaxed codes (n, n_bits) of embeddings ``u`` (n, dim) of one ``side``."""
        return torch.tanh(self.project(u, side))

    def project(self, u: torch.Tensor, side: str) -> torch.Tensor:
        """Return ``W^T u + b``, the relaxed codes before tanh."""
        name = check_choice("side", side, SIDES)
        if self.mode == "shared":
            name = "shared"
        return torch.addmm(self.biases[name], u, self.weights[name])

    def export(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the arrays that ``hashgnn.fold_in.HashProjection`` is built from, float32."""
        arrays = {}
        for name, weight in self.weights.items():
            arrays[f"{name}_weight"] = weight.detach().cpu().float().numpy().copy()
            arrays[f"{name}_bias"] = self.biases[name].detach().cpu().float().numpy().copy()
        return arrays


def orthogonal(n_rows: int, n_columns: int, rng: torch.Generator) -> torch.Tensor:
    """Return a random matrix whose shorter side is orthonormal, float32."""
    tall = torch.randn(
        max(n_rows, n_columns), min(n_rows, n_columns), generator=rng, device=rng.device, dtype=torch.float64
    ).cpu()
    q, r = torch.linalg.qr(tall)
    q = (q * torch.where(torch.diagonal(r) >= 0, 1.0, -1.0)).float()
    # QR returns columns one after another, and fused Adam walks memory: a parameter that does not lie row by
    # row would be paired with the wrong moments once these come back from a checkpoint.
    start: torch.Tensor = (q if n_rows >= n_columns else q.T).contiguous()
    return start


class _SignSTE(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: torch.Tensor) -> torch.Tensor:
        return torch.where(z >= 0, 1.0, -1.0).to(z.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0]


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
    signs: torch.Tensor = _SignSTE.apply(z)  # type: ignore[no-untyped-call]
    return signs


def guided(
    z: torch.Tensor,
    p: float,
    *,
    granularity: str = "bit",
    generator: torch.Generator,
    groups: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return ``Q * z + (1 - Q) * sign(z)`` with Q ~ Bernoulli(p): STE with guidance.

    Parameters
    ----------
    z : Tensor of shape (n, n_bits)
        Relaxed codes.
    p : float in [0, 1]
        Share of entries that stay relaxed: 1 returns ``z``, 0 returns ``sign_ste(z)``.
    granularity : {"bit", "row"}, default="bit"
        Draw Q for each entry, or once for each row.
    generator : torch.Generator
        On the device of ``z``.
    groups : LongTensor of shape (n,), optional
        Rows of one group share their draw; values in ``0 .. n-1``. The authors' code shares one draw
        between a user and its positive and has one for each negative.

    Returns
    -------
    Tensor of shape (n, n_bits)
        The gradient with respect to ``z`` is the identity for every Q.

    References
    ----------
    Tan et al., WWW 2020, arXiv 2003.01917, the optimisation with guidance.
    """
    check_float("p", p, minimum=0, maximum=1)
    check_choice("granularity", granularity, ("bit", "row"))
    n_rows, n_bits = z.shape
    if groups is not None and groups.shape != (n_rows,):
        raise ParameterError(f"groups must have shape ({n_rows},), got {tuple(groups.shape)}")
    width = n_bits if granularity == "bit" else 1
    draws = torch.rand(n_rows, width, generator=generator, device=z.device)
    if groups is not None:
        draws = draws[groups]
    return torch.where(draws < p, z, sign_ste(z))
