"""The protocol: every item is ranked for every user who has held-out items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hashgnn._checks import check_choice, check_float, check_int
from hashgnn._progress import Advance
from hashgnn._progress import progress as progress_bar
from hashgnn._rng import RngLike, as_generator
from hashgnn._types import Array
from hashgnn.errors import DataError, ParameterError
from hashgnn.evaluation._timing import QueryTime, time_queries
from hashgnn.evaluation.bootstrap import bootstrap_intervals
from hashgnn.evaluation.evaluation_result import EvaluationResult
from hashgnn.evaluation.held_out import HeldOut, held_out
from hashgnn.evaluation.metric_kinds import CatalogueMetric, ItemMetric, Metric, UserMetric
from hashgnn.evaluation.metrics import parse_metrics, warn_beyond
from hashgnn.evaluation.protocols import Retriever, Scorer
from hashgnn.evaluation.relevance import Judged, judge
from hashgnn.ranking import CandidateFilter, IndexLists, Matches, rows_per_block, top_k

_N_TIMED = 100


def evaluate(
    model: Scorer | Retriever,
    train: Any,
    test: Any,
    *,
    metrics: Sequence[str | Metric] = ("recall@20", "ndcg@20"),
    search: Sequence[str] | str | None = None,
    max_users: int | None = None,
    served: bool = False,
    oversampling: int = 5,
    batch_size: int | None = None,
    n_bootstrap: int = 1000,
    confidence: float = 0.95,
    n_timed: int | None = None,
    rng: RngLike = None,
    progress: bool | None = None,
) -> EvaluationResult:
    """Rank all items for each user with held-out items, and measure every search way.

    By default the ranking is exact: the model scores every item, training items are masked, and ties go to
    the smaller item position; ``expected`` has the mean over all orders of the ties. With ``served=True`` the
    lists that the model returns in use are measured instead, approximate index included. Everything but the
    times depends on the arguments alone.

    Parameters
    ----------
    model : Scorer or Retriever
        A fitted :class:`~hashgnn.HashGNN` is both. An exact measurement needs a
        :class:`~hashgnn.evaluation.Scorer`, ``served`` and the times need a
        :class:`~hashgnn.evaluation.Retriever`.
    train, test : Interactions, or sparse matrix of shape (n_users, n_items)
        What the model was fitted on, and what was held out; same users and items, in the model's order.
    metrics : sequence of str or Metric, default=("recall@20", "ndcg@20")
        Of ``recall``, ``precision``, ``hr``, ``ndcg``, ``map``, ``mrr`` and ``itemrecall``, or beyond
        accuracy ``coverage``, ``gini``, ``novelty``, ``arp``, ``lift`` and ``aplt``, each with its cut.
        Ranks beyond the catalogue are empty, so that ``recall@20`` of 8 items is that of the whole list. Or an
        object: :class:`~hashgnn.evaluation.IntraListDiversity`,
        :class:`~hashgnn.evaluation.Calibration` or your own :class:`~hashgnn.evaluation.UserMetric`.
    search : str or sequence of str, default=None
        Search ways; ``None`` takes all that the model has.
    max_users : int or None, default=None
        Of more users with held-out items, every n-th is measured, so that at most so many are.
    served : bool, default=False
        Measure ``model.search_block``: ties stand as the index orders them, and what the index misses is
        missed. The model leaves out the items that it has seen itself; an item of ``train`` that it returns
        counts as not relevant. Expected values over ties cannot be had from lists and are absent.
    oversampling : int, default=5
        Hierarchical search re-ranks ``oversampling`` times the largest cut among ``metrics``.
    batch_size : int, default=None
        Users scored at a time; ``None`` takes as many as 64 MiB of float32 scores hold.
    n_bootstrap : int, default=1000
        Resamples of the users for the intervals; 0 leaves them out.
    confidence : float, default=0.95
        Of the intervals.
    n_timed : int, default=None
        Users drawn for the times; 0 leaves them out. ``None`` is 100 for a ``Retriever`` and 0 for a model
        that only scores.
    rng : int, numpy.random.Generator or None, default=None
        Draws the users that are timed and the resamples.
    progress : bool or None, default=None
        ``None`` shows a bar where stderr is a terminal, ``False`` never.

    Returns
    -------
    EvaluationResult
        ``print(result)`` shows it as a table.

    Raises
    ------
    ParameterError
        If an argument breaks its rule, ``train`` and ``test`` do not fit together, or the model has no
        method that this measurement needs.
    DataError
        If no user has a held-out item, or what the model returns is NaN or of the wrong shape.

    Warns
    -----
    DataWarning
        If test interactions are also in ``train``; they are left out, and with them a user who has no
        other.
    ResultWarning
        If a metric is cut beyond the catalogue.

    See Also
    --------
    compare : Whether differences are more than chance.
    segment_rows : For whom the model works.
    hashgnn.benchmarking.assessment.assess : The same next to baselines, with a verdict.

    Notes
    -----
    Memory: one block of ``batch_size × n_items`` scores, what the model needs to make it, the two
    matrices, and 4 bytes for each user, search way and metric.

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> from hashgnn.evaluation import evaluate
    >>> class Counts:
    ...     search_ways = ("count",)
    ...     def score_block(self, user_index, search, k, *, oversampling):
    ...         return np.tile(np.float32([3, 1, 2]), (len(user_index), 1))
    ...     def bytes_per_item(self, search):
    ...         return 4
    >>> train, test = csr_matrix([[1, 0, 0], [0, 0, 1]]), csr_matrix([[0, 0, 1], [0, 1, 0]])
    >>> print(evaluate(Counts(), train, test, metrics=["recall@1", "mrr@2"], n_bootstrap=0))
    2 users, 3 items, every item ranked by its exact score
    search way  recall@1   mrr@2  bytes per item  ms per query
    count         0.5000  0.7500               4             –
    """
    given = held_out(train, test, max_users=max_users)
    wanted = parse_metrics(metrics, n_items=given.n_items)
    warn_beyond(wanted, given.n_items)
    return measure(
        model,
        given,
        wanted,
        search=search,
        served=served,
        oversampling=oversampling,
        batch_size=batch_size,
        n_bootstrap=n_bootstrap,
        confidence=confidence,
        n_timed=n_timed,
        rng=rng,
        progress=progress,
    )


def measure(
    model: Scorer | Retriever,
    given: HeldOut,
    wanted: list[Metric],
    *,
    search: Sequence[str] | str | None = None,
    served: bool = False,
    oversampling: int = 5,
    batch_size: int | None = None,
    n_bootstrap: int = 1000,
    confidence: float = 0.95,
    n_timed: int | None = None,
    rng: RngLike = None,
    progress: bool | None = None,
) -> EvaluationResult:
    """Measure metrics on interactions that are paired up already; the options are those of :func:`evaluate`.

    Parameters
    ----------
    model : Scorer or Retriever
    given : HeldOut
    wanted : list of Metric
        Of :func:`~hashgnn.evaluation.metrics.parse_metrics`.
    """
    ways = _ways(model, search)
    check_int("oversampling", oversampling, minimum=1)
    check_int("n_bootstrap", n_bootstrap, minimum=0)
    check_float("confidence", confidence, minimum=0, maximum=1, open_minimum=True, open_maximum=True)
    if n_timed is None:
        n_timed = _N_TIMED if isinstance(model, Retriever) else 0
    check_int("n_timed", n_timed, minimum=0)
    if batch_size is None:
        batch_size = rows_per_block(max(given.n_items, *(metric.k for metric in wanted)))
    check_int("batch_size", batch_size, minimum=1)
    generator = as_generator(rng)
    width = max(metric.k for metric in wanted)
    k = min(width, given.n_items)
    rank_by = _lists_of if served else _scores_of
    rank = rank_by(model, given, k, width, oversampling)
    with progress_bar("Evaluating", len(ways) * len(given.users), enabled=progress) as advance:
        values = {way: _measure(rank, given, wanted, way, batch_size, advance) for way in ways}
    timed = np.sort(generator.choice(given.users, min(n_timed, len(given.users)), replace=False))
    times: dict[str, QueryTime] = {}
    if n_timed:
        retriever = _retriever(model, "n_timed >= 1", "n_timed=0")
        times = {way: time_queries(retriever, timed, way, k, oversampling=oversampling) for way in ways}
    return EvaluationResult(
        n_users=len(given.users),
        n_items=given.n_items,
        served=served,
        metrics={way: found.metrics for way, found in values.items()},
        expected={way: found.expected for way, found in values.items()},
        intervals=_intervals(values, n_bootstrap, confidence, generator),
        confidence=confidence,
        per_user={way: found.per_user for way, found in values.items()},
        user_index=given.users,
        bytes_per_item={way: float(model.bytes_per_item(way)) for way in ways if isinstance(model, Scorer)},
        milliseconds_per_query={way: found.single for way, found in times.items()},
        milliseconds_per_query_in_batch={way: found.in_batch for way, found in times.items()},
        per_item={way: found.per_item for way, found in values.items() if found.per_item},
        n_held_out=np.bincount(given.relevant.indices, minlength=given.n_items),
    )


def _ways(model: Scorer | Retriever, search: Sequence[str] | str | None) -> list[str]:
    known = list(model.search_ways)
    wanted = known if search is None else [search] if isinstance(search, str) else list(search)
    if not wanted:
        raise ParameterError("search must name at least one search way, got none")
    return list(dict.fromkeys(check_choice("search", way, known) for way in wanted))


def _retriever(model: Scorer | Retriever, purpose: str, remedy: str) -> Retriever:
    if not isinstance(model, Retriever):
        raise ParameterError(
            f"{purpose} needs a model with search_block, got {type(model).__name__}; pass {remedy}"
        )
    return model


_Rank = Callable[[str, slice], Judged]  # lists of a block of users by a search way, with their relevance


def _scores_of(model: Scorer | Retriever, given: HeldOut, k: int, width: int, oversampling: int) -> _Rank:
    if not isinstance(model, Scorer):
        raise ParameterError(
            "an exact measurement needs a model with score_block and bytes_per_item, "
            f"got {type(model).__name__}; pass served=True"
        )

    def rank(way: str, block: slice) -> Judged:
        users = given.users[block]
        scores = model.score_block(users, way, k, oversampling=oversampling)
        shape = (len(users), given.n_items)
        if scores.shape != shape or scores.dtype.kind != "f":
            raise DataError(
                f"score_block must return floats of shape {shape} for {way!r}, got {scores.dtype} "
                f"{scores.shape}; were train and test made with the model's users and items?"
            )
        CandidateFilter(block_per_query=IndexLists.from_matrix(given.seen[block])).mask(scores)
        return _judged(top_k(scores, k).padded(width), given, block, scores)

    return rank


def _lists_of(model: Scorer | Retriever, given: HeldOut, k: int, width: int, oversampling: int) -> _Rank:
    retriever = _retriever(model, "served=True", "served=False")

    def rank(way: str, block: slice) -> Judged:
        users = given.users[block]
        found = retriever.search_block(users, way, k, oversampling=oversampling)
        _check_lists(found, (len(users), k), given.n_items, way)
        return _judged(found.padded(width), given, block)

    return rank


def _judged(found: Matches, given: HeldOut, block: slice, scores: Array | None = None) -> Judged:
    return judge(found, given.relevant[block], scores, seen=given.seen[block], popularity=given.popularity)


def _check_lists(found: Matches, shape: tuple[int, int], n_items: int, way: str) -> None:
    positions = found.positions
    if positions.shape != shape or positions.dtype.kind != "i" or found.counts.shape != shape[:1]:
        raise DataError(
            f"search_block must return positions of shape {shape} for {way!r}, "
            f"got {positions.dtype} {positions.shape} with counts {found.counts.shape}"
        )
    listed = found.valid
    in_range = (positions >= 0) & (positions < n_items)
    if not np.array_equal(np.where(listed, in_range, positions == -1), np.ones(shape, bool)):
        raise DataError(
            f"search_block must return positions in [0, {n_items}) for {way!r}, and -1 beyond each count, "
            "got others; were train and test made with the model's users and items?"
        )


@dataclass
class _Values:
    """The metrics of one search way over all users."""

    metrics: dict[str, float]
    expected: dict[str, float]
    per_user: dict[str, Array]
    per_item: dict[str, Array]


def _measure(
    rank: _Rank, given: HeldOut, wanted: list[Metric], way: str, batch_size: int, advance: Advance
) -> _Values:
    n = len(given.users)
    of_users = [metric for metric in wanted if isinstance(metric, UserMetric)]
    of_catalogue = [metric for metric in wanted if isinstance(metric, CatalogueMetric)]
    of_items = [metric for metric in wanted if isinstance(metric, ItemMetric)]
    per_user = {str(metric): np.empty(n, np.float32) for metric in of_users}
    counts = {metric: np.zeros(given.n_items, np.int64) for metric in (*of_catalogue, *of_items)}
    totals = dict.fromkeys(of_users, 0.0)
    expected: dict[str, float] = {}
    for start in range(0, n, batch_size):
        block = slice(start, min(start + batch_size, n))
        judged = rank(way, block)
        for metric in of_users:
            values = metric.observed(judged)
            per_user[str(metric)][block] = values
            totals[metric] += float(values.sum())
            over_ties = None if judged.ties is None else metric.expected(judged, judged.ties)
            if over_ties is not None:
                expected[str(metric)] = expected.get(str(metric), 0.0) + float(over_ties.sum())
        for shown in of_catalogue:
            positions = judged.positions[:, : shown.k]
            counts[shown] += np.bincount(positions[positions >= 0], minlength=given.n_items)
        for item in of_items:
            found_items = judged.positions[:, : item.k][judged.hits[:, : item.k]]
            counts[item] += np.bincount(found_items, minlength=given.n_items)
        advance(block.stop - start)
    found = {str(metric): totals[metric] / n for metric in of_users}
    found |= {str(metric): metric.of_counts(counts[metric]) for metric in of_catalogue}
    wanted_items = np.bincount(given.relevant.indices, minlength=given.n_items)
    per_item = {str(metric): metric.of_items(counts[metric], wanted_items) for metric in of_items}
    found |= {str(metric): metric.overall(per_item[str(metric)]) for metric in of_items}
    return _Values(
        {str(metric): found[str(metric)] for metric in wanted},
        {name: total / n for name, total in expected.items()},
        per_user,
        per_item,
    )


def _intervals(
    values: dict[str, _Values], n_bootstrap: int, confidence: float, generator: np.random.Generator
) -> dict[str, dict[str, tuple[float, float]]]:
    """Return an interval for each search way and metric of users, from the same resamples."""
    if not n_bootstrap:
        return {}
    intervals: dict[str, dict[str, tuple[float, float]]] = {way: {} for way in values}
    columns = [(way, name) for way, found in values.items() for name in found.per_user]
    if columns:
        table = np.stack([values[way].per_user[name] for way, name in columns], axis=1)
        ends = bootstrap_intervals(table, n_resamples=n_bootstrap, confidence=confidence, rng=generator)
        for (way, name), (low, high) in zip(columns, ends.tolist(), strict=True):
            intervals[way][name] = (low, high)
    return intervals
