"""``Peers``: what a module needs of the processes that train with this one."""

from __future__ import annotations

from typing import Any, Protocol

import torch


class Peers(Protocol):
    """The processes of a group, each of which calls the same methods in the same order."""

    @property
    def size(self) -> int:
        """Number of processes."""
        ...

    def sum_(self, x: torch.Tensor) -> torch.Tensor:
        """Add a tensor over the processes, in place, and return it."""
        ...

    def max_(self, x: torch.Tensor) -> torch.Tensor:
        """Take the largest of each entry over the processes, in place, and return it."""
        ...

    def gather(self, x: torch.Tensor) -> torch.Tensor:
        """Return the tensors of all processes, (size, ...)."""
        ...


class _Sum(torch.autograd.Function):
    """The sum over the processes; each process holds a part of the gradient, and gets the sum of the parts."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, peers: Peers) -> torch.Tensor:
        ctx.peers = peers
        return peers.sum_(x.clone(memory_format=torch.contiguous_format))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ctx.peers.sum_(gradients[0].clone(memory_format=torch.contiguous_format)), None


def differentiable_sum(peers: Peers, x: torch.Tensor) -> torch.Tensor:
    """Return a tensor added over the processes.

    The loss of a group is the sum of the losses of its processes. So each of them has a part of every gradient, and
    the gradient of a sum is the sum of these parts.
    """
    found: torch.Tensor = _Sum.apply(x, peers)  # type: ignore[no-untyped-call]
    return found
