"""``IdMap``: external ids on one side, indices 0 … n-1 on the other."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hashgnn._checks import check_choice, quote_some, shown
from hashgnn._types import Array
from hashgnn.data import _id_encoding
from hashgnn.data._id_columns import are_same
from hashgnn.data._id_kinds import NOUNS, UNREADABLE, Reader, check_kept, kind_of, plain, printed, read_text
from hashgnn.data._sorted_texts import SortedTexts, indices, integers
from hashgnn.data.id_lists import are_integers, as_id_array, as_int64, as_list, as_objects
from hashgnn.errors import DataError, ParameterError, UnknownIdError

_COLUMN_KINDS = ("int", "str")  # saved as a column of their own type, all others in a typed JSON form


class IdMap:
    """A one-to-one map between external ids and indices.

    Ids are whole numbers, text, UUIDs, bytes, dates, times, booleans or tuples. Maps of the first two kinds
    made by :meth:`factorize` are in ascending order, so that the order of rows does not matter; others keep
    the order of first appearance.

    Parameters
    ----------
    ids : iterable of hashable
        External ids in index order, without repetition. Whole floats and decimals become integers, times of
        pandas and NumPy those of Python, times with a zone UTC.

    Attributes
    ----------
    ids : ndarray of shape (n,), int64 or object
        External ids in index order; read-only.
    kind : str
        ``"int"``, ``"str"``, ``"uuid"``, ``"bytes"``, ``"date"``, ``"datetime"``, ``"datetime_utc"``,
        ``"bool"``, ``"tuple"``; ``"other"`` where ids are of several kinds, or cannot be saved.

    Raises
    ------
    DataError
        If an id comes twice or is not hashable.

    Examples
    --------
    >>> ids = IdMap(["a", "c", "b"])
    >>> ids.index_of(["b", "z"], on_unknown="skip")
    array([ 2, -1])
    """

    def __init__(self, ids: Iterable[Hashable]) -> None:
        if isinstance(ids, np.ndarray) and are_integers(ids):
            array = ids
        else:
            array = as_id_array(as_list("ids", ids, error=DataError))
        if array.dtype.kind in "iu":
            self.kind, array = "int", as_int64(array)
        else:
            self.kind = kind_of(array) if len(array) else "str"
        self._keep(array)
        if self.kind == "int":
            ordered = array if self._order is None else array[self._order]
            repeated = np.flatnonzero(ordered[1:] == ordered[:-1])
            if len(repeated):
                raise DataError(f"ids must differ, got {int(ordered[repeated[0]])} twice")
        else:
            self._check_objects()

    def _keep(self, ids: Array) -> None:
        view = ids.view()
        view.flags.writeable = False
        self.ids = view
        self._n = len(ids)
        self._texts: SortedTexts | None = None

    @cached_property
    def ids(self) -> Array:
        """External ids in index order, shape (n,), int64 or object; read-only."""
        assert self._texts is not None  # else they were set when the map was made
        objects = np.empty(self._n, object)
        objects[:] = self._texts.array.to_pylist()
        objects.flags.writeable = False
        return objects

    @classmethod
    def factorize(cls, values: pa.Array | pa.ChunkedArray | Array | list[Any]) -> tuple[IdMap, Array]:
        """Return the map of a column's distinct ids, and each row's index, int64."""
        if not isinstance(values, pa.Array | pa.ChunkedArray):
            if not isinstance(values, np.ndarray) or values.dtype.kind not in "iu":
                values = as_id_array(as_list("ids", values, error=DataError))
            if values.dtype.kind not in "iu":
                return cls._factorize_objects(values)
            values = pa.array(as_int64(values))
        # Arrow's hash table is several times quicker than sorting all rows, as np.unique does.
        encoded = values.dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        # UTF-8 bytes sort as the characters do, so this is the order of Python's text.
        order = pc.sort_indices(encoded.dictionary)
        places = np.empty(len(order), np.int64)
        places[order.to_numpy()] = np.arange(len(order))
        distinct = encoded.dictionary.take(order)
        whole = pa.types.is_integer(distinct.type)
        ids = cls(distinct.to_numpy() if whole else as_id_array(distinct.to_pylist()))
        return ids, places[encoded.indices.to_numpy(zero_copy_only=False)]

    @classmethod
    def _factorize_objects(cls, array: Array) -> tuple[IdMap, Array]:
        try:
            index = {value: place for place, value in enumerate(dict.fromkeys(array))}
        except TypeError as error:
            raise DataError(f"an id must be hashable, {error}") from None
        codes = np.fromiter((index[value] for value in array), np.int64, len(array))
        if all(isinstance(value, str) for value in index):
            ordered = sorted(index)
            places = np.empty(len(index), np.int64)
            places[[index[value] for value in ordered]] = np.arange(len(index))
            return cls(ordered), places[codes]
        return cls(list(index)), codes

    def __getstate__(self) -> dict[str, Any]:
        """Send the ids by value, also those of a mapped file; what was derived from them is left behind."""
        left = {"_places", "_reader"} | (set() if self._texts is None else {"ids"})
        return {name: value for name, value in self.__dict__.items() if name not in left}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._texts is None:
            self._keep(self.ids)

    def __len__(self) -> int:
        return self._n

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, IdMap):
            return NotImplemented
        if self is other:
            return True
        return self.kind == other.kind and are_same(self, other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        first = ", ".join(map(repr, self.at(np.arange(min(3, len(self)))).tolist())) + (
            ", …" if len(self) > 3 else ""
        )
        return f"IdMap({len(self)} ids: {first})" if first else "IdMap(0 ids)"

    def __contains__(self, value: object) -> bool:
        try:
            return bool(self.index_of([value], on_unknown="skip")[0] >= 0)
        except ParameterError:
            return False

    def at(self, index: Array) -> Array:
        """Return the ids at some indices, an array of the same shape, int64 or object.

        Index -1 gives -1 where ids are whole numbers, else ``None``.
        """
        result: Array = np.empty(index.shape, np.int64 if self.kind == "int" else object)
        known = index >= 0
        if self._texts is None:
            result[known] = self.ids[index[known]]
        else:
            result[known] = self._texts.array.take(indices(index[known])).to_pylist()
        result[~known] = -1 if self.kind == "int" else None
        return result

    def index_of(self, values: Any, *, on_unknown: str = "error", noun: str = "ids") -> Array:
        """Return the index of each id.

        Parameters
        ----------
        values : array-like or Arrow array of shape (n,)
        on_unknown : {"error", "skip"}, default="error"
            ``"skip"`` gives -1 for an id that the map does not hold.
        noun : str, default="ids"
            Name of the ids in messages, ``"user ids"`` for instance.

        Returns
        -------
        ndarray of shape (n,), int64

        Raises
        ------
        UnknownIdError
            If ids are unknown and ``on_unknown="error"``.
        ParameterError
            If an id is of a kind that the map does not hold, such as text where it holds integers: ``'1'`` is
            not ``1``. The printed form of UUIDs, bytes, dates, times and tuples is read as the id.
        """
        check_choice("on_unknown", on_unknown, ("error", "skip"))
        if not isinstance(values, pa.Array | pa.ChunkedArray) and not are_integers(values):
            values = as_list(noun, values)
        index = self._index(values, noun)
        if on_unknown == "error" and (index < 0).any():
            places = np.flatnonzero(index < 0)
            unknown = list(dict.fromkeys(plain(values[int(place)]) for place in places))
            raise UnknownIdError(
                f"{len(places)} of {len(index)} {noun} are not in the training data: {quote_some(unknown)}"
            )
        return index

    def look_up(self, values: Any, noun: str, *, remedy: str | None) -> Array:
        """Return the index of each id, int64, -1 where it is unknown.

        Parameters
        ----------
        values : array-like of shape (n,)
        noun : str
            As for :meth:`index_of`.
        remedy : str or None
            Where it is given, unknown ids are an error whose sentence ends with it.

        Raises
        ------
        UnknownIdError
            If ids are unknown and a remedy is given.
        """
        try:
            return self.index_of(values, on_unknown="skip" if remedy is None else "error", noun=noun)
        except UnknownIdError as error:
            raise UnknownIdError(f"{error}; {remedy}") from None

    def as_list(self, name: str, values: Any) -> list[Any]:
        """Return a list of ids, where a bare id is a list of one; so is a tuple where ids are tuples."""
        is_one = isinstance(values, str | bytes) or not isinstance(values, Iterable)
        if isinstance(values, tuple) and self.kind == "tuple":
            is_one = not values or not all(isinstance(value, tuple) for value in values) or values in self
        elif isinstance(values, tuple) and self.kind == "other":
            is_one = values in self
        return [values] if is_one else as_list(name, values)

    def as_array(self, values: list[Any]) -> Array:
        """Return ids as the map keeps them; as objects where one does not fit, as an unknown one may."""
        if self.kind in _COLUMN_KINDS or not len(self):
            return as_id_array(values)
        return as_objects(self.read(values))

    def read(self, values: Any, noun: str = "ids") -> list[Any]:
        """Return what ids are in this map: the printed form of an id is the id, ``7.0`` is ``7``.

        Parameters
        ----------
        values : array-like or Arrow array of shape (n,)
            They need not be in the map.
        noun : str, default="ids"

        Raises
        ------
        ParameterError
            If an id is of a kind that the map does not hold.
        """
        listed = as_list(noun, values)
        type_of_all = {"int": int, "str": str}.get(self.kind)
        if type_of_all is not None and all(type(value) is type_of_all for value in listed):
            return listed
        found = [self._reader.read(value) for value in listed]
        for row, (given, value) in enumerate(zip(listed, found, strict=True)):
            if value is UNREADABLE:
                raise self.refused(given, noun, row)
        return found

    def read_text(self, text: str) -> Any:
        """Return the id of this map's kind that a text of a command line stands for; ``None`` where for none.

        Examples
        --------
        >>> IdMap([7, 8]).read_text("7"), IdMap(["7"]).read_text("7"), IdMap([7]).read_text("i7")
        (7, '7', None)
        """
        found = read_text(self.kind, text) if self.kind != "tuple" else self._reader.read(text)
        return None if found is UNREADABLE else found

    @property
    def noun(self) -> str:
        """A word for the ids in messages, such as ``"integers"``."""
        return NOUNS[self.kind]

    def printed(self, index: Array) -> list[str]:
        """Return the printed form of the ids at some indices: what text, JSON and the command line show."""
        return [printed(value) for value in self.at(index).tolist()]

    def translated(self, new: IdMap, noun: str = "ids") -> tuple[IdMap, Array]:
        """Return a map of what the ids of ``new`` are in this one, and the index in it of each of them.

        Raises
        ------
        ParameterError
            If the new ids are of a kind that this map does not hold.
        """
        if not len(self) or (self.kind == new.kind and self.kind in _COLUMN_KINDS):
            return new, np.arange(len(new))
        return IdMap.factorize(as_objects(self.read(new.ids, noun)))

    def extended(self, new: IdMap, noun: str = "ids") -> tuple[IdMap, Array]:
        """Return a map of these ids and behind them the others of ``new``, and the index in it of each of ``new``.

        Raises as :meth:`translated`.
        """
        new, code = self.translated(new, noun)
        places = self.index_of(new.ids, on_unknown="skip", noun=noun)
        added = np.flatnonzero(places < 0)
        places[added] = len(self) + np.arange(len(added))
        both = np.concatenate([self.ids, new.ids[added]]) if len(self) else new.ids[added]
        return IdMap(both), places[code]

    def check_kept(self, noun: str = "ids") -> None:
        """Raise :class:`DataError` if ids cannot be saved and served: of several kinds, or without a written form."""
        if self.kind != "int" and self._texts is None:
            check_kept(self.kind, self.ids.tolist(), noun)

    def to_arrow(self) -> pa.Table:
        """Return a table with a column ``id``; :meth:`from_arrow` reads it back equal.

        Integers and text that are not ascending have a column ``order`` too: the indices in ascending order
        of the ids, int32. A reader finds an id by binary search, without a table of its own.

        Raises
        ------
        DataError
            If an id is of a type that has no written form.
        """
        if self._texts is not None:
            column = self._texts.array
        elif self.kind not in _COLUMN_KINDS:
            column = pa.array([_id_encoding.encode(value) for value in self.ids], pa.large_string())
        else:
            try:
                column = pa.array(self.ids, pa.int64() if self.kind == "int" else pa.large_string())
            except UnicodeEncodeError:
                raise DataError(
                    "ids must be text that UTF-8 can hold to be saved, got lone surrogates"
                ) from None
        columns = {"id": column}
        if self.kind in _COLUMN_KINDS and not _ascends(column):
            columns["order"] = pc.sort_indices(column).cast(pa.int32())
        kind = self.kind if self.kind in _COLUMN_KINDS else "other"
        return pa.table(columns).replace_schema_metadata({"id_kind": kind})

    @classmethod
    def from_arrow(cls, table: pa.Table) -> IdMap:
        """Read a table written by :meth:`to_arrow`.

        Integers and text stay in the memory of the table, which may be a mapped file. Text becomes Python
        objects where it is read: :meth:`at` makes those of some indices, ``ids`` all of them.

        Raises
        ------
        DataError
            If the table is no id map, or an id comes twice.
        """
        kind = (table.schema.metadata or {}).get(b"id_kind", b"").decode()
        text = (pa.string(), pa.large_string())
        types = {"int": (pa.int64(),), "str": text, "other": text}
        if "id" not in table.column_names or table.schema.field("id").type not in types.get(kind, ()):
            raise DataError(f"an id map must have one column 'id' of a known kind, got {table.schema.names}")
        if table["id"].null_count:
            raise DataError(f"an id map must have no empty ids, got {table['id'].null_count}")
        if kind == "other":
            values = table["id"].to_pylist()
            array = np.empty(len(values), object)
            array[:] = [_id_encoding.decode(value) for value in values]
            return cls(array)
        column, order = _whole(table["id"]), _read_order(table)
        if kind == "str":
            column.validate(full=True)  # offsets of a damaged file would lead anywhere
            column = column.cast(pa.large_string())
        if order is None and not _ascends(column):
            order = integers(pc.sort_indices(column).cast(pa.int32()))
        return cls._of_column(kind, column, order)

    @classmethod
    def _of_column(cls, kind: str, column: pa.Array, order: Array | None) -> IdMap:
        ids = cls.__new__(cls)
        ids.kind = kind
        if kind == "int":
            ids._keep(integers(column))
            ids._order = order
            ordered = ids.ids if order is None else ids.ids[order]
            are_distinct = bool((ordered[1:] > ordered[:-1]).all())
        else:
            ids._n, ids._texts = len(column), SortedTexts(column, order)
            are_distinct = ids._texts.are_distinct
        if not are_distinct:
            raise DataError("an id map must hold each id once, and in the written order")
        return ids

    @cached_property
    def _order(self) -> Array | None:
        """Indices of integer ids in ascending order; ``None`` if that is their own order."""
        if (self.ids[1:] >= self.ids[:-1]).all():
            return None
        return np.argsort(self.ids, kind="stable")

    @cached_property
    def _places(self) -> dict[Any, int]:
        return {value: place for place, value in enumerate(self.ids.tolist())}

    def _check_objects(self) -> None:
        try:
            if len(self._places) == len(self.ids):
                return
        except TypeError as error:
            raise DataError(f"an id must be hashable, {error}") from None
        seen: set[Any] = set()
        for value in self.ids:
            if value in seen:
                raise DataError(f"ids must differ, got {value!r} twice")
            seen.add(value)

    @cached_property
    def _reader(self) -> Reader:
        return Reader.of(self.kind, [] if self.kind != "tuple" else self.ids)

    def refused(self, value: Any, noun: str, row: int) -> ParameterError:
        """Return the error of an id that the map can hold none of; its attribute ``row`` is where it stood."""
        given = value.as_py() if isinstance(value, pa.Scalar) else value
        is_time = isinstance(given, np.datetime64 | np.timedelta64)  # item() may be a number of nanoseconds
        given = given.item() if isinstance(given, np.generic) and not is_time else given
        error = ParameterError(
            f"{noun} of this data are {self.noun}, got {shown(given):.80} of type {type(given).__name__}"
        )
        error.row = row  # type: ignore[attr-defined]
        return error

    def _index(self, values: Any, noun: str) -> Array:
        if isinstance(values, pa.Array | pa.ChunkedArray):
            text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
            if text and self.kind == "str" and not values.null_count:
                known = pa.array(self.ids) if self._texts is None else self._texts.array
                places = pc.index_in(values, value_set=known.cast(values.type)).fill_null(-1)
                return np.asarray(places.to_numpy()).astype(np.int64)
            whole = pa.types.is_integer(values.type) and not values.null_count
            values = values.to_numpy(zero_copy_only=False) if whole else values.to_pylist()
        if self.kind == "int":
            return self._int_index(values, noun)
        return self._object_index(values.tolist() if isinstance(values, np.ndarray) else values, noun)

    def _int_index(self, values: Any, noun: str) -> Array:
        array = values if are_integers(values) else as_id_array(values)
        if array.size == 0 or (len(self) == 0 and array.dtype.kind in "iu"):
            return np.full(array.size, -1, np.int64)
        if array.dtype.kind not in "iu":
            # Whole numbers, some of more than 64 bits, which no map holds; or something else.
            whole = self.read(array, noun)
            return np.array(
                [self._int_index([v], noun)[0] if abs(v) < 2**63 else -1 for v in whole], np.int64
            )
        wanted = array.astype(np.int64)
        order = self._order
        places = np.minimum(np.searchsorted(self.ids, wanted, sorter=order), len(self) - 1)
        found = self.ids[places if order is None else order[places]] == wanted
        if array.dtype.kind == "u":
            found &= array <= np.iinfo(np.int64).max  # larger ones have wrapped around
        index: Array = np.where(found, places if order is None else order[places], -1).astype(np.int64)
        return index

    def _object_index(self, listed: list[Any], noun: str) -> Array:
        if not len(self):
            return np.full(len(listed), -1, np.int64)
        listed = self.read(listed, noun)
        if self._texts is not None:
            return self._texts.positions(listed)
        get = self._places.get
        try:
            return np.fromiter((get(value, -1) for value in listed), np.int64, len(listed))
        except TypeError as error:
            raise ParameterError(f"an id must be hashable, {error}") from None


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array, without a copy where it is in one piece."""
    if column.num_chunks == 1:
        return column.chunk(0)
    combined = column.combine_chunks()
    return combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)


def _ascends(column: pa.Array) -> bool:
    return len(column) < 2 or bool(pc.all(pc.less_equal(column[:-1], column[1:])).as_py())


def _read_order(table: pa.Table) -> Array | None:
    """Return the column ``order`` of a written map, checked to be a permutation."""
    if "order" not in table.column_names:
        return None
    column = _whole(table["order"])
    if column.type != pa.int32() or column.null_count:
        raise DataError(f"the order of an id map must be int32 without nulls, got {column.type}")
    order = integers(column)
    if len(order) and (order.min() < 0 or order.max() >= len(order)):
        raise DataError("the order of an id map must hold its indices")
    return order
