"""The check of shapes that losses over sampled negatives share."""

from __future__ import annotations

import torch

from hashgnn.errors import ParameterError


def check_scores(positive: torch.Tensor, negative: torch.Tensor) -> None:
    """Raise unless ``positive`` is (n_edges,) with n_edges >= 1 and ``negative`` (n_edges, n_negatives)."""
    if positive.ndim != 1 or len(positive) == 0:
        raise ParameterError(
            f"positive must have shape (n_edges,), n_edges >= 1, got {tuple(positive.shape)}"
        )
    if negative.ndim != 2 or len(negative) != len(positive):
        raise ParameterError(
            f"negative must have shape ({len(positive)}, n_negatives), got {tuple(negative.shape)}"
        )
