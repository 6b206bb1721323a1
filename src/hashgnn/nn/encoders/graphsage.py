"""``graphsage``: mean aggregation over whole or sampled neighbourhoods, the paper's form and the authors'."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from hashgnn._checks import check_choice, check_int
from hashgnn.errors import ParameterError
from hashgnn.nn import _sparse
from hashgnn.nn.encoders._inputs import Array, SideInput, by_side, glorot, to_numpy
from hashgnn.nn.encoders.base import FoldInExport, FullGraphEncoder
from hashgnn.nn.graph_view import GraphView

AGGREGATORS = ("mean", "concat")
_SLOPE = 0.2  # of the leaky ReLU; TensorFlow's default, which the authors' code has


class GraphSAGEEncoder(FullGraphEncoder):
    """Layer by layer, each node takes in the mean of its neighbours.

    ``mean`` (the paper): ``x_i^k = act(MEAN(x_i^{k-1}, x_j^{k-1} for j in N(i)) W^k)``.
    ``concat`` (the authors' code): ``x_i^k = act(concat(x_i^{k-1}, mean_j x_j^{k-1}) W^k)``. act is the leaky
    ReLU with slope 0.2, W^k is shared by users and items and has no bias. Means do not look at weights of
    edges. With ``view.sampled`` the drawn neighbours stand for the neighbourhood.

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
    aggregator : {"mean", "concat"}, default="mean"
    input_dim : int, optional
        Width of the id embeddings, which then pass ``act(x W + b)`` to ``dim``, users and items apart (the
        authors: 120 to 68); ``None`` has no such layer.

    References
    ----------
    Hamilton, Ying, Leskovec, NeurIPS 2017, arXiv 1706.02216; Tan et al., WWW 2020, arXiv 2003.01917.
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
        fan_in = dim if aggregator == "mean" else 2 * dim
        depth = max(self.n_layers, self.item_layers)
        self.weights = nn.ParameterList([nn.Parameter(glorot(fan_in, dim, rng)) for _ in range(depth)])

    def forward(
        self, view: GraphView, nodes: torch.Tensor, *, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """Return the embeddings of some nodes; see :class:`Encoder`.

        Without ``view.sampled`` the whole graph is computed, whatever the number of nodes asked for.

        Raises
        ------
        ParameterError
            If ``view.sampled`` does not fit the nodes: one array a hop of their side, one row a parent.
        """
        self.check_view(view)
        if view.sampled is None:
            return _sparse.take(self.propagate(view), nodes)
        return self._sampled(view, nodes, view.sampled)

    def propagate(self, view: GraphView) -> torch.Tensor:
        """Return the embeddings (n_nodes, dim) of every node from whole neighbourhoods."""
        users, items = self._layers(view)
        return torch.cat([users[self.n_layers], items[self.item_layers]])

    def _layers(self, view: GraphView) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return ``x^0, x^1, …`` of users and of items, each as deep as the outputs need."""
        user_item, item_user = _sparse.pattern(view.user_item), _sparse.pattern(view.item_user)
        user_counts, item_counts = _sparse.row_lengths(user_item), _sparse.row_lengths(item_user)
        users = [self._dense("user", self.user_input.all(view.user_features))]
        items = [self._dense("item", self.item_input.all(view.item_features))]
        for k, weight in enumerate(self.weights):
            x_users, x_items = users[k], items[k]
            if k < self.n_layers or k + 1 < self.item_layers:
                total = _sparse.product(user_item, item_user, x_items)
                users.append(self._aggregate(weight, x_users, total, user_counts))
            if k < self.item_layers or k + 1 < self.n_layers:
                total = _sparse.product(item_user, user_item, x_users)
                items.append(self._aggregate(weight, x_items, total, item_counts))
        return users, items

    def _sampled(self, view: GraphView, nodes: torch.Tensor, hops: tuple[torch.Tensor, ...]) -> torch.Tensor:
        self._check_hops(nodes, hops)
        levels = [nodes, *(hop.reshape(-1) for hop in hops)]
        # A neighbourhood repeats the same nodes many times over: enter each once, then spread the rows.
        # "None" is read as node 0 and weighed by 0 below.
        distinct, places = torch.unique(torch.cat(levels).clamp(min=0), return_inverse=True)
        rows = _sparse.take(self._inputs(view, distinct), places)
        states: list[torch.Tensor] = list(torch.split(rows, [len(level) for level in levels]))
        valid = [(hop >= 0).unsqueeze(2).to(states[0].dtype) for hop in hops]
        counts = [mask.sum(dim=1) for mask in valid]
        for k in range(len(hops)):
            totals = (
                (states[h + 1].view(*valid[h].shape[:2], -1) * valid[h]).sum(dim=1)
                for h in range(len(hops) - k)
            )
            states = [
                self._aggregate(self.weights[k], states[h], total, counts[h])
                for h, total in enumerate(totals)
            ]
        return states[0]

    def _check_hops(self, nodes: torch.Tensor, hops: tuple[torch.Tensor, ...]) -> None:
        n_parents = len(nodes)
        for number, hop in enumerate(hops):
            if hop.ndim != 2 or len(hop) != n_parents:
                raise ParameterError(
                    f"view.sampled hop {number} must have {n_parents} rows, got shape {tuple(hop.shape)}"
                )
            n_parents = hop.numel()
        for side, layers, present in (
            ("users", self.n_layers, bool((nodes < self.n_users).any())),
            ("items", self.item_layers, bool((nodes >= self.n_users).any())),
        ):
            if present and len(hops) != layers:
                raise ParameterError(f"view.sampled must have {layers} hops for {side}, got {len(hops)}")

    def _inputs(self, view: GraphView, nodes: torch.Tensor) -> torch.Tensor:
        return by_side(
            nodes,
            self.n_users,
            lambda index: self._dense("user", self.user_input(view.user_features, index)),
            lambda index: self._dense("item", self.item_input(view.item_features, index)),
        )

    def _dense(self, side: str, x: torch.Tensor) -> torch.Tensor:
        if side not in self.dense_weights:
            return x
        return functional.leaky_relu(x @ self.dense_weights[side] + self.dense_biases[side], _SLOPE)

    def _aggregate(
        self, weight: torch.Tensor, x: torch.Tensor, total: torch.Tensor, counts: torch.Tensor
    ) -> torch.Tensor:
        """Return the next layer of nodes ``x`` (n, dim) with neighbours' sums and counts (n, 1)."""
        if self.aggregator == "mean":
            mixed = (x + total) / (counts + 1)
        else:
            mixed = torch.cat([x, total / counts.clamp(min=1)], dim=1)
        return functional.leaky_relu(mixed @ weight, _SLOPE)

    @torch.no_grad()
    def export_fold_in(self, view: GraphView) -> FoldInExport:
        """Return the ``graphsage`` rule: the weights, and the neighbours' layers as tables."""
        self.check_view(view)
        users, items = self._layers(view)
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
