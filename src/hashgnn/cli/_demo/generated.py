"""Generated data for a demo without a network: tastes, genres and popularity."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from hashgnn._rng import RngLike, as_generator

GENRES = (
    "comedy",
    "crime",
    "documentary",
    "drama",
    "family",
    "fantasy",
    "horror",
    "romance",
    "war",
    "western",
)
_N_TASTES = 3  # genres that a user likes
_FIRST_DAY, _DAYS = 1_700_000_000, 365 * 24 * 3600


def generate(
    n_users: int = 1000, n_items: int = 1500, *, rng: RngLike = 0
) -> tuple[pa.Table, dict[int, str]]:
    """Return interactions and titles of people and films that do not exist.

    Every film has a genre, a style within it and a popularity; every user likes a few genres and
    one style of each. Users draw films without repetition, with probability proportional to
    ``exp(taste + popularity)``.

    Parameters
    ----------
    n_users, n_items : int
    rng : int or Generator

    Returns
    -------
    interactions : pyarrow.Table
        Columns user_id, item_id (int64), weight (float32, 1 to 5) and timestamp (int64, seconds).
    titles : dict of int to str
    """
    generator = as_generator(rng)
    genre = generator.integers(len(GENRES), size=n_items)
    style = generator.integers(3, size=n_items)
    popularity = -0.7 * np.log(generator.permutation(n_items) + 5.0)
    lengths = np.minimum(20 + generator.geometric(1 / 45, size=n_users), n_items // 4)
    users, items, weights, times = [], [], [], []
    for user in range(n_users):
        likes = generator.choice(len(GENRES), size=_N_TASTES, replace=False)
        likes_style = generator.integers(3, size=len(GENRES))
        liked = np.isin(genre, likes)
        taste = np.where(liked, 2.0 + 1.5 * (style == likes_style[genre]), 0.0)
        # The largest of logits plus Gumbel noise are a draw without repetition.
        keys = taste + popularity + generator.gumbel(size=n_items)
        chosen = np.argpartition(-keys, lengths[user])[: lengths[user]]
        users.append(np.full(len(chosen), user + 1))
        items.append(generator.permutation(chosen) + 1)
        rating = 2.5 + 0.5 * taste[items[-1] - 1] + generator.normal(size=len(chosen))
        weights.append(np.clip(np.round(rating), 1, 5))
        times.append(np.sort(generator.integers(_DAYS, size=len(chosen))) + _FIRST_DAY)
    columns: dict[str, Any] = {
        "user_id": pa.array(np.concatenate(users), pa.int64()),
        "item_id": pa.array(np.concatenate(items), pa.int64()),
        "weight": pa.array(np.concatenate(weights).astype(np.float32)),
        "timestamp": pa.array(np.concatenate(times), pa.int64()),
    }
    titles = {n + 1: f"Generated {GENRES[genre[n]]} {n + 1}" for n in range(n_items)}
    return pa.table(columns), titles
