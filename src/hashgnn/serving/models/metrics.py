"""The metrics that Prometheus reads: requests, errors, latencies, candidates, model, queue, memory."""

from __future__ import annotations

import os
import struct
import time

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
    multiprocess,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ATTEMPTS, _PAUSE = 8, 0.025  # seconds
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Metrics:
    """The metrics of one service process; several workers write to one folder, and each of them reports the sum."""

    def __init__(self) -> None:
        own = self.registry = CollectorRegistry()
        self._shared = MULTIPROCESS in os.environ
        if not self._shared:
            ProcessCollector(registry=own)
        self.requests = Counter(
            "hashgnn_requests", "Requests answered.", ("route", "method", "status"), registry=own
        )
        self.errors = Counter(
            "hashgnn_errors", "Requests answered with a problem document.", ("route", "status"), registry=own
        )
        self.seconds = Histogram(
            "hashgnn_request_seconds",
            "Time from the arrival of a request to its answer.",
            ("route", "search"),
            buckets=_BUCKETS,
            registry=own,
        )
        self.scanned = Counter(
            "hashgnn_candidates_scanned", "Items compared with a query.", ("search",), registry=own
        )
        self.rows = Counter("hashgnn_rows", "Users, histories and items answered.", ("source",), registry=own)
        self.interactions = Counter("hashgnn_interactions", "Interactions kept.", registry=own)
        self.deletions = Counter("hashgnn_deletions", "Requests that deleted interactions.", registry=own)
        self.new_items = Counter("hashgnn_new_items", "New items kept.", registry=own)
        self._held: Gauge | None = None
        self._store: Gauge | None = None
        self.reloads = Counter(
            "hashgnn_reloads", "Attempts to open another version.", ("result",), registry=own
        )
        self.refusals = Counter(
            "hashgnn_reloads_refused", "Versions that were refused, by why.", ("reason",), registry=own
        )
        self.key_requests = Counter(
            "hashgnn_key_requests",
            "Requests answered, by the name of their key.",
            ("key", "status"),
            registry=own,
        )
        self.key_files = Counter(
            "hashgnn_key_files", "Changes of the file of keys.", ("result",), registry=own
        )
        self.waiting = Gauge(
            "hashgnn_queue_depth",
            "Requests that wait for a thread.",
            registry=own,
            multiprocess_mode="livesum",
        )
        self.working = Gauge(
            "hashgnn_requests_in_progress",
            "Requests that have a thread.",
            registry=own,
            multiprocess_mode="livesum",
        )
        self.memory = Gauge(
            "hashgnn_resident_memory_bytes",
            "Memory of a worker, pages of the mapped tables included.",
            registry=own,
            multiprocess_mode="liveall",
        )
        self._info = Gauge(
            "hashgnn_model_info",
            "1 for the versions that answer.",
            ("version", "role"),
            registry=own,
            multiprocess_mode="livemax",
        )
        self._created = Gauge(
            "hashgnn_model_created_timestamp_seconds",
            "When the model was made.",
            registry=own,
            multiprocess_mode="livemax",
        )
        self._age = Gauge(
            "hashgnn_model_age_seconds",
            "Since the model was made.",
            registry=own,
            multiprocess_mode="livemax",
        )
        self._loaded_age = Gauge(
            "hashgnn_model_loaded_age_seconds",
            "Since a worker opened the version that answers; of several workers the longest.",
            registry=own,
            multiprocess_mode="livemax",
        )
        self._versions: dict[str, str] = {}
        self._saved = self._loaded = time.time()

    def set_versions(
        self, current: str, next_version: str | None, created: float, loaded: float | None = None
    ) -> None:
        """Set which versions answer, and when the current one was made and opened, in seconds since 1970."""
        versions = {"current": current}
        if next_version is not None:
            versions["next"] = next_version
        for role, name in self._versions.items():
            self._info.labels(name, role).set(0)
        for role, name in versions.items():
            self._info.labels(name, role).set(1)
        self._versions, self._saved = versions, created
        self._loaded = time.time() if loaded is None else loaded
        self._created.set(self._saved)
        self.update()

    def set_new_items(self, held: int) -> None:
        """Set how many items answer that the current version was not trained on."""
        if self._held is None:
            self._held = Gauge(
                "hashgnn_new_items_held",
                "Items that the current version was not trained on.",
                registry=self.registry,
                multiprocess_mode="livemax",
            )
        self._held.set(float(held))

    def set_store(self, *, healthy: bool) -> None:
        """Set whether the store of interactions can be written; a service without one has no such metric."""
        if self._store is None:
            self._store = Gauge(
                "hashgnn_store_healthy",
                "1 while the store of interactions can be written.",
                registry=self.registry,
                multiprocess_mode="livemin",
            )
        self._store.set(float(healthy))

    def update(self) -> None:
        """Set the metrics that change with time: age and memory."""
        self._age.set(time.time() - self._saved)
        self._loaded_age.set(time.time() - self._loaded)
        self.memory.set(resident_bytes())

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text form."""
        self.update()
        if not self._shared:
            return generate_latest(self.registry)
        merged = CollectorRegistry()
        multiprocess.MultiProcessCollector(merged)  # type: ignore[no-untyped-call]
        for _ in range(_ATTEMPTS):
            try:
                return generate_latest(merged)
            except (
                OSError,
                ValueError,
                struct.error,
            ):  # a worker that starts or ends makes or removes its files
                time.sleep(_PAUSE)
        return generate_latest(merged)


def resident_bytes() -> int:
    """Return the resident memory of this process, 0 where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0
