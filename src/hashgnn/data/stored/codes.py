"""Ids of pieces as codes, and what all pieces know as one map: a hash join of each piece's ids with those of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hashgnn._types import Array
from hashgnn.data.ids import IdMap
from hashgnn.data.readers import _typing


def encode(ids: Any) -> tuple[Any, Array]:
    """Return the distinct ids of a piece, and the place of each row's id among them, int32.

    Parameters
    ----------
    ids : Arrow array of text, ndarray of int64, or list of objects

    Returns
    -------
    distinct : Arrow array of large_string or int64, or list of objects
        In order of first appearance.
    codes : ndarray of shape (n,), int32
    """
    if isinstance(ids, list):
        places = {value: place for place, value in enumerate(dict.fromkeys(ids))}
        return list(places), np.fromiter((places[value] for value in ids), np.int32, len(ids))
    values = pa.array(ids) if isinstance(ids, np.ndarray) else ids
    encoded = values.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        codes = np.concatenate([_integers(chunk.indices) for chunk in encoded.chunks])
        distinct = encoded.chunk(encoded.num_chunks - 1).dictionary  # that of the last chunk holds all
    else:
        codes, distinct = _integers(encoded.indices), encoded.dictionary
    return distinct.cast(pa.int64() if pa.types.is_integer(distinct.type) else pa.large_string()), codes


def _integers(indices: pa.Array) -> Array:
    return np.asarray(indices.to_numpy(zero_copy_only=False)).astype(np.int32, copy=False)


@dataclass
class Vocabulary:
    """The distinct ids of each piece, on disk where they are text or numbers.

    Parameters
    ----------
    folder : Path
        For the files.
    role : str
        Their name begins with it.
    """

    folder: Path
    role: str

    def __post_init__(self) -> None:
        self._kept: list[Path | list[Any]] = []

    def add(self, distinct: Any) -> None:
        """Keep the ids of the next piece."""
        if isinstance(distinct, list):
            self._kept.append(distinct)
            return
        path = self.folder / f"{self.role}-{len(self._kept)}.arrow"
        table = pa.table({"id": distinct})
        with path.open("wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        self._kept.append(path)

    def join(self, *, as_text: bool, decimal_comma: bool) -> tuple[IdMap, list[Array]]:
        """Return the map of all ids, and for each piece the place of each of its ids in the map, int32.

        The files are removed.

        The order is that of :meth:`IdMap.factorize`: ascending for whole numbers and text, first appearance for others.

        Parameters
        ----------
        as_text : bool
            Whether text may be numbers; it is where all of it is written as whole numbers.
        decimal_comma : bool
        """
        kept: list[Any] = [_mapped(one) if isinstance(one, Path) else one for one in self._kept]
        if any(isinstance(one, list) for one in kept):
            return _join_objects(kept)
        if len({one.type for one in kept}) > 1:  # unsigned numbers and decimals beyond 64 bits are text
            kept = [one.cast(pa.large_string()) for one in kept]
        encoded = pa.chunked_array(kept).dictionary_encode()
        found = encoded.chunk(encoded.num_chunks - 1).dictionary
        pieces = [_integers(chunk.indices) for chunk in encoded.chunks]
        again: Array | None = None
        if as_text and pa.types.is_large_string(found.type):
            numbers = _typing.whole_numbers(pa.chunked_array([found]), decimal_comma)
            if pa.types.is_integer(numbers.type):
                found, again = encode(numbers)  # 7 and 7.0 are one id
        order = pc.sort_indices(found)
        distinct = found.take(order)
        places = np.empty(len(order), np.int32)
        places[order.to_numpy()] = np.arange(len(order), dtype=np.int32)
        places = places if again is None else places[again]
        kind = "int" if pa.types.is_integer(distinct.type) else "str"
        for one in self._kept:
            if isinstance(one, Path):
                one.unlink()
        table = pa.table({"id": distinct}).replace_schema_metadata({"id_kind": kind})
        return IdMap.from_arrow(table), [places[codes] for codes in pieces]


def _mapped(path: Path) -> pa.Array:
    column = pa.ipc.open_file(pa.memory_map(str(path))).read_all()["id"]
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def _join_objects(kept: Sequence[Any]) -> tuple[IdMap, list[Array]]:
    listed = [one if isinstance(one, list) else one.to_pylist() for one in kept]
    places = {
        value: place for place, value in enumerate(dict.fromkeys(value for one in listed for value in one))
    }
    return IdMap(list(places)), [
        np.fromiter((places[value] for value in one), np.int32, len(one)) for one in listed
    ]
