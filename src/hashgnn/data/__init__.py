from hashgnn.data import split
from hashgnn.data.ids import IdMap
from hashgnn.data.interactions import Interactions

__all__ = [
    "IdMap",
    "Interactions",
    "split",
]
