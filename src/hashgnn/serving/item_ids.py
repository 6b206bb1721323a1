"""External ids between JSON and a model's id maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hashgnn._types import Array
from hashgnn.data import IdMap
from hashgnn.serving.json_text import dumps
from hashgnn.serving.problems import ProblemError

_NOUNS = {"int": "integers", "str": "text"}


class IdTexts:
    """Ids of a model as the JSON text that an answer holds.

    Whole numbers and text are themselves; ids of any other kind are written as Python prints them.
    """

    def __init__(self, ids: IdMap) -> None:
        self._ids, self._whole = ids.ids, ids.kind == "int"

    def __call__(self, positions: Array) -> list[bytes]:
        """Return the text of the ids at some positions."""
        values = self._ids[positions].tolist()
        if self._whole:
            return [b"%d" % value for value in values]
        return [dumps(value if isinstance(value, str) else str(value)) for value in values]


class IdReader:
    """Finds ids given as JSON values.

    Parameters
    ----------
    ids : IdMap
    noun : str
        ``"user"`` or ``"item"``, for messages.
    """

    def __init__(self, ids: IdMap, noun: str) -> None:
        self._ids, self._noun = ids, noun
        self._type = {"int": int, "str": str}.get(ids.kind)
        self._printed: dict[str, int] | None = None

    def index(self, values: Sequence[Any], *, strict: bool = True) -> Array:
        """Return the index of each id, -1 where it is unknown.

        Parameters
        ----------
        values : list of int or str
        strict : bool, default=True
            A number where the model has text, or text where it has numbers, is a mistake of the caller;
            else it is an unknown id.

        Raises
        ------
        ProblemError
            If an id is of the wrong type and ``strict``.
        """
        kind = self._type
        if kind is None:
            return self._index_of_printed(values)
        if any(type(value) is not kind for value in values):
            if strict:
                wrong = next(value for value in values if type(value) is not kind)
                raise ProblemError(
                    404, f"{self._noun} ids of this model are {_NOUNS[self._ids.kind]}, got {wrong!r:.80}"
                )
            return self._index_of_some(values, kind)
        index: Array = self._ids.index_of(values, on_unknown="skip")
        return index

    def _index_of_some(self, values: Sequence[Any], kind: type) -> Array:
        index = np.full(len(values), -1, np.int64)
        places = [place for place, value in enumerate(values) if type(value) is kind]
        index[places] = self._ids.index_of([values[place] for place in places], on_unknown="skip")
        return index

    def _index_of_printed(self, values: Sequence[Any]) -> Array:
        if self._printed is None:
            self._printed = {str(value): place for place, value in enumerate(self._ids.ids.tolist())}
        get = self._printed.get
        return np.fromiter((get(str(value), -1) for value in values), np.int64, len(values))
