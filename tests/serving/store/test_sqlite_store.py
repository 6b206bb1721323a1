"""The file of a SQLite store: damage, earlier formats, full disks, and files that go away."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hashgnn.data import IdMap, read_interactions
from hashgnn.errors import DataError, StorageError
from hashgnn.serving.store import InteractionStore, NewItem, _sqlite_files


@pytest.fixture
def store(path: Path) -> Iterator[InteractionStore]:
    with InteractionStore.open(path) as opened:
        yield opened


def test_waiting_callers_share_one_commit(store: InteractionStore) -> None:
    commits: list[str] = []
    store._writer.set_trace_callback(lambda text: commits.append(text) if text == "COMMIT" else None)
    with store._turn():
        threads = [threading.Thread(target=store.append, args=([n], [n])) for n in range(16)]
        for thread in threads:
            thread.start()
        while len(store._queue) < 16:
            pass
    for thread in threads:
        thread.join()
    assert store.count == 16
    assert len(commits) == 1


def test_what_training_would_refuse_is_left_out_and_counted(store: InteractionStore, tmp_path: Path) -> None:
    store.append(["u", "v"], ["a", "b"])
    with sqlite3.connect(store.path) as older:  # a version that took empty ids
        older.execute("INSERT INTO interactions (user, item, time) VALUES ('', 'a', 0), ('u', '', 0)")
        older.execute("UPDATE totals SET value = 4 WHERE name = 'count'")
    older.close()
    written = store.export(tmp_path / "new.parquet")
    assert (written.count, written.left_out, written.upto) == (2, 2, 4)
    assert read_interactions(tmp_path / "new.parquet").user_ids == IdMap(["u", "v"])


def test_damaged_and_foreign_files_give_one_sentence(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, and long enough to be read as a header of one" * 40)
    with pytest.raises(DataError, match=r"notes\.txt: not a readable store of interactions"):
        InteractionStore.open(text)
    foreign = tmp_path / "other.db"
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE notes (text)")
    connection.close()
    before = foreign.read_bytes()
    with pytest.raises(DataError, match=r"other\.db: is not a store of interactions; choose another file$"):
        InteractionStore.open(foreign)
    assert foreign.read_bytes() == before
    with pytest.raises(StorageError, match="could not be written or read, unable to open"):
        InteractionStore.open(tmp_path)


def test_a_store_of_a_later_format_is_refused(path: Path) -> None:
    InteractionStore.open(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=4")
    connection.close()
    with pytest.raises(DataError, match=r"a store of format 4, this version of hashgnn reads 3$"):
        InteractionStore.open(path)


def test_a_store_of_the_first_format_is_taken_over(path: Path, tmp_path: Path) -> None:
    with InteractionStore.open(path) as store:
        store.append(["u"] * 4, ["a", "b", "c", "d"])
        identity = store.identity
        store.clear(1)
    connection = sqlite3.connect(path)
    for table in ("totals", "deletions", "answers", "items", "item_users"):
        connection.execute(f"DROP TABLE {table}")
    connection.execute("PRAGMA user_version=1")
    connection.close()
    for _ in range(2):
        with InteractionStore.open(path) as store:
            assert (store.count, store.last, store.identity) == (3, 4, identity)
            assert store.history("u") == ["b", "c", "d"]
            assert store.export(tmp_path / "new.parquet").after == 1
    with InteractionStore.open(path) as store:
        assert (store.delete("u", "c"), store.count) == (1, 2)


def test_a_store_of_the_second_format_is_taken_over(path: Path) -> None:
    with InteractionStore.open(path) as store:
        store.append(["u"], ["a"])
        store.delete("v")
    connection = sqlite3.connect(path)
    for table in ("items", "item_users"):
        connection.execute(f"DROP TABLE {table}")
    connection.execute("DELETE FROM totals WHERE name = 'item_removals'")
    connection.execute("PRAGMA user_version=2")
    connection.commit()
    connection.close()
    for number in (1, 2):
        with InteractionStore.open(path) as store:
            assert (store.count, store.history("u"), store.deleted("v").everything) == (number, ["a"], True)
            store.items.add([NewItem(f"new{number}", (f"w{number}",))])
            assert len(store.items) == number


def test_a_store_with_overwritten_pages_is_refused(path: Path) -> None:
    with InteractionStore.open(path) as store:
        store.append([f"user {n}" for n in range(2000)], range(2000))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2 // 4096 * 4096)
        file.write(b"\xff" * 8192)
    with pytest.raises(DataError, match=r"new\.db: .*damaged"):
        InteractionStore.open(path)


def test_a_full_disk_acknowledges_nothing_and_the_store_goes_on(store: InteractionStore) -> None:
    store.append([1], [1])
    pages = store._writer.execute("PRAGMA page_count").fetchone()[0]
    store._writer.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StorageError, match=r"could not be written or read, the disk is full; nothing was"):
        store.append(range(5000), range(5000))
    assert store.count == 1
    store._writer.execute("PRAGMA max_page_count=1000000")
    assert store.append([2], [2]) == 1
    assert store.count == 2


def test_a_file_that_may_not_grow_acknowledges_nothing(path: Path) -> None:
    script = (
        "import resource, sys\n"
        "from hashgnn.errors import StorageError\n"
        "from hashgnn.serving.store import InteractionStore\n"
        "store = InteractionStore.open(sys.argv[1])\n"
        "store.append([1], [1])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "try:\n"
        "    store.append(range(2, 20_000), range(2, 20_000))\n"
        "except StorageError as error:\n"
        "    print(error)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert "nothing was changed" in found.stdout
    with InteractionStore.open(path) as store:
        assert (store.count, store.history(1), store.history(2)) == (1, [1], [])


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
    store.append(["u"], ["i"])
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
    store.append(["u"], ["i"])
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
    store.append(["u"], ["i"])
    pages = store._writer.execute("PRAGMA page_count").fetchone()[0]
    store._writer.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StorageError, match="the disk is full"):
        store.append([f"u{n}" for n in range(5000)], ["i"] * 5000)
    store._writer.execute("PRAGMA max_page_count=1000000")
    assert store.problem() is None  # a small write was tried
    monkeypatch.setattr(_sqlite_files, "_NEEDED_BYTES", 2**62)
    assert store.problem() == "the disk is full"
    assert (store.append(["v"], ["i"]), store.count) == (1, 2)  # what still fits is kept
