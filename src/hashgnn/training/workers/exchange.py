"""``Exchange``: what the training loop does beyond its steps where several processes train one model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

import torch
from torch import nn

from hashgnn.nn.row_gradients import distinct_rows, values_of
from hashgnn.runs import Run, RunState
from hashgnn.training.workers.gradients import add_gradients
from hashgnn.training.workers.group import ALONE, Group
from hashgnn.training.workers.row_shards import RowShards


class Exchange:
    """Keep the model of every process of a group the same, step by step; alone, do nothing.

    Parameters
    ----------
    model : Module
    optimizer : Optimizer
    group : Group, default=ALONE
    sharded : sequence of str, default=()
        Names of parameters of which each process holds some rows once :meth:`begin` was called. Their gradients are
        whole in the process that holds the row, and are not exchanged.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        group: Group = ALONE,
        sharded: Sequence[str] = (),
    ) -> None:
        self.group = group
        self._model, self._optimizer = model, optimizer
        parameters = dict(model.named_parameters())
        self._shards = RowShards(group, {name: parameters[name] for name in sharded}, optimizer)
        self._has_shards, self._keeps_moments = bool(sharded), False
        self._replicated = [x for name, x in parameters.items() if name not in self._shards]

    def begin(self, run: Run, *, is_resumed: bool, has_checkpoint: bool) -> None:
        """Take parameters, moments and the state of the run from the first process; keep the own rows."""
        if self.group.size == 1:
            return
        is_resumed, self._keeps_moments = self.group.share((is_resumed, has_checkpoint))
        for parameter in self._model.parameters():
            self.group.broadcast_(parameter.data)
        for buffer in self._model.buffers():
            self.group.broadcast_(buffer)
        if is_resumed:
            run.state = RunState(**self.group.share(asdict(run.state)))
            state = self.group.share(self._optimizer.state_dict())
            if not self.group.is_first:
                self._optimizer.load_state_dict(state)
        if self._has_shards:
            self._shards.cut()

    def add_gradients(self, loss: torch.Tensor) -> torch.Tensor:
        """Add the gradients that the processes have of the parameters that all of them hold.

        Returns
        -------
        Tensor of shape (1 + n_gradients,), float32
            The loss, and the norm of each gradient of the whole model, in the order of its parameters.
        """
        parameters = dict(self._model.named_parameters())
        for parameter in parameters.values():
            if parameter.grad is not None and parameter.grad.is_sparse:
                parameter.grad = distinct_rows(parameter.grad)
        if self.group.size > 1:
            for parameter in parameters.values():
                if parameter.grad is None:  # not in the loss of this process, maybe in that of another
                    parameter.grad = torch.zeros_like(parameter)
        known = {name: x for name, x in parameters.items() if x.grad is not None}
        cut = [name for name in known if name in self._shards]
        totals = torch.stack([loss.detach().float(), *(_norm(known[name]).square() for name in cut)])
        add_gradients(self.group, self._replicated, totals)
        of_shards = dict(zip(cut, totals[1:].sqrt(), strict=True))
        norms = [of_shards[name] if name in of_shards else _norm(x) for name, x in known.items()]
        return torch.stack([totals[0], *norms])

    @contextmanager
    def epoch_end(self, *, validates: bool) -> Iterator[None]:
        """Hold the whole model inside the block, where it is validated or kept."""
        if self._has_shards and (validates or self._keeps_moments):
            with self._shards.whole(everywhere=validates, moments=self._keeps_moments):
                yield
        else:
            yield

    def end(self) -> None:
        """Put the model together in the first process."""
        if self._has_shards:
            self._shards.join()


def _norm(parameter: nn.Parameter) -> torch.Tensor:
    assert parameter.grad is not None
    norm: torch.Tensor = torch.linalg.vector_norm(values_of(parameter.grad)).float()
    return norm
