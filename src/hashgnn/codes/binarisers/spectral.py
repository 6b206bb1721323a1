"""Spectral hashing: the smoothest eigenfunctions of a box, cut at zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from hashgnn._printing import ShortRepr
from hashgnn._rng import RngLike
from hashgnn._types import Array
from hashgnn.codes.binarisers._spectra import principal_axes
from hashgnn.codes.binarisers.base import Binariser, check_fit


@dataclass(frozen=True, eq=False, repr=False)
class SpectralBinariser(ShortRepr, Binariser):
    """Bits ``sign(cos(k π (v_j - a_j) / (b_j - a_j)))`` over principal components v, for chosen pairs (j, k).

    Were the components uniform over the box ``[a_j, b_j]``, these cosines would be the eigenfunctions of
    its Laplacian with eigenvalue ``(k π / (b_j - a_j))²``. The ``n_bits`` smallest are taken: several along
    a long axis before one along a short one, so codes may be longer than the embeddings are wide.

    Attributes
    ----------
    mean : ndarray of shape (dim,), float32
    axes : ndarray of shape (dim, n_axes), float32
    lowest, extent : ndarray of shape (n_axes,), float32
        ``a_j`` and ``b_j - a_j``.
    axis, mode : ndarray of shape (n_bits,), int64
        The pairs (j, k), smoothest first.

    References
    ----------
    Weiss, Torralba, Fergus, *Spectral hashing*, NIPS 2008.
    """

    mean: Array
    axes: Array
    lowest: Array
    extent: Array
    axis: Array
    mode: Array

    @classmethod
    def fit(cls, embeddings: Array, *, n_bits: int, rng: RngLike = None) -> Self:
        """Return the binariser of the box that holds the rows.

        Parameters
        ----------
        embeddings : ndarray of shape (n, dim), float32 or float64
        n_bits : int
        rng : int, numpy.random.Generator or None, default=None
            Not drawn from.
        """
        rows, width = check_fit(embeddings, n_bits)
        mean, axes = principal_axes(rows, min(width, rows.shape[1]))
        components = (rows - mean) @ axes
        lowest = components.min(axis=0)
        # An axis along which nothing varies has no eigenfunctions but one of infinite frequency.
        extent = np.maximum(components.max(axis=0) - lowest, 1e-12)
        axis, mode = (grid.ravel() for grid in np.indices((len(extent), width)))
        chosen = np.argsort(((mode + 1) / extent[axis]) ** 2, kind="stable")[:width]
        return cls(
            mean.astype(np.float32),
            axes.astype(np.float32),
            lowest.astype(np.float32),
            extent.astype(np.float32),
            axis[chosen],
            mode[chosen] + 1,
        )

    @property
    def dim(self) -> int:
        """Width of the embeddings it takes."""
        return int(self.axes.shape[0])

    @property
    def n_bits(self) -> int:
        """Width of the codes it makes."""
        return len(self.mode)

    def _project(self, rows: Array) -> Array:
        place = ((rows - self.mean) @ self.axes - self.lowest) / self.extent
        result: Array = np.cos(np.pi * self.mode * place[:, self.axis])
        return result
