"""Metrics of how good the answers are: recall of the index, agreement of codes with floats, unknown ids, drift."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from hashgnn._types import Array

_SHARES = (0.0, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 1.0)


class WatchMetrics:
    """Metrics of quality of one service process; those of several workers are added up by Prometheus' own rules.

    Shares of lists are histograms: ``rate(…_sum) / rate(…_count)`` is their mean over a time and over all workers.

    Parameters
    ----------
    registry : CollectorRegistry
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.index_recall = Histogram(
            "hashgnn_index_recall",
            "Share of the exact best items by the same scores that a sampled list had.",
            ("search",),
            buckets=_SHARES,
            registry=registry,
        )
        self.float_agreement = Histogram(
            "hashgnn_float_agreement",
            "Share of the best items by floats that a sampled list by codes had.",
            ("search",),
            buckets=_SHARES,
            registry=registry,
        )
        self.samples = Counter(
            "hashgnn_recall_samples",
            "Sampled lists, by whether they were searched exactly.",
            ("outcome",),
            registry=registry,
        )
        self.seconds = Counter(
            "hashgnn_recall_cpu_seconds", "Processor time of exact searches.", registry=registry
        )
        self.ids = Counter(
            "hashgnn_ids",
            "Ids in requests, by whether the model knows them.",
            ("side", "route", "known"),
            registry=registry,
        )
        self.repeated = Counter(
            "hashgnn_interactions_repeated",
            "Writes whose Idempotency-Key had been answered before.",
            registry=registry,
        )
        self._shift = Gauge(
            "hashgnn_popularity_shift",
            "Jensen-Shannon distance of the popularity of items from that of the training.",
            ("of",),
            registry=registry,
            multiprocess_mode="livemax",
        )

    def count_ids(self, side: str, route: str, positions: Array) -> None:
        """Count ids of a request: ``positions`` are their places in the model, -1 where it does not know one."""
        n_known = int((positions >= 0).sum())
        self.count_known(side, route, n_known, len(positions) - n_known)

    def count_known(self, side: str, route: str, n_known: int, n_unknown: int) -> None:
        """Count so many ids that the model knows, and so many that it does not."""
        if n_known:
            self.ids.labels(side, route, "yes").inc(n_known)
        if n_unknown:
            self.ids.labels(side, route, "no").inc(n_unknown)

    def set_shift(self, of: str, distance: float | None) -> None:
        """Set a distance; ``None``, which is too little to say, changes nothing."""
        if distance is not None:
            self._shift.labels(of).set(distance)
