"""Iterative quantisation: the rotation of the principal axes that lies nearest to the cube's corners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from hashgnn._checks import check_int
from hashgnn._rng import RngLike, as_generator
from hashgnn._types import Array
from hashgnn.codes.binarisers._spectra import principal_axes, random_rotation
from hashgnn.codes.binarisers.base import LinearBinariser, check_fit


@dataclass(frozen=True, eq=False, repr=False)
class ItqBinariser(LinearBinariser):
    """Signs of the rotated principal components, the rotation fitted by alternation.

    Attributes
    ----------
    losses : tuple of float
        ``‖B - V R‖²`` before each iteration's new rotation and after the last; it never rises.

    References
    ----------
    Gong, Lazebnik, *Iterative quantization: a procrustean approach to learning binary codes*, CVPR 2011.
    """

    losses: tuple[float, ...] = ()

    @classmethod
    def fit(
        cls,
        embeddings: Array,
        *,
        n_bits: int,
        rng: RngLike = None,
        n_iterations: int = 50,
        center: bool = True,
    ) -> Self:
        """Return the binariser of a random start and ``n_iterations`` alternations.

        Parameters
        ----------
        embeddings : ndarray of shape (n, dim), float32 or float64
        n_bits : int
            At most ``dim``.
        rng : int, numpy.random.Generator or None, default=None
            Draws the first rotation.
        n_iterations : int >= 0, default=50
            0 leaves the random rotation of the principal axes.
        center : bool, default=True
            Measure from the mean, as published; ``False`` from the origin.

        Notes
        -----
        With codes ``B = sign(V R)`` held, the best rotation is ``U Wᵀ`` for ``Vᵀ B = U S Wᵀ``; with the
        rotation held, the best codes are its signs. Each half lowers the loss or leaves it. An iteration
        costs two products of n rows with an (n_bits, n_bits) matrix.
        """
        rows, width = check_fit(embeddings, n_bits, widest="itq")
        check_int("n_iterations", n_iterations, minimum=0)
        mean, axes = principal_axes(rows, width, center=center)
        components = (rows - mean) @ axes
        rotation = random_rotation(width, as_generator(rng))
        losses = []
        for iteration in range(n_iterations + 1):
            rotated = components @ rotation
            signs = np.where(rotated >= 0, 1.0, -1.0)
            losses.append(float(((signs - rotated) ** 2).sum()))
            if iteration < n_iterations:
                left, _, right = np.linalg.svd(components.T @ signs)
                rotation = left @ right
        return cls(mean.astype(np.float32), (axes @ rotation).astype(np.float32), tuple(losses))
