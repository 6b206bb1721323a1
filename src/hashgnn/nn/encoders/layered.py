"""Encoders of several layers over the graph, on id embeddings and features."""

from __future__ import annotations

from abc import abstractmethod

import torch

from hashgnn._checks import check_int
from hashgnn._types import Array
from hashgnn.nn.encoders._inputs import SideInput, by_side, to_numpy
from hashgnn.nn.encoders.base import FullGraphEncoder
from hashgnn.nn.graph_view import GraphView


class InputEncoder(FullGraphEncoder):
    """Nodes enter with ``x^0 = id embedding + features W``.

    Parameters
    ----------
    n_users, n_items, dim : int
    rng : torch.Generator
    n_layers : int
        Layers, at least 1.
    width : int, optional
        Of the id embeddings; ``None`` is ``dim``.
    n_user_features, n_item_features : int, default=0
    initial : pair of ndarray, optional
        Starts of the tables, of which the leading ``width`` columns are taken.
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        dim: int,
        *,
        rng: torch.Generator,
        n_layers: int,
        width: int | None = None,
        n_user_features: int = 0,
        n_item_features: int = 0,
        initial: tuple[Array, Array] | None = None,
    ) -> None:
        super().__init__(n_users, n_items, dim)
        self.n_layers = check_int("n_layers", n_layers, minimum=1)
        wide = dim if width is None else width
        users, items = (None, None) if initial is None else (table[:, :wide] for table in initial)
        self.user_input = SideInput("user", n_users, wide, n_user_features, rng, users)
        self.item_input = SideInput("item", n_items, wide, n_item_features, rng, items)

    def _enter(self, view: GraphView, nodes: torch.Tensor) -> torch.Tensor:
        """Return x^0 (n, width) of some nodes."""
        return by_side(
            nodes,
            self.n_users,
            lambda index: self.user_input(view.user_features, index),
            lambda index: self.item_input(view.item_features, index),
        )

    def _exported_inputs(self) -> dict[str, Array]:
        """Return the arrays that a fold-in rule needs for a new node."""
        return {
            "user_mean": self.user_input.mean(),
            "item_mean": self.item_input.mean(),
            **self.user_input.features.export(),
            **self.item_input.features.export(),
        }

    def _exported_tables(self, name: str, rows: list[torch.Tensor]) -> dict[str, Array]:
        """Return rows (n_nodes, width) of each layer as ``user_{name}_{k}`` and ``item_{name}_{k}``."""
        tables = {}
        for k, layer in enumerate(rows):
            tables[f"user_{name}_{k}"] = to_numpy(layer[: self.n_users])
            tables[f"item_{name}_{k}"] = to_numpy(layer[self.n_users :])
        return tables


class LayeredEncoder(InputEncoder):
    """Each layer of all nodes follows from the one before; see :class:`InputEncoder` for the parameters."""

    @abstractmethod
    def _whole(self, k: int, view: GraphView, x: torch.Tensor) -> torch.Tensor:
        """Return x^(k+1) (n_nodes, width) of all nodes from x^k."""

    def _output(self, layers: list[torch.Tensor]) -> torch.Tensor:
        """Return the embeddings from x^0, x^1, …; the last of them as a rule."""
        return layers[-1]

    def propagate(self, view: GraphView) -> torch.Tensor:
        """Return the embeddings (n_nodes, dim) of every node from whole neighbourhoods."""
        return self._output(self._layers(view))

    def _layers(self, view: GraphView) -> list[torch.Tensor]:
        x = torch.cat([self.user_input.all(view.user_features), self.item_input.all(view.item_features)])
        layers = [x]
        for k in range(self.n_layers):
            layers.append(self._whole(k, view, layers[-1]))
        return layers
