"""Union of two sets of interactions: known ids keep their indices, new ids follow."""

from __future__ import annotations

import numpy as np

from hashgnn.data._merging import merge
from hashgnn.data.interactions import Interactions


def add_interactions(known: Interactions, new: Interactions) -> Interactions:
    """Return the union, each pair once.

    Parameters
    ----------
    known, new : Interactions
        Times are kept where both have them. Where either has weights, those of a pair are added, a row
        without weight counting 1; where neither has, a pair stays without.

    Returns
    -------
    Interactions
        Its id maps hold those of ``known`` at their places, then the new ids in the order of ``new``.

    Raises
    ------
    ParameterError
        If ``new`` has ids of a kind that the maps of ``known`` do not hold. Printed forms are read: the text
        of a UUID is the UUID where ``known`` has UUIDs.

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
    if known.weight is not None or new.weight is not None:
        given = [np.ones(len(one), np.float32) if one.weight is None else one.weight for one in (known, new)]
        weights = np.concatenate(given)
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
    return Interactions(user_ids, item_ids, *columns, n_merged=n_merged)
