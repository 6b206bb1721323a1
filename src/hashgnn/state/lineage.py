"""The stores that a model was trained on, by its lineage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def trained_upto(store: str, training: Mapping[str, Any]) -> int:
    """Return the number up to which a model was trained on a store's interactions; 0 where on none.

    Parameters
    ----------
    store : str
        The store's identity.
    training : mapping
        :attr:`ModelState.training`. An entry of another form counts as none.
    """
    return exports_of(training).get(store, 0)


def exports_of(training: Mapping[str, Any]) -> dict[str, int]:
    """Return for each store that a model was trained on the number of its last interaction or deletion."""
    lineage = training.get("lineage")
    exports = lineage.get("exports") if isinstance(lineage, Mapping) else None
    if not isinstance(exports, Mapping):
        return {}
    return {str(store): number for store, number in exports.items() if type(number) is int}
