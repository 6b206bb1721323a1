"""Clusters of embeddings: k-means, with embeddings and centres rounded to bytes where they are compared."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hashgnn import _native
from hashgnn._types import Array

_EMBEDDINGS_A_LIST = 24  # of the sample, for each centre: more moves centres little
_ROUNDS = 6
_ROOTS = 8  # lists for each square root of the embeddings
_LIST = 120  # embeddings of a list, about: of shorter ones the last blocks would be nearly empty
_BLOCK = 1 << 14

#: Returns the embeddings of some entries, shape (len(entries), width), float32.
EmbeddingsOf = Callable[[Array], Array]


def train_centres(
    embeddings_of: EmbeddingsOf, n: int, n_centres: int, *, rng: np.random.Generator, n_threads: int
) -> Array:
    """Return the centres of a sample of ``n`` embeddings, shape (n_centres, width), float32.

    The first centres are embeddings of the sample, drawn without repetition. One without members stays.
    """
    n_sample = min(n, n_centres * _EMBEDDINGS_A_LIST)
    sample = embeddings_of(np.sort(rng.choice(n, n_sample, replace=False)))
    centres = sample[rng.choice(n_sample, n_centres, replace=False)]
    for _ in range(_ROUNDS):
        nearest = _native.CentreTable(centres).nearest(sample, n_centres, n_threads)
        centres = means(sample, nearest, centres)
    return centres


def assign_vectors(
    embeddings_of: EmbeddingsOf, n: int, table: _native.CentreTable, n_centres: int, *, n_threads: int
) -> Array:
    """Return the nearest centre of each of ``n`` embeddings, shape (n,), int64; ties to the smaller."""
    nearest = np.empty(n, np.int64)
    for start in range(0, n, _BLOCK):
        entries = np.arange(start, min(n, start + _BLOCK))
        nearest[entries] = table.nearest(embeddings_of(entries), n_centres, n_threads)
    return nearest


def means(embeddings: Array, nearest: Array, centres: Array) -> Array:
    """Return the mean of the embeddings in each list; a list without embeddings keeps its centre."""
    return _native.list_means(embeddings, np.asarray(nearest, np.int32), centres)


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
    for _ in range(_ROUNDS):
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
