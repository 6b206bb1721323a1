"""``lightgcn``: the mean over layers of powers of the normalised adjacency, no weights and no activation."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from hashgnn._checks import check_int
from hashgnn._types import Array
from hashgnn.nn import _sparse
from hashgnn.nn.encoders._fitted_map import fitted_table
from hashgnn.nn.encoders._inputs import SideInput, to_numpy
from hashgnn.nn.encoders.base import FoldInExport, FullGraphEncoder
from hashgnn.nn.graph_view import GraphView


class LightGCNEncoder(FullGraphEncoder):
    """``E = 1/(L+1) · Σ_{l=0..L} Ã^l E_0`` with ``E_0 = id embeddings + features W``.

    Parameters
    ----------
    n_users, n_items, dim : int
    rng : torch.Generator
    n_user_features, n_item_features : int, default=0
    initial : pair of ndarray, optional
        Starts of the user and the item table.
    n_layers : int, default=2
        L; with 0 the encoder is matrix factorisation.

    References
    ----------
    He et al., SIGIR 2020, arXiv 2002.02126, equations 3, 4 and 8.
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
    ) -> None:
        super().__init__(n_users, n_items, dim)
        self.n_layers = check_int("n_layers", n_layers, minimum=0)
        users, items = initial or (None, None)
        self.user_input = SideInput("user", n_users, dim, n_user_features, rng, users)
        self.item_input = SideInput("item", n_items, dim, n_item_features, rng, items)

    def propagate(self, view: GraphView) -> torch.Tensor:
        """Return the embeddings (n_nodes, dim) of every node."""
        layers = self._layers(view)
        total = next(layers)
        for layer in layers:
            total = total + layer
        return total / (self.n_layers + 1)

    def _layers(self, view: GraphView) -> Iterator[torch.Tensor]:
        x = torch.cat([self.user_input.all(view.user_features), self.item_input.all(view.item_features)])
        yield x
        for _ in range(self.n_layers):
            x = _sparse.product(view.adjacency, view.adjacency, x)
            yield x

    @torch.no_grad()
    def export_fold_in(self, view: GraphView) -> FoldInExport:
        """Return the ``lightgcn`` rule: one row per neighbour, ``d_j^-1/2 · Σ_{l<L} e_j^l``.

        To it is added its image by the fitted map, which stands for the id embedding of a new node.
        """
        self.check_view(view)
        layers = list(self._layers(view))
        total = torch.zeros_like(layers[0])
        for layer in layers[: self.n_layers]:
            total += layer
        scale = torch.where(view.degrees > 0, view.degrees, 1.0).rsqrt()
        table = to_numpy(total * scale.unsqueeze(1))
        users, items = table[: self.n_users], table[self.n_users :]
        own = [to_numpy(side.table) for side in (self.user_input, self.item_input)]
        arrays = {
            "user_table": users + fitted_table(view.item_user, users, own[1]),
            "item_table": items + fitted_table(view.user_item, items, own[0]),
            **self.user_input.features.export(),
            **self.item_input.features.export(),
        }
        return "lightgcn", arrays, {"n_layers": self.n_layers}
