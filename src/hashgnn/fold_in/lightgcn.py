"""The rule of the ``lightgcn`` encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hashgnn._types import Array
from hashgnn.fold_in.base import FoldIn, degree_scale, normalised_sum, scaled_parts


class LightGCNFoldIn(FoldIn):
    """One sum over the neighbours' stored rows ``y_j + y_j B`` with ``y_j = d_j^-1/2 Σ_{l<L} e_j^l``.

    ``e = 1/(L+1) · (f W + d^-1/2 Σ_j w_j row_j)``. B is fitted at export: it maps the sum of a node's y to its
    id embedding, which a new node does not have. The stored rows do not depend on the new node: degrees and
    layers of its neighbours stay those of training. With both taken into account the rule is exact.
    """

    def _prepare(self) -> tuple[int, int, int]:
        self._item_table = self._array("item_table")
        n_items, dim = self._item_table.shape
        self._user_table = self._array("user_table", n_columns=dim)
        self._n_terms = self._number("n_layers") + 1
        return len(self._user_table), n_items, dim

    def _use_item_tables(self, tables: Mapping[str, Array]) -> None:
        self._item_table = tables["item_table"]

    def _users(self, history: Any, projected: Array | None) -> Array:
        return self._mean_of_layers(history, self._item_table, projected)

    def _user_parts(self, history: Any) -> Array:
        return scaled_parts(history, self._item_table, degree_scale(history, 0.5) / self._n_terms)

    def _items(self, audience: Any, projected: Array | None) -> Array:
        return self._mean_of_layers(audience, self._user_table, projected)

    def _mean_of_layers(self, edges: Any, table: Array, projected: Array | None) -> Array:
        rows = normalised_sum(edges, table, 0.5)
        if projected is not None:
            rows += projected
        return rows / self._n_terms
