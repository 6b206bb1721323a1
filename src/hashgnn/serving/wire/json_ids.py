"""External ids between JSON and the id maps of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hashgnn._json_text import dumps
from hashgnn._types import Array
from hashgnn.data import IdMap
from hashgnn.errors import UnknownIdError

_NOUNS = {"int": "integers", "str": "text"}


class IdWriter:
    """The ids of a model as JSON text.

    Integers and text are written as they are. Ids of any other kind are written as Python prints them.

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
        return [dumps(value if isinstance(value, str) else str(value)) for value in values]


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
        self._type = {"int": int, "str": str}.get(ids.kind)
        self._position_of_text: dict[str, int] | None = None

    def positions(self, values: Sequence[Any], *, strict: bool = True) -> Array:
        """Return the position of each id, -1 where it is unknown.

        Parameters
        ----------
        values : list of int or str
        strict : bool, default=True
            Whether a number is an error where the ids of the model are text, and text where they are numbers.
            ``False`` takes such an id for an unknown one.

        Returns
        -------
        ndarray of shape (n,), int64

        Raises
        ------
        UnknownIdError
            If an id is of the wrong type and ``strict``.
        """
        kind = self._type
        if kind is None:
            return self._positions_of_texts(values)
        if any(type(value) is not kind for value in values):
            if strict:
                wrong = next(value for value in values if type(value) is not kind)
                raise UnknownIdError(
                    f"{self._noun} ids of this model are {_NOUNS[self._ids.kind]}, got {wrong!r:.80}"
                )
            return self._positions_of_type(values, kind)
        positions: Array = self._ids.index_of(values, on_unknown="skip")
        return positions

    def known(self, values: Sequence[Any], *, strict: bool = True) -> Array:
        """Return the positions of the ids that are known; see :meth:`positions`."""
        positions = self.positions(values, strict=strict)
        return positions[positions >= 0]

    def _positions_of_type(self, values: Sequence[Any], kind: type) -> Array:
        positions = np.full(len(values), -1, np.int64)
        places = [place for place, value in enumerate(values) if type(value) is kind]
        positions[places] = self._ids.index_of([values[place] for place in places], on_unknown="skip")
        return positions

    def _positions_of_texts(self, values: Sequence[Any]) -> Array:
        if self._position_of_text is None:
            self._position_of_text = {str(value): place for place, value in enumerate(self._ids.ids.tolist())}
        get = self._position_of_text.get
        return np.fromiter((get(str(value), -1) for value in values), np.int64, len(values))
