"""``SearchWays``: search of one side of a model, by every search way."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hashgnn._checks import check_choice, check_int, check_threads, shown
from hashgnn._types import Array
from hashgnn.answering.queries import EncodedEntities
from hashgnn.engines import EngineIndex
from hashgnn.errors import ArtifactDamagedError, ParameterError, ResultWarning
from hashgnn.index import EmbeddedCodes, HammingIndex, HierarchicalIndex, InvertedFile
from hashgnn.index.scores import (
    asymmetric_scores,
    code_scores,
    float_scores,
    inverse_lengths,
)
from hashgnn.index.stores.quantised_rows import QuantisedRows
from hashgnn.ranking import CandidateFilter, IndexLists, Matches, top_k
from hashgnn.ranking.top_k import rows_per_block
from hashgnn.state import Side
from hashgnn.state.float_queries import FloatQueries
from hashgnn.state.growing import Rooms

#: The search ways, from the fewest bytes to the most; a model without an item bias has no ``biased``.
SEARCH_WAYS = ("hamming", "biased", "asymmetric", "hierarchical", "float")
#: Those that an engine answers, where it holds the items.
ENGINE_WAYS = ("hamming", "biased", "hierarchical")

#: Results that hierarchical search within a memory budget is tuned for.
TUNED_K = 100


@dataclass(frozen=True)
class SearchOptions:
    """How to search: ``k`` results, the search way, candidates re-ranked for each of them, threads."""

    k: int
    search: str
    oversampling: int = 5
    n_threads: int = 1


class SearchWays:
    """The users or items of a model, ready to be searched. Read-only, so safe to use from many threads.

    Each way has two definitions that agree: :meth:`search` finds the best by the kernels, :meth:`scores`
    computes every score in NumPy.

    Parameters
    ----------
    side : Side
        The side to search.
    index : HammingIndex or InvertedFile
        Over the codes of ``side``, with its bias where there is one.
    float_queries : FloatQueries
        Of the side where the queries come from.
    similar : bool
        Items for users (False) are scored with the item bias and by inner product. Items for items and
        users for users (True) are scored without a bias and by cosine: a bias or a long vector says how
        popular something is, not how similar two things are.
    engine_index : EngineIndex, optional
        The same codes in an engine. It answers what is searched by codes; float queries are answered by ``index``.
    ranked : HierarchicalIndex, optional
        What answers hierarchical searches, tuned for ``TUNED_K`` results; ``None`` ranks by the floats of ``side``.
    """

    def __init__(
        self,
        side: Side,
        index: HammingIndex | InvertedFile,
        float_queries: FloatQueries,
        *,
        similar: bool,
        engine_index: EngineIndex | None = None,
        ranked: HierarchicalIndex | None = None,
    ) -> None:
        self.ranked = ranked
        self._side, self._index, self.float_queries, self._similar = side, index, float_queries, similar
        self._engine_index = engine_index
        self._bias = None if similar else side.bias
        self._n = len(side)

    def __len__(self) -> int:
        return self._n

    def grown(
        self, side: Side, index: HammingIndex | InvertedFile, float_queries: FloatQueries, rooms: Rooms
    ) -> SearchWays:
        """Return the ways to search a side that has more rows at its end; what is known of the others is kept.

        Parameters
        ----------
        side, index, float_queries
            As for the class; the first rows of ``side`` are those of this one.
        rooms : Rooms
            For the tables that are derived from the embeddings.
        """
        ranked = None if self.ranked is None else self._grown_rows(self.ranked, side, index, rooms)
        other = SearchWays(side, index, float_queries, similar=self._similar, ranked=ranked)
        made = self.__dict__.get("_inverse_norms")
        if self._similar and made is not None:
            new = inverse_lengths(side.embeddings[self._n :])
            other.__dict__["_inverse_norms"] = rooms.appended("inverse_norms", made, new)
        coarse: HierarchicalIndex | None = self.__dict__.get("_hierarchical")
        if coarse is not None and ranked is None:
            table = side.embeddings
            if self._similar:
                new = table[self._n :] * inverse_lengths(table[self._n :])[:, None]
                known = coarse.snapshot().floats
                assert known is not None
                table = rooms.appended("unit_embeddings", known, new)
            other.__dict__["_hierarchical"] = HierarchicalIndex.of_checked(index, table)
        return other

    def _grown_rows(
        self, ranked: HierarchicalIndex, side: Side, index: HammingIndex | InvertedFile, rooms: Rooms
    ) -> HierarchicalIndex:
        state = ranked.snapshot()
        if state.listed is not None:
            new_codes = index.codes(np.arange(self._n, len(side)))
            bias = index.item_bias(np.arange(self._n, len(side)))
            return ranked.extended(
                EmbeddedCodes(new_codes, side.embeddings[self._n :]), bias, side.embeddings
            )
        assert state.rows is not None
        quantiser = state.rows.quantiser
        new = quantiser.quantise(side.embeddings[self._n :])
        rows = QuantisedRows(quantiser, rooms.appended("rows", state.rows.rows, new))
        return ranked.over(index, None if state.floats is None else side.embeddings, rows)

    @property
    def names(self) -> tuple[str, ...]:
        """The search ways that there are: ``biased`` needs an item bias."""
        return tuple(way for way in SEARCH_WAYS if way != "biased" or self._bias is not None)

    def options(self, k: int, search: str, oversampling: int = 5, n_threads: int = 1) -> SearchOptions:
        """Check the options of a request; ``k`` is cut to what there is to choose from.

        Warns
        -----
        ResultWarning
            If ``k`` was larger.

        Raises
        ------
        ParameterError
            If a value breaks its rule, or the search way needs an item bias and there is none.
        """
        check_choice("search", search, SEARCH_WAYS)
        if search not in self.names:
            why = (
                "similar users and items are compared without a bias"
                if self._similar
                else "this model was fitted with item_bias=False"
            )
            raise ParameterError(
                f"search must be one of {', '.join(map(repr, self.names))}, got {search!r}; {why}"
            )
        size = check_int("k", k, minimum=1)
        if size > len(self):
            warnings.warn(
                f"k is {shown(size)}, and there are {len(self)} to choose from; no list is longer than that",
                ResultWarning,
                stacklevel=3,
            )
        return SearchOptions(
            k=min(size, len(self)),
            search=search,
            oversampling=check_int("oversampling", oversampling, minimum=1),
            n_threads=check_threads(n_threads),
        )

    def search(
        self, queries: EncodedEntities, options: SearchOptions, candidates: CandidateFilter
    ) -> Matches:
        """Return the best ``k`` of each query among its candidates; ties go to the smaller position.

        Codes are searched by the index. Floats over everything are matrix products, in blocks of rows.

        Raises
        ------
        ArtifactDamagedError
            If a score is NaN or infinite. Training keeps every table finite, so the model was edited.
        """
        found = self._search(queries, options, candidates)
        if not found.is_finite:
            raise ArtifactDamagedError(
                f"the scores of {options.search!r} search must be finite, got NaN or infinity; "
                "the tables of this model were edited"
            )
        return found

    def _search(
        self, queries: EncodedEntities, options: SearchOptions, candidates: CandidateFilter
    ) -> Matches:
        way = options.search
        if way == "float":
            return self._search_floats(queries, options.k, candidates)
        if way == "hierarchical":
            embedded: EmbeddedCodes = queries
            if self._similar:
                vectors = queries.embeddings * inverse_lengths(queries.embeddings)[:, None]
                embedded = EmbeddedCodes(queries.codes, vectors)
            if self._engine_index is not None:
                return self._from_engine(self._engine_index, embedded, options, candidates)
            oversampling, refined = self.depth(options.k, options.oversampling)
            return self._hierarchical.search(
                embedded,
                options.k,
                oversampling=oversampling,
                refined=refined,
                candidates=candidates,
                biased=self._bias is not None,
                n_threads=options.n_threads,
            )
        by_code = self._index if way == "asymmetric" or self._engine_index is None else self._engine_index
        return by_code.search(
            self.float_queries(queries.embeddings) if way == "asymmetric" else queries.codes,
            options.k,
            candidates=candidates,
            biased=way != "hamming" and self._bias is not None,
            n_threads=options.n_threads,
        )

    def depth(self, k: int, oversampling: int) -> tuple[int, int | None]:
        """Return the candidates by code for each of ``k`` results, and those of them that floats rank after rows.

        What is ranked within a memory budget was tuned for lists of ``TUNED_K``: shorter ones look no less far.
        """
        if self.ranked is None:
            return oversampling, None
        more = max(1.0, min(TUNED_K, len(self)) / k)
        tuned = math.ceil(self.ranked.oversampling * more)
        return max(oversampling, tuned), math.ceil(self.ranked.refined * more)

    def _from_engine(
        self,
        engine_index: EngineIndex,
        queries: EmbeddedCodes,
        options: SearchOptions,
        candidates: CandidateFilter,
    ) -> Matches:
        """Re-rank the candidates that the engine finds: there, or here by the embeddings of the model."""
        n_candidates = min(options.k * options.oversampling, len(self))
        biased = self._bias is not None
        if engine_index.reranks and not self._similar:  # its embeddings are not scaled to length one
            return engine_index.rerank(queries, options.k, n_candidates, candidates=candidates, biased=biased)
        found = engine_index.search(queries.codes, n_candidates, candidates=candidates, biased=biased)
        rows = [found.positions[row, :count] for row, count in enumerate(found.counts.tolist())]
        return self._hierarchical.search(
            queries,
            options.k,
            oversampling=options.oversampling,
            candidates=CandidateFilter(allow_per_query=IndexLists.from_rows(rows)),
            biased=biased,
            n_threads=options.n_threads,
        )

    def scores(self, queries: EncodedEntities, options: SearchOptions, candidates: CandidateFilter) -> Array:
        """Return the score of everything for each query, (n, len(self)) float32; -inf for what is no candidate.

        Hierarchical: float scores of the ``k * oversampling`` candidates by code, -inf for the others; those of
        everything within a memory budget, which is tuned to find most of the best by floats.
        """
        way = options.search
        if way == "hierarchical" and self.ranked is not None:
            way = "float"
        if way == "float":
            scores = float_scores(queries.embeddings, self._side.embeddings, self._inverse_norms)
        elif way == "asymmetric":
            scores = asymmetric_scores(self.float_queries(queries.embeddings), self._side.codes, self._bias)
        else:
            bias = None if way == "hamming" else self._bias
            scores = code_scores(queries.codes.signs(), self._side.codes, bias)
        candidates.mask(scores)
        if way == "hierarchical":
            best = top_k(scores, min(options.k * options.oversampling, len(self)))
            scores = self._reranked(queries, best)
        return scores

    def bytes_per_item(self, search: str) -> float:
        """Return the bytes of one entry that a search reads."""
        if search == "hierarchical" and self.ranked is not None:
            return self.ranked.nbytes / len(self)
        codes = 0 if search == "float" else self._side.codes.n_bits / 8
        bias = 1 if self._bias is not None and search not in ("hamming", "float") else 0
        floats = 4 * self._side.dim if search in ("hierarchical", "float") else 0
        return float(codes + bias + floats)

    def query_parts(self, queries: EncodedEntities, pulls: Array) -> Array:
        """Return :meth:`~hashgnn.state.float_queries.FloatQueries.parts` of one query."""
        return self.float_queries.parts(queries.embeddings, pulls)

    def scores_of(self, queries: EncodedEntities, positions: Array, search: str) -> Array:
        """Return the scores of some positions for each query, (n, len(positions)), float64.

        They are those of :meth:`scores`, without the rest: hierarchical search scores as float search does.
        """
        if search in ("float", "hierarchical"):
            norms = None if self._inverse_norms is None else self._inverse_norms[positions]
            return float_scores(queries.embeddings, self._side.embeddings[positions], norms).astype(float)
        codes = self._side.codes[positions]
        bias = None if self._bias is None or search == "hamming" else self._bias[positions]
        if search == "asymmetric":
            return asymmetric_scores(self.float_queries(queries.embeddings), codes, bias).astype(float)
        return code_scores(queries.codes.signs(), codes, bias).astype(float)

    @cached_property
    def _inverse_norms(self) -> Array | None:
        return inverse_lengths(self._side.embeddings) if self._similar else None

    @cached_property
    def _hierarchical(self) -> HierarchicalIndex:
        if self.ranked is not None:
            return self.ranked
        table, norms = self._side.embeddings, self._inverse_norms
        return HierarchicalIndex(self._index, table if norms is None else table * norms[:, None])

    def _search_floats(self, queries: EncodedEntities, k: int, candidates: CandidateFilter) -> Matches:
        table, step = self._side.embeddings, rows_per_block(len(self))
        parts = []
        for start in range(0, len(queries), step):
            rows = np.arange(start, min(start + step, len(queries)))
            scores = float_scores(queries.embeddings[rows], table, self._inverse_norms)
            candidates[rows].mask(scores)
            parts.append(top_k(scores, k))
        return Matches.concatenate(parts or [Matches.empty(0, k)])

    def _reranked(self, queries: EncodedEntities, best: Matches) -> Array:
        scores = np.full((len(queries), len(self)), -np.inf, np.float32)
        table, norms = self._side.embeddings, self._inverse_norms
        for row, count in enumerate(best.counts.tolist()):
            chosen = best.positions[row, :count]
            some_norms = None if norms is None else norms[chosen]
            query = queries.embeddings[row : row + 1]
            scores[row, chosen] = float_scores(query, table[chosen], some_norms)[0]
        return scores
