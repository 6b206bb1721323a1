"""``HashGNN``, the base of every recommender, and their results."""

from hashgnn.recommender.base import Recommender
from hashgnn.recommender.batch_answers import BatchAnswers
from hashgnn.recommender.batch_request import BatchRequest
from hashgnn.recommender.checking import check_model
from hashgnn.recommender.fitted_model import FittedModel
from hashgnn.recommender.hash_gnn import HashGNN
from hashgnn.recommender.model_check import (
    CheckLimits,
    CheckRow,
    ListComparison,
    ListPair,
    ModelCheck,
    ModelFigures,
)
from hashgnn.recommender.queries import EncodedEntities, Queries
from hashgnn.recommender.recommendations import Recommendations
from hashgnn.recommender.search_ways import SEARCH_WAYS

__all__ = [
    "SEARCH_WAYS",
    "BatchAnswers",
    "BatchRequest",
    "CheckLimits",
    "CheckRow",
    "EncodedEntities",
    "FittedModel",
    "HashGNN",
    "ListComparison",
    "ListPair",
    "ModelCheck",
    "ModelFigures",
    "Queries",
    "Recommendations",
    "Recommender",
    "check_model",
]
