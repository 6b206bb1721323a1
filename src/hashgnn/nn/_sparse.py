"""Products with sparse matrices whose gradient reaches the dense side only."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch.nn import functional


def from_scipy(matrix: Any, dtype: torch.dtype, *, is_own: bool = False) -> torch.Tensor:
    """Return a SciPy sparse matrix as a torch CSR tensor with sorted columns and int32 or int64 indices.

    It is a copy, so that it does not change with the matrix, unless the caller has no other use for it.
    """
    csr = sp.csr_matrix(matrix)
    if not csr.has_sorted_indices:
        csr = csr.sorted_indices()
    small = max(csr.nnz, *csr.shape) < np.iinfo(np.int32).max
    index_dtype = np.int32 if small else np.int64
    values = torch.from_numpy(csr.data) if is_own else torch.tensor(csr.data, dtype=dtype)
    return make_csr(
        torch.from_numpy(csr.indptr.astype(index_dtype, copy=not is_own)),
        torch.from_numpy(csr.indices.astype(index_dtype, copy=not is_own)),
        values.to(dtype),
        (int(csr.shape[0]), int(csr.shape[1])),
    )


def make_csr(
    crow: torch.Tensor,
    columns: torch.Tensor,
    values: torch.Tensor,
    shape: tuple[int, int],
    *,
    check: bool = True,
) -> torch.Tensor:
    """Return a torch CSR tensor, without torch's notice that the layout is in beta."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(crow, columns, values, size=shape, check_invariants=check)


def pattern(matrix: torch.Tensor) -> torch.Tensor:
    """Return a CSR tensor with every stored value replaced by 1; the indices are shared."""
    return _with_values(matrix, torch.ones_like(matrix.values()))


def row_lengths(matrix: torch.Tensor) -> torch.Tensor:
    """Return the number of stored entries of each row of a CSR tensor, (n, 1), in its dtype."""
    return matrix.crow_indices().diff().to(matrix.dtype).unsqueeze(1)


def move(matrix: torch.Tensor, device: torch.device | str | None, dtype: torch.dtype | None) -> torch.Tensor:
    """Return a dense or CSR tensor of floats on another device or of another dtype."""
    if matrix.layout != torch.sparse_csr:
        return matrix.to(device=device, dtype=dtype or matrix.dtype)
    parts = (matrix.crow_indices().to(device), matrix.col_indices().to(device))
    values = matrix.values().to(device=device, dtype=dtype or matrix.dtype)
    return make_csr(*parts, values, (matrix.shape[0], matrix.shape[1]))


def times(matrix: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return ``matrix @ x`` for a CSR ``matrix`` (n, m) and a dense ``x`` (m, dim) of its dtype; no gradient passes.

    On a CPU the rows are bags of embeddings, whose kernel prefetches rows of ``x``. On graphs of a million
    edges it takes a sixth to a half of the time of torch's sparse product.
    """
    if x.device.type != "cpu":
        return matrix @ x.detach()
    return functional.embedding_bag(
        matrix.col_indices(),
        x.detach(),
        matrix.crow_indices(),
        mode="sum",
        per_sample_weights=matrix.values().detach(),
        include_last_offset=True,
    )


class _Product(torch.autograd.Function):
    """``A @ x`` whose backward is ``A.T @ g`` with a transpose that the caller already holds."""

    @staticmethod
    def forward(ctx: Any, matrix: torch.Tensor, transposed: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        ctx.transposed = transposed
        return times(matrix, x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[None, None, torch.Tensor]:
        return None, None, times(ctx.transposed, gradients[0].contiguous())


def product(matrix: torch.Tensor, transposed: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return ``matrix @ x`` for CSR ``matrix`` (n, m) and dense ``x`` (m, dim), in full precision.

    ``transposed`` must be the CSR of ``matrix.T``; it serves the gradient with respect to ``x``, which
    torch would otherwise get by transposing at every step.
    """
    with torch.autocast(device_type=x.device.type, enabled=False):
        result: torch.Tensor = _Product.apply(matrix, transposed, x.to(matrix.dtype))  # type: ignore[no-untyped-call]
    return result


class _WeighedProduct(torch.autograd.Function):
    """A CSR product whose gradient reaches the stored values too."""

    @staticmethod
    def forward(
        ctx: Any,
        values: torch.Tensor,
        x: torch.Tensor,
        matrix: torch.Tensor,
        transposed: torch.Tensor,
        order: torch.Tensor,
    ) -> torch.Tensor:
        ctx.save_for_backward(values, x)
        ctx.sparse = matrix, transposed, order
        return times(_with_values(matrix, values), x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        values, x = ctx.saved_tensors
        matrix, transposed, order = ctx.sparse
        gradient = gradients[0].contiguous()
        of_x = times(_with_values(transposed, values[order]), gradient)
        of_values = torch.sparse.sampled_addmm(matrix, gradient, x.T, beta=0.0).values()
        return of_values, of_x, None, None, None


def weighed_product(
    matrix: torch.Tensor,
    transposed: torch.Tensor,
    order: torch.Tensor,
    values: torch.Tensor,
    x: torch.Tensor,
) -> torch.Tensor:
    """Return ``A @ x`` where A has the pattern of a CSR ``matrix`` and its own ``values``; both get gradients.

    ``transposed`` must have the pattern of ``matrix.T``, and ``order`` say which entry of ``matrix`` each of
    its entries is; see :func:`transposed_order`.
    """
    with torch.autocast(device_type=x.device.type, enabled=False):
        inputs = values.to(matrix.dtype).contiguous(), x.to(matrix.dtype).contiguous()
        result: torch.Tensor = _WeighedProduct.apply(*inputs, matrix, transposed, order)  # type: ignore[no-untyped-call]
    return result


def transposed_order(matrix: torch.Tensor) -> torch.Tensor:
    """Return the entries of a CSR matrix in the order in which its transpose stores them."""
    return torch.argsort(matrix.col_indices(), stable=True)


def _with_values(matrix: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    shape = (matrix.shape[0], matrix.shape[1])
    # Known to be valid, and made at every step: not checked again.
    return make_csr(matrix.crow_indices(), matrix.col_indices(), values, shape, check=False)


def take_rows(matrix: torch.Tensor, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the entries of some rows of a CSR tensor: columns (e,), values (e,) and row lengths (len(rows),)."""
    crow = matrix.crow_indices()
    start = crow[rows].long()
    lengths = crow[rows + 1].long() - start
    shift = start - (lengths.cumsum(0) - lengths)
    positions = torch.repeat_interleave(shift, lengths)
    positions += torch.arange(len(positions), device=rows.device)
    return matrix.col_indices()[positions].long(), matrix.values()[positions], lengths


def take(table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Return ``table[index]``; as an embedding look-up its backward runs in parallel, unlike indexing's."""
    return functional.embedding(index, table)


def bag_sum(
    columns: torch.Tensor, values: torch.Tensor, lengths: torch.Tensor, table: torch.Tensor
) -> torch.Tensor:
    """Return one row for each bag: the sum of ``values * table[columns]`` over its entries; empty bags are 0."""
    with torch.autocast(device_type=table.device.type, enabled=False):
        return functional.embedding_bag(
            columns,
            table,
            lengths.cumsum(0) - lengths,
            mode="sum",
            per_sample_weights=values.to(table.dtype),
        )


def row_max(matrix: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Return for each row of a CSR matrix the largest ``table`` entry of its columns, (n, dim); empty rows are 0."""
    columns, starts = matrix.col_indices().long(), matrix.crow_indices()[:-1].long()
    return functional.embedding_bag(columns, table, starts, mode="max")


def rows_times(matrix: torch.Tensor, rows: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Return ``matrix[rows] @ table`` for a dense or CSR ``matrix``; cost follows the rows taken."""
    if matrix.layout != torch.sparse_csr:
        return matrix[rows] @ table
    columns, values, lengths = take_rows(matrix, rows)
    return bag_sum(columns, values, lengths, table)
