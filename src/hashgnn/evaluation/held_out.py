"""The evaluated users, their held-out items and the masked items."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from hashgnn._checks import check_int
from hashgnn._counting import counts
from hashgnn._types import Array
from hashgnn.data import Interactions
from hashgnn.errors import DataError, DataWarning, ParameterError
from hashgnn.evaluation.relevance import Popularity


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Training and held-out items of users, by internal index.

    Attributes
    ----------
    users : ndarray of shape (n,), int64
        Those with held-out items, ascending.
    seen, relevant : scipy.sparse.csr_matrix of shape (n, n_items)
        Training items, and held-out items that are not among them; a row for each of ``users``.
    popularity : Popularity or None
        Of the items among all training users.
    """

    users: Array
    seen: sparse.csr_matrix
    relevant: sparse.csr_matrix
    popularity: Popularity | None = None

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return int(self.relevant.shape[1])


def held_out(train: Any, test: Any, *, max_users: int | None = None) -> HeldOut:
    """Pair up training and test interactions.

    Parameters
    ----------
    train, test : Interactions, or sparse matrix of shape (n_users, n_items)
        With the same users and items, as a split returns them. Stored entries are interactions.
    max_users : int or None, default=None
        Of more users with a held-out item, every n-th is taken, so that at most so many are left.

    Raises
    ------
    ParameterError
        If they are something else or do not fit together.
    DataError
        If no user has a held-out item.

    Warns
    -----
    DataWarning
        If test interactions are also in ``train``. They are left out: what a user has in training is never
        recommended to that user, so it cannot be found.
    """
    if max_users is not None:
        max_users = check_int("max_users", max_users, minimum=1)
    seen, wanted = _matrix("train", train), _matrix("test", test)
    if seen.shape != wanted.shape:
        raise ParameterError(
            f"test must have the users and items of train, {seen.shape}, got {wanted.shape}; "
            "split one set of interactions, or read test with the id maps of train"
        )
    if isinstance(train, Interactions) and isinstance(test, Interactions):
        for side in ("user_ids", "item_ids"):
            one, other = getattr(train, side), getattr(test, side)
            if one != other:
                raise ParameterError(
                    f"test must have the {side} of train, in the same order, got others; "
                    "split one set of interactions, or read test with the id maps of train"
                )
    both = wanted.multiply(seen)
    if both.nnz:
        warnings.warn(
            f"{both.nnz} of {wanted.nnz} test interactions are also in train; they are left out",
            DataWarning,
            stacklevel=3,
        )
        wanted = wanted - both
        wanted.eliminate_zeros()
    wanted.sort_indices()
    users = np.flatnonzero(np.diff(wanted.indptr))
    if not len(users):
        raise DataError(
            f"test holds no item to be found: none of {wanted.shape[0]} users has a held-out item"
        )
    if max_users is not None:
        users = users[:: -(-len(users) // max_users)]
    popularity = Popularity(counts(seen.indices, seen.shape[1]), int(np.count_nonzero(np.diff(seen.indptr))))
    return HeldOut(users, seen[users], wanted[users], popularity)


def _matrix(name: str, value: Any) -> sparse.csr_matrix:
    """Return the entries as ones, in a CSR matrix of its own."""
    given = value.csr if isinstance(value, Interactions) else value
    if not sparse.issparse(given):
        raise ParameterError(
            f"{name} must be Interactions or a sparse matrix (n_users, n_items), got {type(value).__name__}"
        )
    return _as_ones(given)


def _as_ones(given: Any) -> sparse.csr_matrix:
    known = sparse.csr_matrix(given)
    if known.has_canonical_format:  # its indices are not changed, so they need no copy
        return sparse.csr_matrix(
            (np.ones(known.nnz, np.int8), known.indices, known.indptr), shape=known.shape
        )
    matrix = known.copy()
    matrix.data = np.ones(matrix.nnz, np.int8)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix
