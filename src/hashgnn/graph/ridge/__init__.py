"""Ridge regression among items: a recommender without training, and a teacher of codes."""

from hashgnn.graph.ridge.item_ridge import ItemRidge

__all__ = ["ItemRidge"]
