"""Linear algebra that several binarisers share."""

from __future__ import annotations

import numpy as np

from hashgnn._types import Array


def principal_axes(rows: Array, n_axes: int, *, center: bool = True) -> tuple[Array, Array]:
    """Return the mean (zeros without ``center``) and the leading axes of rows.

    Parameters
    ----------
    rows : ndarray of shape (n, dim), float64
    n_axes : int, <= dim
    center : bool, default=True
        Axes of the covariance; ``False`` takes the second moment about the origin.

    Returns
    -------
    mean : ndarray of shape (dim,)
    axes : ndarray of shape (dim, n_axes)
        Orthonormal columns, the one of largest variance first; the entry of each that is largest in size
        is positive, so that one data set has one answer.
    """
    mean = rows.mean(axis=0) if center else np.zeros(rows.shape[1])
    centred = rows - mean
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return mean, with_fixed_signs(vectors[:, ::-1][:, :n_axes])


def with_fixed_signs(columns: Array) -> Array:
    """Return columns turned so that the entry of each that is largest in size is positive."""
    largest = columns[np.abs(columns).argmax(axis=0), np.arange(columns.shape[1])]
    return columns * np.where(largest < 0, -1.0, 1.0)


def random_rotation(size: int, rng: np.random.Generator) -> Array:
    """Return an orthogonal matrix (size, size), uniform over all of them."""
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    rotation: Array = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return rotation
