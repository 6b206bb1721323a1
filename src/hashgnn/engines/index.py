"""``EngineIndex``: the items of a model in an engine, as an index over codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hashgnn._checks import check_int, check_threads
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes
from hashgnn.engines.base import Engine, EngineVersion, Limits
from hashgnn.engines.conditions import condition_of
from hashgnn.engines.recent import Recent
from hashgnn.engines.registry import open_engine
from hashgnn.errors import EngineError, ParameterError
from hashgnn.index import CandidateIndex, EmbeddedCodes
from hashgnn.ranking import CandidateFilter, IndexLists, Matches
from hashgnn.rules import Expression, ItemFilter

_KEPT = 64  # conditions and what they find


class EngineIndex(CandidateIndex):
    """The codes of one version of a model's items, searched by an engine.

    Searches may run from many threads at once. Each sees the rows of this version alone.

    Parameters
    ----------
    engine : Engine
    version : EngineVersion
    where : str, optional
        A condition on attributes, in the engine's own language, that every result meets. It is passed on as it
        is: never build one from what a user of yours typed.

    Attributes
    ----------
    engine : Engine
    version : EngineVersion
    """

    unsupported = frozenset({"float queries", "changes", "saving"})

    def __init__(self, engine: Engine, version: EngineVersion, where: str | None = None) -> None:
        if where is not None and (not where.strip() or "\0" in where):
            raise ParameterError(f'where must be a condition such as "price < 10", got {where!r:.80}')
        if where is not None and not version.attributes:
            raise ParameterError("where needs attributes, and this export has none; export with --attributes")
        self.engine, self.version, self._where = engine, version, where
        self._conditions: Recent[str, ItemFilter | None] = Recent(_KEPT)
        self._reranks = engine.address.choice("rerank", "here", ("here", "engine")) == "engine"
        if self._reranks and version.floats == "none":
            raise ParameterError('rerank=engine needs embeddings in the engine, export with floats="half"')

    @classmethod
    def open(cls, url: str, checksum: str | None, where: str | None = None) -> EngineIndex:
        """Open a version of a model in an engine.

        Parameters
        ----------
        url : str
            As for :func:`hashgnn.engines.open_engine`.
        checksum : str or None
            Of the saved model.
        where : str, optional
            As for the class.

        Raises
        ------
        EngineError
            If the engine cannot be reached, or does not hold all of that version.
        """
        engine = open_engine(url)
        try:
            held = engine.versions()
            if not held:
                engine.refuse("holds no finished export; run hashgnn export")
            version = next((one for one in held if one.checksum == checksum), None)
            if version is None:
                shown = "was never saved" if checksum is None else f"is version {checksum[:12]}"
                names = ", ".join(one.short for one in held)
                engine.refuse(f"holds version {names} of the model, and this one {shown}; export it or sync")
            return cls(engine, version, where)
        except BaseException:
            engine.close()
            raise

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Send the address and the checksum; the other process connects itself."""
        return EngineIndex.open, (self.engine.address.url, self.version.checksum, self._where)

    def where(self, condition: str | None) -> EngineIndex:
        """Return the same index, of whose items only those that meet a condition are found."""
        return EngineIndex(self.engine, self.version, condition)

    def condition(
        self, where: Expression, now: float, expected: ItemFilter | None = None
    ) -> ItemFilter | None:
        """Return the items that a rule lets through, with the condition by which the engine finds them.

        What the engine finds is looked up once, and kept. So a rule is left to the engine only where its columns
        give the very items that ours give.

        Parameters
        ----------
        where : Expression
        now : float
            Seconds since 1970.
        expected : ItemFilter, optional
            The items by a table of the model.

        Returns
        -------
        ItemFilter or None
            None where the engine has not the columns, cannot write the rule, or finds others than ``expected``.
        """
        text = condition_of(where, self.engine.dialect, self.version.attributes, now)
        if text is None:
            return None
        found = self._conditions.get(text, lambda: self._matching(text))
        if found is None or (expected is not None and not np.array_equal(found.bits, expected.bits)):
            return None
        return found

    def _matching(self, condition: str) -> ItemFilter | None:
        try:
            positions = self.engine.matching(self.version, condition)
        except ParameterError:  # an older engine, which cannot read it
            return None
        mask = np.zeros(len(self), bool)
        mask[positions[(positions >= 0) & (positions < len(self))]] = True
        return replace(ItemFilter.of_mask(mask), condition=condition)

    @property
    def n_bits(self) -> int:
        """Width of the stored codes, without their bias."""
        return self.version.n_bits

    @property
    def has_bias(self) -> bool:
        """Whether the codes have an item bias."""
        return self.version.top is not None

    @property
    def reranks(self) -> bool:
        """Whether hierarchical search re-ranks in the engine, by float16, as its URL says."""
        return self._reranks

    def __len__(self) -> int:
        return self.version.n_items

    def __repr__(self) -> str:
        return (
            f"EngineIndex({str(self.engine.address)!r}, n={len(self)}, n_bits={self.n_bits}, "
            f"index={self.version.index!r}, version={self.version.short!r})"
        )

    def search(
        self,
        queries: BinaryCodes | EmbeddedCodes | Array,
        k: int,
        *,
        candidates: CandidateFilter | None = None,
        biased: bool = True,
        n_threads: int = 1,
    ) -> Matches:
        """Find the ``k`` best codes for each query; see :meth:`CandidateIndex.search`.

        ``n_threads`` changes nothing here. ``distances`` is None where an item bias takes part.

        Raises
        ------
        EngineError
            If the engine fails, or holds this version no longer.
        """
        codes = self._codes(queries)
        size = self._size(k)
        check_threads(n_threads)
        limits = self._limits(candidates, len(codes))
        adds = biased and self.has_bias
        found = self.engine.search(self.version, self._widened(codes, adds), size, limits, biased=adds)
        matches = Matches.empty(len(codes), size)
        distances = np.full((len(codes), size), -1, np.int32)
        best = np.float32(self.n_bits) + np.float32(self.version.top if adds and self.version.top else 0.0)
        for row, (positions, values) in enumerate(found):
            count = len(positions)
            self._check(positions, values, size)
            matches.positions[row, :count] = positions
            matches.scores[row, :count] = best - np.float32(2) * values.astype(np.float32)
            matches.counts[row] = count
            distances[row, :count] = values
        return Matches(matches.positions, matches.scores, matches.counts, None if adds else distances)

    def rerank(
        self,
        queries: EmbeddedCodes,
        k: int,
        n_candidates: int,
        *,
        candidates: CandidateFilter | None = None,
        biased: bool = True,
    ) -> Matches:
        """Find the ``n_candidates`` best by code, and of them the ``k`` best by inner product, in the engine.

        Embeddings there are float16, so scores differ from those of re-ranking here in their fourth digit.

        Raises
        ------
        EngineError
            If the engine fails, or holds this version no longer.
        """
        codes = self._codes(queries.codes)
        size = self._size(k)
        limits = self._limits(candidates, len(codes))
        adds = biased and self.has_bias
        vectors = np.ascontiguousarray(queries.embeddings, np.float32)
        found = self.engine.rerank(
            self.version, self._widened(codes, adds), vectors, size, n_candidates, limits, biased=adds
        )
        matches = Matches.empty(len(codes), size)
        for row, (positions, scores) in enumerate(found):
            self._check(positions, scores, size)
            matches.positions[row, : len(positions)] = positions
            matches.scores[row, : len(positions)] = scores
            matches.counts[row] = len(positions)
        return matches

    def _codes(self, queries: Any) -> BinaryCodes:
        if not isinstance(queries, BinaryCodes):
            raise ParameterError(
                f"queries must be BinaryCodes for an EngineIndex, got {type(queries).__name__}"
            )
        if queries.n_bits != self.n_bits:
            raise ParameterError(
                f"queries must have n_bits={self.n_bits} like the index, got {queries.n_bits}"
            )
        return queries

    def _size(self, k: Any) -> int:
        if not len(self):
            raise ParameterError("the index is empty, there is nothing to search; export a model with items")
        return check_int("k", k, minimum=1, maximum=len(self))

    def _widened(self, codes: BinaryCodes, adds: bool) -> Array:
        if not adds:
            return codes.packed
        ones = np.full((len(codes), self.version.n_extra // 8), 255, np.uint8)
        return np.hstack([codes.packed, ones])

    def _limits(self, candidates: Any, n_queries: int) -> list[Limits]:
        return limits_of(candidates, n_queries, len(self), self._where)

    def _check(self, positions: Array, values: Array, size: int) -> None:
        """Raise unless an answer of the engine is one: what others wrote there must not crash a service."""
        whole = len(positions) <= size and len(positions) == len(values)
        if len(positions) and not (whole and 0 <= positions.min() <= positions.max() < len(self)):
            raise EngineError(
                f"{self.engine.address}: its rows do not fit its version; export the model again"
            )


def joined(where: str | None, condition: str) -> str:
    """Return one condition for two."""
    return condition if where is None else f"({where}) and ({condition})"


def limits_of(candidates: Any, n_queries: int, n_items: int, where: str | None) -> list[Limits]:
    """Return a filter as the limits of each query.

    Raises
    ------
    ParameterError
        If it is no filter, or does not fit so many queries and items.
    """
    if candidates is None:
        return [Limits(where=where)] * n_queries
    if not isinstance(candidates, CandidateFilter):
        raise ParameterError(f"candidates must be a CandidateFilter or None, got {type(candidates).__name__}")
    mask = candidates.allowed
    if candidates.condition is not None:
        mask, where = None, joined(where, candidates.condition)
    if mask is not None and len(mask) != n_items:
        raise ParameterError(f"allow_all must have one entry a code, {n_items}, got {len(mask)}")
    block = _lists("block_per_query", candidates.block_per_query, n_queries, n_items)
    allow = _lists("allow_per_query", candidates.allow_per_query, n_queries, n_items)
    shared_allow = shared_block = None
    if mask is not None:
        allowed = np.flatnonzero(mask)
        if 2 * len(allowed) <= n_items:
            shared_allow = allowed
        elif len(allowed) < n_items:
            shared_block = np.flatnonzero(~mask)
    limits = []
    for row in range(n_queries):
        blocked = None if block is None else block[row]
        if allow is not None:
            kept = allow[row] if mask is None else allow[row][mask[allow[row]]]
        elif shared_allow is not None:
            kept = shared_allow
        else:
            if shared_block is not None:
                blocked = shared_block if blocked is None else np.union1d(shared_block, blocked)
            limits.append(Limits(block=None if blocked is None or not len(blocked) else blocked, where=where))
            continue
        if blocked is not None and len(blocked):
            kept = np.setdiff1d(kept, blocked, assume_unique=True)
        limits.append(Limits(allow=kept, where=where))
    return limits


def _lists(name: str, lists: IndexLists | None, n_queries: int, n_items: int) -> Sequence[Array] | None:
    if lists is None:
        return None
    if len(lists) != n_queries:
        raise ParameterError(f"{name} must have one list a query, {n_queries}, got {len(lists)}")
    outside = lists.indices[(lists.indices < 0) | (lists.indices >= n_items)]
    if outside.size:
        raise ParameterError(f"{name} must hold positions from 0 to {n_items - 1}, got {int(outside[0])}")
    return (
        [np.unique(part).astype(np.int64) for part in np.split(lists.indices, lists.indptr[1:-1])]
        if n_queries
        else []
    )
