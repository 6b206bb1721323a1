"""``GrownIds``: an id map with more ids behind the known ones, made without looking at the known ones again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from hashgnn._checks import quote_some
from hashgnn._types import Array
from hashgnn.data._id_kinds import check_kept, is_utf_8
from hashgnn.data.id_lists import as_id_array
from hashgnn.data.ids import IdMap
from hashgnn.errors import DataError, ParameterError


class GrownIds(IdMap):
    """The ids of another map and, behind them, new ones.

    A known id is found by the other map, a new one in a small table. So a map of a million ids takes one more
    in microseconds.

    Parameters
    ----------
    known : IdMap
    new : sequence of hashable
        Ids of the kind of ``known``, as :meth:`IdMap.read` gives them, none of them in ``known``; see
        :func:`readable_ids`.
    ids : ndarray of shape (len(known) + len(new),), optional
        All ids in order, where the caller has them in one array already.

    Examples
    --------
    >>> grown = GrownIds(IdMap(["a", "b"]), ["c"])
    >>> grown.index_of(["c", "a"]).tolist(), len(grown)
    ([2, 0], 3)
    """

    def __init__(self, known: IdMap, new: Sequence[Any], ids: Array | None = None) -> None:
        self._base: IdMap = known._base if isinstance(known, GrownIds) else known
        self._new: dict[Any, int] = dict(known._new) if isinstance(known, GrownIds) else {}
        for value in new:
            self._new[value] = len(self._base) + len(self._new)
        if len(self._new) + len(self._base) != len(known) + len(new):
            raise DataError(f"ids must differ, got one of {quote_some(list(new))} twice")
        self.kind = known.kind if len(known) else IdMap(list(new)).kind
        if ids is None:
            ids = np.concatenate([known.ids, as_id_array(list(new))]) if len(new) else known.ids
        self._keep(ids)

    def __reduce__(self) -> tuple[Any, ...]:
        """Send all ids by value; the copy is a plain map."""
        return IdMap, (np.array(self.ids),)

    def _index(self, values: Any, noun: str) -> Array:
        index = self._base._index(values, noun)
        missing = np.flatnonzero(index < 0)
        if len(missing) and self._new:
            if isinstance(values, pa.Array | pa.ChunkedArray):
                listed = values.take(pa.array(missing)).to_pylist()
            else:
                listed = [values[place] for place in missing.tolist()]
            get = self._new.get
            index[missing] = [get(value, -1) for value in self.read(listed, noun)]
        return index


def readable_ids(known: IdMap, values: Sequence[Any], noun: str) -> list[Any]:
    """Return new ids as a map holds them.

    Raises
    ------
    ParameterError
        If one is of another kind than those of the map, is empty, cannot be saved, or comes twice.
    """
    ids = known.read(values, noun)
    for value in ids:
        if isinstance(value, str) and not value:
            raise ParameterError(f"{noun} must not be empty text")
        if isinstance(value, str) and not is_utf_8(value):
            raise ParameterError(f"{noun} must be text that UTF-8 can hold, got {value!r:.80}")
        if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
            raise ParameterError(f"{noun} must be integers of 64 bits, got {value}")
    try:
        twice = len(set(ids)) < len(ids)
    except TypeError as error:
        raise ParameterError(f"{noun} must be hashable, {error}") from None
    if twice:
        seen: set[Any] = set()
        first = next(value for value in ids if value in seen or seen.add(value))  # type: ignore[func-returns-value]
        raise ParameterError(f"{noun} must differ, got {first!r:.80} twice")
    try:
        check_kept(known.kind, ids, noun)
    except DataError as error:
        raise ParameterError(str(error)) from None
    return ids
