"""The exact scan: every code is compared with every query."""

from __future__ import annotations

from collections.abc import Mapping

from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.index._arguments import check_k, check_queries, check_query_bits, search_arguments
from hashgnn.index._zero_queries import answer_zero_queries
from hashgnn.index.base import MutableIndex
from hashgnn.index.stores.code_store import CodeStore
from hashgnn.index.stores.embedded_codes import EmbeddedCodes
from hashgnn.index.stores.index_file import SavedIndex
from hashgnn.ranking import CandidateFilter, Matches


class HammingIndex(MutableIndex[CodeStore]):
    """Exact search over packed codes, with or without an item bias.

    Parameters
    ----------
    codes : BinaryCodes of shape (n_codes, n_bits)
        ``n_bits`` is at most 1024. They are copied into the layout of the kernels.
    item_bias : ItemBias of length n_codes, or None, default=None
    query_bits : int, default=4
        Levels of a float query: each entry is rounded to one of ``2 ** query_bits``, evenly spaced from
        minus to plus the entry that is largest by absolute value. No entry moves by more than
        ``largest / (2 ** query_bits - 1)``. Where there is an item bias it is rounded to the same step,
        which is then at least 1/128. The search is exact for the rounded query. A query of zeros scores 0,
        plus the bias.

    See Also
    --------
    InvertedFile : Part of the codes only, for millions.
    HierarchicalIndex : Re-ranks by embeddings.
    build_index : Chooses between them.

    Examples
    --------
    >>> import numpy as np
    >>> codes = BinaryCodes(np.array([[0b00001111], [0b00000111], [0b11110000]], np.uint8))
    >>> found = HammingIndex(codes).search(codes[:1], 2)
    >>> found.positions.tolist(), found.distances.tolist()
    ([[0, 1]], [[0, 1]])
    """

    kind = "hamming"

    def __init__(self, codes: BinaryCodes, item_bias: ItemBias | None = None, *, query_bits: int = 4) -> None:
        self._query_bits = check_query_bits(query_bits, codes.n_bits)
        self._begin(CodeStore.build(codes, item_bias))

    def __repr__(self) -> str:
        return f"HammingIndex(n={len(self)}, n_bits={self.n_bits}, item_bias={self.has_bias})"

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

        Notes
        -----
        A query costs one pass over the codes. An allow list shorter than a twenty-fourth of the codes is
        followed instead.
        """
        store = self._state
        checked = check_queries(queries, store.n_bits)
        arguments = search_arguments(
            check_k(k, len(store)), n_threads, candidates, biased=biased, top=store.top
        )
        found = Matches(*store.search(checked, self._query_bits, arguments))
        return answer_zero_queries(
            found, checked, store.alive_mask, lambda: store.bias() if biased else None, candidates
        )

    def _settings(self) -> Mapping[str, int]:
        return {"query_bits": self._query_bits}

    def _restore(self, saved: SavedIndex) -> None:
        store = CodeStore.of_file(saved)
        self._query_bits = check_query_bits(saved.settings["query_bits"], store.n_bits)
        self._begin(store)
