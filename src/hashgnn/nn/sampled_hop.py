"""``SampledHop``: neighbours drawn for the nodes of one level of a batch, as tensors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from hashgnn._types import Array
from hashgnn.nn import _sparse


@dataclass(frozen=True, eq=False)
class SampledHop:
    """The neighbours drawn for n nodes; they are the nodes of the next level.

    Attributes
    ----------
    nodes : LongTensor of shape (m,)
        Node numbers of the next level.
    starts, places : Tensor of shape (n + 1,) and (n_drawn,), int32
        CSR: node ``i`` drew ``nodes[places[starts[i] : starts[i + 1]]]``.
    owner_starts, owners : Tensor of shape (m + 1,) and (n_drawn,), int32
        The transpose, which the gradient takes.

    See Also
    --------
    hashgnn.graph.sample_levels : Draws them.
    """

    nodes: torch.Tensor
    starts: torch.Tensor
    places: torch.Tensor
    owner_starts: torch.Tensor
    owners: torch.Tensor

    @classmethod
    def from_arrays(cls, level: Any, device: torch.device | str | None = None) -> SampledHop:
        """Return a level that :func:`hashgnn.graph.sample_levels` has drawn, on a device."""
        names = ("nodes", "starts", "places", "owner_starts", "owners")
        return cls(*(_tensor(getattr(level, name), device) for name in names))

    @classmethod
    def from_tree(cls, hop: torch.Tensor) -> SampledHop:
        """Return one hop of a tree (n, fan_out), -1 for none; each of its entries is a node of the next level.

        The entries for none are kept, as node 0 that nobody drew, so that the next hop has a row for each.
        """
        drawn = hop.reshape(-1) >= 0
        rows = torch.arange(len(hop), device=hop.device).repeat_interleave(hop.shape[1])
        counts = (hop >= 0).sum(dim=1)
        return cls(
            nodes=hop.reshape(-1).clamp(min=0),
            starts=_starts(counts),
            places=drawn.nonzero()[:, 0].int(),
            owner_starts=_starts(drawn),
            owners=rows[drawn].int(),
        )

    def to(self, device: torch.device | str | None) -> SampledHop:
        """Return the hop on another device."""
        parts = (self.nodes, self.starts, self.places, self.owner_starts, self.owners)
        return SampledHop(*(part.to(device) for part in parts))

    def __len__(self) -> int:
        """Return n, the nodes that drew."""
        return len(self.starts) - 1

    def total(self, states: torch.Tensor) -> torch.Tensor:
        """Return for each node the sum (n, dim) of what it drew, of the next level's ``states`` (m, dim)."""
        with torch.autocast(device_type=states.device.type, enabled=False):
            x = states.float() if states.dtype in (torch.bfloat16, torch.float16) else states
            result: torch.Tensor = _Total.apply(self, x)  # type: ignore[no-untyped-call]
        return result

    def largest(self, states: torch.Tensor) -> torch.Tensor:
        """Return for each node the maximum (n, dim) over what it drew; 0 for none."""
        return torch.nn.functional.embedding_bag(
            self.places, states, self.starts, mode="max", include_last_offset=True
        )

    def counts(self, dtype: torch.dtype) -> torch.Tensor:
        """Return how many neighbours were drawn, (n, 1)."""
        return self.starts.diff().to(dtype).unsqueeze(1)

    @cached_property
    def _table(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Places as rows as wide as the longest, and where one stands."""
        lengths = self.starts.diff()
        width = int(lengths.max()) if len(lengths) else 0
        stands = torch.arange(width, device=lengths.device) < lengths.unsqueeze(1)
        table = torch.zeros(stands.shape, dtype=torch.long, device=lengths.device)
        table[stands] = self.places.long()
        return table, stands

    def spread(self, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what each node drew side by side (n, width, dim), and a mask (n, width) of what stands there."""
        table, stands = self._table
        if not len(states):
            return states.new_zeros((*table.shape, states.shape[1])), stands
        rows = _sparse.take(states, table.reshape(-1))
        return rows.view(*table.shape, states.shape[1]), stands


class _Total(torch.autograd.Function):
    """Sums over drawn neighbours; the gradient sums over those that drew."""

    @staticmethod
    def forward(ctx: Any, hop: SampledHop, states: torch.Tensor) -> torch.Tensor:
        ctx.hop = hop
        return _sums(hop.places, hop.starts, states)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[None, torch.Tensor]:
        return None, _sums(ctx.hop.owners, ctx.hop.owner_starts, gradients[0].contiguous())


def _sums(places: torch.Tensor, starts: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    if not len(places):
        return rows.new_zeros((len(starts) - 1, rows.shape[1]))
    return torch.nn.functional.embedding_bag(
        places, rows.detach(), starts, mode="sum", include_last_offset=True
    )


def _starts(counts: torch.Tensor) -> torch.Tensor:
    starts = torch.zeros(len(counts) + 1, dtype=torch.int32, device=counts.device)
    starts[1:] = counts.cumsum(0)
    return starts


def _tensor(array: Array, device: torch.device | str | None) -> torch.Tensor:
    return torch.from_numpy(array).to(device)
