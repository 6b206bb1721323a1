"""A service whose model has ids that are neither numbers nor text: callers send and get their printed form."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashgnn.checking.item_table import ItemTable
from hashgnn.data import IdMap, add_interactions, read_interactions
from hashgnn.recommender import HashGNN
from hashgnn.serving import ServiceSettings
from hashgnn.serving.models.item_metadata import ItemMetadata
from hashgnn.serving.store import InteractionStore
from hashgnn.state import load_state, save_state
from hashgnn.testing.states import random_state
from hashgnn.training.update import known_interactions

USERS = [uuid.UUID(int=0xABC000 + n) for n in range(20)]
ITEMS = [(datetime.date(2024, 5, 1 + n), n) for n in range(30)]
PRINTED = [f'["2024-05-{1 + n:02}",{n}]' for n in range(30)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "v1"
    save_state(random_state(USERS, ITEMS, rng=3), folder)
    return folder


@pytest.fixture
def client(folder: Path, tmp_path: Path, open_client: Any) -> Iterator[httpx.Client]:
    yield from open_client(ServiceSettings(model=folder, interactions=tmp_path / "events.db", watch=0))


def recommended(client: httpx.Client, **options: Any) -> list[dict[str, Any]]:
    answer = client.post("/v1/recommend", json={"k": 8, **options})
    assert answer.status_code == 200, answer.text
    return [{**row, "items": [item["id"] for item in row["items"]]} for row in answer.json()["results"]]


def test_users_items_and_lists_are_read_as_the_model_has_them(folder: Path, client: httpx.Client) -> None:
    model = HashGNN.load(folder)
    expected = [[PRINTED[n] for _, n in row] for row in model.recommend(USERS[:2], 8).lists()]
    rows = recommended(client, users=[str(USERS[0]), USERS[1].hex.upper()], on_unknown="error")
    assert [row["items"] for row in rows] == expected
    first = expected[0][0]
    spaced = first.replace(",", " , ")
    assert first not in recommended(client, users=[str(USERS[0])], block=[spaced])[0]["items"]
    assert recommended(client, users=[str(USERS[0])], allow=[spaced])[0]["items"] == [first]
    history = recommended(client, histories=[[spaced]])[0]["items"]
    assert history == [PRINTED[n] for _, n in model.recommend_for_history([[first]], 8).lists()[0]]


def test_what_is_stored_in_any_form_is_found_again_and_makes_no_new_ids(
    folder: Path, tmp_path: Path, client: httpx.Client
) -> None:
    stranger = uuid.UUID(int=7)
    rows = [
        {"user": str(USERS[4]).upper(), "item": PRINTED[2].replace(",", ", ")},
        {"user": USERS[4].hex, "item": PRINTED[3]},
        {"user": f"{{{stranger}}}", "item": PRINTED[3]},
    ]
    answer = client.post("/v1/interactions", json={"interactions": rows})
    assert answer.json() == {"accepted": 3, "unknown_items": 0, "stored": 3}
    found = recommended(client, users=[str(USERS[4]), stranger.hex], k=30)
    assert [row["source"] for row in found] == ["history", "history"]
    assert not {PRINTED[2], PRINTED[3]} & set(found[0]["items"])

    with InteractionStore.open(tmp_path / "events.db") as store:
        store.export(tmp_path / "new.parquet")
    table = pq.read_table(tmp_path / "new.parquet")
    assert table["user_id"].to_pylist() == [str(USERS[4]), str(USERS[4]), str(stranger)]
    assert table["item_id"].to_pylist() == [PRINTED[2], PRINTED[3], PRINTED[3]]
    known = known_interactions(load_state(folder))
    both = add_interactions(known, read_interactions(tmp_path / "new.parquet"))
    assert both.user_ids.ids.tolist() == [*known.user_ids.ids.tolist(), stranger]
    assert both.item_ids == known.item_ids


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"users": ["nobody"]}, "user ids of this model are UUIDs, got 'nobody'"),
        ({"users": [7]}, "user ids of this model are UUIDs, got 7"),
        ({"histories": [["x"]]}, "item ids of this model are tuples"),
        ({"users": [str(USERS[0])], "block": ["x"]}, "item ids of this model are tuples"),
        ({"users": [str(USERS[0])], "allow": [PRINTED[0], "x"]}, "item ids of this model are tuples"),
    ],
)
def test_an_id_of_another_kind_is_refused(client: httpx.Client, body: dict[str, Any], sentence: str) -> None:
    answer = client.post("/v1/recommend", json=body)
    assert answer.status_code == 422
    assert sentence in answer.json()["detail"]


def test_an_interaction_of_another_kind_of_ids_is_not_stored(client: httpx.Client, tmp_path: Path) -> None:
    rows = [{"user": str(USERS[0]), "item": PRINTED[0]}, {"user": "nobody", "item": PRINTED[0]}]
    assert client.post("/v1/interactions", json={"interactions": rows}).status_code == 422
    with InteractionStore.open(tmp_path / "events.db") as store:
        assert store.count == 0


def test_items_are_searched_by_their_printed_form(client: httpx.Client) -> None:
    answer = client.get("/v1/items", params={"query": "2024-05-07"})
    assert [item["id"] for item in answer.json()["items"]] == [PRINTED[6]]


def test_a_store_keeps_the_printed_form_of_ids(tmp_path: Path) -> None:
    with InteractionStore.open(tmp_path / "events.db") as store:
        store.append([USERS[0], str(USERS[0])], [7.0, 8])
        assert store.history(USERS[0]) == store.history(str(USERS[0])) == [7, 8]
        for value in (True, 1.5, frozenset([1])):
            with pytest.raises(ValueError, match="users must be integers or text, got "):
                store.append([value], [1])


@pytest.mark.parametrize("column", [USERS, [str(user).upper() for user in USERS]])
def test_metadata_belongs_to_the_same_ids(column: list[Any]) -> None:
    table = pa.table({"id": pa.array(column[::-1]), "title": [f"title {n}" for n in range(20)]})
    found = ItemMetadata(ItemTable.of(table, "id", IdMap(USERS)))
    assert found.documents(np.array([0]))[0] == b'{"title":"title 19"}'
    with pytest.raises(ValueError, match="id of the table of items: item ids"):
        ItemTable.of(pa.table({"id": ["x"], "title": ["y"]}), "id", IdMap(USERS))


def test_an_export_leaves_out_what_no_training_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [("u1", "i1"), ("", "i1"), ("u2", ""), ("u2", "i2")]
    with InteractionStore.open(tmp_path / "events.db") as store:
        rows = [(*pair, time, None, None) for time, pair in enumerate(pairs, 1)]
        monkeypatch.setattr(
            "hashgnn.serving.store._shared_writes.as_rows", lambda *_: rows
        )  # of an old store
        store.append(None, None)
        found = store.export(tmp_path / "new.parquet")
        assert (found.count, found.left_out, found.after, found.upto) == (2, 2, 0, 4)
        assert len(read_interactions(tmp_path / "new.parquet")) == 2
        rows[:] = [("", "i1", 5, None, None)]
        store.append(None, None)
        found = store.export(tmp_path / "later.parquet", after=4)
        assert (found.count, found.left_out) == (0, 1)
        assert not (tmp_path / "later.parquet").exists()
