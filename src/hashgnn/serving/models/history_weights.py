"""Weights of the items in the histories of a request."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from hashgnn._types import Array
from hashgnn.data import HistoryWeighting
from hashgnn.serving.wire.schemas import EncodeRequest, RecommendRequest


def weighting_of(request: RecommendRequest | EncodeRequest) -> HistoryWeighting | None:
    """Return the weighting of a request; None where all items count the same."""
    return None if request.history_weighting is None else request.history_weighting.weighting()


def weights_of(
    n_items: int, request: RecommendRequest | EncodeRequest, index: list[Array]
) -> sparse.csr_matrix | None:
    """Return what the items of each history weigh, shape (n, n_items); None without a weighting.

    Parameters
    ----------
    n_items : int
        Of the version that answers.
    request : RecommendRequest or EncodeRequest
    index : list of ndarray, int64
        Positions of the items of each history; -1 for an unknown one.
    """
    weighting = weighting_of(request)
    if weighting is None:
        return None
    times = None if request.timestamps is None else [np.array(row) for row in request.timestamps]
    return weighting.matrix(index, times, n_items)
