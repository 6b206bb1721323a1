"""Scores of every item for a block of queries: the definition of each search way, in plain NumPy.

The kernels find the best by these scores. ``native/core/queries.cpp`` rounds float queries in the same way.
"""

from __future__ import annotations

import numpy as np

from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias

# Raised with every change of the scores of a search way: results across it are not comparable.
SCORING = 2

_SMALLEST_BIASED_STEP = np.float32(1 / 128)
_BLOCK = 16384  # codes unpacked at a time; a sign takes 32 times the memory of a bit


def code_scores(queries: Array, codes: BinaryCodes, bias: ItemBias | None) -> Array:
    """Return ``queries · signs + bias``, shape (n_queries, n_codes), float32.

    Parameters
    ----------
    queries : ndarray of shape (n_queries, n_bits), int8 or float32
        Signs for the score between codes, ``n_bits - 2 * distance``, which is exact.
    codes : BinaryCodes of shape (n_codes, n_bits)
    bias : ItemBias of length n_codes, or None
    """
    floats = np.ascontiguousarray(queries, np.float32)
    scores = np.empty((len(queries), len(codes)), np.float32)
    for start in range(0, len(codes), _BLOCK):
        block = slice(start, start + _BLOCK)
        np.matmul(floats, codes[block].signs().T.astype(np.float32), out=scores[:, block])
    if bias is not None:
        scores += bias.values()
    return scores


def rounded_queries(queries: Array, *, query_bits: int = 4, biased: bool) -> tuple[Array, Array]:
    """Round float queries as the kernels of an index do.

    An entry becomes the nearest odd multiple of a step of its query. The step is the largest entry by
    absolute value, divided by ``2 ** query_bits - 1``. Where an item bias is added it is at least 1/128.

    Parameters
    ----------
    queries : ndarray of shape (n_queries, n_bits), float32
    query_bits : int, default=4
    biased : bool
        Whether an item bias is added to the scores.

    Returns
    -------
    multiples : ndarray of shape (n_queries, n_bits), float32
        Odd whole numbers from ``-(2 ** query_bits - 1)`` to ``2 ** query_bits - 1``; 0 in a query of zeros.
    steps : ndarray of shape (n_queries,), float32
        Points of score of one unit.

    Examples
    --------
    >>> multiples, steps = rounded_queries(np.array([[3.0, -1.2, 0.1]], np.float32), query_bits=2, biased=False)
    >>> multiples, steps
    (array([[ 3., -1.,  1.]], dtype=float32), array([1.], dtype=float32))
    """
    levels = np.float32(2**query_bits - 1)
    steps = np.abs(queries).max(axis=1, initial=0) / levels
    if biased:
        steps = np.maximum(steps, _SMALLEST_BIASED_STEP)
    steps[steps == 0] = 1  # a query of zeros
    places = np.clip(np.rint((queries / steps[:, None] + levels) * np.float32(0.5)), 0, levels)
    multiples = 2 * places - levels
    multiples[~queries.any(axis=1)] = 0
    return multiples, steps


def rounded_penalties(penalty: Array, step: float) -> Array:
    """Return what item penalties take off a score, in steps of a query, as the kernels round it.

    Parameters
    ----------
    penalty : ndarray of shape (n_codes,), uint8
    step : float
        Of one query, at least 1/128.

    Returns
    -------
    ndarray of shape (n_codes,), float32
        Even whole numbers: twice the penalty divided by the step, rounded down. The divisor is rounded to a 256th.
    """
    scale = int(np.rint(min(np.float32(256) / np.float32(step), np.float32(32768))))
    points: Array = (2 * ((np.arange(256) * scale) >> 8)).astype(np.float32)[penalty]
    return points


def asymmetric_scores(queries: Array, codes: BinaryCodes, bias: ItemBias | None) -> Array:
    """Return ``queries · signs + bias`` of float queries as an index rounds them.

    The rounding is that of :class:`~hashgnn.index.HammingIndex` with 4 query bits. Sums are of whole numbers,
    so what the index finds is what these scores rank first, ties included.

    Parameters
    ----------
    queries : ndarray of shape (n_queries, n_bits), float32
    codes : BinaryCodes of shape (n_codes, n_bits)
    bias : ItemBias of length n_codes, or None

    Returns
    -------
    ndarray of shape (n_queries, n_codes), float32
    """
    multiples, steps = rounded_queries(queries, biased=bias is not None)
    scores = code_scores(multiples, codes, None)
    if bias is not None:
        for row, step in enumerate(steps):
            scores[row] -= rounded_penalties(bias.penalty, step)
    scores *= steps[:, None]
    if bias is not None:
        scores += np.float32(bias.top)
    return scores


def to_code_length(queries: Array) -> Array:
    """Scale float queries to the norm of a code, ``sqrt(n_bits)``. A row of zeros stays.

    An item bias that was learned with codes then has the same weight for floats as for codes.

    Parameters
    ----------
    queries : ndarray of shape (n, n_bits), float32
    """
    scaled: Array = queries * (np.sqrt(np.float32(queries.shape[1])) * inverse_lengths(queries)[:, None])
    return scaled


def float_scores(queries: Array, table: Array, inverse_norms: Array | None = None) -> Array:
    """Return inner products, shape (n_queries, n_rows), float32; cosines where norms are given."""
    scores: Array = queries @ table.T
    if inverse_norms is not None:
        scores *= inverse_norms
        scores *= inverse_lengths(queries)[:, None]
    return scores


def inverse_lengths(table: Array) -> Array:
    """Return one over the norm of each row, float32; 0 for a row of zeros, whose cosine is 0."""
    lengths = np.sqrt(np.einsum("ij,ij->i", table, table, dtype=np.float32))
    inverse: Array = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return inverse
