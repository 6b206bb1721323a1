"""Clusters of embeddings: k-means, with embeddings and centres rounded to bytes where they are compared."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hashgnn import _native
from hashgnn._types import Array

# Embeddings for each centre, round by round: centres that are far from their place need few.
_SAMPLES = (16, 32, 64)
_NEAR_IN_ROUNDS, _NEAR = 6, 16  # groups of centres in which the nearest is looked for: in rounds, and at last
_ROUNDS_OF_TWO = 6
_ROOTS = 8  # lists for each square root of the embeddings
_LIST = 120  # embeddings of a list, about: of shorter ones the last blocks would be nearly empty
_BLOCK = 1 << 14

#: Returns the embeddings of some entries, shape (len(entries), width), float32.
EmbeddingsOf = Callable[[Array], Array]


def clustered(
    embeddings_of: EmbeddingsOf, n: int, n_centres: int, *, rng: np.random.Generator, n_threads: int
) -> tuple[Array, Array]:
    """Cut ``n`` embeddings into lists by k-means.

    Rounds move the centres by samples, each larger than the one before and holding it. Then all embeddings go to
    their nearest centres, and the centres to the means of all. The first centres are embeddings, drawn without
    repetition. One without members stays.

    Returns
    -------
    centres : ndarray of shape (n_centres, width), float32
    nearest : ndarray of shape (n,), int64
        List of each embedding.
    """
    drawn = rng.choice(n, min(n, n_centres * _SAMPLES[-1]), replace=False)
    centres = embeddings_of(drawn[:n_centres])
    for size in _SAMPLES:
        entries = np.sort(drawn[: n_centres * size])
        _, centres = _moved(embeddings_of, entries, centres, _NEAR_IN_ROUNDS, n_threads)
    nearest, centres = _moved(embeddings_of, np.arange(n), centres, _NEAR, n_threads)
    return centres, nearest


def _moved(
    embeddings_of: EmbeddingsOf, entries: Array, centres: Array, n_groups: int, n_threads: int
) -> tuple[Array, Array]:
    """Return the nearest centre of each of some entries, and the centres moved to the means of these entries."""
    one_more = np.concatenate([centres, centres[:1]])  # a table has one more than there are lists
    table, nearest = _native.CentreTable(one_more), np.empty(len(entries), np.int64)
    sums, counts = np.zeros_like(centres), np.zeros(len(centres), np.int64)
    for start in range(0, len(entries), _BLOCK):
        part = slice(start, start + _BLOCK)
        some = embeddings_of(entries[part])
        lists = table.nearest(some, len(centres), n_threads, n_groups)
        _native.add_to_lists(some, lists, sums, counts)
        nearest[part] = lists
    return nearest, divided(sums, counts, centres)


def assign_vectors(
    embeddings_of: EmbeddingsOf, n: int, table: _native.CentreTable, n_centres: int, *, n_threads: int
) -> Array:
    """Return the nearest centre of each of ``n`` embeddings, shape (n,), int64; ties to the smaller."""
    nearest = np.empty(n, np.int64)
    for start in range(0, n, _BLOCK):
        entries = np.arange(start, min(n, start + _BLOCK))
        nearest[entries] = table.nearest(embeddings_of(entries), n_centres, n_threads, _NEAR)
    return nearest


def means(embeddings: Array, nearest: Array, centres: Array) -> Array:
    """Return the mean of the embeddings in each list; a list without embeddings keeps its centre."""
    sums, counts = np.zeros_like(centres), np.zeros(len(centres), np.int64)
    _native.add_to_lists(embeddings, np.asarray(nearest, np.int32), sums, counts)
    return divided(sums, counts, centres)


def divided(sums: Array, counts: Array, centres: Array) -> Array:
    """Return means from sums and counts of lists; a list without entries keeps its centre."""
    found: Array = np.array(centres)
    np.divide(sums, counts[:, None].astype(np.float32), out=found, where=counts[:, None] > 0)
    return found


def radii_of(lists: Array, squares: Array, n_lists: int, known: Array | None = None) -> Array:
    """Return the root mean square distance of the entries of each list to its centre, shape (n_lists,), float64.

    Parameters
    ----------
    lists, squares : ndarray of shape (n,)
        List of each entry, and the square of its distance.
    n_lists : int
    known : ndarray of shape (2, n_lists), optional
        How many entries each list holds besides, and their radius.
    """
    counts = np.bincount(lists, minlength=n_lists).astype(np.float64)
    sums = np.bincount(lists, weights=squares, minlength=n_lists)
    if known is not None:
        counts += known[0]
        sums += known[0] * known[1] ** 2
    found: Array = np.sqrt(sums / np.maximum(counts, 1))
    return found


def two_centres(embeddings: Array) -> tuple[Array, Array]:
    """Cut the embeddings of a list in two: 2-means, begun with the one furthest from the mean and the one furthest from that.

    Returns
    -------
    centres : ndarray of shape (2, width), float32
    is_second : ndarray of shape (len(embeddings),), bool
        Which embeddings are nearer to the second centre.
    """
    first = embeddings[np.argmax(_squares(embeddings, embeddings.mean(axis=0)))]
    centres = np.stack([first, embeddings[np.argmax(_squares(embeddings, first))]])
    is_second = np.zeros(len(embeddings), bool)
    for _ in range(_ROUNDS_OF_TWO):
        is_second = _squares(embeddings, centres[1]) < _squares(embeddings, centres[0])
        centres = means(embeddings, is_second.astype(np.int64), centres)
    return centres, is_second


def default_n_vector_lists(n: int) -> int:
    """Return how many lists suit so many embeddings: about eight square roots, as a power of two, or fewer of 120 each."""
    ideal = max(1.0, min(_ROOTS * np.sqrt(max(n, 1)), n / _LIST))
    return int(min(2 ** int(np.round(np.log2(ideal))), max(1, n // _native.BLOCK)))


def _squares(embeddings: Array, centre: Array) -> Array:
    moved = embeddings - centre
    squares: Array = np.einsum("ij,ij->i", moved, moved)
    return squares
