"""The OpenAPI document of the model that answers: the types of its ids, and its types of events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_OF_USERS = ("user", "users")
_OF_ITEMS = ("item", "items", "histories", "history", "allow", "block")


def set_id_types(schema: dict[str, Any], users: str, items: str) -> None:
    """Leave only the type that ids have in the schema of a request.

    Parameters
    ----------
    schema : dict
        Changed in place.
    users, items : str
        :attr:`IdMap.kind` of the model's ids. All but integers come as text, and those of several kinds as either.
    """
    for names, kind in ((_OF_USERS, users), (_OF_ITEMS, items)):
        for name in names:
            if kind != "other" and name in schema.get("properties", {}):
                _narrow(schema["properties"][name], "integer" if kind == "int" else "string")


def set_event_types(schema: dict[str, Any], events: Iterable[str]) -> None:
    """Leave only the types of events that the model weighs in the schema of an interaction; changed in place."""
    if "event" in schema.get("properties", {}):
        known = [{"type": "string", "enum": sorted(events)}] if events else []
        schema["properties"]["event"]["anyOf"] = [*known, {"type": "null"}]


def _narrow(schema: Any, kept: str) -> None:
    if isinstance(schema, list):
        for part in schema:
            _narrow(part, kept)
    elif isinstance(schema, dict):
        choices = schema.get("anyOf", [])
        if {"integer", "string"} <= {choice.get("type") for choice in choices}:
            schema["anyOf"] = [choice for choice in choices if choice.get("type") == kept]
        for part in schema.values():
            _narrow(part, kept)
