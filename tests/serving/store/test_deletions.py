"""What users have deleted: gone from the store, and told to those who have learned from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hashgnn.data import Deletions
from hashgnn.errors import ParameterError
from hashgnn.serving.store import Deleted, InteractionStore


@pytest.fixture
def store(place: str) -> Iterator[InteractionStore]:
    with InteractionStore.open(place) as opened:
        opened.append(["u", "u", "v", "u"], ["a", "b", "a", "a"])
        yield opened


def test_all_of_a_user_is_deleted(store: InteractionStore) -> None:
    assert store.delete("u") == 3
    assert (store.count, store.history("u"), store.history("v")) == (1, [], ["a"])
    assert store.deleted("u") == Deleted(everything=True, items=())
    assert not store.deleted("v")


def test_one_interaction_is_deleted_however_often_it_was_told(store: InteractionStore) -> None:
    assert store.delete("u", "a") == 2
    assert (store.count, store.history("u")) == (2, ["b"])
    assert store.deleted("u") == Deleted(everything=False, items=("a",))


def test_to_delete_again_or_what_is_not_there_is_no_error_and_takes_no_room(store: InteractionStore) -> None:
    assert [store.delete("u", "a"), store.delete("u", "a"), store.delete("u", "never")] == [2, 0, 0]
    assert [store.delete("u"), store.delete("u"), store.delete("stranger")] == [1, 0, 0]
    table = "{s}.deletions" if store.is_remote else "deletions"
    assert store._read(f"SELECT count(*) FROM {table}") == [(2,)]
    assert store.deleted("stranger").everything


def test_what_comes_after_a_deletion_is_kept(store: InteractionStore) -> None:
    store.delete("u")
    store.append(["u"], ["c"])
    assert store.history("u") == ["c"]
    assert store.deleted("u").everything  # what a model has learned before stays deleted


def test_a_model_that_was_trained_later_has_heard_of_a_deletion(store: InteractionStore) -> None:
    store.delete("u", "a")
    number = store.last
    assert number == 5  # deletions and interactions are counted together
    assert store.has_deletions()
    assert store.deleted("u", after=number - 1) == Deleted(everything=False, items=("a",))
    assert not store.deleted("u", after=number)
    assert not store.has_deletions(after=number)


def test_ids_of_another_type_are_refused(store: InteractionStore) -> None:
    with pytest.raises(ParameterError, match=r"^users of this store are text, got 1$"):
        store.delete(1)
    with pytest.raises(ParameterError, match=r"^items of this store are text, got 1$"):
        store.delete("u", 1)
    assert not store.has_deletions()


def test_a_deletion_says_what_the_ids_of_an_empty_store_are(tmp_path: Path) -> None:
    with InteractionStore.open(tmp_path / "empty.db") as store:
        assert dict(store.kinds) == {}
        assert store.delete(7) == 0
        assert dict(store.kinds) == {"users": "int"}
        assert store.last == 1
        assert store.append([7], ["a"]) == 1
        assert store.last == 2


def test_an_export_holds_what_is_left_and_says_what_was_deleted(
    store: InteractionStore, tmp_path: Path
) -> None:
    store.delete("u", "a")
    store.delete("v")
    store.append(["v"], ["c"])
    written = store.export(tmp_path / "new.parquet")
    assert (written.count, written.deletions, written.after, written.upto) == (2, 2, 0, 7)
    table = pq.read_table(tmp_path / "new.parquet")
    assert (table["user_id"].to_pylist(), table["item_id"].to_pylist()) == (["u", "v"], ["b", "c"])
    deletions = Deletions.read(tmp_path / "new.parquet")
    assert deletions == Deletions(users=((6, "v"),), pairs=((5, "u", "a"),))
    assert deletions.after(5) == Deletions(users=((6, "v"),))


def test_an_export_after_a_number_has_the_later_deletions_only(
    store: InteractionStore, tmp_path: Path
) -> None:
    store.delete("u", "a")
    first = store.export(tmp_path / "1.parquet")
    store.delete("v")
    second = store.export(tmp_path / "2.parquet", after=first.upto)
    assert (second.count, second.deletions, second.after, second.upto) == (0, 1, 5, 6)
    assert Deletions.read(tmp_path / "2.parquet") == Deletions(users=((6, "v"),))
    assert pq.read_table(tmp_path / "2.parquet").num_rows == 0


def test_deletions_outlive_what_is_cleared_and_the_process(store: InteractionStore, place: str) -> None:
    store.delete("u")
    store.clear(store.last)
    with InteractionStore.open(place) as reopened:
        assert (reopened.count, reopened.deleted("u").everything) == (0, True)


def test_gaps_that_deletions_leave_are_no_missing_interactions(
    store: InteractionStore, tmp_path: Path
) -> None:
    store.clear(1)
    store.delete("u")
    assert store.export(tmp_path / "new.parquet").after == 1  # number 2 was deleted, not cleared


def test_what_was_deleted_is_not_in_the_bytes_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    with InteractionStore.open(path) as store:
        store.append(["ann", "bob"], ["a very private film", "another film"])
        log = tmp_path / "new.db-wal"
        assert b"a very private film" in log.read_bytes()
        store.delete("ann")
        after = path.read_bytes() + log.read_bytes()
        assert b"a very private film" not in after
        assert b"another film" in after


def test_files_without_deletions_have_none(tmp_path: Path) -> None:
    text = tmp_path / "x.csv"
    text.write_text("user_id,item_id\n1,2\n")
    assert Deletions.read(text) == Deletions()
    assert Deletions.read(tmp_path / "none") == Deletions()
