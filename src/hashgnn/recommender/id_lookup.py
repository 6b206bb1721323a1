"""Conversion of user input, external ids and side features, to arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from typing import Any

import numpy as np
from scipy import sparse

from hashgnn._checks import quote_some
from hashgnn._types import Array, Frame, Id, IdLists, Ids
from hashgnn.data import FeatureVocabulary, IdMap, InteractionsLike, as_interactions
from hashgnn.data._whole_ids import as_whole_numbers
from hashgnn.errors import ParameterError, UnknownIdError
from hashgnn.ranking import IndexLists


def as_list(name: str, values: Any) -> list[Any]:
    """Return a column, array or other iterable as a list; a bare string or number is refused."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise ParameterError(f"{name} must be a list, got {values!r}")
    for convert in ("tolist", "to_list", "to_pylist"):  # NumPy and pandas, polars, Arrow
        if hasattr(values, convert):
            return list(getattr(values, convert)())
    return list(values)


def as_list_of_ids(name: str, values: Id | Ids, ids: IdMap) -> list[Any]:
    """Return a list of ids, where a bare id is a list of one; so is a tuple that is itself an id."""
    is_one = isinstance(values, str | bytes) or not isinstance(values, Iterable)
    if is_one or (isinstance(values, tuple) and values in ids):
        return [values]
    return as_list(name, values)


def look_up(ids: IdMap, noun: str, values: list[Any], *, remedy: str | None) -> Array:
    """Return the index of each id, int64, -1 where it is unknown.

    Raises
    ------
    UnknownIdError
        If ids are unknown and a remedy is given; the sentence ends with it.
    """
    index: Array = ids.index_of(values, on_unknown="skip")
    unknown = np.flatnonzero(index < 0)
    if len(unknown) and remedy is not None:
        named = quote_some(list(dict.fromkeys(values[place] for place in unknown)))
        raise UnknownIdError(
            f"{len(unknown)} of {len(values)} {noun} ids are not in the training data: {named}; {remedy}"
        )
    return index


def look_up_lists(ids: IdMap, noun: str, name: str, lists: IdLists, *, remedy: str | None) -> IndexLists:
    """Return lists of ids as lists of indices; unknown ids are left out, or an error with a remedy."""
    rows = [as_list(f"each of {name}", row) for row in as_list(name, lists)]
    flat = [value for row in rows for value in row]
    index = look_up(ids, noun, flat, remedy=remedy)
    parts = np.split(index, np.cumsum([len(row) for row in rows])[:-1]) if rows else []
    return IndexLists.from_rows([part[part >= 0] for part in parts])


def look_up_choice(
    ids: IdMap, name: str, choice: Ids | IdLists | None, n_rows: int, *, remedy: str | None
) -> Array | IndexLists | None:
    """Return a list of items for all rows as an index array, or one list per row as lists of indices.

    Unknown ids are left out, or an error with a remedy. A tuple is an id, as a tuple may be one.
    """
    if choice is None:
        return None
    is_per_row = (
        isinstance(choice, list | tuple)
        and len(choice) > 0
        and all(isinstance(entry, list | set | frozenset | np.ndarray) for entry in choice)
    )
    if not is_per_row:
        index = look_up(ids, "item", as_list(name, choice), remedy=remedy)
        return index[index >= 0]
    lists = as_list(name, choice)
    if len(lists) != n_rows:
        raise ParameterError(f"{name} must have one list per row, {n_rows}, got {len(lists)}")
    return look_up_lists(ids, "item", name, lists, remedy=remedy)


def look_up_interactions(ids: IdMap, user_ids: list[Any], interactions: InteractionsLike) -> IndexLists:
    """Return the items that each user has in some interactions, as lists of indices; unknown items are left out.

    Parameters
    ----------
    ids : IdMap
        Of the items.
    user_ids : list of n ids
        In the order of the lists; users without interactions get an empty one.
    interactions : Interactions or data frame
        May be empty, as right after the training.
    """
    if isinstance(interactions, Sized) and not sparse.issparse(interactions) and not len(interactions):
        return IndexLists.from_rows([[]] * len(user_ids))
    data = as_interactions(interactions)
    rows = IndexLists.from_matrix(data.csr)[data.user_ids.index_of(user_ids, on_unknown="skip")]
    index = ids.index_of(data.item_ids.ids, on_unknown="skip")[rows.indices]
    parts = np.split(index, rows.indptr[1:-1]) if len(rows) else []
    return IndexLists.from_rows([part[part >= 0] for part in parts])


def id_array(values: list[Any], *, like: IdMap) -> Array:
    """Return ids as the id map keeps them; as objects where one does not fit, as an unknown one may."""
    whole = as_whole_numbers(values) if like.kind == "int" else None
    if whole is not None and all(abs(value) < 2**63 for value in whole):
        return np.array(whole, np.int64)
    result = np.empty(len(values), object)
    result[:] = values
    return result


def feature_columns(
    name: str, vocabulary: FeatureVocabulary | None, frame: Frame | None, rows: list[Any] | None
) -> sparse.csr_matrix | None:
    """Return side features of new users or items as columns, one row for each of ``rows`` where these are given."""
    if frame is None:
        return None
    if vocabulary is None:
        raise ParameterError(f"{name} must be None, the model was fitted without them")
    columns = vocabulary.encode(frame)
    if rows is not None and columns.shape[0] != len(rows):
        raise ParameterError(f"{name} must have {len(rows)} rows, got {columns.shape[0]}")
    return columns
