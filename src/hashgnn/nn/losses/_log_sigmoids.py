"""Scores of rows against thresholds, ``T · log σ((s - β) / T)``: in one native pass on a CPU, by torch elsewhere."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from hashgnn import _native

_NATIVE = (torch.float32, torch.bfloat16)


def log_sigmoids_(
    scores: torch.Tensor, levels: torch.Tensor, temperature: float, log_counts: torch.Tensor | None
) -> torch.Tensor:
    """Turn scores s into ``T · log σ((s - β) / T) + log_counts`` in place; count the items above each threshold.

    Parameters
    ----------
    scores : Tensor of shape (n, n_items)
    levels : Tensor of shape (n,)
        β of each row.
    temperature : float > 0
        T.
    log_counts : Tensor of shape (n_items,), optional
        Log of how many items each one stands for.

    Returns
    -------
    Tensor of shape (n,), float32 or wider
        The sum of counts of the items that scored above β.
    """
    if _is_native(scores):
        n_above = torch.empty(len(scores))
        _native.log_sigmoids(
            _bits(scores),
            _singles(levels),
            temperature,
            None if log_counts is None else _singles(log_counts),
            n_above.numpy(),
            torch.get_num_threads(),
        )
        return n_above
    n_above = count_above(scores, levels, log_counts)
    x = scores.sub_(levels.unsqueeze(1).to(scores.dtype)).div_(temperature)
    scores.copy_(functional.logsigmoid(x)).mul_(temperature)
    if log_counts is not None:
        scores.add_(log_counts.to(scores.dtype))
    return n_above


def times_derivatives_(
    values: torch.Tensor, turned: torch.Tensor, temperature: float, log_counts: torch.Tensor | None
) -> torch.Tensor:
    """Multiply values by the derivatives of turned scores, both (n, n_items), in place.

    ``turned`` is what :func:`log_sigmoids_` has made; the derivative by the score that it was is ``1 - σ((s - β) / T)``.
    """
    if _is_native(turned) and turned.dtype == values.dtype and values.is_contiguous():
        _native.times_derivatives(
            _bits(values),
            _bits(turned),
            temperature,
            None if log_counts is None else _singles(log_counts),
            torch.get_num_threads(),
        )
        return values
    return values.mul_(derivatives_(turned.clone(), temperature, log_counts))


def derivatives_(turned: torch.Tensor, temperature: float, log_counts: torch.Tensor | None) -> torch.Tensor:
    """Turn what :func:`log_sigmoids_` has made into the derivatives by the scores, in place."""
    if log_counts is not None:
        turned.sub_(log_counts.to(turned.dtype))
    return turned.div_(temperature).expm1_().neg_()


def count_above(scores: torch.Tensor, levels: torch.Tensor, log_counts: torch.Tensor | None) -> torch.Tensor:
    """Return how many items score above the threshold of each row, (n,)."""
    wide = torch.promote_types(scores.dtype, torch.float32)
    above = (scores > levels.unsqueeze(1).to(scores.dtype)).to(wide)
    return above.sum(dim=1) if log_counts is None else above @ log_counts.to(wide).exp()


def _is_native(scores: torch.Tensor) -> bool:
    return scores.device.type == "cpu" and scores.dtype in _NATIVE and scores.is_contiguous()


def _bits(values: torch.Tensor) -> Any:
    """Return the memory of a tensor as an array; NumPy has no bfloat16."""
    values = values.detach()
    return (values.view(torch.int16) if values.dtype == torch.bfloat16 else values).numpy()


def _singles(values: torch.Tensor) -> Any:
    return values.detach().float().contiguous().numpy()
