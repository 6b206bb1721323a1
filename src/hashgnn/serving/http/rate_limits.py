"""How many requests a key may send: a bucket of tokens for each name, which all workers of a service share."""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

from hashgnn.serving.http.api_keys import ApiKey

_BUCKET = struct.Struct("<dd")  # tokens, and when they were counted


class RateLimits:
    """Token buckets. A bucket holds up to ``burst`` tokens, fills by ``rate`` a second, and a request takes one.

    Parameters
    ----------
    folder : Path or None
        That the workers share; ``None`` where there is one worker.
    clock : callable, default=time.monotonic
        Seconds, the same in all processes of the machine.
    """

    def __init__(self, folder: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = folder, clock
        self._buckets: dict[str, tuple[float, float]] = {}
        self._files: dict[str, int] = {}

    def take(self, key: ApiKey) -> float:
        """Take a token of a key's bucket; return 0, or the seconds until there is one."""
        if key.rate is None:
            return 0.0
        if self._folder is None:
            self._buckets[key.name], wait = _taken(key, key.rate, self._buckets.get(key.name), self._clock())
            return wait
        file = self._file(key.name)
        fcntl.flock(file, fcntl.LOCK_EX)  # held for microseconds, and released by the system if a worker dies
        try:
            raw = os.pread(file, _BUCKET.size, 0)
            before = _BUCKET.unpack(raw) if len(raw) == _BUCKET.size else None
            bucket, wait = _taken(key, key.rate, before, self._clock())
            os.pwrite(file, _BUCKET.pack(*bucket), 0)
            return wait
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the files."""
        while self._files:
            os.close(self._files.popitem()[1])

    def _file(self, name: str) -> int:
        if name not in self._files:
            assert self._folder is not None
            path = self._folder / f"rate-{hashlib.sha256(name.encode()).hexdigest()[:32]}"
            self._files[name] = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        return self._files[name]


def _taken(
    key: ApiKey, rate: float, before: tuple[float, float] | None, now: float
) -> tuple[tuple[float, float], float]:
    """Return a bucket after a request, and the seconds until the request would be admitted."""
    tokens, since = (key.burst, now) if before is None else before
    tokens = min(key.burst, tokens + max(0.0, now - since) * rate)
    if tokens >= 1:
        return (tokens - 1, now), 0.0
    return (tokens, now), (1 - tokens) / rate
