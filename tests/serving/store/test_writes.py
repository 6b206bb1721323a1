"""Writes that are given up, writes that are sent twice, and a store that cannot be written."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hashgnn.errors import ParameterError, StorageError
from hashgnn.serving.store import InteractionStore, RepeatKey, _answers, _health


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "new.db"


@pytest.fixture
def store(path: Path) -> Iterator[InteractionStore]:
    with InteractionStore.open(path) as opened:
        opened.append(["u"], ["i"])
        yield opened


@pytest.fixture
def other(path: Path, store: InteractionStore) -> Iterator[sqlite3.Connection]:
    """Another process that holds the database."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


def test_a_write_that_was_given_up_is_never_made(store: InteractionStore, other: sqlite3.Connection) -> None:
    def write(number: int) -> str:
        with pytest.raises(StorageError) as raised:
            store.append([f"late {number}"], ["i"], seconds=0.05 * (number + 1))
        return str(raised.value)

    with ThreadPoolExecutor(6) as pool:  # one waits for the database, the others for that one
        sentences = list(pool.map(write, range(6)))
    assert all(text.endswith("nothing was changed") for text in sentences)
    assert any("another process holds it" in text for text in sentences)
    other.execute("ROLLBACK")
    assert store.append(["u"], ["j"]) == 1
    assert (store.count, store.history("u")) == (2, ["i", "j"])
    assert not any(store.history(f"late {number}") for number in range(6))


def test_who_has_more_time_is_written_when_the_database_is_free_again(
    store: InteractionStore, other: sqlite3.Connection
) -> None:
    with ThreadPoolExecutor(2) as pool:
        hurried = pool.submit(store.append, ["hurried"], ["i"], seconds=0.1)
        while not store._busy:
            time.sleep(0.001)
        patient = pool.submit(store.append, ["patient"], ["i"], seconds=60)
        with pytest.raises(StorageError):
            hurried.result()
        other.execute("ROLLBACK")
        assert patient.result() == 1
    assert (store.history("hurried"), store.history("patient")) == ([], ["i"])


def test_a_deletion_is_given_up_too(store: InteractionStore, other: sqlite3.Connection) -> None:
    with pytest.raises(StorageError):
        store.delete("u", seconds=0.05)
    other.execute("ROLLBACK")
    assert (store.history("u"), bool(store.deleted("u"))) == (["i"], False)


def test_a_key_keeps_what_it_names_once(path: Path, store: InteractionStore) -> None:
    key = RepeatKey("order 7", b"digest")
    first = store.write(["v"], ["i"], key=key, extra={"unknown": 1})
    assert (first.accepted, first.stored, first.repeated) == (1, 2, False)
    store.append(["w"], ["i"])
    with InteractionStore.open(path) as worker:  # another process, or this one after a restart
        again = worker.write(["v"], ["i"], key=key, extra={"unknown": 0})
    assert (again.accepted, again.stored, again.extra, again.repeated) == (1, 2, {"unknown": 1}, True)
    assert store.count == 3
    with pytest.raises(
        ParameterError, match=r"^the idempotency key was sent before with other content; send"
    ):
        store.write(["v"], ["j"], key=RepeatKey("order 7", b"another"))
    assert store.write(["v"], ["i"], key=RepeatKey("order 8", b"digest")).stored == 4


def test_the_same_key_in_one_shared_write_keeps_once(store: InteractionStore) -> None:
    key = RepeatKey("twice", b"digest")
    with ThreadPoolExecutor(8) as pool:
        with store._turn():  # all of them wait, and one writes for all
            found = [pool.submit(store.write, ["v"], ["i"], key=key) for _ in range(8)]
            while len(store._queue) < 8:
                pass
        receipts = [future.result() for future in found]
    assert sorted(receipt.repeated for receipt in receipts) == [False] + [True] * 7
    assert store.count == 2


def test_a_refused_write_leaves_its_key_free(store: InteractionStore, other: sqlite3.Connection) -> None:
    key = RepeatKey("again", b"digest")
    with pytest.raises(StorageError):
        store.write(["v"], ["i"], key=key, seconds=0.05)
    other.execute("ROLLBACK")
    with pytest.raises(ParameterError, match="users of this store are text"):
        store.write([1], ["i"], key=key)
    assert not store.write(["v"], ["i"], key=key).repeated
    assert store.history("v") == ["i"]


def test_keys_are_forgotten_after_a_day_and_when_there_are_too_many(
    store: InteractionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000_000
    monkeypatch.setattr(_answers, "_now", lambda: now)
    key = RepeatKey("old", b"digest")
    store.write(["v"], ["i"], key=key)
    now += 24 * 3600 - 1
    assert store.write(["v"], ["i"], key=key).repeated
    now += 1
    assert not store.write(["v"], ["i"], key=key).repeated
    monkeypatch.setattr(_answers, "MAX_KEYS", 10)
    for number in range(25):
        store.write(["v"], ["i"], key=RepeatKey(f"key {number}", b"digest"))
    assert store._read("SELECT count(*) FROM answers") == [(10,)]
    assert not store.write(["v"], ["i"], key=key).repeated
    assert store.write(["v"], ["i"], key=RepeatKey("key 24", b"digest")).repeated


def remove(path: Path) -> None:
    path.unlink()


def move(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def remove_all(path: Path) -> None:
    shutil.rmtree(path.parent)


def replace(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


def make_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def remove_the_log(path: Path) -> None:
    path.with_name(path.name + "-wal").unlink()


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (remove, "its file is gone"),
        (move, "its file is gone"),
        (remove_all, "its file is gone"),
        (replace, "its file was replaced by another"),
        (make_a_folder, "its file was replaced by another"),
        (remove_the_log, "the log next to its file is gone or was replaced"),
        (cut, "its file was cut short"),
    ],
)
def test_nothing_is_accepted_into_a_file_that_is_not_there(
    path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    store = InteractionStore.open(path)
    store.append(["u"], ["i"])
    assert store.problem() is None
    damage(path)
    assert store.problem() == reason
    for write in (store.append, lambda *_: store.delete("u"), lambda *_: store.clear(1)):
        with pytest.raises(StorageError, match=rf"new\.db: cannot be written, {reason}$"):
            write(["v"], ["i"])  # type: ignore[operator]
    assert store.problem() == reason
    store.close()


def test_a_file_that_was_put_back_is_written_again(path: Path, store: InteractionStore) -> None:
    path.rename(path.with_name("elsewhere"))
    assert store.problem() == "its file is gone"
    path.with_name("elsewhere").rename(path)
    assert store.problem() is None
    assert store.append(["v"], ["i"]) == 1
    with InteractionStore.open(path) as reopened:
        assert reopened.count == 2


def test_a_file_that_vanishes_in_the_middle_of_a_write_keeps_nothing(
    path: Path, store: InteractionStore
) -> None:
    insert_all = store._insert_all

    def insert_and_move(*arguments: object) -> None:
        insert_all(*arguments)  # type: ignore[arg-type]
        path.rename(path.with_name("elsewhere"))

    store._insert_all = insert_and_move  # type: ignore[method-assign]
    with pytest.raises(StorageError, match="its file is gone"):
        store.append(["v"], ["i"])
    path.with_name("elsewhere").rename(path)
    assert (store.count, store.history("v")) == (1, [])


def test_no_new_file_is_made_where_one_has_vanished(path: Path, store: InteractionStore) -> None:
    move(path)
    with pytest.raises(StorageError, match="unable to open database file"):
        store.export(path.with_name("new.parquet"))
    assert not path.exists()


def test_a_full_disk_is_a_problem_until_it_has_room(
    store: InteractionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = store._writer.execute("PRAGMA page_count").fetchone()[0]
    store._writer.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StorageError, match="the disk is full"):
        store.append([f"u{n}" for n in range(5000)], ["i"] * 5000)
    store._writer.execute("PRAGMA max_page_count=1000000")
    assert store.problem() is None  # a small write was tried
    monkeypatch.setattr(_health, "_NEEDED_BYTES", 2**62)
    assert store.problem() == "the disk is full"
    assert (store.append(["v"], ["i"]), store.count) == (1, 2)  # what still fits is kept


def test_a_database_that_another_process_holds_is_a_problem_until_it_lets_go(
    store: InteractionStore, other: sqlite3.Connection
) -> None:
    assert store.problem() is None  # nobody has waited for it yet
    with pytest.raises(StorageError):
        store.append(["v"], ["i"], seconds=0.05)
    assert store.problem() == "another process holds it"
    other.execute("ROLLBACK")
    assert store.problem() is None


def test_a_mistake_of_a_caller_is_no_problem_of_the_store(store: InteractionStore) -> None:
    with pytest.raises(ParameterError):
        store.delete(7)
    with pytest.raises(ParameterError):
        store.append([7], [7])
    assert store.problem() is None


def test_a_problem_is_told_at_once_while_a_write_goes_on(store: InteractionStore) -> None:
    store._failure = "the disk is full"
    with store._turn():
        assert store.problem() == "the disk is full"
    assert store.problem() is None


def test_an_append_of_nothing_is_nothing(store: InteractionStore) -> None:
    assert store.write([], [], extra={"a": 1}).stored == 1
