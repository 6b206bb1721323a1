"""The hash layer: from embeddings to relaxed codes, whose signs are the bits."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from hashgnn._checks import check_bits, check_choice, check_float, check_int, check_matrix
from hashgnn._types import Array, SideName

_WITHIN = 1 - 2.0**-20  # of (-1, 1), as the layer in NumPy has it: a threshold may leave the range of tanh
SIDES: tuple[SideName, ...] = ("user", "item")


class HashLayer(nn.Module):
    """Map embeddings to relaxed codes ``z = tanh(W^T u + b)`` in (-1, 1)^n_bits, minus a threshold if learned.

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
        product of embeddings is what the codes approximate first.
    rotation : ndarray of shape (dim, n_bits), optional
        A start that replaces the random one, an ITQ rotation for instance.
    gain : float, default=1.0
        Factor on the start.
    threshold : bool, default=False
        Learn a threshold t for each bit: ``z = tanh(W^T u + b) - t``, with t starting at 0.

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
        rotation: Array | None = None,
        gain: float = 1.0,
        threshold: bool = False,
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
        self.thresholds = nn.ParameterDict(
            {name: nn.Parameter(torch.zeros(self.n_bits)) for name in names if threshold}
        )

    def forward(self, u: torch.Tensor, side: SideName) -> torch.Tensor:
        """Return the relaxed codes (n, n_bits) of embeddings ``u`` (n, dim) of one ``side``."""
        z = torch.tanh(self.project(u, side))
        return z - self.thresholds[self._name(side)] if self.thresholds else z

    def project(self, u: torch.Tensor, side: SideName) -> torch.Tensor:
        """Return ``W^T u + b``, the relaxed codes before tanh and threshold."""
        name = self._name(side)
        return torch.addmm(self.biases[name], u, self.weights[name])

    def activations(self, u: torch.Tensor, side: SideName) -> torch.Tensor:
        """Return ``W^T u + b - atanh(t)``, whose signs are the bits."""
        a = self.project(u, side)
        if not self.thresholds:
            return a
        return a - torch.atanh(self.thresholds[self._name(side)].clamp(-_WITHIN, _WITHIN))

    def _name(self, side: SideName) -> str:
        check_choice("side", side, SIDES)
        return "shared" if self.mode == "shared" else side

    def export(self) -> dict[str, Array]:
        """Return the arrays that ``hashgnn.fold_in.HashProjection`` is built from, float32."""
        parts = {"weight": self.weights, "bias": self.biases, "threshold": self.thresholds}
        return {
            f"{name}_{part}": parameter.detach().cpu().float().numpy().copy()
            for part, parameters in parts.items()
            for name, parameter in parameters.items()
        }


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
