"""One side of a model as what is searched, by every search way."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hashgnn._checks import check_choice, check_int
from hashgnn._types import Array
from hashgnn.errors import ParameterError
from hashgnn.index import EmbeddedCodes, HammingIndex, HierarchicalIndex, InvertedFile
from hashgnn.index.scores import asymmetric_scores, code_scores, float_scores, inverse_lengths
from hashgnn.ranking import CandidateFilter, Matches, top_k, top_k_in_blocks
from hashgnn.recommender.encoded import Encoded
from hashgnn.recommender.float_queries import FloatQueries
from hashgnn.state import ModelState

SEARCH_WAYS = ("hamming", "biased", "asymmetric", "hierarchical", "float")


@dataclass(frozen=True)
class SearchOptions:
    """How to search: ``k`` results, the search way, candidates re-ranked for each of them, threads."""

    k: int
    search: str
    oversampling: int = 5
    n_threads: int = 1


class SearchSpace:
    """The users or items of a model, ready to be searched. Read-only, so safe to use from many threads.

    Parameters
    ----------
    state : ModelState
    index : HammingIndex or InvertedFile
        Over the codes of the side that is searched, with the item bias where it is items and there is one.
    queries_are, searches : {"user", "item"}
        Where the queries come from, and what is found. Items for users are scored with the item bias and
        by inner product; items for items and users for users without a bias and by cosine, because there a
        bias or a long vector says how much is liked in general, not how much two things are alike.
    """

    def __init__(
        self, state: ModelState, index: HammingIndex | InvertedFile, *, queries_are: str, searches: str
    ) -> None:
        self._state, self._index, self._side = state, index, queries_are
        self._codes = state.item_codes if searches == "item" else state.user_codes
        self._table = state.item_embeddings if searches == "item" else state.user_embeddings
        alike = queries_are == searches
        self._bias = None if alike else state.item_bias
        self._inverse_norms = inverse_lengths(self._table) if alike else None

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def ways(self) -> tuple[str, ...]:
        """The search ways that this side has: ``biased`` needs an item bias."""
        return tuple(way for way in SEARCH_WAYS if way != "biased" or self._bias is not None)

    def options(self, k: Any, search: Any, oversampling: Any = 5, n_threads: Any = 1) -> SearchOptions:
        """Check what a user asked for."""
        check_choice("search", search, SEARCH_WAYS)
        if search not in self.ways:
            why = (
                "this model was fitted with item_bias=False"
                if self._state.item_bias is None
                else f"alike {self._side}s are compared without a bias"
            )
            raise ParameterError(
                f"search must be one of {', '.join(map(repr, self.ways))}, got {search!r}; {why}"
            )
        size = check_int("k", k, minimum=1)
        if size > len(self):
            raise ParameterError(f"k must be at most {len(self)}, what there is to choose from, got {size}")
        return SearchOptions(
            k=size,
            search=search,
            oversampling=check_int("oversampling", oversampling, minimum=1),
            n_threads=check_int("n_threads", n_threads, minimum=1),
        )

    def search(self, queries: Encoded, options: SearchOptions, filters: CandidateFilter) -> Matches:
        """Return the best ``k`` of each query after filtering; ties go to the smaller position.

        Codes are searched by the index. Floats over everything are matrix products, in blocks.
        """
        if options.search == "float":
            return top_k_in_blocks(
                lambda rows: self.scores(queries[rows], options, filters[rows]),
                len(queries),
                len(self),
                options.k,
            )
        if options.search == "hierarchical":
            vectors = queries.embeddings
            if self._inverse_norms is not None:
                vectors = vectors * inverse_lengths(vectors)[:, None]
            found = self._hierarchical.search(
                EmbeddedCodes(queries.codes, vectors),
                options.k,
                oversampling=options.oversampling,
                candidates=filters,
                biased=self._bias is not None,
                n_threads=options.n_threads,
            )
        else:
            is_asymmetric = options.search == "asymmetric"
            found = self._index.search(
                self._float_queries(queries) if is_asymmetric else queries.codes,
                options.k,
                candidates=filters,
                biased=options.search == "biased" or (is_asymmetric and self._bias is not None),
                n_threads=options.n_threads,
            )
        return found

    @cached_property
    def _float_queries(self) -> FloatQueries:
        return FloatQueries(self._state, self._side)

    @cached_property
    def _hierarchical(self) -> HierarchicalIndex:
        if self._inverse_norms is None:
            return HierarchicalIndex(self._index, self._table)
        return HierarchicalIndex(self._index, self._table * self._inverse_norms[:, None])

    def scores(self, queries: Encoded, options: SearchOptions, filters: CandidateFilter) -> Array:
        """Return the score of everything for each query, (n, len(self)) float32, -inf where filtered out.

        Hierarchical: float scores of the ``k * oversampling`` candidates by code, -inf for the others.
        """
        if options.search == "float":
            scores = float_scores(queries.embeddings, self._table, self._inverse_norms)
        elif options.search == "asymmetric":
            scores = asymmetric_scores(self._float_queries(queries), self._codes, self._bias)
        else:
            bias = None if options.search == "hamming" else self._bias
            scores = code_scores(queries.codes.signs(), self._codes, bias)
        filters.mask(scores)
        if options.search == "hierarchical":
            n_candidates = min(options.k * options.oversampling, len(self))
            scores = self._rerank(queries, top_k(scores, n_candidates))
        return scores

    def bytes_per_entry(self, search: str) -> float:
        """Return what a search reads of one entry, in bytes."""
        codes = 0 if search == "float" else self._codes.n_bits / 8
        bias = 1 if self._bias is not None and search not in ("hamming", "float") else 0
        floats = 4 * self._table.shape[1] if search in ("hierarchical", "float") else 0
        return float(codes + bias + floats)

    def _rerank(self, queries: Encoded, candidates: Matches) -> Array:
        scores = np.full((len(queries), len(self)), -np.inf, np.float32)
        for row, count in enumerate(candidates.counts.tolist()):
            chosen = candidates.positions[row, :count]
            norms = None if self._inverse_norms is None else self._inverse_norms[chosen]
            scores[row, chosen] = float_scores(queries.embeddings[row : row + 1], self._table[chosen], norms)[
                0
            ]
        return scores
