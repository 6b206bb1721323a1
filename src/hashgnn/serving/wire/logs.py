"""Structured logs: one JSON object a line."""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from hashgnn._json_text import dumps

# The id of the current request; every line that is written for it has this id.
REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)

_OWN = "hashgnn.serving"


class JsonLines(logging.Formatter):
    """Writes a record as one line: time, level, event and its fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a traceback is a field of it."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        document: dict[str, Any] = {
            "time": when,
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return dumps(document).decode()


def logger() -> logging.Logger:
    """Return the service's logger."""
    return logging.getLogger(_OWN)


def log(level: int, event: str, *, exc_info: bool = False, **fields: Any) -> None:
    """Write an event with its fields; ``exc_info`` adds the traceback of the error that is handled."""
    request_id = REQUEST_ID.get()
    if request_id is not None:
        fields = {"request_id": request_id, **fields}
    logger().log(level, event, exc_info=exc_info, extra={"fields": fields})


def write_to_stderr() -> None:
    """Send the service's and the web server's logs to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in (_OWN, "uvicorn", "uvicorn.error"):
        target = logging.getLogger(name)
        target.handlers = [handler] if name != "uvicorn.error" else []
        target.setLevel(logging.INFO)
        target.propagate = name == "uvicorn.error"
