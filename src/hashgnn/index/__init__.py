"""Search over codes: exact, sublinear and hierarchical, behind one small contract."""

from hashgnn.index.base import CandidateIndex, MutableIndex
from hashgnn.index.budget import hierarchical_within
from hashgnn.index.build import build_index, load_index
from hashgnn.index.faiss_hnsw import FaissBinaryHNSW
from hashgnn.index.hamming import HammingIndex
from hashgnn.index.hierarchical import HierarchicalIndex
from hashgnn.index.inverted_file import InvertedFile
from hashgnn.index.multi_index import MultiIndexHashing
from hashgnn.index.stores.embedded_codes import EmbeddedCodes
from hashgnn.index.stores.row_quantiser import RowQuantiser
from hashgnn.index.torch_hamming import TorchHammingIndex
from hashgnn.ranking import CandidateFilter, Matches

__all__ = [
    "CandidateFilter",
    "CandidateIndex",
    "EmbeddedCodes",
    "FaissBinaryHNSW",
    "HammingIndex",
    "HierarchicalIndex",
    "InvertedFile",
    "Matches",
    "MultiIndexHashing",
    "MutableIndex",
    "RowQuantiser",
    "TorchHammingIndex",
    "build_index",
    "hierarchical_within",
    "load_index",
]
