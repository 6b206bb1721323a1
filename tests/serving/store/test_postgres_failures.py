"""A store in PostgreSQL that is open while something goes wrong: no room, tables gone, servers that fall silent."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from tests.servers import store_url
from tests.serving.store.database import connected, psycopg, run, schema_of

from hashgnn.errors import StorageError, UnknownOutcomeError
from hashgnn.serving.store import InteractionStore
from hashgnn.serving.store._postgres_schema import lock_statement


@pytest.fixture
def url() -> str:
    return store_url()


def test_a_full_disk_acknowledges_nothing_until_there_is_room(url: str) -> None:
    full = (
        "CREATE FUNCTION {s}.full() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$; "
        "CREATE TRIGGER no_room BEFORE INSERT ON {s}.interactions EXECUTE FUNCTION {s}.full(); "
        "CREATE TRIGGER no_room BEFORE UPDATE ON {s}.state EXECUTE FUNCTION {s}.full()"
    )
    with InteractionStore.open(url) as store:
        store.append(["u"], ["i"])
        run(url, full)
        with pytest.raises(
            StorageError, match="could not be written or read, the disk is full; nothing was changed"
        ):
            store.append(["u"], ["j"])
        assert store.problem() == "the disk is full"
        assert (store.count, store.history("u")) == (1, ["i"])
        run(url, "DROP TRIGGER no_room ON {s}.interactions; DROP TRIGGER no_room ON {s}.state")
        assert store.problem() is None
        assert store.append(["u"], ["j"]) == 1


def test_tables_that_were_replaced_or_dropped_take_nothing(url: str) -> None:
    with InteractionStore.open(url) as store:
        store.append(["u"], ["i"])
        run(url, "DROP SCHEMA {s} CASCADE")
        assert store.problem() == "its tables are gone"
        with pytest.raises(StorageError, match="its tables are gone; nothing was changed"):
            store.append(["u"], ["j"])
        with InteractionStore.open(url) as fresh:
            fresh.append([1], [2])
            time.sleep(0.6)  # a check holds for half a second
            assert store.problem() == "its tables were replaced by those of another store"
            with pytest.raises(
                StorageError, match="cannot be written, its tables were replaced by those of another"
            ):
                store.append(["u"], ["j"])
            assert fresh.count == 1


def test_connections_that_the_server_ended_are_opened_again(url: str) -> None:
    end = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND application_name = 'hashgnn'"
    )
    with InteractionStore.open(url) as store:
        for number in range(3):
            store.append(["u"], [f"i{number}"])
            assert store.count == number + 1
            assert len(run(url, end)) >= 2
        assert store.history("u") == ["i0", "i1", "i2"]
        assert store.problem() is None


@pytest.fixture
def backend(url: str) -> Iterator[Callable[[InteractionStore, str], int]]:
    """Stop a process of the server that serves reads or writes; it goes on at the end of the test."""
    stopped: list[int] = []

    def stop(store: Any, what: str) -> int:
        connections = store._connections
        connection = connections._writer if what == "writes" else connections._idle[-1]
        stopped.append(connection.info.backend_pid)
        os.kill(stopped[-1], signal.SIGSTOP)
        return stopped[-1]

    yield stop
    for pid in stopped:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def test_a_read_that_the_server_does_not_answer_is_cut(url: str, backend: Any) -> None:
    with InteractionStore.open(f"{url}&timeout=1") as store:
        store.append(["u"], ["i"])
        assert store.count == 1
        backend(store, "reads")
        begun = time.monotonic()
        with pytest.raises(StorageError, match="its server did not answer within 2 seconds"):
            store.history("u")
        assert time.monotonic() - begun < 20
        with pytest.raises(StorageError, match="its server did not answer"):
            store.count  # noqa: B018  at once
        deadline = time.monotonic() + 30
        while store.problem() is not None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert store.history("u") == ["i"]  # by another process of the server


def test_a_commit_that_is_not_answered_is_of_unknown_outcome(
    url: str, backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with InteractionStore.open(f"{url}&timeout=1") as store:
        store.append(["u"], ["i"])
        commit = store._connections._commit
        stopped: list[int] = []

        def silent(*arguments: Any) -> None:
            stopped.append(backend(store, "writes"))
            commit(*arguments)

        monkeypatch.setattr(store._connections, "_commit", silent)
        with pytest.raises(UnknownOutcomeError, match="whether it did is not known; send the same again"):
            store.append(["u"], ["late"])
        monkeypatch.undo()
        assert store.history("u") == ["i"]
        assert store.problem() == "another process holds it"
        os.kill(stopped[0], signal.SIGCONT)  # now it commits, or ends for having been silent too long
        deadline = time.monotonic() + 30
        while store.problem() is not None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert store.append(["u"], ["j"]) == 1
        assert store.history("u") in (["i", "j"], ["i", "late", "j"])


def test_a_commit_that_was_made_is_acknowledged_though_its_answer_is_lost(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with InteractionStore.open(url) as store:
        store.append(["u"], ["i"])
        connection = store._connections._writer
        execute = connection.execute

        def executed(statement: str, *values: Any) -> Any:
            found = execute(statement, *values)
            if statement == "COMMIT":
                connection.close()
                raise psycopg.OperationalError("the connection is lost")
            return found

        monkeypatch.setattr(connection, "execute", executed)
        assert store.append(["u"], ["j"]) == 1
        assert store.append(["u"], ["k"]) == 1
        assert store.history("u") == ["i", "j", "k"]


def test_an_outcome_that_nobody_can_tell_is_said_to_be_unknown(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with InteractionStore.open(f"{url}&timeout=1") as store:
        store.append(["u"], ["i"])
        connection = store._connections._writer
        execute = connection.execute

        def executed(statement: str, *values: Any) -> Any:
            if statement == "COMMIT":
                connection.close()
                raise psycopg.OperationalError("the connection is lost")
            return execute(statement, *values)

        monkeypatch.setattr(connection, "execute", executed)
        monkeypatch.setattr(store._connections, "_outcome", lambda number: None)
        with pytest.raises(UnknownOutcomeError, match="send the same again with the same key$"):
            store.append(["u"], ["j"])
        monkeypatch.undo()
        assert store.problem() is None
        assert store.history("u") == ["i"]


def test_a_writer_that_falls_silent_holds_the_others_up_for_a_while_only(url: str) -> None:
    with InteractionStore.open(f"{url}&timeout=1") as store, InteractionStore.open(url) as other:
        store.append(["u"], ["i"])
        with pytest.raises(StorageError), store._turn(), store._writing() as writer:
            writer.insert([("u", "never", 0, None, None)])
            assert other.append(["u"], ["j"], seconds=20) == 1  # the server ends the silent one
        assert other.history("u") == ["i", "j"]


def test_a_server_whose_defaults_lose_commits_is_told_to_keep_ours(url: str) -> None:
    assert run(url, "SHOW synchronous_commit") == [("off",)]  # of the server of the tests
    with InteractionStore.open(url) as store:
        store.append(["u"], ["i"])
        (found,) = store._connections._writer.execute("SHOW synchronous_commit").fetchone()
        assert found == "on"


def test_the_lock_is_one_of_the_store(url: str) -> None:
    with InteractionStore.open(url) as store, connected(url) as connection:
        connection.execute("BEGIN")
        connection.execute(lock_statement("another"))
        assert store.append(["u"], ["i"], seconds=5) == 1
        connection.execute(lock_statement(schema_of(url)))
        with pytest.raises(StorageError, match="another process holds it"):
            store.append(["u"], ["j"], seconds=0.1)
