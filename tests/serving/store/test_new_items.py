"""New items in the store: kept with their first users, told to every reader, forgotten when asked."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from hashgnn.errors import ParameterError
from hashgnn.serving.store import InteractionStore, ItemsMark, NewItem, RepeatKey


def test_items_survive_and_come_back_in_their_order(place: str) -> None:
    first = NewItem("b", ("u", "v"), {"genre": ["a", "b"], "year": 1999, "price": 1.5, "none": None})
    with InteractionStore.open(place) as store:
        assert store.items.add([first, NewItem("a", ("u",))]).accepted == 2
    with InteractionStore.open(place) as store:
        found, last = store.items.after(0)
        assert (found, last, len(store.items)) == ([first, NewItem("a", ("u",))], 2, 2)
        assert store.items.after(1) == ([NewItem("a", ("u",))], 2)
        assert store.items.after(2) == ([], 2)
        assert store.items.mark() == ItemsMark(2, 0)


def test_first_users_have_interacted_once(store: InteractionStore, tmp_path: Path) -> None:
    store.append(["u"], ["new"])
    store.items.add([NewItem("new", ("u", "v", "v"))])
    assert (store.count, store.history("u"), store.history("v")) == (2, ["new"], ["new"])
    assert store.export(tmp_path / "out.parquet").count == 2


def test_a_known_item_is_an_error_or_left_as_it_is(store: InteractionStore) -> None:
    store.items.add([NewItem("a", ("u",))])
    with pytest.raises(ParameterError, match=r"^1 of 2 items are known already: 'a'; pass on_known=\"skip\""):
        store.items.add([NewItem("a", ("w",)), NewItem("b")])
    assert len(store.items) == 1
    receipt = store.items.add([NewItem("a", ("w",)), NewItem("b")], on_known="skip")
    assert (receipt.accepted, receipt.stored, receipt.extra) == (1, 2, {"known": 1})
    assert store.items.after(0)[0][0].users == ("u",)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([NewItem("a"), NewItem("a")], "items must differ, got 'a' twice"),
        ([NewItem("")], "item must not be empty text"),
        ([NewItem(7)], "items of this store are text, got 7"),
        ([NewItem("a", (7,))], "users of this store are text, got 7"),
        ([NewItem("a", ("v", 7))], "users of this store are text, got 7"),
        ([NewItem("a", (), {"x": float("nan")})], "features of 'a' must be JSON values"),
        ([NewItem("\ud800")], "item must be text that UTF-8 can hold"),
    ],
)
def test_what_is_wrong_keeps_nothing(store: InteractionStore, items: Any, message: str) -> None:
    store.append(["u"], ["i"])
    with pytest.raises(ParameterError, match=message):
        store.items.add([NewItem("good", ("u",)), *items])
    assert (len(store.items), store.count, store.items.mark()) == (0, 1, ItemsMark())


def test_a_key_adds_once(store: InteractionStore) -> None:
    key = RepeatKey("k", b"digest")
    first = store.items.add([NewItem("a")], key=key, extra={"unknown_users": 3})
    again = store.items.add([NewItem("a")], key=key)
    assert (again.accepted, again.stored, again.extra, again.repeated) == (1, 1, first.extra, True)
    with pytest.raises(ParameterError, match="sent before with other content"):
        store.items.add([NewItem("b")], key=RepeatKey("k", b"other"))


def test_removals_are_told_and_numbers_are_not_used_twice(store: InteractionStore) -> None:
    store.items.add([NewItem("a", ("u",)), NewItem("b", ("u",))])
    assert (store.items.remove(["a", "never"]), store.items.remove(["a"])) == (1, 0)
    assert store.items.mark() == ItemsMark(2, 1)
    store.items.remove(["b"])
    store.items.add([NewItem("a", ("v",))])
    assert store.items.mark() == ItemsMark(3, 2)
    assert store.items.after(2) == ([NewItem("a", ("v",))], 3)
    assert store.history("u") == ["a", "b"]  # what a user did is the user's


def test_a_deleted_user_is_no_first_user_any_more(store: InteractionStore) -> None:
    store.items.add([NewItem("a", ("u", "v")), NewItem("b", ("u",))])
    store.delete("u", "a")
    assert [one.users for one in store.items.after(0)[0]] == [("v",), ("u",)]
    store.delete("u")
    assert [one.users for one in store.items.after(0)[0]] == [("v",), ()]
    assert store.items.mark() == ItemsMark(2, 2)
    store.delete("stranger")
    assert store.items.mark() == ItemsMark(2, 2)


def test_processes_that_share_a_file_see_each_others_items(place: str, store: InteractionStore) -> None:
    with InteractionStore.open(place) as other:
        other.items.add([NewItem("a")])
        assert store.items.mark() == ItemsMark(1, 0)
        assert store.items.holds("a")


def test_many_writers_lose_nothing(store: InteractionStore) -> None:
    def work(number: int) -> None:
        for place in range(20):
            store.items.add([NewItem(f"{number}-{place}", (f"u{number}",))])
            store.append([f"u{number}"], ["i"])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(store.items), store.count) == (80, 160)
