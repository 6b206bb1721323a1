"""Stores of both kinds: every test that asks for a place or a store runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.servers import store_url

from hashgnn.serving.store import InteractionStore
from hashgnn.serving.store._postgres_schema import lock_statement


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store is to be opened; there is none yet."""
    return str(tmp_path / "store" / "new.db") if request.param == "sqlite" else store_url()


@pytest.fixture
def store(place: str) -> Iterator[InteractionStore]:
    with InteractionStore.open(place) as opened:
        yield opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store is to be made that is a file."""
    return tmp_path / "store" / "new.db"


@pytest.fixture
def let_go(place: str, store: InteractionStore) -> Iterator[Callable[[], None]]:
    """Hold the store for a writer of another process; a call of this lets it go."""
    if store.is_remote:
        psycopg = pytest.importorskip("psycopg")
        url, _, schema = place.rpartition("&store=")
        connection = psycopg.connect(url, autocommit=True)
        connection.execute("BEGIN")
        connection.execute(lock_statement(schema))
    else:
        connection = sqlite3.connect(place, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")

    def roll_back() -> None:
        connection.execute("ROLLBACK")

    yield roll_back
    connection.close()
