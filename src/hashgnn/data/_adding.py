"""Union of two sets of interactions: known ids keep their indices, new ids follow."""

from __future__ import annotations

import numpy as np

from hashgnn._types import Array
from hashgnn.data._merging import merge
from hashgnn.data.interactions import Interactions
from hashgnn.data.weighting import Weighting


def add_interactions(known: Interactions, new: Interactions) -> Interactions:
    """Return the union, each pair once.

    Parameters
    ----------
    known, new : Interactions
        Times are kept where both have them. Where either has weights, those of a pair are added, a row
        without weight counting 1; where neither has, a pair stays without. With a half-life, the weights of
        both are brought to the later of their reference times.

    Returns
    -------
    Interactions
        Its id maps hold those of ``known`` at their places, then the new ids in the order of ``new``.

    Raises
    ------
    ParameterError
        If ``new`` has ids of a kind that the maps of ``known`` do not hold. Printed forms are read: the text
        of a UUID is the UUID where ``known`` has UUIDs.
        If an event has two weights, or the half-lives differ.

    Examples
    --------
    >>> known = Interactions.from_arrays([7], ["b"])
    >>> both = add_interactions(known, Interactions.from_arrays([3, 7], ["a", "b"]))
    >>> both.user_ids.ids.tolist(), both.item_ids.ids.tolist(), len(both)
    ([7, 3], ['b', 'a'], 2)
    """
    user_ids, users = known.user_ids.extended(new.user_ids, "user ids")
    item_ids, items = known.item_ids.extended(new.item_ids, "item ids")
    weights = times = None
    weighting = _joined(known.weighting, new.weighting)
    if known.weight is not None or new.weight is not None or weighting is not None:
        weights = np.concatenate([_weights(one, weighting) for one in (known, new)])
    if known.timestamp is not None and new.timestamp is not None:
        times = np.concatenate([known.timestamp, new.timestamp])
    columns = merge(
        np.concatenate([known.user_index, users[new.user_index]]),
        np.concatenate([known.item_index, items[new.item_index]]),
        len(item_ids),
        weights,
        times,
    )
    n_merged = known.n_merged + new.n_merged + len(known) + len(new) - len(columns[0])
    return Interactions(user_ids, item_ids, *columns, n_merged=n_merged, weighting=weighting)


def _joined(known: Weighting | None, new: Weighting | None) -> Weighting | None:
    if known is None and new is None:
        return None
    return (known or Weighting()).joined(new or Weighting())


def _weights(one: Interactions, joined: Weighting | None) -> Array:
    weights = np.ones(len(one), np.float32) if one.weight is None else one.weight
    if joined is None or one.weighting is None:
        return weights
    return one.weighting.moved(weights, joined.reference_time)
