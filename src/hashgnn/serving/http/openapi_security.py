"""Who may call what, as the OpenAPI document says it."""

from __future__ import annotations

from typing import Any

KEYED = ("/v1/", "/metrics", "/openapi.json")  # paths that need an API key, where there are keys
_ADMIN = "/admin/"

SCHEMES: dict[str, dict[str, str]] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, as Authorization: Bearer KEY.",
    },
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key."},
    "admin": {
        "type": "http",
        "scheme": "bearer",
        "description": "The admin token, as Authorization: Bearer TOKEN; it is no API key.",
    },
}


def required_schemes(path: str, *, needs_key: bool) -> list[dict[str, list[Any]]]:
    """Return the ``security`` of an operation: one of these schemes is needed, none where the list is empty."""
    if path.startswith(_ADMIN):
        return [{"admin": []}]
    if needs_key and path.startswith(KEYED):
        return [{"bearer": []}, {"header": []}]
    return []
