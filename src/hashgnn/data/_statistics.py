"""Statistics of a set of interactions."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashgnn._counting import counts
from hashgnn._types import Array

_QUANTILES = {"minimum": 0, "quarter": 0.25, "median": 0.5, "three_quarters": 0.75, "maximum": 1}


def describe(
    user_index: Array, item_index: Array, n_users: int, n_items: int, timestamp: Array | None
) -> dict[str, Any]:
    """Return counts, density, time range, and the distribution of interactions over users and items."""
    per_user, per_item = counts(user_index, n_users), counts(item_index, n_items)
    timed = timestamp is not None and len(timestamp) > 0
    return {
        "n_users": n_users,
        "n_items": n_items,
        "n_interactions": len(user_index),
        "density": len(user_index) / (n_users * n_items) if n_users and n_items else 0.0,
        "first_timestamp": int(timestamp.min()) if timestamp is not None and timed else None,
        "last_timestamp": int(timestamp.max()) if timestamp is not None and timed else None,
        "interactions_per_user": _spread(per_user),
        "interactions_per_item": _spread(per_item),
        "share_of_most_popular_tenth": _head_share(per_item),
    }


def _spread(numbers: Array) -> dict[str, float]:
    if not len(numbers):
        return {}
    values = np.quantile(numbers, list(_QUANTILES.values()))
    found = {name: float(value) for name, value in zip(_QUANTILES, values, strict=True)}
    return {**found, "mean": float(numbers.mean())}


def _head_share(numbers: Array) -> float:
    """Return the share of interactions on the most popular tenth of the items."""
    total = int(numbers.sum())
    head = np.sort(numbers)[::-1][: max(len(numbers) // 10, 1)]
    return float(head.sum() / total) if total else 0.0
