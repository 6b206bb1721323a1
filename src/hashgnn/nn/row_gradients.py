"""Gradients of the rows that a step has looked up, in place of a table of zeros around them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import nn

#: Of fewer numbers a table has whole gradients: rows would save nothing.
SMALLEST_TABLE = 1 << 18
_ACTIVE = ContextVar("_ACTIVE", default=False)


@contextmanager
def row_gradients() -> Iterator[None]:
    """Let large tables of the CPU get sparse gradients from what is looked up in them inside the block.

    A step reads a tenth of the rows of a large table. A whole gradient costs more to clear, to measure and to add
    than the rows cost to compute.
    """
    token = _ACTIVE.set(True)
    try:
        yield
    finally:
        _ACTIVE.reset(token)


def has_row_gradients(table: torch.Tensor) -> bool:
    """Return whether looking rows up in a table shall give it a gradient of these rows alone."""
    return (
        _ACTIVE.get()
        and isinstance(table, nn.Parameter)
        and table.requires_grad
        and table.device.type == "cpu"
        and table.numel() >= SMALLEST_TABLE
    )


def with_rows(gradient: torch.Tensor, rows: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Return a sparse gradient of the shape of another, of distinct ascending rows (n,) and their values (n, dim)."""
    return torch.sparse_coo_tensor(
        rows.unsqueeze(0), values, gradient.shape, is_coalesced=True, check_invariants=False
    )


def distinct_rows(gradient: torch.Tensor) -> torch.Tensor:
    """Return a sparse gradient with distinct ascending rows."""
    if gradient.is_coalesced():
        return gradient
    rows = gradient._indices()[0]  # most look-ups have them in order already
    if bool((rows[1:] > rows[:-1]).all()):
        return with_rows(gradient, rows, gradient._values())
    return gradient.coalesce()


def values_of(gradient: torch.Tensor) -> torch.Tensor:
    """Return the numbers of a gradient: all of them, or those of its distinct rows."""
    return gradient.values() if gradient.is_sparse else gradient


class WholeGradients:
    """Tables of zeros that stand around rows of gradients while an optimiser steps, and are kept for the next step."""

    def __init__(self) -> None:
        self._tables: dict[nn.Parameter, torch.Tensor] = {}

    @contextmanager
    def of(self, parameters: list[nn.Parameter]) -> Iterator[None]:
        """Give parameters whole gradients inside the block; a sparse one is lost after it."""
        filled: list[tuple[nn.Parameter, torch.Tensor]] = []
        for parameter in parameters:
            gradient = parameter.grad
            if gradient is None or not gradient.is_sparse:
                continue
            table = self._tables.get(parameter)
            if table is None or table.shape != parameter.shape:
                table = self._tables[parameter] = torch.zeros_like(parameter)
            rows = gradient.indices()[0]
            table.numpy()[rows.numpy()] = gradient.values().numpy()  # torch copies rows at half the speed
            parameter.grad = table
            filled.append((parameter, rows))
        yield
        for parameter, rows in filled:
            parameter.grad = None
            self._tables[parameter].numpy()[rows.numpy()] = 0
