"""``FoldIn``: the contract of fold-in rules, and their shared checks."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import scipy.sparse as sp

from hashgnn._checks import check_matrix
from hashgnn._types import Array, SideName
from hashgnn.errors import ParameterError

_FLOOR = 1e-12  # the encoder's: a sum shorter than this stays near 0 instead of being blown up


class FoldIn(ABC):
    """An encoder's rule for nodes it was not trained on.

    Parameters
    ----------
    arrays : dict of str to ndarray
    params : dict of str to JSON values

    Attributes
    ----------
    n_users, n_items : int
        Of the training data: the columns of an audience and of a history.
    dim : int
        Width of the embeddings.
    trained_users_fold_in : bool
        Whether a user's trained embedding is the one that the rule gives for the user's training history.
    """

    trained_users_fold_in = False

    def __init__(self, arrays: dict[str, Array], params: dict[str, Any]) -> None:
        self._arrays, self._params = arrays, params
        self.n_users, self.n_items, self.dim = self._prepare()

    @property
    def arrays(self) -> dict[str, Array]:
        """The arrays that the rule was built from, as they are saved in an artifact."""
        return dict(self._arrays)

    @property
    def params(self) -> dict[str, Any]:
        """The parameters that the rule was built from, as JSON values."""
        return dict(self._params)

    @property
    def item_tables(self) -> dict[str, Array]:
        """The arrays that have one row for each item: what an item adds to those who interacted with it."""
        return {
            name: array
            for name, array in self._arrays.items()
            if name == "item_table" or name.startswith("item_layer_")
        }

    def with_item_tables(self, tables: Mapping[str, Array]) -> Self:
        """Return the rule for more items; the rows of the known ones are trusted and not read again.

        Parameters
        ----------
        tables : mapping of str to ndarray, float32
            :attr:`item_tables` with more rows at their ends.
        """
        other = copy.copy(self)
        other._arrays = {**self._arrays, **tables}
        other.n_items = len(next(iter(tables.values())))
        other._use_item_tables(tables)
        return other

    def users(self, history: Any, features: Any = None) -> Array:
        """Return the embeddings of new users.

        Parameters
        ----------
        history : sparse matrix of shape (n, n_items)
            Weights of each new user's interactions, on the scale of the training weights.
        features : sparse or dense matrix of shape (n, n_columns), optional
            Side features by the training vocabulary; ``None`` is all zeros.

        Returns
        -------
        ndarray of shape (n, dim), float32

        Raises
        ------
        ParameterError
            If a shape does not fit, a weight is negative or not finite, or the model has no such features.
        """
        return self._side("user", "history", history, self.n_items, features)

    def user_parts(self, history: Any) -> Array | None:
        """Return what each item of each history adds to the embedding of its user, without side features.

        The sum of a user's parts is the embedding that :meth:`users` returns, except for what does not depend on
        the history, such as side features.

        Parameters
        ----------
        history : sparse matrix of shape (n, n_items)
            As for :meth:`users`.

        Returns
        -------
        ndarray of shape (nnz, dim), float64, or None
            A row for each weight above 0, in the order of a CSR matrix with sorted columns. ``None`` where the
            embedding is no sum over the history.
        """
        return self._user_parts(self._checked("history", history, self.n_items))

    def items(self, audience: Any, features: Any = None) -> Array:
        """Return the embeddings of new items, from their users, their side features, or both.

        Parameters
        ----------
        audience : sparse matrix of shape (n, n_users)
            Weights of each new item's interactions; for an empty row only the features count.
        features : sparse or dense matrix of shape (n, n_columns), optional

        Returns
        -------
        ndarray of shape (n, dim), float32

        Raises
        ------
        ParameterError
            As :meth:`users`.
        """
        return self._side("item", "audience", audience, self.n_users, features)

    @abstractmethod
    def _prepare(self) -> tuple[int, int, int]:
        """Check and keep the arrays; return ``n_users, n_items, dim``."""

    @abstractmethod
    def _use_item_tables(self, tables: Mapping[str, Array]) -> None:
        """Take other arrays for those of :attr:`item_tables`."""

    @abstractmethod
    def _users(self, history: Any, projected: Array | None) -> Array: ...

    @abstractmethod
    def _items(self, audience: Any, projected: Array | None) -> Array: ...

    def _user_parts(self, history: Any) -> Array | None:
        """Return the parts of :meth:`user_parts`; ``None`` is right for a rule whose embedding is no sum."""
        return None

    def _side(self, side: SideName, name: str, edges: Any, n_columns: int, features: Any) -> Array:
        matrix = self._checked(name, edges, n_columns)
        projected = self._project(side, features, int(matrix.shape[0]))
        rule = self._users if side == "user" else self._items
        return np.ascontiguousarray(rule(matrix, projected), dtype=np.float32)

    def _checked(self, name: str, edges: Any, n_columns: int) -> Any:
        """Return edges as a CSR matrix with sorted columns and weights above 0."""
        matrix = sp.csr_matrix(edges, dtype=np.float32)
        if matrix.shape[1] != n_columns:
            raise ParameterError(f"{name} must have {n_columns} columns, got {matrix.shape[1]}")
        if matrix.nnz and not (np.isfinite(matrix.data).all() and matrix.data.min() >= 0):
            raise ParameterError(f"{name} must hold finite weights >= 0, got a negative one, NaN or infinity")
        if not matrix.has_canonical_format or not matrix.data.all():
            matrix = matrix.copy()  # the caller's matrix stays as it is
            matrix.sum_duplicates()
            matrix.eliminate_zeros()
        return matrix

    def _project(self, side: SideName, features: Any, n_rows: int) -> Array | None:
        """Return ``features @ W`` (n_rows, width), or ``None`` where there are no features."""
        if features is None:
            return None
        weight = self._arrays.get(f"{side}_projection")
        if weight is None:
            raise ParameterError(f"{side} features must be None, the model was trained without them")
        if features.shape != (n_rows, len(weight)):
            raise ParameterError(
                f"{side} features must have shape ({n_rows}, {len(weight)}), got {features.shape}"
            )
        return np.asarray(features @ weight, dtype=np.float32)

    def _array(self, name: str, n_rows: int | None = None, n_columns: int | None = None) -> Array:
        if name not in self._arrays:
            raise ParameterError(f"the fold-in rule needs the array {name}, got {', '.join(self._arrays)}")
        return check_matrix(name, self._arrays[name], dtype=np.float32, n_rows=n_rows, n_columns=n_columns)

    def _vector(self, name: str, length: int) -> Array:
        array = self._arrays.get(name)
        if array is None or array.shape != (length,):
            shape = "none" if array is None else array.shape
            raise ParameterError(f"the array {name} must have shape ({length},), got {shape}")
        return self._finite(name, array)

    def _finite(self, name: str, array: Array) -> Array:
        values = np.asarray(array, dtype=np.float32)
        if not np.isfinite(values).all():
            raise ParameterError(f"the array {name} must be finite, got NaN or infinity")
        return values

    def _number(self, name: str) -> float:
        value = self._params.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ParameterError(f"the fold-in rule needs the number {name}, got {value!r}")
        return float(value)

    def _choice(self, name: str, options: tuple[str, ...]) -> str:
        value = self._params.get(name)
        if value not in options:
            raise ParameterError(f"the fold-in rule needs {name}, one of {', '.join(options)}, got {value!r}")
        return str(value)


def row_sums(edges: Any) -> Array:
    """Return the sum of each row's weights, float32 (n,)."""
    return np.asarray(edges.sum(axis=1), dtype=np.float32).ravel()


def normalised_sum(edges: Any, table: Array, exponent: float) -> Array:
    """Return ``d^-exponent · (edges @ table)``, rows without edges 0."""
    return np.asarray((edges @ table) * degree_scale(edges, exponent)[:, None], dtype=np.float32)


def scaled_parts(edges: Any, table: Array, scale: Array) -> Array:
    """Return ``scale · w_j · table_j`` for each edge, float64 (nnz, dim): sums of rows are its parts.

    Parameters
    ----------
    edges : csr_matrix of shape (n, n_neighbours)
    table : ndarray of shape (n_neighbours, dim), float32
    scale : ndarray of shape (n,)
        Of each row of edges.
    """
    weights = edges.data * np.repeat(np.asarray(scale, np.float64), np.diff(edges.indptr))
    parts: Array = table[edges.indices] * weights[:, None]
    return parts


def degree_scale(edges: Any, exponent: float) -> Array:
    """Return ``d^-exponent`` of each row, 1 for a row without edges."""
    degrees = row_sums(edges)
    return np.where(degrees > 0, degrees, 1.0) ** np.float32(-exponent)


def unit_sum(edges: Any, table: Array) -> Array:
    """Return ``edges @ table`` with rows scaled to length ``sqrt(dim)``, rows without edges 0."""
    rows = np.asarray(edges @ table, dtype=np.float32)
    scaled: Array = rows * unit_scale(rows)[:, None]
    return scaled


def unit_scale(rows: Array) -> Array:
    """Return what each row is multiplied by to have length ``sqrt(dim)``."""
    lengths = np.linalg.norm(rows, axis=1)
    scale: Array = np.float32(rows.shape[1]) ** 0.5 / np.maximum(lengths, _FLOOR)
    return scale


def from_neighbours(edges: Any, projected: Array | None, table: Array, exponent: float, mean: Array) -> Array:
    """Return embeddings by a fitted map of the neighbours; a node without edges has the mean id embedding."""
    rows = normalised_sum(edges, table, exponent)
    rows[row_sums(edges) == 0] = mean
    return rows if projected is None else rows + projected
