"""Spectra and filters on a torch device, for the preparation of training on the same device."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from hashgnn._types import Array
from hashgnn.graph import BipartiteGraph
from hashgnn.graph.backend import Backend, Filter
from hashgnn.nn import sparse_from_scipy, sparse_times
from hashgnn.ranking import Matches, rows_per_block
from hashgnn.training.workers.group import ALONE, Group

_DEVICE_BLOCK_BYTES = 256 << 20


class _Matrix:
    """A sparse matrix that multiplies NumPy arrays of its dtype from the left, by torch."""

    def __init__(self, matrix: sp.csr_matrix) -> None:
        self._matrix = sparse_from_scipy(matrix, _dtype(matrix))

    def __matmul__(self, x: Array) -> Array:
        found: Array = sparse_times(self._matrix, torch.from_numpy(np.ascontiguousarray(x))).numpy()
        return found


class _PartedMatrix:
    """A sparse matrix of which each process of a group multiplies some rows; all get the whole product."""

    def __init__(self, backend: Backend, matrix: sp.csr_matrix, group: Group) -> None:
        self._group, self._n_rows = group, int(matrix.shape[0])
        self._own = backend.sparse(sp.csr_matrix(matrix[group.part(self._n_rows)]))

    def __matmul__(self, x: Any) -> Any:
        group, own = self._group, self._own @ x
        part = torch.from_numpy(own) if isinstance(own, np.ndarray) else own
        # Added to zeros: Gloo adds several times as fast as it gathers.
        found = part.new_zeros((self._n_rows, part.shape[1]))
        found[group.part(self._n_rows)] = part
        group.sum_(found)
        return found.numpy() if isinstance(own, np.ndarray) else found


class _Torch(Backend):
    """Products in torch; the matrices of the last graph are cached."""

    def __init__(self, group: Group = ALONE) -> None:
        self._graph: BipartiteGraph | None = None
        self._group = group

    def parted_sparse(self, matrix: sp.csr_matrix) -> Any:
        return self.sparse(matrix) if self._group.size == 1 else _PartedMatrix(self, matrix, self._group)

    def add(self, array: Any) -> Any:
        self._group.sum_(torch.from_numpy(array) if isinstance(array, np.ndarray) else array)
        return array

    def part(self, n_rows: int) -> slice:
        return self._group.part(n_rows)

    def join(self, rows: Array) -> Array:
        return self._group.join(rows)

    def hops(self, graph: BipartiteGraph) -> tuple[Any, Any]:
        """Return the graph's matrices from items to users and back."""
        if graph is not self._graph:
            self._hops = (self.sparse(graph.normalized_user_item), self.sparse(graph.normalized_item_user))
            self._graph = graph
        return self._hops


class ProcessorBackend(_Torch):
    """SciPy's, but for sparse products, which torch does in a third of the time.

    They run on torch's threads. Every sum is made in the same order; its rounding is the build's own.
    """

    def sparse(self, matrix: sp.csr_matrix) -> _Matrix:
        return _Matrix(matrix)

    def spread_columns(self, fitted: Filter, columns: Array) -> Array:
        found: Array = fitted.spread(columns, *self.hops(fitted.graph))
        return found


class TorchBackend(_Torch):
    """Arrays are torch tensors on one device; sums are rounded otherwise than on the processor.

    Among equal scores the order is the device's own. What belongs to the last filter stays on the device.

    Parameters
    ----------
    device : torch.device
    block_bytes : int, default=268435456
        Dense float32 scores held on the device at a time.
    group : Group, optional
        Processes that share the work.
    """

    def __init__(
        self, device: torch.device, block_bytes: int = _DEVICE_BLOCK_BYTES, group: Group = ALONE
    ) -> None:
        super().__init__(group)
        self._device, self._block_bytes = device, block_bytes
        self._filter: Filter | None = None

    def sparse(self, matrix: sp.csr_matrix) -> torch.Tensor:
        return sparse_from_scipy(matrix, _dtype(matrix)).to(self._device)

    def dense(self, array: Array) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def to_numpy(self, array: torch.Tensor) -> Array:
        found: Array = array.cpu().numpy()
        return found

    def span(self, columns: torch.Tensor) -> torch.Tensor:
        basis: torch.Tensor = torch.linalg.qr(columns)[0]
        return basis

    def qr(self, columns: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        basis, triangle = torch.linalg.qr(columns)
        return basis, triangle

    def block_size(self, n_items: int) -> int:
        return rows_per_block(n_items, self._block_bytes)

    def spread(self, fitted: Filter, rows: sp.csr_matrix) -> torch.Tensor:
        self._keep(fitted)
        columns = self._dense_rows(rows).T.contiguous()
        columns *= self._before[:, None]
        scores: torch.Tensor = fitted.spread(columns, *self.hops(fitted.graph))
        scores *= self._after[:, None]
        return scores.T.contiguous()

    def low_pass(self, fitted: Filter, rows: sp.csr_matrix) -> torch.Tensor:
        self._keep(fitted)
        queries: torch.Tensor = fitted.low_pass_weight * (self._dense_rows(rows) @ self._history_table)
        return queries @ self._item_table.T

    def best(self, scores: torch.Tensor, seen: sp.csr_matrix | None, k: int) -> Matches:
        if seen is not None:
            scores[self._places(seen)] = -torch.inf
        found = torch.topk(scores, k, dim=1)  # best first, so what is no candidate comes last
        is_result = found.values > -torch.inf
        positions = torch.where(is_result, found.indices, -1)
        return Matches(
            self.to_numpy(positions), self.to_numpy(found.values), self.to_numpy(is_result.sum(dim=1))
        )

    def strongest(self, scores: torch.Tensor, k: int) -> tuple[Array, Array]:
        columns = torch.topk(scores.abs(), k, dim=1, sorted=False).indices
        return self.to_numpy(columns), self.to_numpy(scores.gather(1, columns))

    def _places(self, rows: sp.csr_matrix) -> tuple[torch.Tensor, torch.Tensor]:
        owner = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
        return self.dense(owner), self.dense(rows.indices.astype(np.int64))

    def _dense_rows(self, rows: sp.csr_matrix) -> torch.Tensor:
        result = torch.zeros(rows.shape, device=self._device)
        result[self._places(rows)] = self.dense(rows.data.astype(np.float32, copy=False))
        return result

    def _keep(self, fitted: Filter) -> None:
        if fitted is not self._filter:
            self._filter = fitted
            self._before, self._after = (self.dense(scale) for scale in fitted.scales)
            self._history_table = self.dense(fitted.history_table)
            self._item_table = self.dense(fitted.item_table)


def _dtype(matrix: sp.csr_matrix) -> torch.dtype:
    return torch.float32 if matrix.dtype == np.float32 else torch.float64


def backend_of(device: torch.device, group: Group = ALONE) -> Backend:
    """Return the backend for a device, whose work the processes of a group share."""
    return ProcessorBackend(group) if device.type == "cpu" else TorchBackend(device, group=group)
