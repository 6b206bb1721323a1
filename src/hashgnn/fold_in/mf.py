"""The rule of the ``mf`` encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hashgnn._types import Array
from hashgnn.fold_in.base import FoldIn, degree_scale, from_neighbours, scaled_parts


class MFFoldIn(FoldIn):
    """Both sides: the linear map from neighbours to id embedding that was fitted at export.

    ``u = d^-1/2 Σ_j w_j (v B)_j + f W_u``, and the same for items. The encoder is not inductive, so the rule
    only approximates a trained node's own embedding. A node without edges has the mean id embedding of its side.
    """

    def _prepare(self) -> tuple[int, int, int]:
        self._item_table = self._array("item_table")
        n_items, dim = self._item_table.shape
        self._user_table = self._array("user_table", n_columns=dim)
        self._item_mean, self._user_mean = self._vector("item_mean", dim), self._vector("user_mean", dim)
        self._exponent = self._number("map_exponent")
        return len(self._user_table), n_items, dim

    def _use_item_tables(self, tables: Mapping[str, Array]) -> None:
        self._item_table = tables["item_table"]

    def _users(self, history: Any, projected: Array | None) -> Array:
        return from_neighbours(history, projected, self._item_table, self._exponent, self._user_mean)

    def _user_parts(self, history: Any) -> Array:
        return scaled_parts(history, self._item_table, degree_scale(history, self._exponent))

    def _items(self, audience: Any, projected: Array | None) -> Array:
        return from_neighbours(audience, projected, self._user_table, self._exponent, self._item_mean)
