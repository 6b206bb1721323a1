"""Is one method better than another, or was it the users? Paired tests, corrected for their number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hashgnn._checks import check_choice, check_int, quote_some
from hashgnn._registry import Registry
from hashgnn._rng import RngLike, as_generator
from hashgnn._types import Array
from hashgnn.errors import ParameterError
from hashgnn.evaluation.bootstrap import resampled_means

TESTS = ("t", "wilcoxon", "bootstrap")


@dataclass(frozen=True)
class PairedTest:
    """Two methods on the same users.

    Attributes
    ----------
    test : str
        One of :data:`TESTS`.
    n_users : int
    difference : float
        Mean of the first method's values less the second's.
    p_value : float
        Two-sided: the chance of a difference as large as this if the methods were equally good.
    """

    test: str
    n_users: int
    difference: float
    p_value: float


@dataclass(frozen=True)
class Comparison:
    """A method compared with a baseline, as one of several comparisons.

    Attributes
    ----------
    method, baseline : str
    difference, p_value : float
        As in :class:`PairedTest`.
    adjusted_p_value : float
        By Holm's correction over all comparisons made together.
    """

    method: str
    baseline: str
    difference: float
    p_value: float
    adjusted_p_value: float

    def is_significant(self, level: float = 0.05) -> bool:
        """Return whether the adjusted p-value is below ``level``."""
        return self.adjusted_p_value < level


def paired_test(
    first: Any, second: Any, *, test: str = "t", n_resamples: int = 10_000, rng: RngLike = None
) -> PairedTest:
    """Test whether two methods differ, by their values for the same users.

    Parameters
    ----------
    first, second : array-like of shape (n_users,)
        Values of a metric, user by user in the same order: ``result.per_user[way][name]``.
    test : {"t", "wilcoxon", "bootstrap"}, default="t"
        Student's t-test of the mean difference; Wilcoxon's signed-rank test, zeros split between the signs
        (Pratt's ranks); or a bootstrap of the mean difference shifted to zero.
    n_resamples : int, default=10000
        Of the bootstrap, whose p-value is at least ``1 / (n_resamples + 1)``.
    rng : int, numpy.random.Generator or None, default=None
        Of the bootstrap.

    Returns
    -------
    PairedTest
        With a p-value of 1 where all values are equal.

    Raises
    ------
    ParameterError
        If the values are not pairs of finite numbers, of two users at least.

    See Also
    --------
    compare : Several methods, with corrected p-values.

    Examples
    --------
    >>> round(paired_test([0.5, 0.4, 0.9, 0.3], [0.4, 0.2, 0.6, 0.3]).p_value, 4)
    0.1027
    """
    check_choice("test", test, TESTS)
    check_int("n_resamples", n_resamples, minimum=1)
    one, other = _values("first", first), _values("second", second)
    if one.shape != other.shape:
        raise ParameterError(
            f"first and second must be of the same users, got {len(one)} and {len(other)} values"
        )
    differences = one - other
    p_value = 1.0 if not differences.any() else _P_VALUES[test](differences, n_resamples, rng)
    return PairedTest(test, len(differences), float(differences.mean()), p_value)


def holm(p_values: Any) -> Array:
    """Return p-values adjusted for their number, so that the chance of any false alarm keeps its level.

    Parameters
    ----------
    p_values : array-like of shape (n,)

    Returns
    -------
    ndarray of shape (n,), float64
        The smallest times ``n``, the next times ``n - 1`` …, never falling and at most 1.

    References
    ----------
    Holm: *A Simple Sequentially Rejective Multiple Test Procedure*, 1979.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    given = np.asarray(p_values, np.float64)
    if given.ndim != 1 or not ((given >= 0) & (given <= 1)).all():
        raise ParameterError(f"p_values must be a list of numbers in [0, 1], got {p_values!r}")
    order = np.argsort(given, kind="stable")
    adjusted = np.empty_like(given)
    factors = len(given) - np.arange(len(given))
    adjusted[order] = np.minimum(np.maximum.accumulate(given[order] * factors), 1)
    return adjusted


def compare(
    methods: Mapping[str, Any],
    baseline: str | Sequence[str],
    *,
    test: str = "t",
    n_resamples: int = 10_000,
    rng: RngLike = None,
) -> list[Comparison]:
    """Compare every other method with one or more baselines, with Holm's correction over all tests.

    Parameters
    ----------
    methods : mapping of str to array-like of shape (n_users,)
        Values of one metric by method, for the same users in the same order.
    baseline : str or sequence of str
        Names among ``methods``.
    test, n_resamples, rng
        As in :func:`paired_test`.

    Returns
    -------
    list of Comparison
        By baseline, then by method, in the order given.

    See Also
    --------
    paired_test : Two methods.
    holm : The correction alone.
    """
    baselines = [baseline] if isinstance(baseline, str) else list(baseline)
    for name in baselines:
        if name not in methods:
            raise ParameterError(f"baseline must be among {quote_some(methods, len(methods))}, got {name!r}")
    pairs = [(name, against) for against in baselines for name in methods if name not in baselines]
    if not pairs:
        raise ParameterError("methods must hold one that is no baseline, got baselines only")
    generator = as_generator(rng)
    tests = [
        paired_test(methods[name], methods[against], test=test, n_resamples=n_resamples, rng=generator)
        for name, against in pairs
    ]
    adjusted = holm([found.p_value for found in tests]).tolist()
    return [
        Comparison(name, against, found.difference, found.p_value, p_value)
        for (name, against), found, p_value in zip(pairs, tests, adjusted, strict=True)
    ]


def _values(name: str, given: Any) -> Array:
    values = np.asarray(given, np.float64)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise ParameterError(f"{name} must be finite numbers of two users or more, got shape {values.shape}")
    return values


def _t(differences: Array, n_resamples: int, rng: RngLike) -> float:
    from scipy import stats  # slow to import, and few programs come here

    error = differences.std(ddof=1) / np.sqrt(len(differences))
    if error == 0:
        return 0.0
    return float(2 * stats.t.sf(abs(differences.mean()) / error, len(differences) - 1))


def _wilcoxon(differences: Array, n_resamples: int, rng: RngLike) -> float:
    from scipy import stats

    return float(stats.wilcoxon(differences, zero_method="pratt").pvalue)


def _bootstrap(differences: Array, n_resamples: int, rng: RngLike) -> float:
    centred = differences - differences.mean()
    means = resampled_means(centred[:, None], n_resamples, rng=rng)[:, 0]
    as_large = int((np.abs(means) >= abs(differences.mean())).sum())
    return (as_large + 1) / (n_resamples + 1)


_P_VALUES: Registry[Callable[[Array, int, RngLike], float]] = Registry(
    "test", {"t": _t, "wilcoxon": _wilcoxon, "bootstrap": _bootstrap}
)
