"""The arguments of searches and changes, checked where the kernels would not name them well."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from hashgnn import _native
from hashgnn._checks import check_int, check_matrix, check_threads
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes
from hashgnn.errors import ParameterError
from hashgnn.ranking import CandidateFilter, IndexLists

_MAX_FLOAT_RANGE = 16384  # values of the scan have 15 bits
_LARGEST_SCORE = 1.5e38  # half of what float32 holds
_NO_FILTER = CandidateFilter()


def check_queries(queries: Any, n_bits: int) -> BinaryCodes | Array:
    """Return codes as they are, and anything else as a float32 matrix whose scores are finite."""
    if isinstance(queries, BinaryCodes):
        if queries.n_bits != n_bits:
            raise ParameterError(f"queries must have n_bits={n_bits} like the index, got {queries.n_bits}")
        return queries
    limit = _LARGEST_SCORE / n_bits
    array = np.asarray(queries)
    if _are_within(array, n_bits, limit):
        return array
    if array.dtype.kind != "f":
        raise ParameterError(
            f"queries must be BinaryCodes or an array of float32, got {array.dtype}; "
            "wrap packed codes in BinaryCodes"
        )
    floats = check_matrix("queries", array, dtype=np.float32, n_columns=n_bits)
    if floats.size and not (floats.max() <= limit and floats.min() >= -limit):
        raise ParameterError(
            f"queries must lie between -{limit:.3g} and {limit:.3g} for scores of {n_bits} bits to be finite, "
            f"got {np.abs(floats).max():.3g}"
        )
    return floats


def _are_within(queries: Array, n_bits: int, limit: float) -> bool:
    """Say whether queries are such a matrix already and clearly within the limit: one sum, as a single query takes microseconds."""
    return (
        queries.dtype == np.float32
        and queries.ndim == 2
        and queries.shape[1] == n_bits
        and queries.flags.c_contiguous
        and float(np.vdot(queries, queries)) <= limit * limit
    )


def check_k(k: Any, n_codes: int) -> int:
    """Return ``k``, between 1 and the number of codes."""
    if n_codes == 0:
        raise ParameterError("the index is empty, there is nothing to search; add codes first")
    return check_int("k", k, minimum=1, maximum=n_codes)


def check_query_bits(value: Any, n_bits: int) -> int:
    """Return the bits of an entry of a float query."""
    bits = check_int("query_bits", value, minimum=2, maximum=10)
    if (2**bits - 1) * n_bits >= _MAX_FLOAT_RANGE:
        raise ParameterError(
            f"query_bits must keep (2 ** query_bits - 1) * n_bits below {_MAX_FLOAT_RANGE}, got {bits} "
            f"with n_bits={n_bits}"
        )
    return bits


def check_filter(candidates: Any) -> CandidateFilter:
    """Return the filter of a search, an empty one for ``None``."""
    if candidates is None:
        return _NO_FILTER
    if not isinstance(candidates, CandidateFilter):
        raise ParameterError(f"candidates must be a CandidateFilter or None, got {type(candidates).__name__}")
    return candidates


def search_arguments(
    k: int, n_threads: Any, candidates: Any, *, biased: bool, top: float | None, share: float = 1.0
) -> _native.SearchArguments:
    """Bring the options of a search together for the kernels; ``share`` of the codes may be got by any query."""
    limits = check_filter(candidates)
    if limits is _NO_FILTER and share == 1.0:
        return _unfiltered(
            k, bool(biased) and top is not None, 0.0 if top is None else top, check_threads(n_threads)
        )
    return _native.SearchArguments(
        k=k,
        biased=bool(biased) and top is not None,
        top=0.0 if top is None else top,
        block_per_query=_pair(limits.block_per_query),
        allow_per_query=_pair(limits.allow_per_query),
        allow_all=limits.packed,
        n_threads=check_threads(n_threads),
        share=share,
    )


@lru_cache(maxsize=64)
def _unfiltered(k: int, biased: bool, top: float, n_threads: int) -> _native.SearchArguments:
    """Return the arguments of a search without a filter, kept for the next: making them takes as long as a short list."""
    return _native.SearchArguments(
        k=k,
        biased=biased,
        top=top,
        block_per_query=None,
        allow_per_query=None,
        allow_all=None,
        n_threads=n_threads,
    )


def check_positions(positions: Any, n_codes: int, *, distinct_for: int | None = None) -> Array:
    """Return positions as int64; where so many codes are to replace theirs, distinct and one a code."""
    rows = np.asarray(positions)
    if rows.size and (rows.ndim != 1 or rows.dtype.kind not in "iu"):
        raise ParameterError(f"positions must be a list of integers, got {rows.shape} {rows.dtype}")
    rows = rows.reshape(-1).astype(np.int64)
    outside = rows[(rows < 0) | (rows >= n_codes)]
    if outside.size:
        raise ParameterError(f"positions must be from 0 to {n_codes - 1}, got {int(outside[0])}")
    if distinct_for is not None:
        if len(rows) != distinct_for:
            raise ParameterError(f"codes must have one row per position, {len(rows)}, got {distinct_for}")
        if repeated := len(rows) - len(np.unique(rows)):
            raise ParameterError(f"positions must be distinct, got {repeated} that repeat another")
    return rows


def _pair(lists: IndexLists | None) -> tuple[Array, Array] | None:
    return None if lists is None else (lists.indptr, lists.indices)
