"""Clusters of codes: k-means in Hamming space, where the centre of a cluster is the majority of each bit."""

from __future__ import annotations

import numpy as np

from hashgnn import _native
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes
from hashgnn.index._arguments import search_arguments
from hashgnn.index._vector_clustering import assign_vectors, divided
from hashgnn.index.stores.segments import code_table, pack_segments

_CODES_A_LIST = 48  # codes of the sample for each centroid: more moves centroids little
_LIST = 240  # codes of a list, at least: the last block of a list is half empty
_ROUNDS = 6
_ROUNDS_OF_MEANS = 2  # a third and fourth find a thousandth more
_BATCH = 1 << 18
_BLOCK = 1 << 14  # codes that are unpacked at a time


def train_centroids(
    codes: BinaryCodes, n_centroids: int, *, rng: np.random.Generator, n_threads: int
) -> BinaryCodes:
    """Return the centroids of a sample of the codes, shape (n_centroids, n_bits).

    The first centroids are codes of the sample, drawn without repetition.
    """
    n_sample = min(len(codes), n_centroids * _CODES_A_LIST)
    sample = codes[np.sort(rng.choice(len(codes), n_sample, replace=False))]
    centroids = sample[rng.choice(len(sample), n_centroids, replace=False)]
    for _ in range(_ROUNDS):
        nearest = assign(sample, centroids, n_threads=n_threads)
        centroids = majorities(sample, nearest, centroids)
    return centroids


def assign(codes: BinaryCodes, centroids: BinaryCodes, *, n_threads: int) -> Array:
    """Return the nearest centroid of each code, shape (len(codes),), int64; ties to the smaller."""
    table = code_table(centroids.n_bits, pack_segments(centroids, None))
    arguments = search_arguments(1, n_threads, None, biased=False, top=None)
    nearest = np.empty(len(codes), np.int64)
    for start in range(0, len(codes), _BATCH):
        rows = slice(start, start + _BATCH)
        nearest[rows] = table.search_codes(codes.packed[rows], arguments)[0][:, 0]
    return nearest


def majorities(codes: BinaryCodes, nearest: Array, centroids: BinaryCodes) -> BinaryCodes:
    """Return the majority of each bit of the codes in each list; a list without codes keeps its centroid."""
    order = np.argsort(nearest, kind="stable")
    lists, starts, counts = np.unique(nearest[order], return_index=True, return_counts=True)
    packed = centroids.packed.copy()
    for byte in range(codes.n_bits // 8):  # one byte at a time: unpacked bits take 8 times the memory
        bits = np.unpackbits(codes.packed[order, byte][:, None], axis=1).astype(np.int32)
        ones = np.add.reduceat(bits, starts, axis=0)
        packed[lists, byte] = np.packbits(2 * ones >= counts[:, None], axis=1)[:, 0]
    return BinaryCodes(packed, codes.n_bits)


def around_means(
    codes: BinaryCodes, nearest: Array, centroids: BinaryCodes, *, n_threads: int
) -> tuple[BinaryCodes, Array]:
    """Move codes to the lists with the nearest means, which say more to float queries than majorities of bits.

    Parameters
    ----------
    codes : BinaryCodes of shape (n, n_bits)
    nearest : ndarray of shape (n,), int64
        The list of each code.
    centroids : BinaryCodes of shape (n_lists, n_bits)

    Returns
    -------
    centroids : BinaryCodes of shape (n_lists, n_bits)
        The majorities of the lists as they are then.
    nearest : ndarray of shape (n,), int64
    """

    def signs_of(entries: Array) -> Array:
        return codes[entries].signs().astype(np.float32)

    centres = centroids.signs().astype(np.float32)
    for _ in range(_ROUNDS_OF_MEANS):
        sums, counts = np.zeros_like(centres), np.zeros(len(centres), np.int64)
        for start in range(0, len(codes), _BLOCK):
            entries = np.arange(start, min(len(codes), start + _BLOCK))
            _native.add_to_lists(signs_of(entries), nearest[entries].astype(np.int32), sums, counts)
        centres = divided(sums, counts, centres)
        # The table has one more than there are lists.
        table = _native.CentreTable(np.concatenate([centres, centres[:1]]))
        nearest = assign_vectors(signs_of, len(codes), table, len(centres), n_threads=n_threads)
    return majorities(codes, nearest, centroids), nearest


def two_centroids(codes: BinaryCodes) -> tuple[BinaryCodes, Array]:
    """Cut the codes of a list in two: 2-means, begun with the code furthest from the majority and the one furthest from that.

    Returns
    -------
    centroids : BinaryCodes of shape (2, n_bits)
    is_second : ndarray of shape (len(codes),), bool
        Which codes are nearer to the second centroid.
    """
    everything = BinaryCodes(np.zeros((1, codes.n_bits // 8), np.uint8), codes.n_bits)
    middle = majorities(codes, np.zeros(len(codes), np.int64), everything)
    first = codes[np.argmax(middle.distances(codes)[:1], axis=1)]
    second = codes[np.argmax(first.distances(codes)[:1], axis=1)]
    centroids = BinaryCodes(np.concatenate([first.packed, second.packed]), codes.n_bits)
    is_second = np.zeros(len(codes), bool)
    for _ in range(_ROUNDS):
        one, other = centroids.distances(codes)
        is_second = other < one
        centroids = majorities(codes, is_second.astype(np.int64), centroids)
    return centroids, is_second


def default_n_lists(n_codes: int) -> int:
    """Return how many lists suit so many codes: about four square roots, as a power of two, or fewer of 240 each."""
    ideal = 4 * np.sqrt(max(n_codes, 1))
    return int(min(2 ** int(np.round(np.log2(ideal))), max(1, n_codes // _LIST)))
