"""Anchor-graph hashing: the low end of a neighbourhood graph's spectrum, through a few anchors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import sparse

from hashgnn._checks import check_int
from hashgnn._printing import ShortRepr
from hashgnn._rng import RngLike, as_generator
from hashgnn._types import Array
from hashgnn.codes.binarisers._anchors import k_means, nearest_weights, squared_distances
from hashgnn.codes.binarisers._spectra import with_fixed_signs
from hashgnn.codes.binarisers.base import Binariser, check_fit
from hashgnn.errors import ParameterError

_ANCHORS = 300  # as in the paper's experiments
_SAMPLE_ROWS = 20000  # more change neither the anchors nor their spread much


@dataclass(frozen=True, eq=False, repr=False)
class AnchorGraphBinariser(ShortRepr, Binariser):
    """Signs of eigenvectors of ``Z Λ⁻¹ Zᵀ``, where Z says how much each row belongs to its nearest anchors.

    Attributes
    ----------
    anchors : ndarray of shape (n_anchors, dim), float32
    bandwidth : float
        Of the weights ``exp(-d² / bandwidth)``: the mean squared distance to the last anchor counted.
    n_nearest : int
        Anchors that a row has weights for.
    loadings : ndarray of shape (n_anchors, n_vectors), float64
        ``y(x) = z(x) @ loadings`` are the eigenfunctions, orthogonal over the rows fitted, of mean 0 and
        mean square 1, the smoothest first.
    upper, lower : ndarray of shape (n_vectors,), float64
        With two layers the thresholds of the second bit on the positive and the negative side; empty with
        one.

    References
    ----------
    Liu, Wang, Kumar, Chang, *Hashing with graphs*, ICML 2011: 1-AGH and 2-AGH.
    """

    anchors: Array
    bandwidth: float
    n_nearest: int
    loadings: Array
    upper: Array
    lower: Array

    @classmethod
    def fit(
        cls,
        embeddings: Array,
        *,
        n_bits: int,
        rng: RngLike = None,
        n_anchors: int | None = None,
        n_nearest: int = 3,
        n_layers: int = 1,
        n_iterations: int = 10,
    ) -> Self:
        """Return the binariser of the anchors that k-means finds.

        Parameters
        ----------
        embeddings : ndarray of shape (n, dim), float32 or float64
        n_bits : int
        rng : int, numpy.random.Generator or None, default=None
            Draws the start of k-means.
        n_anchors : int or None, default=None
            More than the number of eigenvectors, at most n; ``None`` takes 300, or twice the bits
            where that is more, and no more than n.
        n_nearest : int, default=3
        n_layers : {1, 2}, default=1
            1: a bit per eigenvector. 2: half as many eigenvectors, with a second bit for each that cuts its
            positive and its negative side again.
        n_iterations : int >= 0, default=10
            Of k-means.

        Notes
        -----
        Cost: ``n_iterations + 1`` distance matrices (n, n_anchors), the eigenvectors of one of the size
        n_anchors.
        """
        rows, width = check_fit(embeddings, n_bits)
        generator = as_generator(rng)
        check_int("n_layers", n_layers, minimum=1, maximum=2)
        check_int("n_iterations", n_iterations, minimum=0)
        n_vectors = width // n_layers
        if n_anchors is None:
            n_anchors = min(len(rows), max(_ANCHORS, 2 * width))
        check_int("n_anchors", n_anchors, minimum=2, maximum=len(rows))
        if n_anchors <= n_vectors:
            raise ParameterError(
                f"n_anchors must be more than the {n_vectors} eigenvectors that {width} bits need, got "
                f"{n_anchors}; it can be no more than the {len(rows)} rows"
            )
        check_int("n_nearest", n_nearest, minimum=1, maximum=n_anchors)
        sample = rows
        if len(rows) > max(_SAMPLE_ROWS, n_anchors):
            sample = rows[np.sort(generator.choice(len(rows), max(_SAMPLE_ROWS, n_anchors), replace=False))]
        anchors = k_means(sample, n_anchors, n_iterations=n_iterations, rng=generator)
        last = np.partition(squared_distances(sample, anchors), n_nearest - 1, axis=1)[:, n_nearest - 1]
        bandwidth = float(last.mean()) or 1.0
        weights = _weights(rows, anchors, n_nearest, bandwidth)
        loadings = _loadings(weights, n_vectors)
        upper = lower = np.empty(0)
        if n_layers == 2:
            upper, lower = _second_cuts(weights, weights @ loadings)
        return cls(anchors.astype(np.float32), bandwidth, n_nearest, loadings, upper, lower)

    @property
    def dim(self) -> int:
        """Width of the embeddings it takes."""
        return int(self.anchors.shape[1])

    @property
    def n_bits(self) -> int:
        """Width of the codes it makes."""
        return int(self.loadings.shape[1]) + len(self.upper)

    def _project(self, rows: Array) -> Array:
        y = _weights(rows.astype(np.float64), self.anchors, self.n_nearest, self.bandwidth) @ self.loadings
        if not len(self.upper):
            return y
        return np.hstack([y, np.where(y >= 0, y - self.upper, self.lower - y)])


def _weights(rows: Array, anchors: Array, n_nearest: int, bandwidth: float) -> sparse.csr_matrix:
    """Return Z (n, n_anchors), whose rows sum to 1."""
    columns, weights = nearest_weights(rows, anchors, n_nearest, bandwidth)
    starts = np.arange(len(rows) + 1) * n_nearest
    return sparse.csr_matrix((weights.ravel(), columns.ravel(), starts), shape=(len(rows), len(anchors)))


def _loadings(weights: sparse.csr_matrix, n_vectors: int) -> Array:
    """Return ``√n Λ^-1/2 V Σ^-1/2`` for the leading eigenpairs of ``Λ^-1/2 Zᵀ Z Λ^-1/2`` after the first.

    The first is constant, so its sign carries no information.
    """
    sizes = np.asarray(weights.sum(axis=0)).ravel()
    scale = np.where(sizes > 0, 1 / np.sqrt(np.where(sizes > 0, sizes, 1.0)), 0.0)
    product = scale[:, None] * (weights.T @ weights).toarray() * scale[None, :]
    # The constant one has eigenvalue 1; taken off, it cannot mix with others of that value.
    constant = np.sqrt(sizes / sizes.sum())
    values, vectors = np.linalg.eigh(product - np.outer(constant, constant))
    values, vectors = values[::-1][:n_vectors], with_fixed_signs(vectors[:, ::-1][:, :n_vectors])
    found = values > 1e-10
    stretch = np.where(found, 1 / np.sqrt(np.where(found, values, 1.0)), 0.0)
    loadings: Array = np.sqrt(weights.shape[0]) * scale[:, None] * vectors * stretch
    return loadings


def _second_cuts(weights: sparse.csr_matrix, y: Array) -> tuple[Array, Array]:
    """Return the thresholds b⁺, b⁻ of each eigenvector's second bit.

    The second bit is the sign of ``f = y - b⁺`` where y is positive and of ``f = b⁻ - y`` elsewhere. Of all
    pairs with ``Σ f = 0`` it takes the one whose f is smoothest over the graph: minimal ``fᵀ (I - A) f``.
    One of the two follows from the other, and f is linear in it: ``f = g + b⁺ h``. Where no edge crosses
    between the sides, all pairs are as smooth, and each side is cut at its mean.
    """
    sizes = np.asarray(weights.sum(axis=0)).ravel()
    inverse = np.where(sizes > 0, 1 / np.where(sizes > 0, sizes, 1.0), 0.0)

    def laplacian(columns: Array) -> Array:
        result: Array = columns - weights @ (inverse[:, None] * (weights.T @ columns))
        return result

    positive = y >= 0
    n_positive, n_negative = positive.sum(axis=0), (~positive).sum(axis=0)
    n_negative = np.maximum(n_negative, 1)
    total = np.where(positive, y, -y).sum(axis=0)
    g = np.where(positive, y, -y - total / n_negative)
    h = np.where(positive, -1.0, n_positive / n_negative)
    rough = laplacian(h)
    curvature = (h * rough).sum(axis=0)
    flat = curvature <= 1e-9 * (h * h).sum(axis=0)
    middle = total / 2 / np.maximum(n_positive, 1)
    upper = np.where(flat, middle, -(g * rough).sum(axis=0) / np.where(flat, 1.0, curvature))
    return upper, (n_positive * upper - total) / n_negative
