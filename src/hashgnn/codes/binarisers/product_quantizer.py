"""Product quantisation by faiss: no binary codes, but the alternative at equal bytes."""

from __future__ import annotations

from typing import Self

import numpy as np

from hashgnn._checks import check_matrix
from hashgnn._extras import require
from hashgnn._rng import RngLike, as_seed
from hashgnn._types import Array
from hashgnn.codes.binarisers.base import check_fit
from hashgnn.errors import ParameterError

_CENTRES = 256  # one byte names one


class ProductQuantizer:
    """One byte per part of the embedding: the nearest of 256 centres that k-means finds for that part.

    Scores are inner products of a float query with the decoded bytes, so a search costs floats
    where Hamming distance costs bits.

    Parameters
    ----------
    centres : ndarray of shape (n_bytes, 256, part_dim), float32
    dim : int
        Width of the embeddings; zeros fill the last parts up.

    References
    ----------
    Jégou, Douze, Schmid, *Product quantization for nearest neighbor search*, PAMI 2011.
    """

    def __init__(self, centres: Array, dim: int) -> None:
        self.centres, self.dim = centres, dim

    @classmethod
    def fit(cls, embeddings: Array, *, n_bits: int, rng: RngLike = None) -> Self:
        """Return a quantizer of ``n_bits // 8`` bytes per row; needs faiss, the extra ``benchmark``.

        Parameters
        ----------
        embeddings : ndarray of shape (n, dim), float32 or float64
            At least 256 rows.
        n_bits : int
            A positive multiple of 8; no more bytes than the embeddings are wide.
        rng : int, numpy.random.Generator or None, default=None
            Seeds k-means.

        Raises
        ------
        MissingExtraError
            If faiss is not installed.
        ParameterError
            If there are fewer rows than centres, or more bytes than columns.
        """
        faiss = require("faiss", extra="benchmark", purpose="product quantisation")
        rows, width = check_fit(embeddings, n_bits)
        n_bytes, dim = width // 8, rows.shape[1]
        if len(rows) < _CENTRES:
            raise ParameterError(f"embeddings must have at least {_CENTRES} rows, got {len(rows)}")
        if n_bytes > dim:
            raise ParameterError(
                f"n_bits must be at most 8 for each of the {dim} columns of the embeddings, got {width}"
            )
        parts = -(-dim // n_bytes)
        quantizer = faiss.ProductQuantizer(parts * n_bytes, n_bytes, 8)
        quantizer.cp.seed = as_seed(rng) % 2**31
        quantizer.cp.min_points_per_centroid = 1
        quantizer.train(_padded(rows, parts * n_bytes))
        centres = faiss.vector_to_array(quantizer.centroids).reshape(n_bytes, _CENTRES, parts)
        return cls(centres.copy(), dim)

    @property
    def n_bytes(self) -> int:
        """Bytes per row."""
        return len(self.centres)

    def encode(self, embeddings: Array) -> Array:
        """Return the nearest centre of each part, (n, n_bytes) uint8; ties go to the lower number."""
        rows = check_matrix("embeddings", embeddings, dtype=np.float32, n_columns=self.dim)
        n_bytes, _, part = self.centres.shape
        parts = _padded(rows, n_bytes * part).reshape(len(rows), n_bytes, part)
        codes = np.empty((len(rows), n_bytes), np.uint8)
        for index, centres in enumerate(self.centres):
            # ‖x - c‖² less ‖x‖², which is the same for all centres.
            codes[:, index] = ((centres**2).sum(axis=1) - 2 * parts[:, index] @ centres.T).argmin(axis=1)
        return codes

    def decode(self, codes: Array) -> Array:
        """Return the embeddings (n, dim) float32 that codes (n, n_bytes) stand for."""
        parts = self.centres[np.arange(self.n_bytes), codes]
        return np.ascontiguousarray(parts.reshape(len(codes), -1)[:, : self.dim])

    def scores(self, queries: Array, codes: Array) -> Array:
        """Return inner products (n_queries, n) of float queries with decoded codes (n, n_bytes)."""
        floats = check_matrix("queries", queries, dtype=np.float32, n_columns=self.dim)
        result: Array = floats @ self.decode(codes).T
        return result


def _padded(rows: Array, width: int) -> Array:
    return np.pad(rows.astype(np.float32), ((0, 0), (0, width - rows.shape[1])))
