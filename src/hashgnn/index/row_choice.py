"""Which rows of few bits find most within so many bytes."""

from __future__ import annotations

import numpy as np

from hashgnn import _native
from hashgnn._types import Array
from hashgnn.index.stores.row_quantiser import ROW_BITS, Directions, RowQuantiser, row_bytes_of

_JUDGED = 32  # queries
_NEAR = 10  # exact best for each result, among which rows must find the first
_BLOCK_PRODUCTS = 1 << 22


def best_quantiser(embeddings: Array, queries: Array, n_bytes: int, k: int) -> RowQuantiser:
    """Return the quantiser for rows of at most so many bytes that finds most of the exact best ``k``.

    For each number of bits an entry, the leading directions that fit are kept. What they find is judged on
    some queries, among the exact best ``10 * k`` of each.

    Parameters
    ----------
    embeddings : ndarray of shape (n, width), float32
    queries : ndarray of shape (n_queries, width), float32
    n_bytes : int
        At least 16.
    k : int
    """
    directions, width = Directions.of(embeddings, queries), int(np.shape(embeddings)[1])
    sizes = {}
    for bits in ROW_BITS:
        step = _native.row_step(bits)
        if n_bytes >= step:
            sizes[bits] = min(n_bytes // step * step, row_bytes_of(width, bits))
    judged = np.asarray(queries[:: max(1, len(queries) // _JUDGED)][:_JUDGED], np.float32)
    near = _nearest(judged, embeddings, min(_NEAR * k, len(embeddings)))
    some, places = np.unique(near, return_inverse=True)
    places = places.reshape(near.shape)
    vectors = np.asarray(embeddings[some], np.float32)
    exact = np.take_along_axis(judged @ vectors.T, places, 1)
    kept = min(k, exact.shape[1])
    worst = np.partition(exact, -kept, axis=1)[:, -kept:].min(axis=1)[:, None]
    best: tuple[float, int, RowQuantiser] | None = None
    for bits, size in sizes.items():
        quantiser = directions.quantiser(bits, size, rng=0)
        turned = (judged @ quantiser.of_queries)[:, : quantiser.n_entries]
        scores = np.take_along_axis(turned @ quantiser.decoded(quantiser.quantise(vectors)).T, places, 1)
        first = np.argpartition(-scores, kept - 1, axis=1)[:, :kept]
        share = float((np.take_along_axis(exact, first, 1) >= worst).mean())
        if best is None or (share, -size) > (best[0], -best[1]):
            best = share, size, quantiser
    assert best is not None
    return best[2]


def _nearest(queries: Array, rows: Array, k: int) -> Array:
    """Return the positions of the ``k`` best inner products of each query, in no order."""
    best = np.full((len(queries), k), -np.inf, np.float32)
    positions = np.zeros((len(queries), k), np.int64)
    block = max(k, _BLOCK_PRODUCTS // len(queries))
    for start in range(0, len(rows), block):
        products = queries @ np.asarray(rows[start : start + block], np.float32).T
        scores = np.hstack([best, products])
        places = np.hstack(
            [positions, np.broadcast_to(np.arange(start, start + products.shape[1]), products.shape)]
        )
        kept = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        best, positions = (np.take_along_axis(part, kept, 1) for part in (scores, places))
    return positions
