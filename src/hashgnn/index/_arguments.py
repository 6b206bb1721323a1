"""The arguments of a search, checked where the kernels would not name them well."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashgnn import _native
from hashgnn._checks import check_int, check_matrix
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes
from hashgnn.errors import ParameterError
from hashgnn.ranking import CandidateFilter, IndexLists, Matches

_MAX_THREADS = 1024
_NO_FILTER = CandidateFilter()


def check_queries(queries: Any, n_bits: int) -> BinaryCodes | Array:
    """Return codes as they are, and anything else as a float32 matrix of finite entries."""
    if isinstance(queries, BinaryCodes):
        if queries.n_bits != n_bits:
            raise ParameterError(f"queries must have n_bits={n_bits} like the index, got {queries.n_bits}")
        return queries
    array = np.asarray(queries)
    if array.dtype.kind != "f":
        raise ParameterError(
            f"queries must be BinaryCodes or an array of float32, got {array.dtype}; "
            "wrap packed codes in BinaryCodes"
        )
    return check_matrix("queries", array, dtype=np.float32, n_columns=n_bits)


def check_k(k: Any, n_codes: int) -> int:
    """Return ``k``, between 1 and the number of codes."""
    if n_codes == 0:
        raise ParameterError("the index is empty, there is nothing to search; add codes first")
    return check_int("k", k, minimum=1, maximum=n_codes)


def check_filter(candidates: Any) -> CandidateFilter:
    """Return the filter of a search, an empty one for ``None``."""
    if candidates is None:
        return _NO_FILTER
    if not isinstance(candidates, CandidateFilter):
        raise ParameterError(f"candidates must be a CandidateFilter or None, got {type(candidates).__name__}")
    return candidates


def check_lists(name: str, lists: IndexLists, n_queries: int, n_codes: int) -> None:
    """Check the lists of a filter against a search, in the kernels' words."""
    indptr, indices = lists.indptr, lists.indices
    if len(indptr) != n_queries + 1:
        raise ParameterError(f"{name} must have one list a query, {n_queries}, got {len(indptr) - 1}")
    if indptr[0] != 0 or indptr[-1] != len(indices):
        raise ParameterError(f"{name} must have an indptr from 0 to its number of entries, {len(indices)}")
    if (np.diff(indptr) < 0).any():
        at = int(np.argmax(np.diff(indptr) < 0))
        raise ParameterError(f"{name} must have an indptr that never falls, it does at {at}")
    outside = indices[(indices < 0) | (indices >= n_codes)]
    if outside.size:
        raise ParameterError(f"{name} must hold positions from 0 to {n_codes - 1}, got {outside[0]}")


def search_arguments(
    k: int, n_threads: Any, candidates: Any, *, biased: bool, top: float | None
) -> _native.SearchArguments:
    """Bring the options of a search together for the kernels."""
    given = check_filter(candidates)
    return _native.SearchArguments(
        k=k,
        biased=bool(biased) and top is not None,
        top=0.0 if top is None else top,
        block=_pair(given.block_per_query),
        allow=_pair(given.allow_per_query),
        allowed=given.packed,
        n_threads=check_int("n_threads", n_threads, minimum=1, maximum=_MAX_THREADS),
    )


def as_matches(found: tuple[Array, Array, Array | None, Array]) -> Matches:
    """Return what a kernel found as a result."""
    positions, scores, distances, counts = found
    return Matches(positions, scores, counts, distances)


def _pair(lists: IndexLists | None) -> tuple[Array, Array] | None:
    return None if lists is None else (lists.indptr, lists.indices)
