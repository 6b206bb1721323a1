"""The protocol: every item is ranked for every user who has something to be found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hashgnn._checks import check_choice, check_float, check_int
from hashgnn._progress import Advance
from hashgnn._progress import progress as progress_bar
from hashgnn._rng import RngLike, as_generator
from hashgnn._types import Array
from hashgnn.errors import DataError, ParameterError
from hashgnn.evaluation.bootstrap import bootstrap_intervals
from hashgnn.evaluation.evaluation_report import EvaluationReport
from hashgnn.evaluation.held_out import HeldOut, held_out
from hashgnn.evaluation.metric_names import Metric, parse_metrics
from hashgnn.evaluation.metrics import expected, observed
from hashgnn.evaluation.recommender_contract import Evaluable
from hashgnn.evaluation.relevance import judge
from hashgnn.evaluation.timing import QueryTime, time_queries
from hashgnn.ranking import CandidateFilter, IndexLists, top_k
from hashgnn.ranking.top_k import rows_per_block


def evaluate(
    model: Evaluable,
    train: Any,
    test: Any,
    *,
    metrics: Sequence[str] = ("recall@20", "ndcg@20"),
    search: Sequence[str] | str | None = None,
    oversampling: int = 5,
    batch_size: int | None = None,
    n_bootstrap: int = 1000,
    confidence: float = 0.95,
    n_timed: int = 100,
    rng: RngLike = None,
    progress: bool | None = None,
) -> EvaluationReport:
    """Rank all items for each user with held-out items, and measure every search way.

    A user's training items are masked. Ties are broken towards the smaller item position; the mean over all
    orders of the ties stands beside. Everything but the times depends on the arguments alone.

    Parameters
    ----------
    model : Evaluable
        A fitted :class:`~hashgnn.HashGNN`, or what has its ``search_ways``, ``score_block``,
        ``search_block`` and ``bytes_per_item``.
    train, test : Interactions, or sparse matrix of shape (n_users, n_items)
        What the model was fitted on, and what was held out; same users and items, in the model's order.
    metrics : sequence of str, default=("recall@20", "ndcg@20")
        Of ``recall``, ``precision``, ``hr``, ``ndcg``, ``map``, ``mrr`` and ``coverage``, each with its
        cut, at most ``n_items``.
    search : str or sequence of str, default=None
        Search ways; ``None`` takes all that the model has.
    oversampling : int, default=5
        Hierarchical search re-ranks ``oversampling`` times the largest cut among ``metrics``.
    batch_size : int, default=None
        Users scored at a time; ``None`` takes as many as 64 MiB of float32 scores hold.
    n_bootstrap : int, default=1000
        Resamples of the users for the intervals; 0 leaves them out.
    confidence : float, default=0.95
        Of the intervals.
    n_timed : int, default=100
        Users drawn for the times; 0 leaves them out.
    rng : int, numpy.random.Generator or None, default=None
        Draws the users that are timed and the resamples.
    progress : bool or None, default=None
        ``None`` shows a bar where stderr is a terminal, ``False`` never.

    Returns
    -------
    EvaluationReport

    Raises
    ------
    ParameterError
        If an argument breaks its rule, or ``train`` and ``test`` do not fit together.
    DataError
        If no user has a held-out item, or the model's scores are NaN or of the wrong shape.

    Warns
    -----
    DataWarning
        If test interactions are also in ``train``; they are left out, and with them a user who has no
        other.

    Notes
    -----
    Memory: one block of ``batch_size × n_items`` scores, what the model needs to make it, the two
    matrices, and 4 bytes for each user, search way and metric.
    """
    given = held_out(train, test)
    wanted = parse_metrics(metrics, n_items=given.n_items)
    ways = _ways(model, search)
    check_int("oversampling", oversampling, minimum=1)
    check_int("n_bootstrap", n_bootstrap, minimum=0)
    check_float("confidence", confidence, minimum=0, maximum=1, open_minimum=True, open_maximum=True)
    check_int("n_timed", n_timed, minimum=0)
    if batch_size is None:
        batch_size = rows_per_block(given.n_items)
    check_int("batch_size", batch_size, minimum=1)
    generator = as_generator(rng)
    k = max(metric.k for metric in wanted)
    with progress_bar("Evaluating", len(ways) * len(given.users), enabled=progress) as advance:
        passes = {way: _Pass(model, given, wanted, way, k, oversampling, batch_size, advance) for way in ways}
    timed = np.sort(generator.choice(given.users, min(n_timed, len(given.users)), replace=False))
    times = {way: time_queries(model, timed, way, k, oversampling=oversampling) for way in ways if n_timed}
    return _report(model, given, passes, times, n_bootstrap, confidence, generator)


def _ways(model: Evaluable, search: Sequence[str] | str | None) -> list[str]:
    known = list(model.search_ways)
    asked = known if search is None else [search] if isinstance(search, str) else list(search)
    if not asked:
        raise ParameterError("search must name at least one search way, got none")
    return list(dict.fromkeys(check_choice("search", way, known) for way in asked))


class _Pass:
    """One search way over all users.

    Attributes
    ----------
    metrics, expected : dict of str to float
    per_user : dict of str to ndarray of shape (n_users,), float32
    """

    def __init__(
        self,
        model: Evaluable,
        given: HeldOut,
        wanted: list[Metric],
        way: str,
        k: int,
        oversampling: int,
        batch_size: int,
        advance: Advance,
    ) -> None:
        n = len(given.users)
        averaged = [metric for metric in wanted if metric.is_per_user]
        shown = {metric: np.zeros(given.n_items, bool) for metric in wanted if not metric.is_per_user}
        self.per_user = {str(metric): np.empty(n, np.float32) for metric in averaged}
        totals = dict.fromkeys(averaged, 0.0)
        expected_totals = dict.fromkeys(averaged, 0.0)
        for start in range(0, n, batch_size):
            block = slice(start, min(start + batch_size, n))
            scores = model.score_block(given.users[block], way, k, oversampling=oversampling)
            _check_scores(scores, (block.stop - start, given.n_items), way)
            CandidateFilter(block_per_query=IndexLists.from_matrix(given.seen[block])).mask(scores)
            ranking = top_k(scores, k)
            judged = judge(ranking, scores, given.relevant[block])
            for metric in averaged:
                values = observed(metric, judged)
                self.per_user[str(metric)][block] = values
                totals[metric] += float(values.sum())
                expected_totals[metric] += float(expected(metric, judged).sum())
            for metric, items in shown.items():
                positions = ranking.positions[:, : metric.k]
                items[positions[positions >= 0]] = True
            advance(block.stop - start)
        self.metrics = {
            str(metric): totals[metric] / n if metric.is_per_user else float(shown[metric].mean())
            for metric in wanted
        }
        self.expected = {str(metric): total / n for metric, total in expected_totals.items()}


def _check_scores(scores: Array, shape: tuple[int, int], way: str) -> None:
    if scores.shape != shape or scores.dtype.kind != "f":
        raise DataError(
            f"score_block must return floats of shape {shape} for {way!r}, got {scores.dtype} {scores.shape}; "
            "were train and test made with the model's users and items?"
        )


def _report(
    model: Evaluable,
    given: HeldOut,
    passes: dict[str, _Pass],
    times: dict[str, QueryTime],
    n_bootstrap: int,
    confidence: float,
    generator: np.random.Generator,
) -> EvaluationReport:
    columns = [(way, name) for way, found in passes.items() for name in found.per_user]
    intervals: dict[str, dict[str, tuple[float, float]]] = {}
    if n_bootstrap:
        intervals = {way: {} for way in passes}
        if columns:
            table = np.stack([passes[way].per_user[name] for way, name in columns], axis=1)
            ends = bootstrap_intervals(table, n_resamples=n_bootstrap, confidence=confidence, rng=generator)
            for (way, name), (low, high) in zip(columns, ends.tolist(), strict=True):
                intervals[way][name] = (low, high)
    return EvaluationReport(
        n_users=len(given.users),
        n_items=given.n_items,
        metrics={way: found.metrics for way, found in passes.items()},
        expected={way: found.expected for way, found in passes.items()},
        intervals=intervals,
        confidence=confidence,
        per_user={way: found.per_user for way, found in passes.items()},
        user_index=given.users,
        bytes_per_item={way: float(model.bytes_per_item(way)) for way in passes},
        milliseconds_per_query={way: found.alone for way, found in times.items()},
        milliseconds_per_query_in_batch={way: found.in_batch for way, found in times.items()},
    )
