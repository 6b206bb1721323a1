"""Adding the gradients of a group's processes, in the way that moves fewer bytes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from hashgnn.nn.row_gradients import SMALLEST_TABLE, with_rows
from hashgnn.training.workers.group import Group


def add_gradients(
    group: Group, parameters: Sequence[nn.Parameter], others: torch.Tensor | None = None
) -> None:
    """Replace each gradient by its sum over the processes; all of them get the same bytes.

    A step touches few rows of a large table. Where it does, the processes tell one another which rows, a byte each,
    and add only those that any of them has touched: ``touched x width`` instead of ``rows x width`` floats. All other
    gradients go as one vector, and ``others``, numbers that are added too, go with them.
    """
    if group.size == 1:
        return
    small = [] if others is None else [others]
    tables: list[nn.Parameter] = []
    for parameter in parameters:
        assert parameter.grad is not None
        if parameter.ndim == 2 and parameter.numel() >= SMALLEST_TABLE:
            tables.append(parameter)
        else:
            small.append(parameter.grad)
    if small:
        joined = group.sum_(torch.cat([gradient.reshape(-1) for gradient in small]))
        parts = torch.split(joined, [gradient.numel() for gradient in small])
        for gradient, part in zip(small, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
    for parameter in tables:
        _add_table(group, parameter)


def _add_table(group: Group, parameter: nn.Parameter) -> None:
    gradient = parameter.grad
    assert gradient is not None
    touched = torch.zeros(len(gradient), dtype=torch.uint8, device=gradient.device)
    if gradient.is_sparse:
        own = gradient.indices()[0]
        touched[own] = 1
    else:
        touched += gradient.abs().amax(dim=1) != 0  # NaN counts
    rows = torch.nonzero(group.max_(touched))[:, 0]
    if 2 * len(rows) >= len(gradient):  # as long as two copies of the rows are the larger part of the table
        parameter.grad = group.sum_(gradient.to_dense() if gradient.is_sparse else gradient)
    elif gradient.is_sparse:
        values = gradient.values().new_zeros(len(rows), gradient.shape[1])
        values[torch.searchsorted(rows, own)] = gradient.values()
        parameter.grad = with_rows(gradient, rows, group.sum_(values))
    else:
        gradient[rows] = group.sum_(gradient[rows])
