"""``mf``: matrix factorisation, one free vector per node and no graph: the control."""

from __future__ import annotations

import torch

from hashgnn._types import Array
from hashgnn.nn.encoders._fitted_map import MAP_EXPONENT, fitted_table
from hashgnn.nn.encoders._inputs import SideInput, by_side, to_numpy
from hashgnn.nn.encoders.base import Encoder, FoldInExport
from hashgnn.nn.graph_view import GraphView


class MFEncoder(Encoder):
    """``u = P_u + f_u W_u`` and ``v = T_i + f_i W_i``: no message passing.

    Parameters
    ----------
    n_users, n_items, dim : int
    rng : torch.Generator
    n_user_features, n_item_features : int, default=0
    initial : pair of ndarray, optional
        Starts of the user and the item table.
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
    ) -> None:
        super().__init__(n_users, n_items, dim)
        users, items = initial or (None, None)
        self.user_input = SideInput("user", n_users, dim, n_user_features, rng, users)
        self.item_input = SideInput("item", n_items, dim, n_item_features, rng, items)

    def forward(
        self, view: GraphView, nodes: torch.Tensor, *, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """Return the embeddings of some nodes; see :class:`Encoder`."""
        self.check_view(view)
        return by_side(
            nodes,
            self.n_users,
            lambda index: self.user_input(view.user_features, index),
            lambda index: self.item_input(view.item_features, index),
        )

    @torch.no_grad()
    def export_fold_in(self, view: GraphView) -> FoldInExport:
        """Return the ``mf`` rule: for both sides, a linear map of the neighbours fitted to the trained nodes."""
        embeddings = to_numpy(self.encode_all(view))
        users, items = embeddings[: self.n_users], embeddings[self.n_users :]
        arrays = {
            "item_table": fitted_table(view.user_item, items, to_numpy(self.user_input.table)),
            "user_table": fitted_table(view.item_user, users, to_numpy(self.item_input.table)),
            "user_mean": self.user_input.mean(),
            "item_mean": self.item_input.mean(),
            **self.user_input.features.export(),
            **self.item_input.features.export(),
        }
        return "mf", arrays, {"map_exponent": MAP_EXPONENT}
