"""Anchors: a few cluster centres, and each row as weights over its nearest ones."""

from __future__ import annotations

import numpy as np

from hashgnn._types import Array

_BLOCK_ROWS = 8192


def k_means(rows: Array, n_centres: int, *, n_iterations: int, rng: np.random.Generator) -> Array:
    """Return ``n_centres`` means of rows (n, dim) after ``n_iterations`` of Lloyd's algorithm.

    The start is that many rows at random. A centre that no row is nearest to stays where it is.
    """
    centres = rows[np.sort(rng.choice(len(rows), n_centres, replace=False))].copy()
    for _ in range(n_iterations):
        nearest = np.concatenate(
            [
                squared_distances(rows[start : start + _BLOCK_ROWS], centres).argmin(axis=1)
                for start in range(0, len(rows), _BLOCK_ROWS)
            ]
        )
        sizes = np.bincount(nearest, minlength=n_centres)
        order = np.argsort(nearest, kind="stable")
        used = np.flatnonzero(sizes)
        starts = np.concatenate([[0], np.cumsum(sizes[used])[:-1]])
        centres[used] = np.add.reduceat(rows[order], starts, axis=0) / sizes[used, None]
    return centres


def squared_distances(rows: Array, centres: Array) -> Array:
    """Return squared Euclidean distances (n_rows, n_centres), not below 0."""
    cross = rows @ centres.T
    result: Array = (rows**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1)[None, :] - 2 * cross
    return np.maximum(result, 0.0)


def nearest_weights(rows: Array, anchors: Array, n_nearest: int, bandwidth: float) -> tuple[Array, Array]:
    """Return the ``n_nearest`` anchors of each row and their weights ``exp(-d² / bandwidth)``, summing to 1.

    Returns
    -------
    columns : ndarray of shape (n, n_nearest), int64
    weights : ndarray of shape (n, n_nearest)
    """
    distances = squared_distances(rows, anchors)
    columns = np.argpartition(distances, n_nearest - 1, axis=1)[:, :n_nearest]
    nearest = np.take_along_axis(distances, columns, axis=1)
    # Measured from the nearest anchor, a row far from all of them has weights too.
    weights = np.exp(-(nearest - nearest.min(axis=1, keepdims=True)) / bandwidth)
    return columns, weights / weights.sum(axis=1, keepdims=True)
