"""Scores of every item for a block of queries: the definition of each search way, in plain NumPy."""

from __future__ import annotations

import numpy as np

from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias

# Raised with every change of what a search way scores: results of before are not those of after.
SCORING = 2

_LEVELS = np.float32(15)  # of 4 query bits, that of an index
_SMALLEST_BIASED_STEP = np.float32(1 / 128)
_BLOCK = 16384  # codes unpacked at a time; a sign takes 32 times the room of a bit


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


def asymmetric_scores(queries: Array, codes: BinaryCodes, bias: ItemBias | None) -> Array:
    """Return ``queries · signs + bias``, shape (n_queries, n_codes), float32, of float queries as an index rounds them.

    That is :class:`~hashgnn.index.HammingIndex` with 4 query bits: entries become odd multiples, up to 15, of a
    fifteenth of the largest, and the bias is rounded down to two of these steps. So sums are of whole numbers, and what
    the index finds is what these scores rank first, ties included.
    """
    steps = np.abs(queries).max(axis=1) / _LEVELS
    if bias is not None:
        steps = np.maximum(steps, _SMALLEST_BIASED_STEP)
    steps[steps == 0] = 1  # a query of zeros
    places = np.clip(np.rint((queries / steps[:, None] + _LEVELS) * np.float32(0.5)), 0, _LEVELS)
    scores = code_scores(2 * places - _LEVELS, codes, None)
    if bias is not None:
        penalty_scales = np.rint(np.minimum(np.float32(256) / steps, np.float32(32768))).astype(np.int64)
        for row, scale in enumerate(penalty_scales):
            points = 2 * ((np.arange(256) * scale) >> 8)
            scores[row] -= points.astype(np.float32)[bias.penalty]
    scores *= steps[:, None]
    if bias is not None:
        scores += np.float32(bias.top)
    return scores


def to_code_length(queries: Array) -> Array:
    """Return float queries (n, n_bits), float32, as long as codes: ``sqrt(n_bits)``. A row of zeros stays.

    A bias that was learned beside codes then weighs as much for floats as it does for them.
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
    """Return one over the length of each row, float32; 0 for a row of zeros, whose cosine is 0."""
    lengths = np.sqrt(np.einsum("ij,ij->i", table, table, dtype=np.float32))
    inverse: Array = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return inverse
