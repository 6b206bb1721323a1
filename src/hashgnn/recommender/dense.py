"""Scores of every item for a block of queries: the definition of each search way, in plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashgnn.codes import BinaryCodes, ItemBias

Array = np.ndarray[Any, Any]

_STEPS = np.float32(1 << 13)  # a query of 1024 bits, as long as its code, adds up to 1024 at most: 23 bits
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
    """Return ``queries · signs + bias``, shape (n_queries, n_codes), float32, of queries brought to the length of codes.

    Then they are rounded to steps of 2^-13: their sums are exact in whatever order they are added, so that equal
    codes tie.
    """
    steps = np.rint(to_code_length(queries) * _STEPS) / _STEPS
    return code_scores(steps, codes, bias)


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
