"""Adding the gradients of a group's processes, in the way that moves fewer bytes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from hashgnn.training.workers.group import Group

_TABLE_FLOATS = 1 << 18  # of fewer floats all are added: two exchanges of rows would cost more


def add_gradients(group: Group, parameters: Sequence[nn.Parameter]) -> None:
    """Replace each gradient by its sum over the processes; all of them get the same bytes.

    A step touches few rows of a large table. Where it does, the processes tell one another which rows, a byte each,
    and add only those that any of them has touched: ``touched x width`` instead of ``rows x width`` floats. All other
    gradients go as one vector.
    """
    if group.size == 1:
        return
    small: list[torch.Tensor] = []
    tables: list[torch.Tensor] = []
    for parameter in parameters:
        assert parameter.grad is not None
        is_table = parameter.ndim == 2 and parameter.numel() >= _TABLE_FLOATS
        (tables if is_table else small).append(parameter.grad)
    if small:
        joined = group.sum_(torch.cat([gradient.reshape(-1) for gradient in small]))
        parts = torch.split(joined, [gradient.numel() for gradient in small])
        for gradient, part in zip(small, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
    for gradient in tables:
        _add_table(group, gradient)


def _add_table(group: Group, gradient: torch.Tensor) -> None:
    touched = (gradient.abs().amax(dim=1) != 0).to(torch.uint8)  # NaN counts
    rows = torch.nonzero(group.max_(touched))[:, 0]
    if 2 * len(rows) >= len(gradient):  # as long as two copies of the rows are the larger part of the table
        group.sum_(gradient)
        return
    gradient[rows] = group.sum_(gradient[rows])
