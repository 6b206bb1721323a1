"""``history``: an item table; a user is the normalised sum of the items in its history."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from hashgnn._checks import check_choice, check_float
from hashgnn._types import Array
from hashgnn.errors import ParameterError
from hashgnn.nn import _sparse
from hashgnn.nn.encoders._fitted_map import MAP_EXPONENT, fitted_table
from hashgnn.nn.encoders._inputs import FeatureMap, SideInput, by_side, start_table, to_numpy
from hashgnn.nn.encoders.base import Encoder, FoldInExport
from hashgnn.nn.graph_view import GraphView

_FLOOR = 1e-12  # a sum shorter than this stays near 0 instead of being blown up


class HistoryEncoder(Encoder):
    """Item ``v_i = T_i + f_i W``; user ``u = d^-e · (Σ_j w_j y_j) A + f_u W_u`` over its history.

    ``y_j`` is ``v_j``, or ``S_j + f_j W`` of a second, input-side table S. ``d = Σ_j w_j``, A is the identity
    where there is no linear layer. With ``normalization="unit"`` the sum is scaled to length ``sqrt(dim)``
    instead of by ``d^-e``. A user has no id embedding, so a new user's embedding follows from its
    history alone, exactly.

    Parameters
    ----------
    n_users, n_items, dim : int
    rng : torch.Generator
    n_user_features, n_item_features : int, default=0
    initial : pair of ndarray, optional
        User and item tables, of which the item table is the start of T (and of S).
    history_dropout : float in [0, 1), default=0
        Share of a user's items that are left out at random in training, for each user of each call. The
        rest is normalised like a whole history, as a new user's short history would be.
    normalization : {"degree", "unit"}, default="degree"
        Scale of a user's sum. ``unit`` makes users differ in direction only, so that no long history weighs
        more in the loss, and how popular items are stays with the items.
    degree_exponent : float in [0, 1], default=0.5
        e: 0 sums, 1 averages, 0.5 is the scale of the symmetric normalisation.
    input_table : bool, default=False
        Whether the sum has a table S of its own.
    initial_source : ndarray of shape (n_items, dim), optional
        Start of S; ``None`` starts it like T.
    linear : bool, default=False
        Whether the sum passes a square matrix A, the identity at first.
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
        history_dropout: float = 0.0,
        normalization: str = "degree",
        degree_exponent: float = 0.5,
        input_table: bool = False,
        initial_source: Array | None = None,
        linear: bool = False,
    ) -> None:
        super().__init__(n_users, n_items, dim)
        self.history_dropout = check_float(
            "history_dropout", history_dropout, minimum=0, maximum=1, open_maximum=True
        )
        self.degree_exponent = check_float("degree_exponent", degree_exponent, minimum=0, maximum=1)
        self.normalization = check_choice("normalization", normalization, ("degree", "unit"))
        start = None if initial is None else initial[1]
        source = start if initial_source is None else initial_source
        self.user_features = FeatureMap("user", n_users, dim, n_user_features, rng)
        self.item_input = SideInput("item", n_items, dim, n_item_features, rng, start)
        self.source = nn.Parameter(start_table("item", n_items, dim, rng, source)) if input_table else None
        self.linear = nn.Parameter(torch.eye(dim)) if linear else None

    def forward(
        self, view: GraphView, nodes: torch.Tensor, *, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """Return the embeddings of some nodes; see :class:`Encoder`.

        Cost follows the histories of the requested users, not the whole graph.

        Raises
        ------
        ParameterError
            If items are to be left out and there is no ``generator``.
        """
        self.check_view(view)
        return by_side(
            nodes,
            self.n_users,
            lambda index: self._users(view, index, generator),
            lambda index: self.item_input(view.item_features, index),
        )

    def _users(self, view: GraphView, index: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        columns, values, lengths, owner = self.histories(view, index, generator)
        sums = self.history_sums(view, columns, values, lengths)
        return self.users_of_sums(view, index, sums, values, owner)

    def history_sums(
        self,
        view: GraphView,
        columns: torch.Tensor,
        values: torch.Tensor,
        lengths: torch.Tensor,
        rows: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the weighted sum (n, dim) of the items of each history.

        Parameters
        ----------
        view : GraphView
        columns, values : Tensor of shape (n_entries,)
            Items and their weights, one history after another.
        lengths : LongTensor of shape (n,)
            Of the histories.
        rows : LongTensor of shape (n_entries,), optional
            Where the items stand in the table, if it holds some of the items only.
        """
        aggregate = _sparse.bag_sum(columns if rows is None else rows, values, lengths, self._source_table())
        if self.item_input.features.weight is not None:
            items, places = torch.unique(columns, return_inverse=True)
            projected = self.item_input.features(view.item_features, items)
            aggregate = aggregate + _sparse.bag_sum(places, values, lengths, projected)
        return aggregate

    def users_of_sums(
        self,
        view: GraphView,
        index: torch.Tensor,
        sums: torch.Tensor,
        values: torch.Tensor,
        owner: torch.Tensor,
    ) -> torch.Tensor:
        """Return the embeddings of users from :meth:`history_sums`, all weights, and the row that each belongs to."""
        if self.normalization == "unit":
            user: torch.Tensor = functional.normalize(sums, dim=1, eps=_FLOOR) * self.dim**0.5
        else:
            degrees = torch.zeros(len(index), dtype=values.dtype, device=index.device)
            degrees.index_add_(0, owner, values)
            scale = torch.where(degrees > 0, degrees, 1.0).pow(-self.degree_exponent)
            user = sums * scale.unsqueeze(1)
        if self.linear is not None:
            user = user @ self.linear
        projected = self.user_features(view.user_features, index)
        return user if projected is None else user + projected

    def histories(
        self, view: GraphView, index: torch.Tensor, generator: torch.Generator | None
    ) -> tuple[torch.Tensor, ...]:
        """Return items, weights and lengths of the users' histories, and the place of each item's user."""
        if view.histories is not None:
            columns, values, lengths = view.histories
            if len(lengths) != len(index):
                raise ParameterError(
                    f"histories must be of the {len(index)} requested users, got {len(lengths)}"
                )
        else:
            columns, values, lengths = _sparse.take_rows(view.user_item, index)
        owner = torch.repeat_interleave(torch.arange(len(index), device=index.device), lengths)
        if view.histories is None and self.training and self.history_dropout > 0:
            if generator is None:
                raise ParameterError("generator must be given where history_dropout > 0, got None")
            draws = torch.rand(len(values), generator=generator, device=generator.device)
            kept = draws.to(values.device) >= self.history_dropout
            columns, values, owner = columns[kept], values[kept], owner[kept]
            lengths = torch.bincount(owner, minlength=len(index))
        return columns, values, lengths, owner

    def _source_table(self) -> torch.Tensor:
        return self.item_input.table if self.source is None else self.source

    @torch.no_grad()
    def export_fold_in(self, view: GraphView) -> FoldInExport:
        """Return the ``history`` rule: exact for users, a fitted linear map of the audience for items."""
        users = to_numpy(self.encode_all(view)[: self.n_users])
        source = self._source_table()
        projected = self.item_input.features(
            view.item_features, torch.arange(self.n_items, device=view.device)
        )
        arrays = {
            "item_table": to_numpy(source if projected is None else source + projected),
            "user_table": fitted_table(view.item_user, users, to_numpy(self.item_input.table)),
            "item_mean": self.item_input.mean(),
            **self.user_features.export(),
            **self.item_input.features.export(),
        }
        if self.linear is not None:
            arrays["linear"] = to_numpy(self.linear)
        params = {
            "normalization": self.normalization,
            "degree_exponent": self.degree_exponent,
            "map_exponent": MAP_EXPONENT,
        }
        return "history", arrays, params
