"""Layers over sampled neighbourhoods: one tree per node, of its drawn neighbours and theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from hashgnn.errors import ParameterError
from hashgnn.nn import _sparse


@dataclass(frozen=True)
class Neighbourhood:
    """The nodes of one level of the trees, with the neighbours drawn for each.

    Attributes
    ----------
    own : Tensor of shape (n, width)
        Their states.
    states : Tensor of shape (n, fan_out, width)
        Those of the neighbours drawn.
    valid : Tensor of shape (n, fan_out, 1)
        1 where a neighbour was drawn, 0 for none.
    """

    own: torch.Tensor
    states: torch.Tensor
    valid: torch.Tensor

    def total(self) -> torch.Tensor:
        """Return the sum (n, width) of the neighbours' states."""
        return (self.states * self.valid).sum(dim=1)

    def counts(self) -> torch.Tensor:
        """Return how many neighbours were drawn, (n, 1)."""
        return self.valid.sum(dim=1)


def over_trees(
    nodes: torch.Tensor,
    hops: tuple[torch.Tensor, ...],
    enter: Callable[[torch.Tensor], torch.Tensor],
    layer: Callable[[int, Neighbourhood], torch.Tensor],
) -> list[torch.Tensor]:
    """Return the states x^0, x^1, … of nodes, one more than there are hops.

    Parameters
    ----------
    nodes : LongTensor of shape (n,)
    hops : tuple of LongTensor
        ``GraphView.sampled``.
    enter : callable
        x^0 of distinct nodes.
    layer : callable
        x^(k+1) of the nodes of one level, from k and their neighbourhood.

    Raises
    ------
    ParameterError
        If a hop has not one row per parent.
    """
    n_parents = len(nodes)
    for number, hop in enumerate(hops):
        if hop.ndim != 2 or len(hop) != n_parents:
            raise ParameterError(
                f"view.sampled hop {number} must have {n_parents} rows, got shape {tuple(hop.shape)}"
            )
        n_parents = hop.numel()
    ids = [level.clamp(min=0) for level in (nodes, *(hop.reshape(-1) for hop in hops))]
    # A neighbourhood repeats the same nodes many times over: enter each once, then spread the rows.
    distinct, places = torch.unique(torch.cat(ids), return_inverse=True)
    rows = _sparse.take(enter(distinct), places)
    states = list(torch.split(rows, [len(level) for level in ids]))
    valid = [(hop >= 0).unsqueeze(2).to(rows.dtype) for hop in hops]
    of_nodes = [states[0]]
    for k in range(len(hops)):
        states = [
            layer(
                k,
                Neighbourhood(
                    states[h],
                    states[h + 1].view(*valid[h].shape[:2], -1),
                    valid[h],
                ),
            )
            for h in range(len(hops) - k)
        ]
        of_nodes.append(states[0])
    return of_nodes


def check_depth(n_hops: int, sides: tuple[tuple[str, int, bool], ...]) -> None:
    """Raise :class:`ParameterError` unless every side present has as many hops as layers.

    ``sides`` holds (name, layers, whether nodes of it are requested).
    """
    for side, layers, present in sides:
        if present and n_hops != layers:
            raise ParameterError(f"view.sampled must have {layers} hops for {side}, got {n_hops}")
