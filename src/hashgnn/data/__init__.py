from hashgnn.data import split
from hashgnn.data.features import FeatureVocabulary, SideFeatures
from hashgnn.data.ids import IdMap
from hashgnn.data.interactions import Interactions

__all__ = [
    "FeatureVocabulary",
    "IdMap",
    "Interactions",
    "SideFeatures",
    "split",
]
