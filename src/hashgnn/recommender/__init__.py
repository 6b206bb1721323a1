"""``HashGNN``, the base of every recommender, and their results."""

from hashgnn.recommender.base import Recommender
from hashgnn.recommender.hash_gnn import HashGNN
from hashgnn.recommender.recommendations import Recommendations

__all__ = ["HashGNN", "Recommendations", "Recommender"]
