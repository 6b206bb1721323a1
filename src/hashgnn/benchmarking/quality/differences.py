"""Paired significance tests between the methods of a comparison, from its folder alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hashgnn._checks import check_choice, quote_some
from hashgnn._types import Array
from hashgnn.benchmarking.quality.cells import Result
from hashgnn.benchmarking.quality.table import grouped
from hashgnn.errors import DataError, ParameterError
from hashgnn.evaluation import holm, paired_test
from hashgnn.evaluation.significance import TESTS

#: Search ways by codes and a few numbers of each item: an item bias, or the scales of a learned rival.
WITH_ITEM_NUMBERS = ("biased", "scaled")
# What is compared: search ways of codes and of floats, each by the first that a method has.
KINDS: dict[str, tuple[str, ...]] = {
    "codes": (*WITH_ITEM_NUMBERS, "hamming"),
    "hamming": ("hamming",),
    "asymmetric": ("asymmetric",),
    "hierarchical": ("hierarchical",),
    "float": ("float",),
}
_FLOATS_AS = ("hierarchical", "float")  # kinds in which a float model takes part, by its floats


@dataclass(frozen=True)
class Difference:
    """The reference compared with another method by one kind of search.

    Attributes
    ----------
    data : str
    n_bits : int
        Of the reference; a float model, which has no width, is compared with it too.
    kind : str
        A key of :data:`KINDS`.
    reference, method : str
    reference_search, search : str
        The search ways compared.
    n_users, n_seeds : int
        Users, and the seeds that both have.
    difference : float
        Mean of the reference's metric less the other's: above 0, the reference is better.
    p_value, adjusted_p_value : float
        Two-sided; by Holm's correction over all differences returned together.
    """

    data: str
    n_bits: int
    kind: str
    reference: str
    reference_search: str
    method: str
    search: str
    n_users: int
    n_seeds: int
    difference: float
    p_value: float
    adjusted_p_value: float

    def is_significant(self, level: float = 0.05) -> bool:
        """Return whether the adjusted p-value is below ``level``."""
        return self.adjusted_p_value < level


def differences(
    results: Sequence[Result], reference: str, metric: str, *, test: str = "t", rng: int = 0
) -> list[Difference]:
    """Compare one method with every other at equal bits, by every kind of search that both have.

    A user's value is its mean over the seeds that both methods have; the test is paired over users. It says
    whether the difference is more than the choice of users; what training leaves to chance is in the table's
    standard deviations.

    Parameters
    ----------
    results : sequence of Result
    reference : str
        A method among them.
    metric : str
        One of their metrics.
    test : {"t", "wilcoxon", "bootstrap"}, default="t"
    rng : int, default=0
        Of the bootstrap.

    Raises
    ------
    ParameterError
        If the reference or the metric is not among the results.
    """
    check_choice("test", test, TESTS)
    groups = grouped(results)
    methods = dict.fromkeys(method for _, method, _ in groups)
    if reference not in methods:
        raise ParameterError(
            f"reference must be among {quote_some(methods, len(methods))}, got {reference!r}"
        )
    found = []
    for (data, method, n_bits), own in groups.items():
        if method != reference:
            continue
        for (other_data, other, other_bits), seeds in groups.items():
            if other == reference or other_data != data or other_bits not in (n_bits, None):
                continue
            for kind in KINDS:
                pair = _ways(kind, own[0], seeds[0])
                if pair is not None:
                    found.append(_difference(own, seeds, kind, pair, metric, test, rng))
    adjusted = holm([one.p_value for one in found]).tolist() if found else []
    return [replace(one, adjusted_p_value=p) for one, p in zip(found, adjusted, strict=True)]


def _ways(kind: str, own: Result, other: Result) -> tuple[str, str] | None:
    """Return the search ways that stand for a kind, or ``None`` where one has none or the pair adds nothing."""
    ways = []
    for result in (own, other):
        wanted = KINDS[kind]
        if result.cell.n_bits is None:
            wanted = ("float",) if kind in _FLOATS_AS else ()
        have = [way for way in wanted if way in result.search_ways]
        if not have:
            return None
        ways.append(have[0])
    has_numbers = [set(WITH_ITEM_NUMBERS) & set(result.search_ways) for result in (own, other)]
    if kind == "hamming" and not any(has_numbers):
        return None  # the same as "codes"
    return ways[0], ways[1]


def _difference(
    own: list[Result],
    other: list[Result],
    kind: str,
    ways: tuple[str, str],
    metric: str,
    test: str,
    rng: int,
) -> Difference:
    shared = {one.cell.seed for one in own} & {one.cell.seed for one in other}
    if not shared:
        raise DataError(f"{own[0].cell.method} and {other[0].cell.method} have no seed in common")
    first, second = (
        _mean_per_user([one for one in seeds if one.cell.seed in shared], way, metric)
        for seeds, way in zip((own, other), ways, strict=True)
    )
    outcome = paired_test(first, second, test=test, rng=rng)
    cell = own[0].cell
    return Difference(
        data=cell.data,
        n_bits=cell.n_bits or 0,
        kind=kind,
        reference=cell.method,
        reference_search=ways[0],
        method=other[0].cell.method,
        search=ways[1],
        n_users=outcome.n_users,
        n_seeds=len(shared),
        difference=outcome.difference,
        p_value=outcome.p_value,
        adjusted_p_value=outcome.p_value,
    )


def _mean_per_user(results: list[Result], way: str, metric: str) -> Array:
    if metric not in results[0].values["metrics"][way]:
        known = results[0].values["metrics"][way]
        raise ParameterError(f"metric must be among {quote_some(known, len(known))}, got {metric!r}")
    values = np.stack([result.per_user(way, metric)[1].astype(np.float64) for result in results])
    means: Array = values.mean(axis=0)
    return means
