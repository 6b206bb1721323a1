"""Writes that are given up, writes that are sent twice, and a store that cannot be written."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from hashgnn.errors import ParameterError, StorageError
from hashgnn.serving.store import InteractionStore, RepeatKey, _answers


@pytest.fixture(autouse=True)
def one(store: InteractionStore) -> None:
    store.append(["u"], ["i"])


def test_a_write_that_was_given_up_is_never_made(store: InteractionStore, let_go: Callable[[], None]) -> None:
    def write(number: int) -> str:
        with pytest.raises(StorageError) as raised:
            store.append([f"late {number}"], ["i"], seconds=0.05 * (number + 1))
        return str(raised.value)

    with ThreadPoolExecutor(6) as pool:  # one waits for the database, the others for that one
        sentences = list(pool.map(write, range(6)))
    assert all(text.endswith("nothing was changed") for text in sentences)
    assert any("another process holds it" in text for text in sentences)
    let_go()
    assert store.append(["u"], ["j"]) == 1
    assert (store.count, store.history("u")) == (2, ["i", "j"])
    assert not any(store.history(f"late {number}") for number in range(6))


def test_who_has_more_time_is_written_when_the_database_is_free_again(
    store: InteractionStore, let_go: Callable[[], None]
) -> None:
    with ThreadPoolExecutor(2) as pool:
        hurried = pool.submit(store.append, ["hurried"], ["i"], seconds=0.1)
        while not store._busy:
            time.sleep(0.001)
        patient = pool.submit(store.append, ["patient"], ["i"], seconds=60)
        with pytest.raises(StorageError):
            hurried.result()
        let_go()
        assert patient.result() == 1
    assert (store.history("hurried"), store.history("patient")) == ([], ["i"])


def test_a_deletion_is_given_up_too(store: InteractionStore, let_go: Callable[[], None]) -> None:
    with pytest.raises(StorageError):
        store.delete("u", seconds=0.05)
    let_go()
    assert (store.history("u"), bool(store.deleted("u"))) == (["i"], False)


def test_a_key_keeps_what_it_names_once(place: str, store: InteractionStore) -> None:
    key = RepeatKey("order 7", b"digest")
    first = store.write(["v"], ["i"], key=key, extra={"unknown": 1})
    assert (first.accepted, first.stored, first.repeated) == (1, 2, False)
    store.append(["w"], ["i"])
    with InteractionStore.open(place) as worker:  # another process, or this one after a restart
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


def test_a_refused_write_leaves_its_key_free(store: InteractionStore, let_go: Callable[[], None]) -> None:
    key = RepeatKey("again", b"digest")
    with pytest.raises(StorageError):
        store.write(["v"], ["i"], key=key, seconds=0.05)
    let_go()
    with pytest.raises(ParameterError, match="users of this store are text"):
        store.write([1], ["i"], key=key)
    assert not store.write(["v"], ["i"], key=key).repeated
    assert store.history("v") == ["i"]


def test_keys_are_forgotten_after_a_day_and_when_there_are_too_many(
    store: InteractionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000_000
    monkeypatch.setattr(_answers, "now", lambda: now)
    key = RepeatKey("old", b"digest")
    store.write(["v"], ["i"], key=key)
    now += 24 * 3600 - 1
    assert store.write(["v"], ["i"], key=key).repeated
    now += 1
    assert not store.write(["v"], ["i"], key=key).repeated
    monkeypatch.setattr(_answers, "MAX_KEYS", 10)
    for number in range(25):
        store.write(["v"], ["i"], key=RepeatKey(f"key {number}", b"digest"))
    table = "{s}.answers" if store.is_remote else "answers"
    assert store._read(f"SELECT count(*) FROM {table}") == [(10,)]
    assert not store.write(["v"], ["i"], key=key).repeated
    assert store.write(["v"], ["i"], key=RepeatKey("key 24", b"digest")).repeated


def test_a_database_that_another_process_holds_is_a_problem_until_it_lets_go(
    store: InteractionStore, let_go: Callable[[], None]
) -> None:
    assert store.problem() is None  # nobody has waited for it yet
    with pytest.raises(StorageError):
        store.append(["v"], ["i"], seconds=0.05)
    assert store.problem() == "another process holds it"
    let_go()
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
