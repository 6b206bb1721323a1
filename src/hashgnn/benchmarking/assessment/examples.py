"""Users to look at: what they had, what is recommended to them, and what they chose later."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hashgnn._rng import RngLike, as_generator
from hashgnn._types import Array
from hashgnn.data import Interactions
from hashgnn.evaluation.report import Example, Recommended
from hashgnn.recommender import HashGNN

_LEAST_SEEN, _LEAST_HELD_OUT = 5, 2  # items of a user who says something


def examples(
    model: HashGNN,
    test: Interactions,
    titles: Sequence[str],
    *,
    search: str = "hierarchical",
    n_users: int = 3,
    k: int = 10,
    train: Interactions | None = None,
    rng: RngLike = None,
) -> list[Example]:
    """Return a few users, drawn among those with enough items in training and held out.

    Parameters
    ----------
    model : HashGNN
        Fitted.
    test : Interactions
        Held-out interactions, over the ids of the model.
    titles : sequence of str
        Of each item, by position.
    search : str, default="hierarchical"
    n_users, k : int
    train : Interactions or None, default=None
        What the model was trained on, over its ids, with weights and times: what a user had is then shown the
        heaviest first, the latest first among equals. ``None`` orders it by the weights that the model keeps.
    rng : int, numpy.random.Generator or None, default=None
    """
    seen = model.state_.seen
    wanted = test.csr
    lengths, held = np.diff(seen.indptr), np.diff(wanted.indptr)
    able = np.flatnonzero((lengths >= _LEAST_SEEN) & (held >= _LEAST_HELD_OUT))
    if len(able) < n_users:
        able = np.flatnonzero(held)[np.argsort(-lengths[held > 0], kind="stable")][:n_users]
    drawn = np.sort(as_generator(rng).choice(able, min(n_users, len(able)), replace=False))
    ids = model.state_.users.ids.at(drawn)
    found = model.recommend(ids, k=min(k, model.state_.n_items), search=search)
    lists, names = found.lists(), ids.tolist()
    shown = []
    for row, user in enumerate(drawn.tolist()):
        items = model.state_.items.ids.index_of(lists[row])
        own = seen.indices[seen.indptr[user] : seen.indptr[user + 1]]
        later = np.setdiff1d(wanted.indices[wanted.indptr[user] : wanted.indptr[user + 1]], own)
        liked = _liked(model, user) if train is None else _rated(train, user)
        shown.append(
            Example(
                user=f"User {names[row]}",
                liked=[titles[item] for item in liked[:k].tolist()],
                recommended=[
                    Recommended(titles[item], bool(np.isin(item, later)), one)
                    for item, one in zip(items.tolist(), lists[row], strict=True)
                ],
                held_out=_ranked(later, items, titles),
                user_id=names[row],
            )
        )
    return shown


def _liked(model: HashGNN, user: int) -> Array:
    """Return the items of a user, those with the largest weight in the model first."""
    seen = model.state_.seen
    own = np.arange(seen.indptr[user], seen.indptr[user + 1])
    liked: Array = seen.indices[own[np.argsort(-seen.data[own], kind="stable")]]
    return liked


def _rated(train: Interactions, user: int) -> Array:
    """Return the items of a user, the heaviest first and the latest first among equals."""
    own = np.flatnonzero(train.user_index == user)
    nothing = np.zeros(len(own))
    weight = nothing if train.weight is None else train.weight[own]
    times = nothing if train.timestamp is None else train.timestamp[own]
    items: Array = train.item_index[own]
    return items[np.lexsort((items, -times, -weight))]


def _ranked(later: Array, items: Array, titles: Sequence[str]) -> list[str]:
    """Return what was held out, with the rank of what was found; found ones first."""
    ranks = {item: rank + 1 for rank, item in enumerate(items.tolist())}
    ordered = sorted(later.tolist(), key=lambda item: (ranks.get(item, len(ranks) + 1), item))
    return [titles[item] + (f" (rank {ranks[item]})" if item in ranks else "") for item in ordered]
