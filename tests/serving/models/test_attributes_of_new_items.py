"""New items with attributes over HTTP: posted and changed, seen by every rule, kept, and gone when asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashgnn.recommender import HashGNN
from hashgnn.serving import ServiceSettings
from hashgnn.serving.store import InteractionStore
from hashgnn.serving.wire.schemas import ReloadRequest
from hashgnn.state import save_state
from hashgnn.testing.states import random_state

N = 30
ROWS = {
    "item_id": [f"i{n}" for n in range(N)],
    "price": [float(n + 10) for n in range(N)],
    "brand": [f"b{n % 3}" for n in range(N)],
    "since": pa.array([n * 10**6 for n in range(N)], pa.timestamp("us")),
    "tags": [["old"]] * N,
    "title": [f"Evening {n}" for n in range(N)],
}
NEW = {"price": 1.5, "brand": "b9", "since": "2026-01-31", "tags": ["new"], "title": "Morning star"}


@pytest.fixture
def settings(model_folder: Path, tmp_path: Path) -> ServiceSettings:
    pq.write_table(pa.table(ROWS), tmp_path / "items.parquet")
    return ServiceSettings(
        model=model_folder, items=tmp_path / "items.parquet", interactions=tmp_path / "events.db", watch=0
    )


@pytest.fixture
def client(settings: ServiceSettings, open_client: Any) -> Iterator[httpx.Client]:
    yield from open_client(settings)


def add(client: httpx.Client, *items: dict[str, Any], status: int = 200, **options: Any) -> Any:
    answer = client.post("/v1/items", json={"items": list(items), **options})
    assert answer.status_code == status, answer.text
    return answer.json()


def change(client: httpx.Client, item: str, **attributes: Any) -> Any:
    body = {"changes": [{"item": item, "attributes": attributes}]}
    answer = client.patch("/v1/items/attributes", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def found(client: httpx.Client, where: str, **rules: Any) -> set[str]:
    body = {"users": ["u1"], "k": N + 9, "filter_seen": False, "where": where, **rules}
    answer = client.post("/v1/recommend", json=body)
    assert answer.status_code == 200, answer.text
    row = answer.json()["results"][0]
    assert row["rules"]["allowed"] >= len(row["items"])
    return {item["id"] for item in row["items"]}


def test_an_item_is_posted_with_its_attributes(client: httpx.Client) -> None:
    assert found(client, "price < 5") == set()
    add(client, {"item": "new", "users": ["u1", "u2"], "attributes": NEW}, {"item": "blank"})
    assert found(client, "price < 5 and brand = 'b9' and 'new' in tags") == {"new"}
    assert found(client, "since >= now - 7d", now="2026-02-03") == {"new"}
    assert found(client, "price is null") == {"blank"}
    assert found(client, "not price < 39") == {"i29"}
    similar = client.post("/v1/similar-items", json={"items": ["i3"], "k": 9, "where": "brand = 'b9'"}).json()
    assert [item["id"] for item in similar["results"][0]["items"]] == ["new"]


def test_boosts_and_caps_see_it_as_the_library_does(client: httpx.Client, model_folder: Path) -> None:
    users = ["u3", "u4", "u5"]
    add(client, {"item": "new", "users": users, "attributes": {"brand": "b1", "price": 3}})
    model = HashGNN.load(model_folder).with_item_table(pa.table(ROWS))
    grown = model.add_items(["new"], [users], attributes=[{"brand": "b1", "price": 3}])
    rules: dict[str, Any] = {"boost": {"price < 5": 3.0}, "max_per": {"brand": 3}, "diversity": 0.1}
    expected = grown.recommend(["u1"], k=9, filter_seen=False, **rules)
    body = {"users": ["u1"], "k": 9, "filter_seen": False, **rules}
    row = client.post("/v1/recommend", json=body).json()["results"][0]
    assert [item["id"] for item in row["items"]] == expected.lists()[0]
    assert expected.effects is not None
    assert row["rules"]["capped"] == {"brand": int(expected.effects.n_capped["brand"][0])}


def test_a_change_of_a_new_item_counts_at_once(client: httpx.Client) -> None:
    add(client, {"item": "new", "users": ["u1"]})
    assert change(client, "new", price=2, brand="zz") == {"accepted": 1, "unknown_items": 0}
    assert found(client, "brand = 'zz' and price = 2") == {"new"}
    change(client, "new", price=None)
    assert found(client, "price is null") == {"new"}
    assert found(client, "price < 1000 and brand = 'zz'") == set()


def test_attributes_that_came_before_the_item_are_its_own(client: httpx.Client) -> None:
    assert change(client, "new", price=2, brand="zz")["unknown_items"] == 1
    assert found(client, "brand = 'zz'") == set()
    add(client, {"item": "new", "users": ["u1"], "attributes": {"price": 3}})
    assert found(client, "brand = 'zz' and price = 3") == {"new"}


def test_answers_and_searches_show_them(client: httpx.Client) -> None:
    add(client, {"item": "new", "attributes": NEW}, {"item": "blank"})
    change(client, "new", brand="b7")
    body = {"users": ["u1"], "k": N + 2, "filter_seen": False}
    shown = {
        item["id"]: item["metadata"]
        for item in client.post("/v1/recommend", json=body).json()["results"][0]["items"]
    }
    assert shown["new"] == {**NEW, "brand": "b7", "since": "2026-01-31T00:00:00"}
    assert shown["blank"] is None
    assert shown["i4"]["title"] == "Evening 4"
    for query, ids in (("morning", ["new"]), ("new", ["new"]), ("b7", ["new"]), ("b9", [])):
        items = client.get("/v1/items", params={"query": query}).json()["items"]
        assert [item["id"] for item in items] == ids
    assert client.get("/v1/items", params={"query": "star"}).json()["items"][0]["metadata"]["price"] == 1.5


def test_they_survive_a_restart_and_a_reload(
    settings: ServiceSettings, open_client: Any, tmp_path: Path, service: Any
) -> None:
    save_state(random_state(20, N, rng=5), tmp_path / "v2")
    for client in open_client(settings):
        add(client, {"item": "new", "users": ["u1"], "attributes": NEW}, {"item": "blank"})
        change(client, "blank", brand="b8")
        service(client).reload(ReloadRequest())
    both = settings.model_copy(update={"next_model": tmp_path / "v2", "next_share": 0.5})
    for again in (settings, both):
        for client in open_client(again):
            assert found(client, "brand in ('b8', 'b9')") == {"new", "blank"}
            body = {"users": [f"u{n}" for n in range(20)], "k": 9, "filter_seen": False, "where": "price < 5"}
            rows = client.post("/v1/recommend", json=body).json()["results"]
            assert [[item["id"] for item in row["items"]] for row in rows] == [["new"]] * 20


def test_a_version_that_was_trained_on_the_item_has_the_changes(
    settings: ServiceSettings, open_client: Any, tmp_path: Path
) -> None:
    for client in open_client(settings):
        add(client, {"item": f"i{N}", "users": ["u1"], "attributes": {"brand": "b9"}})
    save_state(random_state(20, N + 1, rng=5), tmp_path / "v2")
    table = {**ROWS, "item_id": [*ROWS["item_id"][1:], f"i{N}"]}  # the table of the training says otherwise
    pq.write_table(pa.table(table), tmp_path / "more.parquet")
    later = settings.model_copy(update={"model": tmp_path / "v2", "items": tmp_path / "more.parquet"})
    for client in open_client(later):
        assert client.get("/v1/model").json()["n_new_items"] == 0
        assert found(client, "brand = 'b9'") == {f"i{N}"}
        client.delete("/v1/items", params={"item": f"i{N}"})
    for client in open_client(later):
        assert found(client, "brand = 'b9'") == {f"i{N}"}  # the model has the item, so its changes stay


def test_two_services_on_one_store_know_the_same_in_any_order(
    settings: ServiceSettings, open_client: Any
) -> None:
    for one in open_client(settings):
        for other in open_client(settings):
            for n in range(6):
                first, second = (one, other) if n % 2 else (other, one)
                add(first, {"item": f"new{n}", "users": ["u1"], "attributes": {"brand": f"n{n}"}})
                assert found(second, f"brand = 'n{n}'") == {f"new{n}"}
                change(second, f"new{n}", price=n)
                assert found(first, f"brand = 'n{n}' and price = {n}") == {f"new{n}"}
            assert one.delete("/v1/items", params={"item": "new2"}).json()["removed"] == 1
            for n in (0, 1, 3, 4, 5):
                assert found(other, f"brand = 'n{n}' and price = {n}") == {f"new{n}"}
            assert found(other, "brand = 'n2'") == set()
            change(one, "i7", brand="late")
            assert found(other, "brand = 'late'") == {"i7"}
            assert found(one, "brand = 'late'") == {"i7"}


def test_a_deleted_item_comes_back_without_what_it_had(
    client: httpx.Client, settings: ServiceSettings
) -> None:
    add(client, {"item": "a", "attributes": NEW}, {"item": "b", "attributes": {"brand": "bb"}})
    assert client.delete("/v1/items", params={"item": "a"}).json() == {"removed": 1, "stored": 1}
    assert found(client, "brand in ('b9', 'bb')") == {"b"}
    add(client, {"item": "a"})
    assert found(client, "brand is null") == {"a"}
    body = {"users": ["u1"], "k": N + 2, "filter_seen": False, "where": "brand is null or brand = 'bb'"}
    row = client.post("/v1/recommend", json=body).json()["results"][0]
    assert {item["id"]: item["metadata"] for item in row["items"]} == {"a": None, "b": {"brand": "bb"}}
    with InteractionStore.open(settings.interactions or "") as store:
        assert [name for _, _, name, _ in store.attributes_of(["a", "b"])] == ["brand"]


def test_an_older_version_in_flight_sees_its_own_items(client: httpx.Client, service: Any) -> None:
    add(client, {"item": "a", "attributes": {"brand": "aa"}}, {"item": "b", "attributes": {"brand": "bb"}})
    assert found(client, "brand = 'aa'") == {"a"}
    running = service(client)
    before = running.active.current
    client.delete("/v1/items", params={"item": "a"})
    assert found(client, "brand = 'bb'") == {"b"}
    running._attributes.follow(before)
    assert before.facts.attributes.filter("brand = 'aa'").mask().tolist() == [False] * N + [True, False]
    assert found(client, "brand in ('aa', 'bb')") == {"b"}


@pytest.mark.parametrize(
    ("attributes", "detail"),
    [
        ({"prise": 1}, "items[1]: attributes: the items have no column 'prise'; did you mean 'price'?"),
        ({"price": "1"}, "items[1]: price must be a number, got '1'"),
        ({"since": "soon"}, "items[1]: since must be seconds since 1970 or ISO 8601 text, got 'soon'"),
        ({"price": {"a": 1}}, "items[1].attributes.price must be true or false, a number, text, a list"),
        ([], "items[1].attributes must be"),
    ],
)
def test_a_bad_attribute_adds_nothing(client: httpx.Client, attributes: Any, detail: str) -> None:
    answer = add(client, {"item": "a"}, {"item": "b", "attributes": attributes}, status=422)
    assert detail in answer["detail"]
    assert client.get("/v1/model").json()["n_new_items"] == 0
    assert found(client, "price is null") == set()


def test_known_items_are_left_as_they_are(client: httpx.Client) -> None:
    add(client, {"item": "a", "attributes": {"brand": "first"}})
    given = [{"item": item, "attributes": {"brand": "second"}} for item in ("a", "i3", "b")]
    assert add(client, *given, on_known="skip")["accepted"] == 1
    assert found(client, "brand = 'second'") == {"b"}
    assert found(client, "brand = 'first'") == {"a"}


def test_without_a_table_they_are_not_offered(model_folder: Path, tmp_path: Path, open_client: Any) -> None:
    for client in open_client(ServiceSettings(model=model_folder, interactions=tmp_path / "e.db", watch=0)):
        answer = add(client, {"item": "a", "attributes": {"price": 1}}, status=404)
        assert answer["detail"] == "this service has no table of items; start it with --items FILE.parquet"
        assert add(client, {"item": "a", "attributes": {}})["accepted"] == 1
