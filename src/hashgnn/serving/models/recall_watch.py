"""``RecallWatch``: a sample of the lists that were answered is searched exactly, in the background."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hashgnn._types import Array
from hashgnn.answering import EncodedEntities, FittedModel, Queries
from hashgnn.answering.queries import POPULAR
from hashgnn.answering.search_ways import SearchOptions
from hashgnn.ranking import CandidateFilter, Matches, top_k
from hashgnn.serving.models.popularity_shift import PopularityShift
from hashgnn.serving.models.watch_metrics import WatchMetrics
from hashgnn.serving.wire.logs import log

CAPACITY = 16  # samples that may wait; one more is dropped

_WARNING = 30
_END = 1.0  # seconds to wait for an exact search when the service ends


class Version(Protocol):
    """The part of a version of the model that watching needs."""

    @property
    def fitted(self) -> FittedModel:
        """The model."""

    @property
    def shift(self) -> PopularityShift:
        """Counts what is served and recorded."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One row of an answer, and what it was searched with.

    Attributes
    ----------
    version : Version
    entity : EncodedEntities of length 1
    options : SearchOptions
    candidates : CandidateFilter of one query
    positions : ndarray of shape (n,), int64
        The list that was answered.
    """

    version: Version
    entity: EncodedEntities
    options: SearchOptions
    candidates: CandidateFilter
    positions: Array


class RecallWatch:
    """Compares lists that were answered with exact ones, off the way of requests.

    A request is sampled by chance, and one of its rows is kept. One thread searches the kept rows, and pauses after
    each for so long that its share of a processor stays in its bound. What comes while many wait is dropped.

    Parameters
    ----------
    rate : float
        Share of requests that are sampled, in [0, 1]; 0 turns it off.
    cpu_share : float
        Largest share of one processor, in (0, 1]. The time of the whole process counts while an exact search
        runs, so under load the share is smaller.
    metrics : WatchMetrics
    measure : callable, optional
        Measures a sample; :func:`measured` by default.
    """

    def __init__(
        self,
        rate: float,
        cpu_share: float,
        metrics: WatchMetrics,
        measure: Callable[[Sample, WatchMetrics], None] | None = None,
    ) -> None:
        self._rate, self._cpu_share, self._metrics = rate, cpu_share, metrics
        self._measure = measure or measured
        self._waiting: deque[Sample] = deque()
        self._changed = threading.Condition()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._random = random.Random()  # noqa: S311 - which requests are sampled is no secret

    @property
    def waiting(self) -> int:
        """Samples that wait to be searched."""
        return len(self._waiting)

    def offer(
        self,
        version: Version,
        queries: Queries,
        options: SearchOptions,
        candidates: CandidateFilter,
        found: Matches,
    ) -> None:
        """Perhaps keep a row of an answer. Takes microseconds, and never waits."""
        if not self._rate or self._random.random() >= self._rate:
            return
        personal = np.flatnonzero(queries.source != POPULAR)
        if not len(personal) or self._ending.is_set():
            return
        place = self._random.randrange(len(personal))
        row = int(personal[place])
        count = int(found.counts[row])
        with self._changed:
            if len(self._waiting) >= CAPACITY:
                self._metrics.samples.labels("dropped").inc()
                return
            one = np.array([row])
            self._waiting.append(
                Sample(
                    version,
                    queries.entities[np.array([place])],
                    options,
                    candidates[one],
                    found.positions[row, :count].copy(),
                )
            )
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="recall", daemon=True)
                self._thread.start()
            self._changed.notify()

    def clear(self) -> None:
        """Drop what waits: another version answers, and the old one shall leave memory."""
        with self._changed:
            self._waiting.clear()

    def close(self) -> None:
        """End the thread, after the search that runs if that is short."""
        self._ending.set()
        with self._changed:
            self._waiting.clear()
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(_END)

    def _run(self) -> None:
        has_failed = False
        while not self._ending.is_set():
            with self._changed:
                while not self._waiting and not self._ending.is_set():
                    self._changed.wait()
                if self._ending.is_set():
                    return
                sample = self._waiting.popleft()
            started = time.process_time()
            try:
                self._measure(sample, self._metrics)
                self._metrics.samples.labels("measured").inc()
            except Exception:  # a mistake must not end the watch, and one line of it is enough
                self._metrics.samples.labels("failed").inc()
                if not has_failed:
                    log(_WARNING, "exact search failed", exc_info=True)
                has_failed = True
            del sample
            used = time.process_time() - started
            self._metrics.seconds.inc(used)
            self._ending.wait(used * (1 / self._cpu_share - 1))


def measured(sample: Sample, metrics: WatchMetrics) -> None:
    """Search one sample exactly and record what its list had of the exact ones."""
    ways, options = sample.version.fitted.items_for_users, sample.options
    way, positions = options.search, sample.positions
    shift = sample.version.shift
    shift.count("served", positions)
    metrics.set_shift("served", shift.distance("served"))
    if way == "float":
        return  # an exhaustive search is exact, and agrees with itself
    scores = ways.scores(sample.entity, options, sample.candidates)[0]
    recall = share_found(scores, positions, options.k)
    by_floats = ways.scores(sample.entity, SearchOptions(options.k, "float"), sample.candidates)[0]
    agreement = share_found(by_floats, positions, options.k)
    if recall is not None:
        metrics.index_recall.labels(way).observe(recall)
    if agreement is not None:
        metrics.float_agreement.labels(way).observe(agreement)


def share_found(scores: Array, positions: Array, k: int) -> float | None:
    """Return the share of the best ``k`` by some scores that a list has; None where there are no candidates.

    An item counts if its score is at least that of the ``k``-th best: of tied items any will do.

    Parameters
    ----------
    scores : ndarray of shape (n_items,)
        -inf for what is no candidate.
    positions : ndarray of shape (n,), int64
        The list.
    k : int
    """
    best = top_k(scores[None, :], k)
    n = int(best.counts[0])
    if not n:
        return None
    last = best.scores[0, n - 1]
    return min(1.0, float((scores[positions] >= last).sum()) / n)
