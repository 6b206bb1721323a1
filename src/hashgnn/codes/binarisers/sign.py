"""Signs of the coordinates, as they are or along the principal axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from hashgnn._rng import RngLike
from hashgnn._types import Array
from hashgnn.codes.binarisers._spectra import principal_axes
from hashgnn.codes.binarisers.base import LinearBinariser, check_fit
from hashgnn.errors import ParameterError


@dataclass(frozen=True, eq=False, repr=False)
class SignBinariser(LinearBinariser):
    """One bit per coordinate: its sign.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.array([[0.5, -2, 0, 1, -1, 3, -0.1, 2]])
    >>> SignBinariser.fit(rows, n_bits=8).encode(rows).signs()
    array([[ 1, -1,  1,  1, -1,  1, -1,  1]], dtype=int8)
    """

    @classmethod
    def fit(cls, embeddings: Array, *, n_bits: int, rng: RngLike = None) -> Self:
        """Return the binariser; it learns nothing, and ``n_bits`` must be the embeddings' width."""
        rows, width = check_fit(embeddings, n_bits)
        if rows.shape[1] != width:
            raise ParameterError(
                f"n_bits must be the width of the embeddings, {rows.shape[1]}, for sign, got {width}; "
                "use pca_sign for shorter codes, lsh for longer ones"
            )
        return cls(np.zeros(width, np.float32), np.eye(width, dtype=np.float32))


@dataclass(frozen=True, eq=False, repr=False)
class PcaSignBinariser(LinearBinariser):
    """One bit per principal axis: the side of the mean on which a row lies."""

    @classmethod
    def fit(cls, embeddings: Array, *, n_bits: int, rng: RngLike = None, center: bool = True) -> Self:
        """Return the binariser of the ``n_bits`` leading axes.

        Parameters
        ----------
        embeddings : ndarray of shape (n, dim), float32 or float64
        n_bits : int
            At most ``dim``.
        rng : int, numpy.random.Generator or None, default=None
            Not drawn from.
        center : bool, default=True
            Measure from the mean; ``False`` from the origin, which keeps inner products as they are.
        """
        rows, width = check_fit(embeddings, n_bits, widest="pca_sign")
        mean, axes = principal_axes(rows, width, center=center)
        return cls(mean.astype(np.float32), axes.astype(np.float32))
