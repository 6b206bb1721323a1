"""Rules and attributes over HTTP: filters, boosts, caps and diversity of a request, and attributes that change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashgnn.recommender import HashGNN
from hashgnn.serving import ServiceSettings
from hashgnn.serving.wire.schemas import RecommendRequest
from hashgnn.state import save_state
from hashgnn.testing.states import random_state

N_ITEMS = 30
ROWS = {
    "item_id": [f"i{n}" for n in range(N_ITEMS - 1)],
    "price": [float(n) for n in range(N_ITEMS - 1)],
    "brand": [f"b{n % 3}" for n in range(N_ITEMS - 1)],
    "in_stock": [n % 2 == 0 for n in range(N_ITEMS - 1)],
    "tags": [["new"] if n < 5 else [] for n in range(N_ITEMS - 1)],
    "since": pa.array([n * 86_400_000_000 for n in range(N_ITEMS - 1)], pa.timestamp("us")),
    "size": [{"x": 1}] * (N_ITEMS - 1),
}


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("items") / "items.parquet"
    pq.write_table(pa.table(ROWS), path)
    return path


@pytest.fixture
def settings(model_folder: Path, items: Path, tmp_path: Path) -> ServiceSettings:
    return ServiceSettings(model=model_folder, items=items, interactions=tmp_path / "events.db", watch=0)


@pytest.fixture
def client(settings: ServiceSettings, open_client: Any) -> Iterator[httpx.Client]:
    yield from open_client(settings)


def ask(client: httpx.Client, **body: Any) -> dict[str, Any]:
    answer = client.post("/v1/recommend", json={"users": ["u1"], "k": 4, "filter_seen": False, **body})
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["results"][0])


def ids(row: dict[str, Any]) -> list[str]:
    return [item["id"] for item in row["items"]]


def change(client: httpx.Client, **attributes: dict[str, Any]) -> httpx.Response:
    changes = [{"item": item, "attributes": values} for item, values in attributes.items()]
    return client.patch("/v1/items/attributes", json={"changes": changes})


def test_the_answer_is_that_of_the_library(client: httpx.Client, model_folder: Path, items: Path) -> None:
    model = HashGNN.load(model_folder).with_item_table(items)
    rules: dict[str, Any] = {
        "where": "in_stock and price < 25 and since >= now - 27d",
        "boost": {"brand = 'b1'": 1.5, "'new' in tags": "+2"},
        "max_per": {"brand": 2},
        "diversity": 0.3,
        "now": 28 * 86_400,
    }
    found = model.recommend(["u1"], k=4, filter_seen=False, **rules)
    row = ask(client, **rules)
    assert ids(row) == found.lists()[0]
    effects = found.effects
    assert effects is not None
    assert [item["score"] for item in row["items"]] == pytest.approx(found.scores[0].tolist(), rel=1e-6)
    assert [item["base_rank"] or 0 for item in row["items"]] == effects.base_ranks[0].tolist()
    assert [item["base_score"] for item in row["items"]] == pytest.approx(
        effects.base_scores[0].tolist(), rel=1e-6
    )
    capped = {"brand": int(effects.n_capped["brand"][0])}
    assert row["rules"] == {"allowed": effects.n_allowed, "capped": capped}
    similar = client.post("/v1/similar-items", json={"items": ["i3"], "k": 4, **rules}).json()["results"][0]
    assert ids(similar) == model.similar_items("i3", k=4, **rules).lists()[0]
    assert similar["rules"]["allowed"] == effects.n_allowed


def test_without_rules_an_answer_says_nothing_of_them(client: httpx.Client) -> None:
    row = ask(client, where=None, boost=None, max_per=None, diversity=0)
    assert "rules" not in row
    assert set(row["items"][0]) == {"id", "score", "metadata"}
    history = client.post("/v1/recommend", json={"histories": [["i1"]], "k": 2, "where": "price < 9"}).json()
    assert history["results"][0]["rules"] == {"allowed": 9, "capped": {}}


def test_the_model_says_which_columns_rules_may_use(client: httpx.Client) -> None:
    assert client.get("/v1/model").json()["attribute_columns"] == {
        "price": "float",
        "brand": "text",
        "in_stock": "bool",
        "tags": "list",
        "since": "time",
    }


def test_a_change_is_in_the_next_answer_its_metadata_too(client: httpx.Client) -> None:
    assert ids(ask(client, where="price < 0")) == []
    answer = change(client, i7={"price": -1, "brand": "zz"}, i29={"price": -2}, other={"price": 1})
    assert (answer.status_code, answer.json()) == (200, {"accepted": 3, "unknown_items": 1})
    row = ask(client, where="price < 0")
    assert sorted(ids(row)) == ["i29", "i7"]
    shown = {item["id"]: item["metadata"] for item in row["items"]}
    assert shown["i7"]["price"] == -1
    assert shown["i7"]["in_stock"] is False
    assert shown["i29"] == {"price": -2}  # it had no row
    assert change(client, i7={"price": None}).status_code == 200
    row = ask(client, where="price is null and brand = 'zz'")
    assert row["items"][0]["metadata"] == {k: v for k, v in shown["i7"].items() if k != "price"}


def test_changes_survive_a_restart_and_a_new_version(
    settings: ServiceSettings, open_client: Any, tmp_path: Path
) -> None:
    for client in open_client(settings):
        assert change(client, i3={"brand": "kept", "tags": ["a"]}, i99={"brand": "kept"}).status_code == 200
        assert change(client, i3={"brand": "kept twice"}).status_code == 200
    for client in open_client(settings):
        assert ids(ask(client, where="brand = 'kept twice' and 'a' in tags")) == ["i3"]
    save_state(random_state(20, 110, rng=4), tmp_path / "v2")  # it has the item that was unknown
    for client in open_client(settings.model_copy(update={"model": tmp_path / "v2"})):
        assert ids(ask(client, where="brand like 'kept%'", k=9)) in (["i3", "i99"], ["i99", "i3"])
    pq.write_table(pa.table({"item_id": ["i3", "i4"], "brand": [1, 2]}), tmp_path / "other.parquet")
    for client in open_client(settings.model_copy(update={"items": tmp_path / "other.parquet"})):
        assert ids(ask(client, where="brand >= 1", k=9)) in (["i3", "i4"], ["i4", "i3"])  # text does not fit


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"changes": []}, "changes must not be empty"),
        (
            {"changes": [{"item": "i1", "attributes": {}}]},
            "changes[0].attributes must not be empty",
        ),
        ({"changes": [{"item": "i1"}]}, "changes[0].attributes is missing"),
        (
            {
                "changes": [
                    {"item": "i1", "attributes": {"price": 1}},
                    {"item": "i2", "attributes": {"price": "x"}},
                ]
            },
            "changes[1]: price must be a number, got 'x'",
        ),
        (
            {"changes": [{"item": "i1", "attributes": {"prise": 1}}]},
            "changes[0]: attributes: the items have no column 'prise'; did you mean 'price'?",
        ),
        (
            {"changes": [{"item": "i1", "attributes": {"size": 1}}]},
            "changes[0]: attributes: column 'size' holds struct<x: int64>, which rules cannot use",
        ),
        ({"changes": [{"item": 1, "attributes": {"price": 1}}]}, "item ids of this model are text, got 1"),
        (
            {"changes": [{"item": "i1", "attributes": {"price": {"a": 1}}}]},
            "changes[0].attributes.price must be true or false, a number, text, a list of texts or null",
        ),
    ],
)
def test_a_bad_change_changes_nothing(client: httpx.Client, body: dict[str, Any], detail: str) -> None:
    answer = client.patch("/v1/items/attributes", json=body)
    assert answer.status_code in (404, 422)
    assert detail in answer.json()["detail"]
    assert ask(client, where="price = 1", k=9)["rules"]["allowed"] == 1


def test_a_column_that_is_given_twice_is_refused(client: httpx.Client) -> None:
    text = '{"changes":[{"item":"i1","attributes":{"price":1,"price":2}}]}'
    answer = client.patch("/v1/items/attributes", content=text, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert "price must be given once" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("rules", "detail"),
    [
        ({"where": "prise < 3"}, "where: the items have no column 'prise'; did you mean 'price'?"),
        ({"where": "price < "}, "where: expected a column or a value at character 9, got the end"),
        ({"where": "x" * 20_000}, "where must have at most 10000 characters"),
        ({"where": "(" * 3000 + "in_stock"}, "where must have at most 32 levels"),
        ({"where": 3}, "where must be text"),
        ({"boost": {"price < 3": 0}}, "must be a factor above 0 and up to 1000"),
        ({"boost": {"price < 3": "2"}}, "must be a factor above 0 and up to 1000, or what is added as text"),
        ({"boost": {"price ! 3": 2}}, "boost: character 7 cannot be read"),
        ({"max_per": {"brand": 0}}, "max_per.brand must be at least 1, got 0"),
        ({"max_per": {"price": 1}}, "max_per: price must hold text, whole numbers or true and false"),
        ({"diversity": 2}, "diversity must be at most 1, got 2"),
        ({"now": "soon"}, "now must be seconds since 1970 or ISO 8601 text"),
    ],
)
def test_a_bad_rule_is_refused_in_one_sentence(
    client: httpx.Client, rules: dict[str, Any], detail: str
) -> None:
    for path, asked in (("recommend", {"users": ["u1"]}), ("similar-items", {"items": ["i1"]})):
        answer = client.post(f"/v1/{path}", json={**asked, **rules})
        assert answer.status_code == 422
        assert detail in answer.json()["detail"]
        assert "\n" not in answer.json()["detail"]


def test_without_a_table_or_a_store_they_are_not_offered(
    model_folder: Path, items: Path, tmp_path: Path, open_client: Any
) -> None:
    for client in open_client(ServiceSettings(model=model_folder, interactions=tmp_path / "e.db", watch=0)):
        answer = client.post("/v1/recommend", json={"users": ["u1"], "where": "price < 3"})
        assert answer.status_code == 404
        assert (
            answer.json()["detail"]
            == "this service has no table of items; start it with --items FILE.parquet"
        )
        assert change(client, i1={"price": 1}).status_code == 404
        assert len(ids(ask(client, diversity=0.5))) == 4
        assert client.get("/v1/model").json()["attribute_columns"] == {}
    for client in open_client(ServiceSettings(model=model_folder, items=items, watch=0)):
        answer = change(client, i1={"price": 1})
        assert answer.status_code == 404
        assert "keeps no attributes; start it with --interactions FILE" in answer.json()["detail"]
        assert len(ids(ask(client, where="price < 9"))) == 4


def test_two_versions_filter_by_their_own_tables(
    settings: ServiceSettings, tmp_path: Path, open_client: Any
) -> None:
    save_state(random_state(20, N_ITEMS, rng=9), tmp_path / "v2")
    both = settings.model_copy(update={"next_model": tmp_path / "v2", "next_share": 0.5})
    for client in open_client(both):
        assert change(client, i8={"brand": "both"}).status_code == 200
        users = [f"u{n}" for n in range(20)]
        body = {"users": users, "k": 3, "where": "brand = 'both'", "filter_seen": False}
        rows = client.post("/v1/recommend", json=body).json()["results"]
        assert [ids(row) for row in rows] == [["i8"]] * 20
        assert {row.get("model_version") for row in rows} == {None, "v2"}


def test_a_new_filter_over_many_items_is_no_short_search(
    client: httpx.Client, service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = service(client)
    assert running.is_short(RecommendRequest(users=["u1"], where="price < 3"))
    monkeypatch.setattr("hashgnn.serving.models.service._RULED_ITEMS", 10)
    assert not running.is_short(RecommendRequest(users=["u1"], where="price < 3"))
    assert running.is_short(RecommendRequest(users=["u1"], diversity=0.5))


def test_a_store_that_cannot_be_written_refuses_and_changes_nothing(
    client: httpx.Client, tmp_path: Path
) -> None:
    (tmp_path / "events.db").rename(tmp_path / "gone.db")
    answer = change(client, i1={"price": 500})
    assert answer.status_code == 503
    assert "the attributes could not be kept; nothing was changed" in json.dumps(answer.json())


def test_the_table_may_be_a_text_file(model_folder: Path, tmp_path: Path, open_client: Any) -> None:
    lines = "".join(f"i{n},{n},{'true' if n % 2 else 'false'}\n" for n in range(N_ITEMS))
    (tmp_path / "items.csv").write_text("sku,price,in_stock\n" + lines)
    settings = ServiceSettings(model=model_folder, items=tmp_path / "items.csv", item_id="sku", watch=0)
    for client in open_client(settings):
        row = ask(client, where="in_stock and price < 4", k=9)
        assert sorted(ids(row)) == ["i1", "i3"]
        assert {"price": 3, "in_stock": True} in [item["metadata"] for item in row["items"]]
