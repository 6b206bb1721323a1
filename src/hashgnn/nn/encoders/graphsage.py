"""``graphsage``: aggregation over whole or sampled neighbourhoods, by mean or by pooling."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from hashgnn._checks import check_choice, check_int
from hashgnn._types import Array, SideName
from hashgnn.nn import _sparse
from hashgnn.nn.encoders._inputs import SideInput, by_side, glorot, to_numpy
from hashgnn.nn.encoders._levels import Neighbourhood, check_depth, over_levels
from hashgnn.nn.encoders.base import FoldInExport, FullGraphEncoder
from hashgnn.nn.graph_view import GraphView

AGGREGATORS = ("mean", "gcn", "concat", "max")
_SLOPE = 0.2  # of the leaky ReLU; TensorFlow's default, which the authors' code has


class GraphSAGEEncoder(FullGraphEncoder):
    """In each layer, each node aggregates its neighbours.

    ``mean`` (the HashGNN paper): ``x_i^k = act(MEAN(x_i^{k-1}, x_j^{k-1} for j in N(i)) W^k)``; ``gcn`` is
    GraphSAGE's name for the same.
    ``concat`` (the authors' code, GraphSAGE's own mean): ``x_i^k = act(concat(x_i^{k-1}, mean_j x_j^{k-1}) W^k)``.
    ``max`` (GraphSAGE's pooling): ``x_i^k = act(concat(x_i^{k-1}, max_j act(x_j^{k-1} P^k + b^k)) W^k)``.
    act is the leaky ReLU with slope 0.2; W^k, P^k and b^k are shared by users and items. Weights of edges are
    not looked at. With ``view.sampled`` the drawn neighbours stand for the neighbourhood.

    Parameters
    ----------
    n_users, n_items, dim : int
    rng : torch.Generator
    n_user_features, n_item_features : int, default=0
    initial : pair of ndarray, optional
        Starts of the id tables, as wide as ``input_dim`` where that is given.
    n_layers : int, default=2
        Hops of a user.
    item_layers : int, optional
        Hops of an item; ``None`` is ``n_layers``. The authors have 2 and 1.
    aggregator : {"mean", "gcn", "concat", "max"}, default="mean"
    input_dim : int, optional
        Width of the id embeddings, which then pass ``act(x W + b)`` to ``dim``, separately for users and
        items (the authors: 120 to 68); ``None`` has no such layer.

    References
    ----------
    Hamilton, Ying, Leskovec, NeurIPS 2017, arXiv 1706.02216, section 3.3; Tan et al., WWW 2020, arXiv 2003.01917.
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        dim: int,
        *,
        rng: torch.Generator,
        n_user_features: int = 0,
        n_item_features: int = 0,
        initial: tuple[Array, Array] | None = None,
        n_layers: int = 2,
        item_layers: int | None = None,
        aggregator: str = "mean",
        input_dim: int | None = None,
    ) -> None:
        super().__init__(n_users, n_items, dim)
        self.n_layers = check_int("n_layers", n_layers, minimum=1)
        self.item_layers = check_int(
            "item_layers", n_layers if item_layers is None else item_layers, minimum=1
        )
        self.aggregator = check_choice("aggregator", aggregator, AGGREGATORS)
        width = dim if input_dim is None else check_int("input_dim", input_dim, minimum=1)
        users, items = initial or (None, None)
        self.user_input = SideInput("user", n_users, width, n_user_features, rng, users)
        self.item_input = SideInput("item", n_items, width, n_item_features, rng, items)
        dense = {} if input_dim is None else {"user": width, "item": width}
        self.dense_weights = nn.ParameterDict(
            {s: nn.Parameter(glorot(w, dim, rng)) for s, w in dense.items()}
        )
        self.dense_biases = nn.ParameterDict({s: nn.Parameter(torch.zeros(dim)) for s in dense})
        fan_in = dim if aggregator in ("mean", "gcn") else 2 * dim
        depth = max(self.n_layers, self.item_layers)
        n_pools = depth if aggregator == "max" else 0
        self.pool_weights = nn.ParameterList([nn.Parameter(glorot(dim, dim, rng)) for _ in range(n_pools)])
        self.pool_biases = nn.ParameterList([nn.Parameter(torch.zeros(dim)) for _ in range(n_pools)])
        self.weights = nn.ParameterList([nn.Parameter(glorot(fan_in, dim, rng)) for _ in range(depth)])

    def forward(
        self, view: GraphView, nodes: torch.Tensor, *, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """Return the embeddings of some nodes; see :class:`Encoder`.

        Without ``view.sampled`` the whole graph is computed, whatever the number of requested nodes.

        Raises
        ------
        ParameterError
            If ``view.sampled`` does not fit the nodes: one hop per layer of their side, one row per parent.
        """
        self.check_view(view)
        if view.sampled is None:
            return _sparse.take(self.propagate(view), nodes)
        users, items = bool((nodes < self.n_users).any()), bool((nodes >= self.n_users).any())
        check_depth(len(view.sampled), (("users", self.n_layers, users), ("items", self.item_layers, items)))
        enter = partial(self._inputs, view)
        return over_levels(nodes, view.sampled, view.n_nodes, enter, self._drawn)[-1]

    def propagate(self, view: GraphView) -> torch.Tensor:
        """Return the embeddings (n_nodes, dim) of every node from whole neighbourhoods."""
        users, items = self._layers(view)
        return torch.cat([users[self.n_layers], items[self.item_layers]])

    def _layers(self, view: GraphView) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return ``x^0, x^1, …`` of users and of items, each as deep as the outputs need."""
        patterns = {
            "user": (_sparse.pattern(view.user_item), _sparse.pattern(view.item_user)),
            "item": (_sparse.pattern(view.item_user), _sparse.pattern(view.user_item)),
        }
        users = [self._dense("user", self.user_input.all(view.user_features))]
        items = [self._dense("item", self.item_input.all(view.item_features))]
        for k in range(len(self.weights)):
            x_users, x_items = users[k], items[k]
            if k < self.n_layers or k + 1 < self.item_layers:
                users.append(self._next(k, x_users, x_items, *patterns["user"]))
            if k < self.item_layers or k + 1 < self.n_layers:
                items.append(self._next(k, x_items, x_users, *patterns["item"]))
        return users, items

    def _next(
        self, k: int, own: torch.Tensor, others: torch.Tensor, edges: torch.Tensor, transposed: torch.Tensor
    ) -> torch.Tensor:
        """Return the next layer of all nodes of a side from the other side's last one."""
        if self.aggregator == "max":
            gathered = _sparse.row_max(edges, self._pooled(k, others))
        else:
            gathered = _sparse.product(edges, transposed, others)
        return self._combined(k, own, gathered, _sparse.row_lengths(edges))

    def _drawn(self, k: int, around: Neighbourhood) -> torch.Tensor:
        """Return the next layer of some nodes from the neighbours drawn for them."""
        if self.aggregator == "max":
            gathered = around.hop.largest(self._pooled(k, around.others))
        else:
            gathered = around.hop.total(around.others)
        return self._combined(k, around.own, gathered, around.counts())

    def _pooled(self, k: int, x: torch.Tensor) -> torch.Tensor:
        return functional.leaky_relu(x @ self.pool_weights[k] + self.pool_biases[k], _SLOPE)

    def _inputs(self, view: GraphView, nodes: torch.Tensor) -> torch.Tensor:
        return by_side(
            nodes,
            self.n_users,
            lambda index: self._dense("user", self.user_input(view.user_features, index)),
            lambda index: self._dense("item", self.item_input(view.item_features, index)),
        )

    def _dense(self, side: SideName, x: torch.Tensor) -> torch.Tensor:
        if side not in self.dense_weights:
            return x
        return functional.leaky_relu(x @ self.dense_weights[side] + self.dense_biases[side], _SLOPE)

    def _combined(
        self, k: int, own: torch.Tensor, gathered: torch.Tensor, counts: torch.Tensor
    ) -> torch.Tensor:
        """Return the next layer of nodes (n, dim) from the sum or the maximum over ``counts`` neighbours."""
        if self.aggregator in ("mean", "gcn"):
            mixed = (own + gathered) / (counts + 1)
        else:
            mean = gathered / counts.clamp(min=1) if self.aggregator == "concat" else gathered
            mixed = torch.cat([own, mean], dim=1)
        return functional.leaky_relu(mixed @ self.weights[k], _SLOPE)

    @torch.no_grad()
    def export_fold_in(self, view: GraphView) -> FoldInExport:
        """Return the ``graphsage`` rule: the weights, and the neighbours' layers as tables."""
        self.check_view(view)
        users, items = self._layers(view)
        if self.aggregator == "max":
            # The inputs of the maximum are stored, not the arrays they are computed from.
            users, items = (
                [self._pooled(k, x) for k, x in enumerate(layers[: len(self.weights)])]
                for layers in (users, items)
            )
        arrays = {
            "user_mean": self.user_input.mean(),
            "item_mean": self.item_input.mean(),
            **self.user_input.features.export(),
            **self.item_input.features.export(),
            **{f"weight_{k}": to_numpy(weight) for k, weight in enumerate(self.weights)},
            **{f"user_layer_{k}": to_numpy(users[k]) for k in range(self.item_layers)},
            **{f"item_layer_{k}": to_numpy(items[k]) for k in range(self.n_layers)},
        }
        for side, dense in self.dense_weights.items():
            arrays[f"{side}_dense_weight"] = to_numpy(dense)
            arrays[f"{side}_dense_bias"] = to_numpy(self.dense_biases[side])
        params: dict[str, Any] = {
            "aggregator": self.aggregator,
            "n_layers": self.n_layers,
            "item_layers": self.item_layers,
            "slope": _SLOPE,
        }
        return "graphsage", arrays, params
