"""Confidence intervals of means over users, by resampling the users."""

from __future__ import annotations

import numpy as np

from hashgnn._checks import check_float, check_int
from hashgnn._rng import RngLike, as_generator
from hashgnn._types import Array
from hashgnn.errors import ParameterError

_BLOCK_CELLS = 4_000_000  # draws held at a time


def resampled_means(values: Array, n_resamples: int, *, rng: RngLike = None) -> Array:
    """Return the mean of each column over users drawn with replacement, again and again.

    Parameters
    ----------
    values : ndarray of shape (n_users, n_columns), float
    n_resamples : int
    rng : int, numpy.random.Generator or None, default=None

    Returns
    -------
    ndarray of shape (n_resamples, n_columns), float64
        One row is one draw of users, the same for all columns.
    """
    generator = as_generator(rng)
    n_users = len(values)
    table = np.asarray(values, np.float64)
    means = np.empty((n_resamples, table.shape[1]))
    step = max(1, _BLOCK_CELLS // n_users)
    for start in range(0, n_resamples, step):
        stop = min(start + step, n_resamples)
        drawn = generator.integers(n_users, size=(stop - start, n_users))
        drawn += n_users * np.arange(stop - start)[:, None]
        times = np.bincount(drawn.ravel(), minlength=(stop - start) * n_users)
        means[start:stop] = times.reshape(stop - start, n_users) @ table / n_users
    return means


def bootstrap_intervals(
    values: Array, *, n_resamples: int = 1000, confidence: float = 0.95, rng: RngLike = None
) -> Array:
    """Return a percentile bootstrap interval for the mean of each column.

    Parameters
    ----------
    values : ndarray of shape (n_users, n_columns), float
        A row is a user. Users are resampled, so columns keep their pairing.
    n_resamples : int, default=1000
    confidence : float, default=0.95
    rng : int, numpy.random.Generator or None, default=None

    Returns
    -------
    ndarray of shape (n_columns, 2), float64
        Low and high end.

    Raises
    ------
    ParameterError
        If an argument breaks its rule or there are no users.

    Examples
    --------
    >>> bootstrap_intervals(np.full((5, 1), 0.25), rng=0)
    array([[0.25, 0.25]])
    """
    check_int("n_resamples", n_resamples, minimum=1)
    check_float("confidence", confidence, minimum=0, maximum=1, open_minimum=True, open_maximum=True)
    if values.ndim != 2 or not len(values):
        raise ParameterError(
            f"values must have shape (n_users, n_columns), one user or more, got {values.shape}"
        )
    tail = (1 - confidence) / 2
    means = resampled_means(values, n_resamples, rng=rng)
    ends: Array = np.quantile(means, [tail, 1 - tail], axis=0).T
    return ends
