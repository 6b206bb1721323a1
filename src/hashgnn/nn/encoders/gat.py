"""``gat``: graph attention, where a neighbour's weight depends on its own state and the node's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from hashgnn._checks import check_int
from hashgnn.errors import ParameterError
from hashgnn.nn import _sparse
from hashgnn.nn.encoders._inputs import glorot, normal, to_numpy
from hashgnn.nn.encoders._levels import Neighbourhood, check_depth, over_levels
from hashgnn.nn.encoders._once import OncePerGraph
from hashgnn.nn.encoders.base import FoldInExport
from hashgnn.nn.encoders.layered import LayeredEncoder
from hashgnn.nn.graph_view import GraphView

_SLOPE = 0.2  # of the leaky ReLU inside the attention, as in the paper


class GATEncoder(LayeredEncoder):
    """``x_i^(k+1) = act(Σ_j α_ij W x_j)`` over the neighbours and the node itself, in several heads.

    In a head, ``α_ij = softmax_j(leaky(a·W x_i + b·W x_j))``. Heads have ``dim / heads`` columns each and stand
    side by side. act is the ELU, and the identity after the last layer. Edge weights are ignored.
    W, a and b are shared by users and items. With ``view.sampled`` the drawn neighbours stand for the
    neighbourhood.

    Parameters
    ----------
    n_users, n_items, dim : int
    rng : torch.Generator
    n_layers : int, default=2
    heads : int, default=4
        Must divide ``dim``.
    **inputs
        ``n_user_features``, ``n_item_features``, ``initial``; see :class:`InputEncoder`.

    References
    ----------
    Veličković et al., ICLR 2018, arXiv 1710.10903, equations 3 to 5.
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        dim: int,
        *,
        rng: torch.Generator,
        n_layers: int = 2,
        heads: int = 4,
        **inputs: Any,
    ) -> None:
        super().__init__(n_users, n_items, dim, rng=rng, n_layers=n_layers, **inputs)
        self.heads = check_int("heads", heads, minimum=1)
        if dim % heads:
            raise ParameterError(f"heads must divide embedding_dim={dim}, got {heads}")
        self.weights = nn.ParameterList([nn.Parameter(glorot(dim, dim, rng)) for _ in range(n_layers)])
        self.own_attention, self.other_attention = (
            nn.ParameterList([nn.Parameter(normal(heads, dim // heads, rng)) for _ in range(n_layers)])
            for _ in range(2)
        )
        self._edges = OncePerGraph(
            lambda view: (
                _Edges.of(view.user_item, view.item_user),
                _Edges.of(view.item_user, view.user_item),
            )
        )

    def forward(
        self, view: GraphView, nodes: torch.Tensor, *, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """Return the embeddings of some nodes; see :class:`Encoder`.

        Without ``view.sampled`` the whole graph is computed, whatever the number of requested nodes.

        Raises
        ------
        ParameterError
            If ``view.sampled`` has not one hop per layer, or a hop not one row per parent.
        """
        if view.sampled is None:
            return super().forward(view, nodes)
        self.check_view(view)
        check_depth(len(view.sampled), (("nodes", self.n_layers, True),))
        enter = partial(self._enter, view)
        return over_levels(nodes, view.sampled, view.n_nodes, enter, self._drawn)[-1]

    def _heads(self, k: int, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return ``W x`` (…, heads, width) and its scores as the node and as a neighbour (…, heads)."""
        rows = (x @ self.weights[k]).unflatten(-1, (self.heads, -1))
        return rows, (rows * self.own_attention[k]).sum(-1), (rows * self.other_attention[k]).sum(-1)

    def _whole(self, k: int, view: GraphView, x: torch.Tensor) -> torch.Tensor:
        rows, own, other = self._heads(k, x)
        to_users, to_items = self._edges(view)
        users, items = slice(0, self.n_users), slice(self.n_users, None)
        attended = (
            _attended(edges, rows[side], own[side], other[side], rows[others], other[others])
            for edges, side, others in ((to_users, users, items), (to_items, items, users))
        )
        return self._activated(k, torch.cat(list(attended)))

    def _drawn(self, k: int, around: Neighbourhood) -> torch.Tensor:
        rows, own, other = self._heads(k, around.own)
        rows_of_others, _, scores_of_others = self._heads(k, around.others)
        others, stands = around.hop.spread(scores_of_others)
        other_rows = around.hop.spread(rows_of_others.flatten(1))[0]
        other_rows = other_rows.view(*stands.shape, *rows.shape[1:])
        scores = functional.leaky_relu(own.unsqueeze(1) + others, _SLOPE)
        scores = scores.masked_fill(~stands.unsqueeze(2), -torch.inf)
        loop = functional.leaky_relu(own + other, _SLOPE)
        share = torch.softmax(torch.cat([loop.unsqueeze(1), scores], dim=1), dim=1).unsqueeze(-1)
        mixed = share[:, 0] * rows + (share[:, 1:] * other_rows).sum(dim=1)
        return self._activated(k, mixed.flatten(1))

    def _activated(self, k: int, x: torch.Tensor) -> torch.Tensor:
        return x if k == self.n_layers - 1 else functional.elu(x)

    @torch.no_grad()
    def export_fold_in(self, view: GraphView) -> FoldInExport:
        """Return the ``gat`` rule: weights and attention, and neighbours' ``W x`` of each layer."""
        self.check_view(view)
        layers = self._layers(view)[:-1]
        rows = [self._heads(k, x)[0].flatten(1) for k, x in enumerate(layers)]
        arrays = {**self._exported_inputs(), **self._exported_tables("layer", rows)}
        for k in range(self.n_layers):
            arrays[f"weight_{k}"] = to_numpy(self.weights[k])
            arrays[f"own_attention_{k}"] = to_numpy(self.own_attention[k])
            arrays[f"other_attention_{k}"] = to_numpy(self.other_attention[k])
        return "gat", arrays, {"n_layers": self.n_layers, "slope": _SLOPE}


@dataclass(frozen=True)
class _Edges:
    """The edges that lead to one side's nodes: CSR by node, its transpose, and where each entry belongs."""

    matrix: torch.Tensor
    transposed: torch.Tensor
    order: torch.Tensor
    owner: torch.Tensor
    columns: torch.Tensor
    has_any: torch.Tensor

    @classmethod
    def of(cls, matrix: torch.Tensor, transposed: torch.Tensor) -> _Edges:
        lengths = matrix.crow_indices().diff().long()
        owner = torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)
        order, columns = _sparse.transposed_order(matrix), matrix.col_indices().long()
        return cls(matrix, transposed, order, owner, columns, (lengths > 0).unsqueeze(1))


def _attended(
    edges: _Edges,
    rows: torch.Tensor,
    own: torch.Tensor,
    other: torch.Tensor,
    neighbour_rows: torch.Tensor,
    neighbour_scores: torch.Tensor,
) -> torch.Tensor:
    """Return the attended sums (n, heads * width) of one side's nodes over their neighbours and themselves."""
    loop = functional.leaky_relu(own + other, _SLOPE)
    # Plain selection: its gradient is a sum by index, which costs less here than that of an embedding.
    pairs = own.index_select(0, edges.owner) + neighbour_scores.index_select(0, edges.columns)
    scores = functional.leaky_relu(pairs, _SLOPE)
    with torch.no_grad():
        # The leaky ReLU rises, so the largest score of a row belongs to its largest neighbour.
        bound = functional.leaky_relu(own + _sparse.row_max(edges.matrix, neighbour_scores), _SLOPE)
        bound = torch.where(edges.has_any, torch.maximum(bound, loop), loop)
        bounds = bound.index_select(0, edges.owner)
    mass = (scores - bounds).exp()
    own_mass = (loop - bound).exp()
    total = own_mass.index_add(0, edges.owner, mass)
    sums = [
        _sparse.weighed_product(
            edges.matrix, edges.transposed, edges.order, mass[:, head], neighbour_rows[:, head]
        )
        for head in range(rows.shape[1])
    ]
    mixed = torch.stack(sums, dim=1) + own_mass.unsqueeze(2) * rows
    return (mixed / total.unsqueeze(2)).flatten(1)
