"""External ids between JSON and the id maps of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hashgnn._json_text import dumps
from hashgnn._types import Array
from hashgnn.data import IdMap
from hashgnn.data._id_kinds import printed
from hashgnn.errors import ParameterError, UnknownIdError


class IdWriter:
    """The ids of a model as JSON text.

    Integers are written as numbers, text as it is, ids of any other kind in their printed form, as text.

    Parameters
    ----------
    ids : IdMap
    """

    def __init__(self, ids: IdMap) -> None:
        self._ids, self._are_integers = ids.ids, ids.kind == "int"

    def texts(self, positions: Array) -> list[bytes]:
        """Return the JSON text of the ids at some positions."""
        values = self._ids[positions].tolist()
        if self._are_integers:
            return [b"%d" % value for value in values]
        return [dumps(printed(value)) for value in values]


class IdReader:
    """Finds the positions of ids that come as JSON values.

    Parameters
    ----------
    ids : IdMap
    noun : str
        ``"user"`` or ``"item"``, for messages.
    """

    def __init__(self, ids: IdMap, noun: str) -> None:
        self._ids, self._noun = ids, noun

    def positions(self, values: Sequence[Any], *, strict: bool = True) -> Array:
        """Return the position of each id, -1 where it is unknown.

        Parameters
        ----------
        values : list of int or str
        strict : bool, default=True
            Whether an id of another kind than those of the model is an error, such as a number where they are
            text, or text that is no UUID where they are UUIDs. ``False`` takes it for an unknown one.

        Returns
        -------
        ndarray of shape (n,), int64

        Raises
        ------
        UnknownIdError
            If an id is of another kind and ``strict``.
        """
        try:
            positions: Array = self._ids.index_of(values, on_unknown="skip")
            return positions
        except ParameterError:
            places = [place for place, value in enumerate(values) if self._is_readable(value)]
        if strict:
            wrong = next(value for place, value in enumerate(values) if place not in set(places))
            raise UnknownIdError(f"{self._noun} ids of this model are {self._ids.noun}, got {wrong!r:.80}")
        found = np.full(len(values), -1, np.int64)
        found[places] = self._ids.index_of([values[place] for place in places], on_unknown="skip")
        return found

    def known(self, values: Sequence[Any], *, strict: bool = True) -> Array:
        """Return the positions of the ids that are known; see :meth:`positions`."""
        positions = self.positions(values, strict=strict)
        return positions[positions >= 0]

    def printed(self, values: Sequence[Any]) -> list[Any]:
        """Return ids as JSON writes them, each in one form: what is kept of them is found again.

        Values that are of another kind than those of the model stay as they are.
        """
        if self._ids.kind in ("int", "str"):
            return list(values)
        return [
            printed(self._ids.read([value])[0]) if self._is_readable(value) else value for value in values
        ]

    def _is_readable(self, value: Any) -> bool:
        try:
            self._ids.read([value])
        except ParameterError:
            return False
        return True
