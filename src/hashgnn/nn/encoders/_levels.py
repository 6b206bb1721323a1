"""Layers over sampled neighbourhoods: the nodes of a batch, those that they drew, and so on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from hashgnn.errors import ParameterError
from hashgnn.nn import _sparse
from hashgnn.nn.sampled_hop import SampledHop


@dataclass(frozen=True)
class Neighbourhood:
    """The nodes of one level, and those of the next, from which each drew its neighbours.

    Attributes
    ----------
    own : Tensor of shape (n, width)
        Their states.
    others : Tensor of shape (m, width)
        Those of the next level.
    hop : SampledHop
    """

    own: torch.Tensor
    others: torch.Tensor
    hop: SampledHop

    def counts(self) -> torch.Tensor:
        """Return how many neighbours were drawn, (n, 1)."""
        return self.hop.counts(self.own.dtype)


def over_levels(
    nodes: torch.Tensor,
    hops: tuple[SampledHop | torch.Tensor, ...],
    n_nodes: int,
    enter: Callable[[torch.Tensor], torch.Tensor],
    layer: Callable[[int, Neighbourhood], torch.Tensor],
) -> list[torch.Tensor]:
    """Return the states x^0, x^1, … of nodes, one more than there are hops.

    Parameters
    ----------
    nodes : LongTensor of shape (n,)
    hops : tuple of SampledHop or LongTensor
        ``GraphView.sampled``.
    n_nodes : int
        Of the graph.
    enter : callable
        x^0 of distinct nodes, ascending.
    layer : callable
        x^(k+1) of the nodes of one level, from k and their neighbourhood.

    Raises
    ------
    ParameterError
        If a hop has not one row per node of the level before.
    """
    levels, n_parents = [], len(nodes)
    for number, hop in enumerate(hops):
        if (isinstance(hop, torch.Tensor) and hop.ndim != 2) or len(hop) != n_parents:
            shape = tuple(hop.shape) if isinstance(hop, torch.Tensor) else (len(hop),)
            raise ParameterError(f"view.sampled hop {number} must have {n_parents} rows, got shape {shape}")
        levels.append(SampledHop.from_tree(hop) if isinstance(hop, torch.Tensor) else hop)
        n_parents = len(levels[-1].nodes)
    ids = [nodes, *(level.nodes for level in levels)]
    distinct, places = _distinct(torch.cat(ids), n_nodes)
    rows = _sparse.take(enter(distinct), places)
    states = list(torch.split(rows, [len(level) for level in ids]))
    of_nodes = [states[0]]
    for k in range(len(levels)):
        reached = range(len(levels) - k)
        states = [layer(k, Neighbourhood(states[h], states[h + 1], levels[h])) for h in reached]
        of_nodes.append(states[0])
    return of_nodes


def _distinct(ids: torch.Tensor, n_nodes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the distinct ids, ascending, and the place of each id among them."""
    is_there = torch.zeros(n_nodes, dtype=torch.bool, device=ids.device)
    is_there[ids] = True
    places = is_there.cumsum(0) - 1
    return is_there.nonzero()[:, 0], places[ids]


def check_depth(n_hops: int, sides: tuple[tuple[str, int, bool], ...]) -> None:
    """Raise :class:`ParameterError` unless every side present has as many hops as layers.

    ``sides`` holds (name, layers, whether nodes of it are requested).
    """
    for side, layers, present in sides:
        if present and n_hops != layers:
            raise ParameterError(f"view.sampled must have {layers} hops for {side}, got {n_hops}")
