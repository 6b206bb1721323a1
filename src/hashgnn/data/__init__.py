"""Interactions, with their ids, readers, splits and side features."""

from hashgnn.data import split
from hashgnn.data._adding import add_interactions
from hashgnn.data.deletions import Deletions
from hashgnn.data.features import FeatureVocabulary, SideFeatures
from hashgnn.data.generate import checkerboard, generate_interactions
from hashgnn.data.generate_shop import Shop, generate_shop
from hashgnn.data.history_weighting import HistoryWeighting
from hashgnn.data.ids import IdMap
from hashgnn.data.interactions import Interactions, InteractionsLike, as_interactions
from hashgnn.data.readers import read_interactions, read_table
from hashgnn.data.side_table import SideTable
from hashgnn.data.split_folder import write_split
from hashgnn.data.stored import StoredInteractions, open_interactions, prepare_interactions
from hashgnn.data.table_files import write_table
from hashgnn.data.table_split import TableSplit, split_table
from hashgnn.data.weighting import Weighting

__all__ = [
    "Deletions",
    "FeatureVocabulary",
    "HistoryWeighting",
    "IdMap",
    "Interactions",
    "InteractionsLike",
    "Shop",
    "SideFeatures",
    "SideTable",
    "StoredInteractions",
    "TableSplit",
    "Weighting",
    "add_interactions",
    "as_interactions",
    "checkerboard",
    "generate_interactions",
    "generate_shop",
    "open_interactions",
    "prepare_interactions",
    "read_interactions",
    "read_table",
    "split",
    "split_table",
    "write_split",
    "write_table",
]
