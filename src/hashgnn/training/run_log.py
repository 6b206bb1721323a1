"""The log of a run: one JSON object a line, flushed as it happens."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, TextIO

from hashgnn._files import storage_errors


class RunLog:
    """Append events to a JSONL file; without a path it keeps quiet.

    Each line holds ``event``, ``seconds`` since the run began, and the event's own fields.
    """

    def __init__(self, path: Path | None) -> None:
        self._start = time.perf_counter()
        self._path = path
        self._file: TextIO | None = None
        if path is not None:
            with storage_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = path.open("a", encoding="utf-8")

    def write(self, event: str, **fields: Any) -> None:
        """Write one event."""
        if self._file is None or self._path is None:
            return
        line = json.dumps({"event": event, "seconds": round(time.perf_counter() - self._start, 3), **fields})
        with storage_errors(self._path):
            self._file.write(line + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file; further events are dropped."""
        if self._file is not None:
            self._file.close()
            self._file = None
