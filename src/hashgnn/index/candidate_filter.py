"""Which codes a search may return."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hashgnn._checks import quote_some
from hashgnn._types import Array
from hashgnn.errors import ParameterError


@dataclass(frozen=True, eq=False)
class CandidateFilter:
    """Limits on what each query may get; a result has to pass all that are given.

    Parameters
    ----------
    block : pair of ndarrays or None, default=None
        Lists of positions that a query may not get, such as the items that a user has seen: ``indptr``
        of shape (n_queries + 1,), int64, and ``indices``, int32. Query ``q`` has the positions
        ``indices[indptr[q]:indptr[q + 1]]``, in any order.
    allow : pair of ndarrays or None, default=None
        Lists, in the same form, of the only positions that a query may get.
    allowed : ndarray of shape (n_codes,), bool, or None, default=None
        Positions that any query may get. Packed when the filter is made: a filter that many searches share
        packs its mask once, and does not follow later changes of the array.

    Attributes
    ----------
    packed : pair of int and ndarray of shape (ceil(n_codes / 32),), uint32, or None
        Length of ``allowed``, and a bit for each of its entries.

    Raises
    ------
    ParameterError
        If an array has another dtype or shape. Lengths and positions are checked by the search, which
        knows the queries and the codes.

    Examples
    --------
    >>> import numpy as np
    >>> seen = CandidateFilter(block=(np.array([0, 2]), np.array([7, 3], np.int32)))
    >>> seen.block[1]
    array([7, 3], dtype=int32)
    """

    block: tuple[Array, Array] | None = None
    allow: tuple[Array, Array] | None = None
    allowed: Array | None = None
    packed: tuple[int, Array] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("block", "allow"):
            pair = getattr(self, name)
            if pair is not None:
                object.__setattr__(self, name, _checked_lists(name, pair))
        if self.allowed is not None:
            mask = np.asarray(self.allowed)
            if mask.dtype != np.bool_ or mask.ndim != 1:
                raise ParameterError(
                    f"allowed must have shape (n_codes,) and dtype bool, got {mask.shape} {mask.dtype}"
                )
            object.__setattr__(self, "allowed", np.ascontiguousarray(mask))
            bits = np.zeros(-(-len(mask) // 32), "<u4")
            packed = np.packbits(mask, bitorder="little")
            bits.view(np.uint8)[: len(packed)] = packed
            object.__setattr__(self, "packed", (len(mask), bits))

    @classmethod
    def from_lists(
        cls, *, block: list[Any] | None = None, allow: list[Any] | None = None, allowed: Array | None = None
    ) -> CandidateFilter:
        """Build a filter from one sequence of positions a query.

        Examples
        --------
        >>> CandidateFilter.from_lists(block=[[7, 3], []]).block[0]
        array([0, 2, 2])
        """
        return cls(
            block=None if block is None else _as_csr("block", block),
            allow=None if allow is None else _as_csr("allow", allow),
            allowed=allowed,
        )


def _checked_lists(name: str, pair: Any) -> tuple[Array, Array]:
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise ParameterError(f"{name} must be a pair of arrays (indptr, indices), got {type(pair).__name__}")
    indptr, indices = (np.asarray(part) for part in pair)
    for part, array in (("indptr", indptr), ("indices", indices)):
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise ParameterError(
                f"{part} of {name} must have shape (n,) and an integer dtype, got {array.shape} {array.dtype}"
            )
    if indices.dtype != np.int32:
        limits = np.iinfo(np.int32)
        outside = indices[(indices < limits.min) | (indices > limits.max)]
        if outside.size:
            raise ParameterError(f"indices of {name} must fit int32, got {quote_some(outside.tolist())}")
    if len(indptr) == 0:
        raise ParameterError(f"indptr of {name} must have one entry more than there are queries, got 0")
    return np.ascontiguousarray(indptr, np.int64), np.ascontiguousarray(indices, np.int32)


def _as_csr(name: str, lists: list[Any]) -> tuple[Array, Array]:
    arrays = [np.asarray(positions) for positions in lists]
    for row, array in enumerate(arrays):
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise ParameterError(
                f"{name} must hold lists of integers, got {lists[row]!r:.80} for query {row}"
            )
    indptr = np.zeros(len(arrays) + 1, np.int64)
    np.cumsum([len(array) for array in arrays], out=indptr[1:])
    flat = np.concatenate([array.astype(np.int64) for array in arrays]) if arrays else np.empty(0, np.int64)
    return indptr, flat
