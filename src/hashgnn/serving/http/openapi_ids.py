"""The types of ids in the OpenAPI document: those of the model that answers."""

from __future__ import annotations

from typing import Any

_OF_USERS = ("user", "users")
_OF_ITEMS = ("item", "items", "histories", "allow", "block")
_TYPES = {"int": "integer", "str": "string"}


def set_id_types(schema: dict[str, Any], users: str, items: str) -> None:
    """Leave only the type that ids have in the schema of a request.

    Parameters
    ----------
    schema : dict
        Changed in place.
    users, items : str
        :attr:`IdMap.kind` of the model's ids. Ids of other kinds come as text or as integers.
    """
    for names, kind in ((_OF_USERS, users), (_OF_ITEMS, items)):
        for name in names:
            if kind in _TYPES and name in schema.get("properties", {}):
                _narrow(schema["properties"][name], _TYPES[kind])


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
