"""``FittedModel`` answers ``Queries`` in internal indices; ``BatchAnswers`` answers record batches of them."""

from hashgnn.answering.batch_answers import BatchAnswers
from hashgnn.answering.batch_request import BatchRequest
from hashgnn.answering.fitted_model import FittedModel
from hashgnn.answering.queries import EncodedEntities, Queries
from hashgnn.answering.ruled_search import RuleEffects
from hashgnn.answering.search_ways import SEARCH_WAYS

__all__ = [
    "SEARCH_WAYS",
    "BatchAnswers",
    "BatchRequest",
    "EncodedEntities",
    "FittedModel",
    "Queries",
    "RuleEffects",
]
