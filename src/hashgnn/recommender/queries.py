"""``Queries``: who is recommended to, and ``EncodedEntities``: the codes and embeddings that are searched with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.index import EmbeddedCodes
from hashgnn.ranking import CandidateFilter, IndexLists
from hashgnn.state import Side

MODEL, HISTORY, POPULAR = 0, 1, 2
SOURCES = ("model", "history", "popular")


@dataclass(frozen=True, eq=False, repr=False)
class EncodedEntities(EmbeddedCodes):
    """Codes and embeddings of some users or items, trained or folded in.

    Attributes
    ----------
    codes : BinaryCodes of shape (n, n_bits)
    embeddings : ndarray of shape (n, d), float32
        The vectors of float search and re-ranking.
    bias : ItemBias of length n, or None
        Of items, where the model has an item bias. That of a folded-in item depends on its number of users.
    """

    bias: ItemBias | None = None

    @classmethod
    def of(cls, side: Side, index: Array) -> EncodedEntities:
        """Return the trained codes and embeddings of users or items at some indices."""
        bias = None if side.bias is None else side.bias[index]
        return cls(side.codes[index], np.ascontiguousarray(side.embeddings[index]), bias)

    def __getitem__(self, rows: slice | Array) -> EncodedEntities:
        bias = None if self.bias is None else self.bias[rows]
        return EncodedEntities(self.codes[rows], self.embeddings[rows], bias)


@dataclass(frozen=True, eq=False)
class Queries:
    """The rows of a request: the source of each, and the seen items of its user.

    Attributes
    ----------
    source : ndarray of shape (n,), int8
        ``MODEL``: the trained code; ``HISTORY``: the items of the user, folded in; ``POPULAR``: nothing is
        known of the user, who gets the most popular items. ``SOURCES`` has their names.
    entities : EncodedEntities
        Of the rows that are not ``POPULAR``, in their order.
    seen : IndexLists of length n
        The seen items of each row.
    places : ndarray of shape (n,), int64
        Place of each row in the request; ``on_unknown="skip"`` leaves some out.
    n_requested : int
        Rows of the request.
    """

    source: Array
    entities: EncodedEntities
    seen: IndexLists
    places: Array
    n_requested: int

    @classmethod
    def of_entities(cls, entities: EncodedEntities, seen: IndexLists | None = None) -> Queries:
        """Return one row for each code and embedding, with its excluded items, if any."""
        n = len(entities)
        nothing = IndexLists(np.zeros(n + 1, np.int64), np.empty(0, np.int32))
        return cls(np.full(n, MODEL, np.int8), entities, nothing if seen is None else seen, np.arange(n), n)

    def __len__(self) -> int:
        return len(self.source)

    def candidates(
        self,
        n_items: int,
        *,
        filter_seen: bool = True,
        allow: Array | IndexLists | None = None,
        block: Array | IndexLists | None = None,
    ) -> CandidateFilter:
        """Return one filter for each row, from seen items, an allow list and a block list.

        Parameters
        ----------
        n_items : int
        filter_seen : bool, default=True
            Leave out the seen items of each row.
        allow, block : ndarray of item indices, or IndexLists of length ``n_requested``, optional
            Only these items, or none of these: one array for all rows, or one list for each row of the
            request.
        """
        excluded = self.seen if filter_seen else None
        allow_all = allow_per_query = None
        if isinstance(allow, IndexLists):
            allow_per_query = allow[self.places]
        elif allow is not None:
            allow_all = np.zeros(n_items, bool)
            allow_all[allow] = True
        if isinstance(block, IndexLists):
            blocked = block[self.places]
            excluded = blocked if excluded is None else excluded.union(blocked)
        elif block is not None and len(block):
            allow_all = np.ones(n_items, bool) if allow_all is None else allow_all
            allow_all[block] = False
        return CandidateFilter(excluded, allow_per_query, allow_all)

    @property
    def source_names(self) -> list[str]:
        """The source of each row as a word."""
        return [SOURCES[source] for source in self.source.tolist()]


def interleave(parts: list[tuple[Array, EncodedEntities]], n_bits: int) -> EncodedEntities:
    """Return entities of several sources in the order of their rows.

    Parameters
    ----------
    parts : list of pairs
        Rows, int64, and the codes and embeddings of each.
    n_bits : int
    """
    if len(parts) == 1:
        return parts[0][1]
    order = np.argsort(np.concatenate([rows for rows, _ in parts]), kind="stable")
    codes = np.concatenate([part.codes.packed for _, part in parts])
    embeddings = np.concatenate([part.embeddings for _, part in parts])
    return EncodedEntities(BinaryCodes(codes[order], n_bits), embeddings[order])
