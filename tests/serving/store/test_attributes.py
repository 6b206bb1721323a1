"""Attributes in the store: the latest value of each, in the order of their numbers."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from hashgnn.errors import ParameterError
from hashgnn.serving.store import InteractionStore
from hashgnn.serving.store._attributes import AttributeRow


def row(item: int | str, name: str, value: str) -> AttributeRow:
    return AttributeRow(item, name, value)


def test_the_latest_value_is_kept_with_a_new_number(place: str) -> None:
    with InteractionStore.open(place) as store:
        assert (store.last_attribute, store.attributes_since(0, 10)) == (0, [])
        store.write_attributes([row("a", "price", "1"), row("b", "price", "2"), row("a", "brand", '"x"')])
        store.write_attributes([row("a", "price", "3"), row("a", "price", "null")])
        assert store.attributes_since(0, 10) == [
            (2, "b", "price", "2"),
            (3, "a", "brand", '"x"'),
            (5, "a", "price", "null"),
        ]
        assert store.attributes_since(3, 10) == [(5, "a", "price", "null")]
        assert store.attributes_since(0, 1) == [(2, "b", "price", "2")]
        assert store.last_attribute == 5
        store.write_attributes([])
    with InteractionStore.open(place) as store:
        assert store.last_attribute == 5
        assert store.count == 0


def test_other_openers_see_it_and_ids_keep_their_type(place: str) -> None:
    with InteractionStore.open(place) as store, InteractionStore.open(place) as other:
        store.write_attributes([row(7, "price", "1")])
        assert other.attributes_since(0, 10) == [(1, 7, "price", "1")]
        assert store.kinds == {"items": "int"}
        with pytest.raises(ParameterError, match="items of this store are integers, got '7'"):
            other.write_attributes([row("7", "price", "2")])
        with pytest.raises(ParameterError, match="items of this store are integers, got 'x'"):
            other.write_attributes([row(8, "price", "2"), row("x", "price", "2")])
        assert store.attributes_since(1, 10) == []


def test_writers_of_attributes_and_interactions_share_the_store(place: str) -> None:
    with InteractionStore.open(place) as store:

        def write(n: int) -> None:
            for turn in range(20):
                if n % 2:
                    store.write_attributes([row(f"i{n}", "price", str(turn))])
                else:
                    store.append([f"u{n}"], ["i1"])

        threads = [threading.Thread(target=write, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.count == 60
        assert [
            (item, value) for _, item, _, value in sorted(store.attributes_since(0, 99), key=lambda r: r[1])
        ] == [
            ("i1", "19"),
            ("i3", "19"),
            ("i5", "19"),
        ]


def test_a_store_of_an_earlier_version_gets_the_table(tmp_path: Path) -> None:
    with InteractionStore.open(tmp_path / "s.db") as store:
        store.append(["u"], ["i"])
    connection = sqlite3.connect(tmp_path / "s.db")
    connection.execute("DROP TABLE attributes")
    connection.commit()
    connection.close()
    with InteractionStore.open(tmp_path / "s.db") as store:
        store.write_attributes([row("i", "price", "1")])
        assert store.count == 1
        assert store.last_attribute == 1
