"""Three users of the demo: the films they liked, and the recommendations for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hashgnn._rng import as_generator

_N_PEOPLE, _N_TITLES = 3, 10
_LEAST_RATED, _LEAST_HELD_OUT = 20, 5


def choose_people(train: Any, test: Any, *, rng: int) -> list[Any]:
    """Return the ids of three users with enough interactions to look at, drawn at random, seeded."""
    in_train = np.bincount(train.user_index, minlength=train.n_users)
    in_test = np.bincount(test.user_index, minlength=train.n_users)
    fit = np.flatnonzero((in_train >= _LEAST_RATED) & (in_test >= _LEAST_HELD_OUT))
    if len(fit) < _N_PEOPLE:
        fit = np.argsort(-in_train, kind="stable")[:_N_PEOPLE]
    chosen = np.sort(as_generator(rng).choice(fit, size=_N_PEOPLE, replace=False))
    return [train.user_ids.ids[index].item() for index in chosen]


def compare(
    model: Any, people: list[Any], rated: Any, test: Any, titles: Mapping[int, str], search: str
) -> list[dict[str, Any]]:
    """Return for each user the best rated titles of the training data and ten recommended ones.

    Parameters
    ----------
    model : HashGNN
    people : list of ids
    rated : Interactions
        The training data with its ratings.
    test : Interactions
        The held-out items: a recommended title among them was indeed chosen later.
    titles : mapping of item id to str
    search : str
    """
    found = model.recommend(people, k=_N_TITLES, search=search)
    indices = rated.user_ids.index_of(people)
    rows = []
    for user_id, index, recommended in zip(people, indices, found.lists(), strict=True):
        later = set(test.item_ids.ids[test.item_index[test.user_index == index]].tolist())
        rows.append(
            {
                "user_id": user_id,
                "liked": [titles[item] for item in _best_rated(rated, index)],
                "recommended": [
                    {"item_id": item, "title": titles[item], "held_out": item in later}
                    for item in recommended
                ],
            }
        )
    return rows


def _best_rated(rated: Any, user_index: int) -> list[Any]:
    """Return the ids of the ten items that a user rated best, the latest first among equals."""
    own = np.flatnonzero(rated.user_index == user_index)
    weight = np.ones(len(own)) if rated.weight is None else rated.weight[own]
    latest_first = -rated.timestamp[own] if rated.timestamp is not None else np.zeros(len(own))
    best = own[np.lexsort((rated.item_index[own], latest_first, -weight))][:_N_TITLES]
    ids: list[Any] = rated.item_ids.ids[rated.item_index[best]].tolist()
    return ids
