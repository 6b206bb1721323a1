"""GF-CF: the linear graph filter with an ideal low pass."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hashgnn._checks import check_float
from hashgnn._printing import ShortRepr
from hashgnn._rng import RngLike
from hashgnn._types import Array
from hashgnn.graph.backend import CPU, Backend
from hashgnn.graph.bipartite import BipartiteGraph
from hashgnn.graph.filters.base import GraphFilter
from hashgnn.graph.spectral import GraphSpectrum, low_spectrum


@dataclass(frozen=True, repr=False)
class SpectralFilter(ShortRepr, GraphFilter):
    """GF-CF: a linear graph filter plus ``alpha`` times an ideal low-pass filter.

    A user with history row ``r`` gets the scores ``r (S'S + alpha Di^-1/2 V V' Di^1/2)``, where ``S`` is
    the normalised user-item matrix and ``V`` its leading right singular vectors. There is nothing to
    train. An unseen user is scored like any other, from the history alone.

    Attributes
    ----------
    graph : BipartiteGraph
    alpha : float
        Weight of the low-pass filter; 0 leaves the linear filter.
    history_table, item_table : ndarray of shape (n_items, rank), float32
        ``Di^-1/2 V`` and ``Di^1/2 V``: the low-pass score of item i for history r is
        ``(r @ history_table) @ item_table[i]``. They also warm-start an encoder's tables.

    References
    ----------
    Shen et al., *How powerful is graph convolution for recommendation?*, CIKM 2021, section 4.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> graph = BipartiteGraph(sp.csr_matrix(np.kron(np.eye(2), np.ones((3, 3))) - np.eye(6)))
    >>> SpectralFilter.fit(graph, rank=2, rng=0).top(1).positions.ravel()
    array([0, 1, 2, 3, 4, 5])
    """

    graph: BipartiteGraph
    alpha: float
    history_table: Array
    item_table: Array

    @classmethod
    def fit(
        cls,
        graph: BipartiteGraph,
        *,
        rank: int = 256,
        alpha: float = 0.3,
        rng: RngLike = None,
        n_iterations: int = 4,
        spectrum: GraphSpectrum | None = None,
        backend: Backend = CPU,
    ) -> SpectralFilter:
        """Compute the filter's singular vectors.

        Parameters
        ----------
        graph : BipartiteGraph
        rank : int, default=256
            Vectors of the ideal low pass, at most ``min(n_users, n_items)``.
        alpha : float >= 0, default=0.3
        rng : int, numpy.random.Generator or None, default=None
        n_iterations : int, default=4
            Power iterations of the randomized SVD.
        spectrum : GraphSpectrum or None, default=None
            Of this graph, where it is known already; its first ``rank`` vectors are taken.
        backend : Backend, default=CPU
            Where the products of the SVD run.
        """
        alpha = check_float("alpha", alpha, minimum=0)
        if spectrum is None:
            spectrum = low_spectrum(graph, rank, rng=rng, n_iterations=n_iterations, backend=backend)
        vectors = spectrum.first(rank).item_vectors
        root = np.sqrt(graph.item_strengths)[:, None]
        inverse = np.divide(1, root, out=np.zeros_like(root), where=root > 0)
        return cls(graph, alpha, (vectors * inverse).astype(np.float32), (vectors * root).astype(np.float32))

    @cached_property
    def scales(self) -> tuple[Array, Array]:
        """Ones: the linear filter needs no scales."""
        ones = np.ones(self.graph.n_items, np.float32)
        return ones, ones

    @property
    def low_pass_weight(self) -> float:
        """``alpha``."""
        return self.alpha

    def spread(self, columns: Any, forward: Any, back: Any) -> Any:
        """Return ``S'S @ columns``."""
        return back @ (forward @ columns)

    @property
    def bytes_per_item(self) -> float:
        """Memory that scoring needs, divided by the number of items."""
        edges = self.graph.user_item
        held = (
            self.history_table.nbytes
            + self.item_table.nbytes
            + 2 * (edges.data.nbytes + edges.indices.nbytes)
        )
        return held / self.graph.n_items
