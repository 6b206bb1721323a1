"""The contract of binarisers: maps from float embeddings to codes, without end-to-end training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import numpy as np

from hashgnn._checks import check_bits, check_matrix
from hashgnn._printing import ShortRepr
from hashgnn._rng import RngLike
from hashgnn._types import Array
from hashgnn.codes.binary_codes import BinaryCodes
from hashgnn.errors import ParameterError

_BLOCK_ROWS = 16384


class Binariser(ABC):
    """A fitted map from embeddings to codes: arrays and a rule, frozen.

    Users and items to be compared are encoded by the same binariser. It is fitted on rows of either or
    both; :func:`~hashgnn.codes.binarisers.cosine_form` first turns inner products into cosines, which
    the published methods approximate.
    """

    @classmethod
    @abstractmethod
    def fit(cls, embeddings: Array, *, n_bits: int, rng: RngLike = None) -> Self:
        """Return a binariser fitted to rows ``embeddings`` (n, dim), float.

        Parameters
        ----------
        embeddings : ndarray of shape (n, dim), float32 or float64
        n_bits : int
            Width of a code, a positive multiple of 8.
        rng : int, numpy.random.Generator or None, default=None
            One seed gives one binariser.

        Raises
        ------
        ParameterError
            If the embeddings are not finite, or too few or too narrow for ``n_bits``.
        """

    @property
    @abstractmethod
    def dim(self) -> int:
        """Width of the embeddings it takes."""

    @property
    @abstractmethod
    def n_bits(self) -> int:
        """Width of the codes it makes."""

    @abstractmethod
    def _project(self, rows: Array) -> Array:
        """Return the values whose signs are the bits, for a block of checked float32 rows."""

    def project(self, embeddings: Array) -> Array:
        """Return the values whose signs are the bits: the float query of an asymmetric search.

        Parameters
        ----------
        embeddings : ndarray of shape (n, dim), float32 or float64

        Returns
        -------
        ndarray of shape (n, n_bits), float32
        """
        rows = check_matrix("embeddings", embeddings, dtype=np.float32, n_columns=self.dim)
        result = np.empty((len(rows), self.n_bits), np.float32)
        for start in range(0, len(rows), _BLOCK_ROWS):
            result[start : start + _BLOCK_ROWS] = self._project(rows[start : start + _BLOCK_ROWS])
        return result

    def encode(self, embeddings: Array) -> BinaryCodes:
        """Return the codes of rows (n, dim): the signs of :meth:`project`, 0 counted as +1."""
        return BinaryCodes.from_signs(self.project(embeddings))


@dataclass(frozen=True, eq=False, repr=False)
class LinearBinariser(ShortRepr, Binariser):
    """A binariser of the form ``sign((x - offset) @ matrix)``.

    Attributes
    ----------
    offset : ndarray of shape (dim,), float32
    matrix : ndarray of shape (dim, n_bits), float32
    """

    offset: Array
    matrix: Array

    @property
    def dim(self) -> int:
        """Width of the embeddings it takes."""
        return int(self.matrix.shape[0])

    @property
    def n_bits(self) -> int:
        """Width of the codes it makes."""
        return int(self.matrix.shape[1])

    def _project(self, rows: Array) -> Array:
        result: Array = (rows - self.offset) @ self.matrix
        return result


def check_fit(embeddings: Array, n_bits: int, *, widest: str | None = None) -> tuple[Array, int]:
    """Return the embeddings as float64 and the checked ``n_bits``.

    Parameters
    ----------
    embeddings : ndarray of shape (n, dim), n >= 1
    n_bits : int
    widest : str, optional
        Name of a method whose ``n_bits`` is limited by the width of the embeddings.
    """
    rows = check_matrix("embeddings", embeddings, dtype=np.float64)
    if 0 in rows.shape:
        raise ParameterError(f"embeddings must have at least one row and one column, got {rows.shape}")
    width = check_bits(n_bits)
    if widest is not None and width > rows.shape[1]:
        raise ParameterError(
            f"n_bits must be at most the width of the embeddings, {rows.shape[1]}, for {widest}, got {width}; "
            "use lsh for longer codes"
        )
    return rows, width
