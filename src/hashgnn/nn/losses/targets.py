"""Sparse target distributions over items, one row per user, for the full softmax."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hashgnn._checks import check_float
from hashgnn.errors import ParameterError


@dataclass(frozen=True)
class Targets:
    """The non-zero entries of a target matrix, rows ascending.

    Attributes
    ----------
    n_rows : int
    rows, columns : LongTensor of shape (n_entries,)
        An entry may come twice; its weights add up.
    weights : Tensor of shape (n_entries,)
        Non-negative. A row that sums to 1 is a distribution; an empty row has no target.
    """

    n_rows: int
    rows: torch.Tensor
    columns: torch.Tensor
    weights: torch.Tensor

    @classmethod
    def from_lists(
        cls,
        columns: torch.Tensor,
        lengths: torch.Tensor,
        weights: torch.Tensor | None = None,
        *,
        dtype: torch.dtype = torch.float32,
    ) -> Targets:
        """Return rows that are uniform over their list, or in proportion to weights; each sums to 1.

        Parameters
        ----------
        columns : LongTensor of shape (n_entries,)
            The lists, one after another.
        lengths : LongTensor of shape (n_rows,)
            Their lengths; they sum to ``n_entries``.
        weights : Tensor of shape (n_entries,), optional
            Positive; ``None`` gives each of a row's entries the weight 1/len.
        dtype : torch.dtype, default=torch.float32
            Of the weights.

        Examples
        --------
        >>> Targets.from_lists(torch.tensor([5, 1, 2]), torch.tensor([1, 2])).weights.tolist()
        [1.0, 0.5, 0.5]
        """
        rows = torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)
        if len(rows) != len(columns):
            raise ParameterError(f"lengths must sum to {len(columns)}, got {len(rows)}")
        if weights is None:
            return cls(len(lengths), rows, columns, 1.0 / lengths[rows].to(dtype))
        totals = torch.zeros(len(lengths), dtype=torch.float64, device=weights.device)
        totals.index_add_(0, rows, weights.double())
        return cls(len(lengths), rows, columns, (weights.double() / totals[rows]).to(dtype))

    @classmethod
    def from_ranked(cls, positions: torch.Tensor, weights: torch.Tensor) -> Targets:
        """Return rows from a teacher's lists: columns ``positions`` (n, k), -1 for none, with weights (n, k).

        Weights are scaled to sum to 1 over each row's valid entries.
        """
        if positions.shape != weights.shape or positions.ndim != 2:
            raise ParameterError(
                f"weights must have the shape of positions, {tuple(positions.shape)}, got {tuple(weights.shape)}"
            )
        valid = positions >= 0
        kept = torch.where(valid, weights, torch.zeros_like(weights))
        total = kept.sum(dim=1, keepdim=True)
        kept = kept / torch.where(total > 0, total, torch.ones_like(total))
        rows = torch.nonzero(valid)[:, 0]
        return cls(len(positions), rows, positions[valid], kept[valid])

    def mixed_with(self, other: Targets, weight: float | torch.Tensor) -> Targets:
        """Return ``(1 - weight) · self + weight · other``, row by row.

        ``weight`` is one number for all rows or a tensor (n_rows,), each in [0, 1].
        """
        if other.n_rows != self.n_rows:
            raise ParameterError(f"other must have {self.n_rows} rows, got {other.n_rows}")
        if isinstance(weight, torch.Tensor):
            if weight.shape != (self.n_rows,) or not bool(((weight >= 0) & (weight <= 1)).all()):
                raise ParameterError(
                    f"weight must hold {self.n_rows} numbers in [0, 1], got shape {tuple(weight.shape)}"
                )
            parts = (1 - weight)[self.rows] * self.weights, weight[other.rows] * other.weights
        else:
            check_float("weight", weight, minimum=0, maximum=1)
            parts = (1 - weight) * self.weights, weight * other.weights
        rows = torch.cat([self.rows, other.rows])
        order = torch.argsort(rows, stable=True)
        weights = torch.cat(parts)
        columns = torch.cat([self.columns, other.columns])
        return Targets(self.n_rows, rows[order], columns[order], weights[order])
