"""``GraphView``: the tensors of a graph that an encoder reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from hashgnn._counting import counts
from hashgnn._types import Array
from hashgnn.errors import ParameterError
from hashgnn.nn import _sparse
from hashgnn.nn.sampled_hop import SampledHop

_ROWS = 1 << 16  # summed at a time


class Made:
    """A tensor that is made when it is first used."""

    def __init__(self, make: Callable[[], torch.Tensor]) -> None:
        self._make = make

    @cached_property
    def value(self) -> torch.Tensor:
        """The tensor."""
        return self._make()

    def moved(self, device: torch.device | str | None, dtype: torch.dtype | None) -> Made:
        """Return it on another device or of another dtype, made when that is first used."""
        return Made(lambda: _sparse.move(self.value, device, dtype))

    def __getstate__(self) -> dict[str, Any]:
        """Send the tensor, not what makes it."""
        return {"value": self.value}


@dataclass(frozen=True)
class GraphView:
    """The graph as tensors: the input of every encoder, never changed by it.

    Nodes are users ``0 .. n_users-1``, then items ``n_users .. n_nodes-1``.

    Attributes
    ----------
    n_users, n_items : int
    made_adjacency : Made
        The adjacency, made when an encoder first reads it; it takes more memory than all others.
    user_item, item_user : Tensor of shape (n_users, n_items) and (n_items, n_users), CSR
        Weights of the interactions as given, and the transpose.
    degrees : Tensor of shape (n_nodes,)
        Sum of the weights at each node.
    user_features, item_features : Tensor of shape (n, n_columns), CSR or dense, or None
    sampled : tuple of SampledHop, or of LongTensor, or None
        Neighbours drawn for the nodes of one ``forward`` call, hop by hop. The parents of the first hop are
        the nodes; those of another are the nodes of the hop before. A tensor of shape
        (n_parents, fan_out_l) is a hop of a tree: its entries, flattened, are the parents of the next, and
        -1 stands for "none". Encoders that do not sample ignore it.
    histories : tuple of three Tensors, or None
        Columns, weights and lengths of the input histories of the users of one ``forward`` call, in
        their order. The rest of each history is to be predicted. Only the ``history`` encoder reads it.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> view = GraphView.from_scipy(sp.csr_matrix(np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])))
    >>> view.n_nodes, view.degrees.tolist()
    (5, [2.0, 1.0, 1.0, 2.0, 0.0])
    """

    n_users: int
    n_items: int
    made_adjacency: Made
    user_item: torch.Tensor
    item_user: torch.Tensor
    degrees: torch.Tensor
    user_features: torch.Tensor | None = None
    item_features: torch.Tensor | None = None
    sampled: tuple[SampledHop | torch.Tensor, ...] | None = None
    histories: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None

    @classmethod
    def from_scipy(
        cls,
        user_item: Any,
        *,
        adjacency: Any = None,
        user_features: Any = None,
        item_features: Any = None,
        dtype: torch.dtype = torch.float32,
    ) -> GraphView:
        """Build a view from SciPy matrices; nothing of theirs is shared.

        Parameters
        ----------
        user_item : sparse matrix of shape (n_users, n_items)
            Weights of the interactions, >= 0.
        adjacency : sparse matrix of shape (n_nodes, n_nodes), or a function that returns one, optional
            The symmetric normalised adjacency; made from ``user_item`` where it is not given.
        user_features, item_features : sparse or dense matrix of shape (n, n_columns), optional
        dtype : torch.dtype, default=torch.float32

        Raises
        ------
        ParameterError
            If a shape does not fit ``user_item``, or a weight is negative or not finite.
        """
        edges = _clean(user_item)
        n_users, n_items = (int(n) for n in edges.shape)
        if not np.isfinite(edges.data).all() or (edges.nnz and edges.data.min() < 0):
            raise ParameterError(
                "user_item must hold finite weights >= 0, got a negative one, NaN or infinity"
            )
        if (edges.data == 1).all():
            degrees = np.concatenate([np.diff(edges.indptr), counts(edges.indices, n_items)]).astype(
                np.float64
            )
        else:
            degrees = np.concatenate([_row_sums(edges), np.bincount(edges.indices, edges.data, n_items)])
        n_nodes = n_users + n_items
        if adjacency is not None and not callable(adjacency) and adjacency.shape != (n_nodes, n_nodes):
            raise ParameterError(f"adjacency must have shape ({n_nodes}, {n_nodes}), got {adjacency.shape}")

        def normalised() -> torch.Tensor:
            if adjacency is None:
                return _sparse.from_scipy(_normalised_adjacency(edges.astype(np.float64), degrees), dtype)
            return _sparse.from_scipy(adjacency() if callable(adjacency) else adjacency, dtype)

        return cls(
            n_users=n_users,
            n_items=n_items,
            made_adjacency=Made(normalised),
            user_item=_sparse.from_scipy(edges, dtype),
            item_user=_sparse.from_scipy(sp.csr_matrix(edges.T), dtype, is_own=True),
            degrees=torch.tensor(degrees, dtype=dtype),
            user_features=_features("user_features", user_features, n_users, dtype),
            item_features=_features("item_features", item_features, n_items, dtype),
        )

    @property
    def adjacency(self) -> torch.Tensor:
        """Symmetric, normalised: ``a_ij = w_ij / sqrt(d_i d_j)``; CSR (n_nodes, n_nodes). Isolated nodes have empty rows."""
        return self.made_adjacency.value

    @property
    def n_nodes(self) -> int:
        """Users and items together."""
        return self.n_users + self.n_items

    @property
    def device(self) -> torch.device:
        """The device of the tensors."""
        return self.degrees.device

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> GraphView:
        """Return the view on another device, or with floats of another dtype."""

        def moved(x: torch.Tensor | None) -> torch.Tensor | None:
            return None if x is None else _sparse.move(x, device, dtype)

        return replace(
            self,
            made_adjacency=self.made_adjacency.moved(device, dtype),
            user_item=_sparse.move(self.user_item, device, dtype),
            item_user=_sparse.move(self.item_user, device, dtype),
            degrees=_sparse.move(self.degrees, device, dtype),
            user_features=moved(self.user_features),
            item_features=moved(self.item_features),
            sampled=None if self.sampled is None else tuple(hop.to(device) for hop in self.sampled),
        )

    def with_sampled(self, sampled: tuple[SampledHop, ...] | tuple[torch.Tensor, ...] | None) -> GraphView:
        """Return the view with the neighbours drawn for one call; the matrices are shared."""
        return replace(self, sampled=sampled)

    def with_histories(
        self, columns: torch.Tensor, weights: torch.Tensor, lengths: torch.Tensor
    ) -> GraphView:
        """Return the view with other histories for the users of one call; the matrices are shared."""
        return replace(self, histories=(columns, weights, lengths))


def _clean(user_item: Any) -> sp.csr_matrix:
    """Return a matrix in CSR with each pair once and no zeros; it is the one given where that is so."""
    edges = sp.csr_matrix(user_item)
    if edges.dtype not in (np.float32, np.float64):
        edges = edges.astype(np.float64)
    if not edges.has_canonical_format or not edges.data.all():
        edges = edges.astype(np.float64)
        edges.sum_duplicates()
        edges.eliminate_zeros()
    return edges


def _row_sums(edges: sp.csr_matrix) -> Array:
    """Return the sum of each row in 64 bits, worked out for some rows at a time."""
    sums = np.zeros(edges.shape[0])
    for first in range(0, len(sums), _ROWS):
        rows = edges[first : first + _ROWS]
        sums[first : first + _ROWS] = np.asarray(rows.astype(np.float64).sum(axis=1)).ravel()
    return sums


def _normalised_adjacency(edges: Any, degrees: Array) -> Any:
    inverse_root = np.zeros_like(degrees)
    np.divide(1.0, np.sqrt(degrees), out=inverse_root, where=degrees > 0)
    n_users = edges.shape[0]
    half = sp.diags(inverse_root[:n_users]) @ edges @ sp.diags(inverse_root[n_users:])
    return sp.bmat([[None, half], [half.T, None]], format="csr")


def _features(name: str, matrix: Any, n_rows: int, dtype: torch.dtype) -> torch.Tensor | None:
    if matrix is None:
        return None
    if matrix.ndim != 2 or matrix.shape[0] != n_rows:
        raise ParameterError(f"{name} must have {n_rows} rows, got shape {matrix.shape}")
    if sp.issparse(matrix):
        return _sparse.from_scipy(matrix, dtype)
    return torch.tensor(np.asarray(matrix), dtype=dtype)
