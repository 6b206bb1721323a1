"""The rule of the ``history`` encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hashgnn._types import Array
from hashgnn.fold_in.base import (
    FoldIn,
    degree_scale,
    from_neighbours,
    normalised_sum,
    scaled_parts,
    unit_scale,
    unit_sum,
)


class HistoryFoldIn(FoldIn):
    """Users: the encoder's own sum, exactly. Items: the map of the audience that was fitted at export.

    ``u = d^-e · (Σ_j w_j y_j) A + f W_u``, or with the sum scaled to length ``sqrt(dim)``;
    ``v = c^-1/2 · Σ_u w_u (U B)_u + f W_i``. A new user's embedding equals the trained encoder's
    embedding of a user with that history. An item without audience has the mean id embedding.
    """

    trained_users_fold_in = True

    def _prepare(self) -> tuple[int, int, int]:
        self._item_table = self._array("item_table")
        n_items, dim = self._item_table.shape
        self._user_table = self._array("user_table", n_columns=dim)
        self._linear = self._array("linear", dim, dim) if "linear" in self._arrays else None
        self._mean = self._vector("item_mean", dim)
        self._exponent = self._number("degree_exponent")
        self._unit = self._choice("normalization", ("degree", "unit")) == "unit"
        self._map_exponent = self._number("map_exponent")
        return len(self._user_table), n_items, dim

    def _use_item_tables(self, tables: Mapping[str, Array]) -> None:
        self._item_table = tables["item_table"]

    def _users(self, history: Any, projected: Array | None) -> Array:
        if self._unit:
            rows = unit_sum(history, self._item_table)
        else:
            rows = normalised_sum(history, self._item_table, self._exponent)
        if self._linear is not None:
            rows = rows @ self._linear
        return rows if projected is None else rows + projected

    def _user_parts(self, history: Any) -> Array:
        if self._unit:
            scale = unit_scale(np.asarray(history @ self._item_table, dtype=np.float32))
        else:
            scale = degree_scale(history, self._exponent)
        parts = scaled_parts(history, self._item_table, scale)
        return parts if self._linear is None else parts @ self._linear

    def _items(self, audience: Any, projected: Array | None) -> Array:
        return from_neighbours(audience, projected, self._user_table, self._map_exponent, self._mean)
