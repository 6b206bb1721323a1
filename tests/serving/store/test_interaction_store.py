"""The store of new interactions: what is acknowledged is there, for every process, once."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from hashgnn.data import IdMap, read_interactions
from hashgnn.errors import ParameterError, StorageError
from hashgnn.serving.store import Export, InteractionStore


def test_what_is_appended_is_there_after_reopening(place: str) -> None:
    with InteractionStore.open(place) as store:
        assert store.append(["u1", "u2", "u1"], ["b", "a", "a"]) == 3
        assert store.append(["u1"], ["b"]) == 1
    with InteractionStore.open(place) as store:
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


def test_processes_write_and_read_one_store_at_once(place: str) -> None:
    script = (
        "import sys\n"
        "from hashgnn.serving.store import InteractionStore\n"
        "with InteractionStore.open(sys.argv[1]) as store:\n"
        "    for n in range(50):\n"
        "        store.append([int(sys.argv[2])], [n])\n"
        "    print(store.count)\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", script, place, str(n)], stdout=subprocess.PIPE)
        for n in range(3)
    ]
    counts = [int(writer.communicate(timeout=60)[0]) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert max(counts) == 150  # the last to end has seen what the others wrote
    with InteractionStore.open(place) as store:
        assert store.count == 150
        assert all(store.history(n) == list(range(50)) for n in range(3))


def test_another_connection_sees_an_append_at_once(place: str, store: InteractionStore) -> None:
    with InteractionStore.open(place) as other:
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


def test_a_closed_store_says_so(place: str) -> None:
    store = InteractionStore.open(place)
    store.close()
    with pytest.raises(StorageError, match=r"the store is closed; open it again$"):
        store.append([1], [1])
    with pytest.raises(StorageError, match=r"the store is closed; open it again$"):
        store.history(1)
