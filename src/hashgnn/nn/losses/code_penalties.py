"""Penalties on codes: bits should be balanced and uncorrelated."""

from __future__ import annotations

import torch

from hashgnn.errors import ParameterError


def bit_balance(codes: torch.Tensor) -> torch.Tensor:
    """Return the mean square of the bits' means.

    Parameters
    ----------
    codes : Tensor of shape (n, n_bits), n >= 1
        Codes or relaxed codes.

    Returns
    -------
    Tensor, scalar
        ``1/n_bits · Σ_b (1/n · Σ_r h_rb)²``: 0 where every bit is +1 as often as -1, at most 1 for codes.

    References
    ----------
    Weiss, Torralba, Fergus, *Spectral hashing*, NIPS 2008: ``Σ_r h_r = 0``.

    Examples
    --------
    >>> bit_balance(torch.tensor([[1.0, 1.0], [1.0, -1.0]])).item()
    0.5
    """
    _check_codes(codes)
    return codes.mean(dim=0).square().mean()


def decorrelation(codes: torch.Tensor) -> torch.Tensor:
    """Return the mean square of the products of different bits.

    Parameters
    ----------
    codes : Tensor of shape (n, n_bits), n >= 1, n_bits >= 2
        Codes or relaxed codes.

    Returns
    -------
    Tensor, scalar
        ``1/(n_bits · (n_bits - 1)) · Σ_{b≠c} (1/n · Σ_r h_rb h_rc)²``: 0 where different bits are orthogonal
        over the rows, at most 1 for codes.

    References
    ----------
    Weiss, Torralba, Fergus, *Spectral hashing*, NIPS 2008: ``1/n · Σ_r h_r h_rᵀ = I``.

    Examples
    --------
    >>> decorrelation(torch.tensor([[1.0, 1.0], [1.0, -1.0]])).item(), decorrelation(torch.ones(3, 2)).item()
    (0.0, 1.0)
    """
    _check_codes(codes)
    n, n_bits = codes.shape
    products = codes.T @ codes / n
    off_diagonal = products - torch.diag(torch.diagonal(products))
    return off_diagonal.square().sum() / (n_bits * (n_bits - 1))


def _check_codes(codes: torch.Tensor) -> None:
    if codes.ndim != 2 or codes.shape[0] < 1 or codes.shape[1] < 2:
        raise ParameterError(
            f"codes must have shape (n, n_bits), n >= 1, n_bits >= 2, got {tuple(codes.shape)}"
        )
