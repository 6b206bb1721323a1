"""A folder of prepared interactions in the place of a file, as it is or aligned to known ids."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn._types import Array
from hashgnn.data._id_columns import column_of
from hashgnn.data._merging import merge
from hashgnn.data.ids import IdMap
from hashgnn.data.interactions import Interactions
from hashgnn.data.stored.folder import open_interactions
from hashgnn.data.weighting import Weighting
from hashgnn.errors import DataError, DataWarning, ParameterError, UnknownIdError


def read_stored(
    path: Any,
    columns: Sequence[Any],
    weighed: Sequence[Any],
    weighting: Weighting | None,
    known: tuple[IdMap | None, IdMap | None],
    on_unknown: str,
) -> Interactions:
    """Return prepared interactions, over the known ids where there are any.

    Parameters
    ----------
    path : str or Path
    columns, weighed : sequence
        Arguments of a reader that say how files are read and what events weigh; all must be ``None``.
    weighting : Weighting or None
        That of a model. It must be the one of the folder; a folder without one has no events to weigh.
    known : pair of IdMap or None
        Of users and of items.
    on_unknown : {"error", "skip", "add"}

    Raises
    ------
    ParameterError
        If an option is given, or the weighting is another one.
    DataError, UnknownIdError
        As :func:`~hashgnn.data.read_interactions`.
    """
    if any(value is not None for value in (*columns, *weighed)):
        raise ParameterError(
            f"{os.fspath(path)}: holds prepared interactions, so options of columns, formats and weights must not be "
            "given; prepare the events again to change them"
        )
    found = open_interactions(Path(path))
    if weighting is not None and found.weighting is not None:
        weighting.joined(found.weighting)
    if all(
        ids is None or ids == own for ids, own in zip(known, (found.user_ids, found.item_ids), strict=True)
    ):
        return found
    return aligned(found, known, on_unknown, str(path))


def aligned(
    rows: Interactions, known: tuple[IdMap | None, IdMap | None], on_unknown: str, name: str
) -> Interactions:
    """Return interactions over known ids; see :meth:`Interactions.from_frame` for ``on_unknown``."""
    maps, places = [], []
    for own, ids, noun in zip((rows.user_ids, rows.item_ids), known, ("user ids", "item ids"), strict=True):
        new, place = _places(own, ids, on_unknown, noun, name)
        maps.append(new)
        places.append(place)
    users, items = places[0][rows.user_index], places[1][rows.item_index]
    kept = (users >= 0) & (items >= 0)
    weights, times = rows.weight, rows.timestamp
    if not kept.all():
        if not kept.any():
            raise DataError(
                f"{name}: none of the {len(kept)} rows has a user and an item of the training data"
            )
        warnings.warn(
            f"{int((~kept).sum())} of {len(kept)} rows have a user or item that is not in the training data; "
            "they were left out",
            DataWarning,
            stacklevel=4,
        )
        users, items = users[kept], items[kept]
        weights = None if weights is None else weights[kept]
        times = None if times is None else times[kept]
    merged = merge(users, items, len(maps[1]), weights, times)
    n_merged = rows.n_merged + len(users) - len(merged[0])
    return Interactions(maps[0], maps[1], *merged, n_merged=n_merged, weighting=rows.weighting)


def _places(own: IdMap, known: IdMap | None, on_unknown: str, noun: str, name: str) -> tuple[IdMap, Array]:
    """Return the ids to align to, and the place among them of each of the own ids, -1 where there is none."""
    if known is None:
        return own, np.arange(len(own))
    remedy = 'pass on_unknown="skip" to leave them out' if on_unknown == "error" else None
    try:
        if on_unknown == "add":
            return known.extended(own, noun)
        return known, known.look_up(column_of(own), noun, remedy=remedy)
    except UnknownIdError as error:
        raise UnknownIdError(f"{name}: {error}") from None
    except ParameterError as error:
        raise DataError(f"{name}: {error}") from None
