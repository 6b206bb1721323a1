"""Which index suits: chosen by size and by what share of the exact results is asked for."""

from __future__ import annotations

from typing import Any

from hashgnn._checks import check_choice, check_float
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ParameterError
from hashgnn.index.base import CandidateIndex
from hashgnn.index.faiss_hnsw import FaissBinaryHNSW
from hashgnn.index.hamming import HammingIndex
from hashgnn.index.inverted_file import InvertedFile
from hashgnn.index.multi_index import MultiIndexHashing

KINDS = ("auto", "exact", "multi-index", "inverted-file", "hnsw")

# Below this a scan takes a fraction of a millisecond, and nothing is worth giving up results for.
_SCAN_UP_TO = 500_000
_TUNING_QUERIES = 64
_TUNING_K = 100


def build_index(
    codes: BinaryCodes,
    kind: str = "auto",
    *,
    item_bias: ItemBias | None = None,
    index_recall: float = 1.0,
    queries: BinaryCodes | None = None,
    n_threads: int = 1,
    **options: Any,
) -> CandidateIndex:
    """Build an index; ``repr`` of the result says what was picked.

    Parameters
    ----------
    codes : BinaryCodes of shape (n_codes, n_bits)
    kind : {"auto", "exact", "multi-index", "inverted-file", "hnsw"}, default="auto"
        ``"auto"`` takes the exact scan up to half a million codes or where every exact result is asked for,
        and the inverted file beyond. ``"hnsw"`` is that of faiss, which has no item bias and no filters.
    item_bias : ItemBias or None, default=None
    index_recall : float, default=1.0
        Share of the exact best 100 that a search shall find, in ``(0, 1]``. An inverted file is tuned to it.
    queries : BinaryCodes or None, default=None
        A sample of queries to tune with; ``None`` takes some of the codes, which are found more easily than
        queries may be.
    n_threads : int, default=1
        Threads that cluster and tune an inverted file; an exact scan and multi-index hashing need none.
    **options
        Passed to the index.

    Examples
    --------
    >>> import numpy as np
    >>> build_index(BinaryCodes(np.zeros((3, 2), np.uint8)))
    HammingIndex(n=3, n_bits=16, item_bias=False)
    """
    check_choice("kind", kind, KINDS)
    recall = check_float("index_recall", index_recall, minimum=0, maximum=1, open_minimum=True)
    if kind == "auto":
        kind = "exact" if recall == 1 or len(codes) <= _SCAN_UP_TO else "inverted-file"
    if kind == "exact":
        return HammingIndex(codes, item_bias, **options)
    if kind == "multi-index":
        return MultiIndexHashing(codes, item_bias, **options)
    if kind == "hnsw":
        if item_bias is not None:
            raise ParameterError("item_bias must be None for kind='hnsw'; widen the codes by it instead")
        return FaissBinaryHNSW(codes, **options)
    index = InvertedFile(codes, item_bias, n_threads=n_threads, **options)
    sample = codes[:: max(1, len(codes) // _TUNING_QUERIES)] if queries is None else queries
    size = min(_TUNING_K, len(codes))
    index.tune(sample[:_TUNING_QUERIES], size, index_recall=recall, n_threads=n_threads)
    return index
