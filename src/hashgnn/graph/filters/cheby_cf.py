"""ChebyCF: a polynomial filter with a flat middle, an ideal low pass and a degree normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev

from hashgnn._checks import check_float, check_int
from hashgnn._printing import ShortRepr
from hashgnn._rng import RngLike
from hashgnn._types import Array
from hashgnn.graph.backend import CPU, Backend
from hashgnn.graph.bipartite import BipartiteGraph
from hashgnn.graph.filters.base import GraphFilter
from hashgnn.graph.spectral import GraphSpectrum, low_spectrum

_TOLERANCE = 1e-3  # of the response on the high frequencies, whose largest value is near 1
_NARROWEST = 1e-3  # width of the band that is left to the polynomial, at least


@dataclass(frozen=True, repr=False)
class ChebyshevFilter(ShortRepr, GraphFilter):
    """ChebyCF: ``r D^-beta (h(P) + alpha V V') D^beta`` for a history row ``r``, with ``P = S'S``.

    ``S`` is the normalised user-item matrix, ``V`` its leading right singular vectors, and D the items'
    degrees. The response of the polynomial h is 1 at the lowest frequency, 0 at the highest and flat at
    1/2 between. There is nothing to train, and an unseen user is scored like any other.

    Attributes
    ----------
    graph : BipartiteGraph
    history_table, item_table : ndarray of shape (n_items, rank), float32
        ``D^-beta V`` with columns scaled by the response that V adds to the polynomial, and ``D^beta V``.
    coefficients : ndarray of shape (degree + 1,), float64
        Of the polynomial q below, in Chebyshev polynomials over ``[0, band]``.
    band : float
        Largest eigenvalue of P outside V.
    beta : float

    Notes
    -----
    h has degree 8 as a rule, which would cost 16 sparse products. ``V`` is known anyway, so h is applied to
    it exactly; the rest of the spectrum lies in the narrow ``[0, band]``, where a polynomial q of lower
    degree follows h within 0.001: ``h(P) = q(P) + V (h - q)(values^2) V'``.

    References
    ----------
    Kim, Sung, Han, Lee, *Graph spectral filtering with Chebyshev interpolation for recommendation*,
    SIGIR 2025, arXiv 2505.00552. The default settings are the authors' for Gowalla. As in the authors' code,
    the interpolation nodes are zeros of a Chebyshev polynomial while the target is read at its extrema.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> graph = BipartiteGraph(sp.csr_matrix(np.kron(np.eye(2), np.ones((3, 3))) - np.eye(6)))
    >>> ChebyshevFilter.fit(graph, rank=2, rng=0).top(1).positions.ravel()
    array([0, 1, 2, 3, 4, 5])
    """

    graph: BipartiteGraph
    history_table: Array
    item_table: Array
    coefficients: Array
    band: float
    beta: float

    @classmethod
    def fit(
        cls,
        graph: BipartiteGraph,
        *,
        order: int = 8,
        flatness: float = 1.5,
        rank: int = 512,
        alpha: float = 0.2,
        beta: float = 0.4,
        rng: RngLike = None,
        n_iterations: int = 4,
        spectrum: GraphSpectrum | None = None,
        backend: Backend = CPU,
    ) -> ChebyshevFilter:
        """Compute singular vectors and coefficients.

        Parameters
        ----------
        graph : BipartiteGraph
        order : int >= 1, default=8
            Degree of h.
        flatness : float > 0, default=1.5
            How flat the middle of the response is.
        rank : int, default=512
            Vectors of the ideal low pass, at most ``min(n_users, n_items)``.
        alpha : float >= 0, default=0.2
            Weight of the low pass.
        beta : float in [0, 1], default=0.4
            Exponent of the degree normalisation.
        rng : int, numpy.random.Generator or None, default=None
        n_iterations : int, default=4
            Power iterations of the randomized SVD.
        spectrum : GraphSpectrum or None, default=None
            Of this graph, where it is known already; its first ``rank`` vectors are taken.
        backend : Backend, default=CPU
            Where the products of the SVD run.
        """
        response = plateau_response(check_int("order", order, minimum=1), flatness)
        alpha = check_float("alpha", alpha, minimum=0)
        beta = check_float("beta", beta, minimum=0, maximum=1)
        if spectrum is None:
            spectrum = low_spectrum(graph, rank, rng=rng, n_iterations=n_iterations, backend=backend)
        spectrum = spectrum.first(rank)
        squares = np.clip(spectrum.values.astype(np.float64) ** 2, 0, 1)
        band = max(float(squares[-1]), _NARROWEST)
        coefficients = _economised(response, band)
        own = chebyshev.chebval(1 - 2 * squares, response) - chebyshev.chebval(
            2 * squares / band - 1, coefficients
        )
        degrees = np.where(graph.item_strengths > 0, graph.item_strengths, np.inf)
        vectors = spectrum.item_vectors
        return cls(
            graph,
            (vectors * degrees[:, None] ** -beta * (own + alpha)).astype(np.float32),
            (vectors * np.where(np.isfinite(degrees), degrees, 0)[:, None] ** beta).astype(np.float32),
            coefficients,
            band,
            beta,
        )

    @cached_property
    def scales(self) -> tuple[Array, Array]:
        """``D^-beta`` and ``D^beta``, both 0 for an isolated item."""
        degrees = self.graph.item_strengths
        after = np.where(degrees > 0, np.where(degrees > 0, degrees, 1) ** self.beta, 0).astype(np.float32)
        before = np.divide(1, after, out=np.zeros_like(after), where=after > 0)
        return before, after

    def spread(self, columns: Any, forward: Any, back: Any) -> Any:
        """Return ``q(P) @ columns``: T_0 = x, T_1 = M x, T_k = 2 M T_(k-1) - T_(k-2), M = 2 P / band - 1."""

        def mapped(x: Any) -> Any:
            product = back @ (forward @ x)
            product *= 2 / self.band
            product -= x
            return product

        # Plain floats: they leave the kind and the precision of the columns as they are.
        weights = self.coefficients.tolist()
        former, current = columns, mapped(columns)
        total = weights[0] * former + weights[1] * current
        for weight in weights[2:]:
            former, current = current, 2 * mapped(current) - former
            total += weight * current
        return total

    @property
    def bytes_per_item(self) -> float:
        """Memory that scoring needs, divided by the number of items."""
        edges = self.graph.user_item
        held = self.history_table.nbytes + self.item_table.nbytes
        return (held + 2 * (edges.data.nbytes + edges.indices.nbytes)) / self.graph.n_items


def plateau_response(order: int, flatness: float) -> Array:
    """Return the Chebyshev coefficients (order + 1,) of the interpolated plateau over ``1 - 2 * eigenvalue``.

    The plateau at x in [-1, 1] is ``1/2 - sign(x) |x|^flatness / 2``.
    """
    flatness = check_float("flatness", flatness, minimum=0, open_minimum=True)
    n_nodes = order + 1
    extrema = -np.cos(np.arange(n_nodes) / order * np.pi)
    target = 0.5 - 0.5 * np.sign(extrema) * np.abs(extrema) ** flatness
    nodes = -np.cos((np.arange(n_nodes) + 0.5) / n_nodes * np.pi)
    coefficients: Array = 2 / n_nodes * (chebyshev.chebvander(nodes, order).T @ target)
    coefficients[0] /= 2
    return coefficients


def _economised(response: Array, band: float) -> Array:
    """Return the shortest Chebyshev series over ``[0, band]`` that follows the response there."""
    grid = np.linspace(-1, 1, 257)

    def on_band(x: Array) -> Array:
        values: Array = chebyshev.chebval(1 - band * (x + 1), response)
        return values

    for degree in range(1, len(response)):
        series: Array = chebyshev.chebinterpolate(on_band, degree)
        if np.abs(chebyshev.chebval(grid, series) - on_band(grid)).max() < _TOLERANCE:
            break
    return series
