"""The store of new interactions: what is acknowledged is there, for every process, once."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from hashgnn.data import IdMap, read_interactions
from hashgnn.errors import DataError, ParameterError, StorageError
from hashgnn.serving.store import Export, InteractionStore, NewItem


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "new.db"


@pytest.fixture
def store(path: Path) -> Iterator[InteractionStore]:
    with InteractionStore.open(path) as opened:
        yield opened


def test_what_is_appended_is_there_after_reopening(path: Path) -> None:
    with InteractionStore.open(path) as store:
        assert store.append(["u1", "u2", "u1"], ["b", "a", "a"]) == 3
        assert store.append(["u1"], ["b"]) == 1
    with InteractionStore.open(path) as store:
        assert store.count == store.last == 4
        assert store.history("u1") == ["b", "a"]  # each once, as they first came
        assert store.history("u2") == ["a"]
        assert store.history("nobody") == []


def test_ids_keep_their_type(store: InteractionStore) -> None:
    store.append(np.array([1, 2]), ["1", "2"])
    assert store.history(1) == ["1"]
    assert store.history(np.int64(2)) == ["2"]
    assert store.history("1") == []
    with pytest.raises(ParameterError, match=r"^users of this store are integers, got '1'$"):
        store.append(["1"], ["1"])
    with pytest.raises(ParameterError, match=r"^items of this store are text, got 1$"):
        store.append([1], [1])
    assert store.count == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, "a"], ["x", "y"]), "users must be all integers or all text, got 1 and 'a'"),
        (([1], ["x", "y"]), "items must be as long as users, 1, got 2"),
        (("abc", ["x"]), "users must be a list, got 'abc'"),
        (([True], ["x"]), "users must be integers or text, got True"),
        (([1.5], ["x"]), "users must be integers or text, got 1.5"),
        (([2**63], ["x"]), f"users must be integers of 64 bits, got {2**63}; pass them as text"),
        ((["\ud800"], ["x"]), r"users must be text that UTF-8 can hold, got '\ud800'"),
        (
            ([1], ["x"], [-1]),
            "timestamps must be a finite number >= 0, got -1",
        ),
        (
            ([1], ["x"], [1764412800000]),
            "timestamps must be seconds since 1970, up to 253402300799, got 1764412800000; "
            "divide milliseconds by 1000",
        ),
        (([""], ["x"]), "users must not be empty text"),
        ((["u"], ["x", ""]), "items must not be empty text"),
        (([1], ["x"], None, [0]), "weights must be a finite number >= 1e-37 and <= 1e+38, got 0"),
        (([1], ["x"], [1, 2]), "timestamps must be as long as users, 1, got 2"),
    ],
)
def test_wrong_values_give_one_sentence_and_keep_nothing(
    store: InteractionStore, arguments: tuple[object, ...], message: str
) -> None:
    with pytest.raises(ParameterError) as raised:
        store.append(*arguments)
    assert str(raised.value) == message
    assert store.count == 0


def test_a_bad_caller_does_not_spoil_those_who_share_its_write(store: InteractionStore) -> None:
    store.append(["u"], ["i"])
    failures: list[str] = []

    def write(number: int) -> None:
        try:
            store.append([number if number % 3 == 0 else f"u{number}"], ["i"])
        except ParameterError as error:
            failures.append(str(error))

    with store._turn():  # all of them wait, and one writes for all
        threads = [threading.Thread(target=write, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        while len(store._queue) < 12:
            pass
    for thread in threads:
        thread.join()
    assert sorted(failures) == [f"users of this store are text, got {n}" for n in (0, 3, 6, 9)]
    assert store.count == 9
    assert all(store.history(f"u{n}") == ["i"] for n in range(12) if n % 3)


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


def test_processes_write_and_read_one_store_at_once(path: Path) -> None:
    script = (
        "import sys\n"
        "from hashgnn.serving.store import InteractionStore\n"
        "with InteractionStore.open(sys.argv[1]) as store:\n"
        "    for n in range(50):\n"
        "        store.append([int(sys.argv[2])], [n])\n"
        "    print(store.count)\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(path), str(n)], stdout=subprocess.PIPE)
        for n in range(3)
    ]
    counts = [int(writer.communicate(timeout=60)[0]) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert max(counts) == 150  # the last to end has seen what the others wrote
    with InteractionStore.open(path) as store:
        assert store.count == 150
        assert all(store.history(n) == list(range(50)) for n in range(3))


def test_another_connection_sees_an_append_at_once(path: Path, store: InteractionStore) -> None:
    with InteractionStore.open(path) as other:
        store.append([1], [10])
        assert (other.count, other.history(1)) == (1, [10])
        other.append([1], [11])
        assert store.history(1) == [10, 11]


def test_export_is_read_by_the_reader_of_fit(store: InteractionStore, tmp_path: Path) -> None:
    store.append(["u2", "u1", "u2"], [5, 7, 5], timestamps=[1.5, 2, 3])
    written = store.export(tmp_path / "new.parquet")
    assert (written.count, written.after, written.upto) == (3, 0, 3)
    read = read_interactions(tmp_path / "new.parquet")
    assert read.user_ids == IdMap(["u1", "u2"])
    assert read.item_ids == IdMap([5, 7])
    assert read.weight is None
    assert read.timestamp is not None
    assert read.timestamp.tolist() == [2_000_000, 3_000_000]
    assert read.n_merged == 1


def test_a_store_with_some_weights_exports_one_for_the_rest(store: InteractionStore, tmp_path: Path) -> None:
    store.append([1], [1])
    store.append([1, 2], [2, 2], weights=[0.5, 4])
    store.export(tmp_path / "new.parquet")
    assert pq.read_table(tmp_path / "new.parquet")["weight"].to_pylist() == [1.0, 0.5, 4.0]


def test_cleared_and_exported_intervals_follow_each_other_without_loss(
    store: InteractionStore, tmp_path: Path
) -> None:
    store.append([1] * 5, range(5))
    first = store.export(tmp_path / "1.parquet")
    store.append([1] * 3, range(5, 8))  # they come while the model is trained
    assert store.clear(first.upto) == 5
    assert store.history(1) == [5, 6, 7]
    assert store.count == 3
    second = store.export(tmp_path / "2.parquet", after=first.upto)
    assert (second.count, second.after, second.upto) == (3, 5, 8)
    items = [pq.read_table(tmp_path / name)["item_id"].to_pylist() for name in ("1.parquet", "2.parquet")]
    assert items[0] + items[1] == list(range(8))
    assert store.clear(second.upto) == 3
    assert store.clear(second.upto) == 0
    assert store.count == 0
    store.append([1], [9])
    assert store.last == 9  # a number is not given again
    with pytest.raises(ParameterError, match=r"^upto must be at most 9, got 10$"):
        store.clear(10)


def test_a_long_list_is_cleared_in_steps(store: InteractionStore) -> None:
    store.append(np.zeros(25_000, int), np.arange(25_000))
    assert store.clear(24_000) == 24_000
    assert store.count == 1_000


def test_where_nothing_is_new_no_file_is_written(store: InteractionStore, tmp_path: Path) -> None:
    target = tmp_path / "new.parquet"
    target.write_text("old")
    assert store.export(target) == Export(target, count=0, after=0, upto=0)
    store.append([1], [1])
    assert store.export(target, after=1) == Export(target, count=0, after=1, upto=1)
    assert target.read_text() == "old"


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


def test_a_closed_store_says_so(path: Path) -> None:
    store = InteractionStore.open(path)
    store.close()
    with pytest.raises(StorageError, match=r"the store is closed; open it again$"):
        store.append([1], [1])
    with pytest.raises(StorageError, match=r"the store is closed; open it again$"):
        store.history(1)
