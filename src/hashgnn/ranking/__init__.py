"""Candidates and results of a ranking: one filter, one result and one top-k for the whole library."""

from hashgnn.ranking.candidates import CandidateFilter, IndexLists
from hashgnn.ranking.matches import Matches
from hashgnn.ranking.top_k import count_ties, rows_per_block, top_k, top_k_in_blocks

__all__ = [
    "CandidateFilter",
    "IndexLists",
    "Matches",
    "count_ties",
    "rows_per_block",
    "top_k",
    "top_k_in_blocks",
]
