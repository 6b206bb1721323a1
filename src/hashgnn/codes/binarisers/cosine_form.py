"""Conversion of inner products to cosines, for methods that approximate angles."""

from __future__ import annotations

import numpy as np

from hashgnn._checks import check_matrix
from hashgnn._types import Array


def cosine_form(users: Array, items: Array) -> tuple[Array, Array]:
    """Return unit rows, one column wider, whose cosines rank the items of a user as inner products did.

    An item gets ``sqrt(M² - ‖x‖²)`` as its further entry, with M the largest item norm, a user gets 0; then
    every row is divided by its length. All items come to length M, so for one user the cosine is its inner
    product times a constant.

    Parameters
    ----------
    users : ndarray of shape (n_users, dim), float32 or float64
    items : ndarray of shape (n_items, dim), float32 or float64

    Returns
    -------
    users : ndarray of shape (n_users, dim + 1), float32
        A row of zeros stays one.
    items : ndarray of shape (n_items, dim + 1), float32

    References
    ----------
    Bachrach et al., RecSys 2014; Neyshabur, Srebro, *On symmetric and asymmetric LSHs for inner product
    search*, ICML 2015 (Simple-LSH).

    Examples
    --------
    >>> import numpy as np
    >>> users, items = cosine_form(np.array([[2.0, 0.0]]), np.array([[3.0, 4.0], [0.0, 1.0]]))
    >>> (users @ items.T).round(2)
    array([[0.6, 0. ]], dtype=float32)
    """
    queries = check_matrix("users", users, dtype=np.float64)
    stored = check_matrix("items", items, dtype=np.float64, n_columns=queries.shape[1])
    lengths = np.linalg.norm(queries, axis=1, keepdims=True)
    unit = np.pad(queries / np.where(lengths > 0, lengths, 1.0), ((0, 0), (0, 1)))
    squares = (stored**2).sum(axis=1)
    largest = float(squares.max(initial=0.0))
    wide = np.column_stack([stored, np.sqrt(np.maximum(largest - squares, 0.0))])
    return unit.astype(np.float32), (wide / (largest**0.5 or 1.0)).astype(np.float32)
