"""``pinsage``: convolutions over the neighbourhoods that random walks visit, weighted by the visits."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from hashgnn._checks import check_int
from hashgnn.nn import _sparse
from hashgnn.nn.encoders._importance import WalkNeighbourhoods
from hashgnn.nn.encoders._inputs import by_side, glorot, to_numpy
from hashgnn.nn.encoders._once import OncePerGraph
from hashgnn.nn.encoders.base import FoldInExport
from hashgnn.nn.encoders.layered import InputEncoder
from hashgnn.nn.graph_view import GraphView

_FURTHER = 0.5  # chance that a user's walk, at an item, goes on to that item's neighbourhood
_FLOOR = 1e-12


class PinSageEncoder(InputEncoder):
    """Items aggregate the items that walks from them visit most, users all items that their walks visit.

    ``n_i = Σ_j α_ij act(z_j Q + q)``, with importance α the share of visits; then
    ``z_i = unit(act(concat(z_i, n_i) W + w))``, in each layer; at the end ``G_1 act(G_2 z + g)``. act is the
    ReLU and the weights are shared by users and items. An item's neighbourhood has the ``n_neighbours``
    items that two-step walks item → user → item visit most. A user's walk visits one of its items, and from
    there with probability 1/2 one of that item's neighbourhood. Visits are computed, not drawn. A batch
    costs the layers of all items and of the requested users.

    Parameters
    ----------
    n_users, n_items, dim : int
    rng : torch.Generator
    n_layers : int, default=2
    n_neighbours : int, default=20
        Size of an item's neighbourhood.
    **inputs
        ``n_user_features``, ``n_item_features``, ``initial``; see :class:`InputEncoder`.

    References
    ----------
    Ying et al., KDD 2018, arXiv 1806.01973, algorithm 1 and section 3.2.
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        dim: int,
        *,
        rng: torch.Generator,
        n_layers: int = 2,
        n_neighbours: int = 20,
        **inputs: Any,
    ) -> None:
        super().__init__(n_users, n_items, dim, rng=rng, n_layers=n_layers, **inputs)
        self.n_neighbours = check_int("n_neighbours", n_neighbours, minimum=1)
        layers = range(n_layers)
        self.pool_weights = nn.ParameterList([nn.Parameter(glorot(dim, dim, rng)) for _ in layers])
        self.pool_biases = nn.ParameterList([nn.Parameter(torch.zeros(dim)) for _ in layers])
        self.weights = nn.ParameterList([nn.Parameter(glorot(2 * dim, dim, rng)) for _ in layers])
        self.biases = nn.ParameterList([nn.Parameter(torch.zeros(dim)) for _ in layers])
        self.hidden_weight = nn.Parameter(glorot(dim, dim, rng))
        self.hidden_bias = nn.Parameter(torch.zeros(dim))
        self.output_weight = nn.Parameter(glorot(dim, dim, rng))
        self._neighbourhoods = OncePerGraph(lambda view: WalkNeighbourhoods.of(view, self.n_neighbours))

    def forward(
        self, view: GraphView, nodes: torch.Tensor, *, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """Return the embeddings of some nodes; see :class:`Encoder`. ``view.sampled`` is ignored."""
        self.check_view(view)
        around = self._neighbourhoods(view)
        items, pooled = self._items(view, around)

        def users(index: torch.Tensor) -> torch.Tensor:
            z = self.user_input(view.user_features, index)
            for k, table in enumerate(self._user_tables(around, pooled)):
                z = self._layer(k, z, _weighted_mean(_sparse.rows_times(view.user_item, index, table)))
            return self._finished(z)

        return by_side(
            nodes, self.n_users, users, lambda index: self._finished(_sparse.take(items[-1], index))
        )

    def propagate(self, view: GraphView) -> torch.Tensor:
        """Return the embeddings (n_nodes, dim) of every node."""
        return self.forward(view, torch.arange(view.n_nodes, device=view.device))

    def _items(
        self, view: GraphView, around: WalkNeighbourhoods
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return z^0, z^1, … of all items, and the inputs of each layer's pooling."""
        items, pooled = [self.item_input.all(view.item_features)], []
        for k in range(self.n_layers):
            pooled.append(functional.relu(items[k] @ self.pool_weights[k] + self.pool_biases[k]))
            items.append(self._layer(k, items[k], around.gather(pooled[k])))
        return items, pooled

    def _user_tables(self, around: WalkNeighbourhoods, pooled: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return one row per item for each layer: its contribution to a user; the last column is the weight."""
        weighted = (torch.cat([rows, torch.ones_like(rows[:, :1])], dim=1) for rows in pooled)
        return [rows + _FURTHER * around.gather(rows) for rows in weighted]

    def _layer(self, k: int, own: torch.Tensor, gathered: torch.Tensor) -> torch.Tensor:
        mixed = torch.cat([own, gathered], dim=1) @ self.weights[k] + self.biases[k]
        return functional.normalize(functional.relu(mixed), dim=1, eps=_FLOOR)

    def _finished(self, z: torch.Tensor) -> torch.Tensor:
        return functional.relu(z @ self.hidden_weight + self.hidden_bias) @ self.output_weight

    @torch.no_grad()
    def export_fold_in(self, view: GraphView) -> FoldInExport:
        """Return the ``pinsage`` rule: the weights, and the contributions of items to users and of users to items."""
        self.check_view(view)
        around = self._neighbourhoods(view)
        pooled = self._items(view, around)[1]
        arrays = self._exported_inputs()
        degrees = view.degrees[: self.n_users].clamp(min=_FLOOR).unsqueeze(1)
        for k, table in enumerate(self._user_tables(around, pooled)):
            arrays[f"item_layer_{k}"] = to_numpy(table)
            one_step = _sparse.product(view.user_item, view.item_user, pooled[k]) / degrees
            weight = (view.degrees[: self.n_users] > 0).to(one_step.dtype).unsqueeze(1)
            arrays[f"user_layer_{k}"] = to_numpy(torch.cat([one_step, weight], dim=1))
            arrays[f"weight_{k}"] = to_numpy(self.weights[k])
            arrays[f"bias_{k}"] = to_numpy(self.biases[k])
        arrays["hidden_weight"] = to_numpy(self.hidden_weight)
        arrays["hidden_bias"] = to_numpy(self.hidden_bias)
        arrays["output_weight"] = to_numpy(self.output_weight)
        return "pinsage", arrays, {"n_layers": self.n_layers}


def _weighted_mean(rows: torch.Tensor) -> torch.Tensor:
    """Return the columns but the last (n, dim), divided by the last, which is a weight; 0 where that is 0."""
    weight = rows[:, -1:]
    return rows[:, :-1] / torch.where(weight > 0, weight, 1.0)
