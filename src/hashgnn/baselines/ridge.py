"""A linear model of items over their strongest neighbours, in closed form."""

from __future__ import annotations

from hashgnn._rng import RngLike
from hashgnn.baselines.base import ItemBaseline
from hashgnn.data import Interactions
from hashgnn.graph import BipartiteGraph, ItemRidge


def ridge(
    interactions: Interactions,
    *,
    dim: int,
    rng: RngLike,
    n_neighbours: int = 200,
    regularisation: float | None = None,
    user_exponent: float = 0.5,
    item_exponent: float = 0.5,
    max_history: int = 1000,
) -> ItemBaseline:
    """Ridge regression of each item on its strongest neighbours; see :class:`hashgnn.graph.ItemRidge`.

    ``dim`` is not looked at. Time and memory are linear in items. With every other item as a neighbour and exponents
    of 0 it is ``ease``.
    """
    fitted = ItemRidge.fit(
        BipartiteGraph.from_interactions(interactions),
        n_neighbours=n_neighbours,
        regularisation=regularisation,
        user_exponent=user_exponent,
        item_exponent=item_exponent,
        max_history=max_history,
        rng=rng,
    )
    return ItemBaseline(interactions, fitted.weights)
