"""The database of a store, as another program sees it."""

from __future__ import annotations

from typing import Any

import pytest

psycopg = pytest.importorskip("psycopg")


def schema_of(url: str) -> str:
    return url.partition("&store=")[2].partition("&")[0]


def connected(url: str) -> Any:
    """Return a connection of another program to the server of a store."""
    return psycopg.connect(url.partition("&store=")[0], autocommit=True)


def run(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement on the server of a store, with {s} for its schema."""
    with connected(url) as connection:
        cursor = connection.execute(statement.format(s=schema_of(url)))
        return cursor.fetchall() if cursor.description else []
