"""``RowShards``: tables of which each process of a group holds some rows, with their part of the optimiser's state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from hashgnn.training.workers.group import Group


class RowShards:
    """Parameters with a row an item, cut so that process r of n holds the rows r, r + n, r + 2n, …

    Neighbouring items are often of one age and popularity, so that every n-th is a fairer part than a block.

    Parameters
    ----------
    group : Group
    parameters : mapping of str to Parameter
        By name, whole, equal in every process.
    optimizer : Optimizer
        Its moments of these parameters are cut and joined with them.
    """

    def __init__(
        self, group: Group, parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
    ) -> None:
        self._group, self._optimizer = group, optimizer
        self._parameters = dict(parameters)
        self._n_rows = {name: len(parameter) for name, parameter in parameters.items()}

    def __contains__(self, name: str) -> bool:
        return name in self._parameters

    def cut(self) -> None:
        """Keep this process's rows only."""
        for parameter in self._parameters.values():
            parameter.grad = None
            for name, moment in self._moments(parameter).items():
                self._optimizer.state[parameter][name] = self._own(moment)
            parameter.data = self._own(parameter.data)

    def join(self) -> None:
        """Put the parameters together for good in the first process; the others keep their rows."""
        for name, parameter in self._parameters.items():
            parameter.grad = None
            whole = self._whole(name, parameter.data, everywhere=False)
            if whole is not None:
                parameter.data = whole

    @contextmanager
    def whole(self, *, everywhere: bool, moments: bool) -> Iterator[None]:
        """Put the parameters together inside the block, whose changes to them are lost.

        Parameters
        ----------
        everywhere : bool
            In every process, not only in the first one.
        moments : bool
            The optimiser's state in the first process too.
        """
        kept: list[tuple[nn.Parameter, torch.Tensor, dict[str, torch.Tensor]]] = []
        for name, parameter in self._parameters.items():
            parameter.grad = None
            own = self._moments(parameter) if moments else {}
            kept.append((parameter, parameter.data, own))
            for moment, value in own.items():
                joined = self._whole(name, value, everywhere=False)
                if joined is not None:
                    self._optimizer.state[parameter][moment] = joined
            whole = self._whole(name, parameter.data, everywhere=everywhere)
            if whole is not None:
                parameter.data = whole
        try:
            yield
        finally:
            for parameter, data, own in kept:
                parameter.data = data
                self._optimizer.state[parameter].update(own)

    def _own(self, rows: torch.Tensor) -> torch.Tensor:
        return rows[self._group.rank :: self._group.size].clone(memory_format=torch.contiguous_format)

    def _moments(self, parameter: nn.Parameter) -> dict[str, torch.Tensor]:
        """Return what the optimiser keeps of each row; it also counts steps, one number for all."""
        if parameter not in self._optimizer.state:
            return {}
        return {name: value for name, value in self._optimizer.state[parameter].items() if value.ndim}

    def _whole(self, name: str, own: torch.Tensor, *, everywhere: bool) -> torch.Tensor | None:
        n_rows, size = self._n_rows[name], self._group.size
        room = own.new_zeros((-(-n_rows // size), *own.shape[1:]))
        room[: len(own)] = own
        found = self._group.gather(room) if everywhere else self._group.gather_first(room)
        if found is None:
            return None
        rows = found.transpose(0, 1).reshape(-1, *own.shape[1:])
        return rows[:n_rows].clone(memory_format=torch.contiguous_format)
