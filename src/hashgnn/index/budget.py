"""A hierarchical index by what it is to find and how much memory it may take."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hashgnn import _native
from hashgnn._checks import check_float, check_int
from hashgnn._types import Array
from hashgnn.errors import ParameterError
from hashgnn.index._tuning import check_sample
from hashgnn.index._vector_clustering import default_n_vector_lists
from hashgnn.index.hamming import HammingIndex
from hashgnn.index.hierarchical import HierarchicalIndex
from hashgnn.index.inverted_file import InvertedFile
from hashgnn.index.row_choice import best_quantiser
from hashgnn.index.stores.embedded_codes import EmbeddedCodes
from hashgnn.index.stores.embedded_store import is_mapped
from hashgnn.index.stores.quantised_rows import QuantisedRows
from hashgnn.index.stores.row_quantiser import ROW_BITS, row_bytes_of

_LARGEST_BUDGET = 1_000_000
_ROW_STEP = min(_native.row_step(bits) for bits in ROW_BITS)
_LISTED_FROM = (
    1 << 16
)  # items: lists around embeddings of fewer are short, and their last blocks nearly empty
_OF_PLACE = 4 + 1 / 8  # bytes of a position and a mark
_OF_CENTRE_ENTRY, _OF_CENTRE = 5, 64  # bytes of a float and its rounded form; scales, and room up to a group
_TUNED_WITH = 256  # with fewer, what is reached on others differs by hundredths


def hierarchical_within(
    index: HammingIndex | InvertedFile,
    embeddings: Array,
    queries: EmbeddedCodes,
    *,
    bytes_per_item: float,
    index_recall: float = 0.95,
    k: int = 100,
    n_threads: int = 1,
) -> HierarchicalIndex:
    """Choose rows, and how far each stage looks, by an index recall and a memory budget.

    Rows take what the codes leave of the budget, with the bits an entry that find most. Floats that are
    mapped from a file stay there, and rank the best by rows where the rows alone do not find enough. Floats
    in memory take part where the budget has room for them.

    Parameters
    ----------
    index : HammingIndex or InvertedFile
        Over the codes. An inverted file asks for lists: of 65,536 items or more they are made around the embeddings.
    embeddings : ndarray of shape (len(index), width), float32
    queries : EmbeddedCodes
        A sample of the queries to come. All say which directions count; 256 are tuned with.
    bytes_per_item : float
        Of codes, lists, bias and rows in memory. The directions of the rows, ``8 * width ** 2`` bytes for any
        number of items, come on top.
    index_recall : float, default=0.95
        Share of the exact best ``k`` by inner product to find.
    k : int, default=100
    n_threads : int, default=1

    Raises
    ------
    ParameterError
        If nothing within the budget finds as much; the message names what does.
    """
    budget = check_budget(bytes_per_item)
    requested = check_sample(queries, index_recall)
    check_int("k", k, minimum=1)
    n, width = len(index), int(np.shape(embeddings)[1])
    of_codes, of_floats = index.nbytes / n, 4.0 * width
    room = budget - of_codes + 1e-6  # what rounding may have taken
    if room < _ROW_STEP:
        least = of_codes + _ROW_STEP
        raise ParameterError(
            f"bytes_per_item must be at least {least:.1f}, {of_codes:.1f} for codes of {index.n_bits} bits and "
            f"the rest for the shortest rows, got {budget:g}"
        )
    listed_room = _room_in_lists(index, width, budget) if n >= _LISTED_FROM else 0.0
    in_lists = isinstance(index, InvertedFile) and listed_room >= _ROW_STEP
    n_bytes = int(listed_room if in_lists else room)
    quantiser = best_quantiser(embeddings, queries.embeddings, n_bytes, min(k, n))
    fits = is_mapped(embeddings) or budget >= of_codes + quantiser.n_bytes + of_floats
    if in_lists:
        made = HierarchicalIndex.in_lists(
            index, embeddings, quantiser, keeps_floats=fits, n_threads=n_threads
        )
    else:
        rows = QuantisedRows.build(quantiser, embeddings, n_threads)
        made = HierarchicalIndex.of_checked(index, embeddings if fits else None, rows)
    sample = queries[:: max(1, len(queries) // _TUNED_WITH)][:_TUNED_WITH]
    share = made.tune(sample, min(k, n), index_recall=requested, embeddings=embeddings, n_threads=n_threads)
    if share < requested:
        larger = of_codes + row_bytes_of(width, max(ROW_BITS)) + of_floats
        raise ParameterError(
            f"bytes_per_item={budget:g} finds an index recall of {share:.4f} at most, not {requested:g}; ask for "
            f"that, or pass more bytes: {math.ceil(larger)} keep every float"
        )
    return made if made.refined else made.without_floats()


def _room_in_lists(index: HammingIndex | InvertedFile, width: int, budget: float) -> float:
    """Return the bytes that a budget leaves for a row in lists around embeddings, where every list ends in an empty lane."""
    n, n_lists = len(index), default_n_vector_lists(len(index))
    n_slots = n + (_native.BLOCK - 1) * n_lists
    of_slot = index.n_bits / 8 + _OF_PLACE + index.has_bias
    of_centres = (n_lists + 1) * (width * _OF_CENTRE_ENTRY + _OF_CENTRE)
    return (budget * n - of_centres) / n_slots - of_slot


def check_budget(value: Any) -> float:
    """Return bytes an item, above 0."""
    return check_float("bytes_per_item", value, minimum=0, maximum=_LARGEST_BUDGET, open_minimum=True)
