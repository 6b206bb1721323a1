"""``HashGNN``, the base of every recommender, and their results."""

from hashgnn.recommender.base import Recommender
from hashgnn.recommender.explanation import Explanation
from hashgnn.recommender.hash_gnn import HashGNN
from hashgnn.recommender.recommendations import Recommendations

__all__ = ["Explanation", "HashGNN", "Recommendations", "Recommender"]
