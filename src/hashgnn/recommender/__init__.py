"""``HashGNN``, the recommender, and what it answers with."""

from hashgnn.recommender.encoded import Encoded
from hashgnn.recommender.hash_gnn import HashGNN
from hashgnn.recommender.recommendations import Recommendations
from hashgnn.recommender.search_space import SEARCH_WAYS

__all__ = ["SEARCH_WAYS", "Encoded", "HashGNN", "Recommendations"]
