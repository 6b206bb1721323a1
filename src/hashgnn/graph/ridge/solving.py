"""Many small ridge regressions: of each item on its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from hashgnn._types import Array
from hashgnn.errors import ParameterError
from hashgnn.graph.bipartite import BipartiteGraph
from hashgnn.graph.ridge.co_occurrence import CoOccurrences

TYPICAL = 6.0  # regularisation over the mean strength of an item: near the best of five data sets
_ITEMS = 256  # in one piece of work


def typical_regularisation(graph: BipartiteGraph) -> float:
    """Return six times the mean strength of an item that has users."""
    strengths = graph.item_strengths
    return TYPICAL * float(strengths[strengths > 0].mean()) if (strengths > 0).any() else TYPICAL


def penalties(diagonal: Array, regularisation: float, item_exponent: float) -> Array:
    """Return each item's penalty, (n_items,) float64: ``regularisation`` on average, rising with its strength."""
    scaled = np.where(diagonal > 0, diagonal, 1.0) ** item_exponent
    mean = float(scaled[diagonal > 0].mean()) if (diagonal > 0).any() else 1.0
    result: Array = regularisation * scaled / mean
    return result


def solve(
    counted: CoOccurrences,
    items: Array,
    settings: Sequence[tuple[float, float]],
    *,
    n_threads: int = 1,
    advance: Callable[[int], object] | None = None,
) -> Array:
    """Regress some items on their neighbours, ridge by Cholesky in float64.

    Parameters
    ----------
    counted : CoOccurrences
    items : ndarray of shape (n,), int
    settings : sequence of (regularisation, item_exponent)
        All of them share one gathering of each neighbourhood.
    n_threads : int, default=1
        The result does not depend on it.
    advance : callable or None, default=None
        Called with the number of items done.

    Returns
    -------
    ndarray of shape (n_settings, n, n_neighbours), float32
        0 where an item has fewer neighbours.

    Raises
    ------
    ParameterError
        If a regularisation is too small for float64.
    """
    by_setting = [penalties(counted.diagonal, *setting) for setting in settings]
    result = np.zeros((len(settings), len(items), counted.neighbours.shape[1]), np.float32)
    lengths = (counted.neighbours[items] >= 0).sum(axis=1)

    def work(part: range) -> None:
        # Threads that ask for memory for each item wait for each other.
        grams, systems = np.empty((2, counted.neighbours.shape[1] ** 2))
        for at in part:
            length = int(lengths[at])
            if not length:
                continue
            near = counted.neighbours[items[at], :length]
            right = counted.shared[items[at], :length].astype(np.float64)
            gram, system = (room[: length**2].reshape(length, length) for room in (grams, systems))
            gram = counted.among(near, gram)
            exact: Array | None = None
            for place, penalty in enumerate(by_setting):
                found, failed = _solve_one(gram, penalty[near], right, system)
                if failed:
                    # What was left out of G may cost it its definiteness.
                    exact = counted.exactly_among(near) if exact is None else exact
                    found, failed = _solve_one(exact, penalty[near], right, system)
                if failed:
                    raise ParameterError(
                        f"regularisation must be larger for these interactions, got {settings[place][0]:g}"
                    )
                result[place, at, :length] = found

    parts = [range(a, min(a + _ITEMS, len(items))) for a in range(0, len(items), _ITEMS)]
    # BLAS would divide each small system among threads of its own, which wait for each other.
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(n_threads) as pool:
        for part, _ in zip(parts, pool.map(work, parts), strict=True):
            if advance is not None:
                advance(len(part))
    return result


def _solve_one(gram: Array, penalty: Array, right: Array, system: Array) -> tuple[Array, bool]:
    """Solve with a penalty on the diagonal, in the memory of ``system``; return the weights and whether it failed."""
    from scipy.linalg import lapack  # slow to import

    system[:] = gram
    system.flat[:: len(gram) + 1] += penalty
    # Symmetric, so rows or columns first are the same.
    _, found, failed = lapack.dposv(system.T, right, lower=0, overwrite_a=True)
    return found, bool(failed)


def solve_all(counted: CoOccurrences, setting: tuple[float, float]) -> Array:
    """Regress each item on all others at once, from one inverse in float64.

    Returns
    -------
    ndarray of shape (n_items, n_items), float32
        Column j holds the weights of the other items in the score of item j.

    References
    ----------
    Steck, WWW 2019, equation 8: the multipliers of the condition of a zero diagonal make the columns
    ``-P_ij / P_jj`` of ``P = (G + penalty)^-1``.
    """
    from scipy.linalg import lapack

    assert counted.dense is not None
    gram = counted.dense.astype(np.float64)
    gram[np.diag_indices(len(gram))] += penalties(counted.diagonal, *setting)
    factor, failed = lapack.dpotrf(gram.T, lower=1, overwrite_a=True, clean=False)
    if not failed:
        inverse, failed = lapack.dpotri(factor, lower=1, overwrite_c=True)
    if failed:
        raise ParameterError(f"regularisation must be larger for these interactions, got {setting[0]:g}")
    lower = np.tril(inverse, -1)
    weights = (lower + lower.T) / -np.diag(inverse)
    found: Array = weights.astype(np.float32)
    return found
