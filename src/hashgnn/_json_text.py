"""JSON text of any Python value."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def dumps(value: Any) -> bytes:
    """Return compact JSON text in UTF-8; :func:`plain` converts other values.

    Examples
    --------
    >>> dumps({"a": [1, None]})
    b'{"a":[1,null]}'
    """
    try:
        return _encode(value).encode()
    except (TypeError, ValueError):
        return _encode(plain(value)).encode("utf-8", "replace")


def plain(value: Any) -> Any:
    """Return a JSON value: numbers that are not finite are null, dates ISO text, other objects their text.

    Examples
    --------
    >>> plain({"when": date(2026, 1, 2), "share": float("nan")})
    {'when': '2026-01-02', 'share': None}
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return value.total_seconds() if isinstance(value, timedelta) else str(value)
