"""New items at run time: in the next answer, in every version that does not know them, and gone when asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from hashgnn.data import FeatureVocabulary
from hashgnn.recommender import HashGNN
from hashgnn.serving import ServiceSettings
from hashgnn.serving.store import InteractionStore
from hashgnn.serving.wire.schemas import ReloadRequest
from hashgnn.state import save_state
from hashgnn.testing.states import random_state

VOCABULARY = FeatureVocabulary({"genre": ("Drama", "War")}, {"year": (1990.0, 5.0)})
FIRST = [f"u{n}" for n in range(6)]


@pytest.fixture
def settings(model_folder: Path, tmp_path: Path) -> ServiceSettings:
    return ServiceSettings(model=model_folder, interactions=tmp_path / "events.db", watch=0)


@pytest.fixture
def client(settings: ServiceSettings, open_client: Any) -> Iterator[httpx.Client]:
    yield from open_client(settings)


@pytest.fixture(scope="module")
def model(model_folder: Path) -> HashGNN:
    return HashGNN.load(model_folder)


@pytest.fixture
def featured(tmp_path: Path, open_client: Any) -> Iterator[httpx.Client]:
    save_state(random_state(20, 30, features=VOCABULARY), tmp_path / "m" / "v1")
    yield from open_client(
        ServiceSettings(model=tmp_path / "m" / "v1", interactions=tmp_path / "events.db", watch=0)
    )


def add(client: httpx.Client, *items: dict[str, Any], status: int = 200, **options: Any) -> Any:
    headers = options.pop("headers", {})
    answer = client.post("/v1/items", json={"items": list(items), **options}, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json()


def lists(client: httpx.Client, path: str = "recommend", **options: Any) -> list[list[str]]:
    answer = client.post(f"/v1/{path}", json={"k": 31, **options})
    assert answer.status_code == 200, answer.text
    return [[item["id"] for item in row["items"]] for row in answer.json()["results"]]


@pytest.mark.parametrize("search", ["hamming", "biased", "asymmetric", "hierarchical", "float"])
def test_a_new_item_is_in_the_next_answer_as_in_the_library(
    client: httpx.Client, model: HashGNN, search: str
) -> None:
    before = lists(client, histories=[["i3"], ["i4", "i8"]], search=search)
    assert add(client, {"item": "new", "users": FIRST}) == {
        "accepted": 1,
        "known": 0,
        "unknown_users": 0,
        "stored": 1,
    }
    histories = [["i3"], ["i4", "i8"], ["new"], ["new", "i2"]]
    grown = model.add_items(["new"], [FIRST])
    found = lists(client, histories=histories, search=search)
    assert found == grown.recommend_for_history(histories, 31, search=search).lists()
    assert all("new" in row for row in found[:2])
    assert [[item for item in row if item != "new"] for row in found[:2]] == before
    if search != "biased":
        similar = lists(client, "similar-items", items=["new", "i5"], search=search)
        assert similar == grown.similar_items(["new", "i5"], 31, search=search).lists()


def test_it_counts_everywhere(client: httpx.Client, model: HashGNN) -> None:
    add(client, {"item": "new", "users": FIRST})
    grown = model.add_items(["new"], [FIRST])
    encoded = client.post("/v1/encode", json={"items": ["new", "i1"]}).json()["results"]
    assert [row["code"] for row in encoded] == [
        code.tobytes().hex() for code in grown.encode(item_ids=["new", "i1"]).codes.packed
    ]
    assert lists(client, histories=[["i3"]], allow=["new", "i7"])[0] in (["new", "i7"], ["i7", "new"])
    assert "new" not in lists(client, histories=[["i3"]], block=["new"])[0]
    assert client.get("/v1/items", params={"query": "NE"}).json()["items"] == [
        {"id": "new", "metadata": None}
    ]
    assert client.get("/v1/items").json()["items"] != []
    about = client.get("/v1/model").json()
    assert (about["n_items"], about["n_new_items"]) == (31, 1)
    popular = lists(client, users=["stranger"], on_unknown="popular")[0]
    users_of = np.bincount(model.state_.seen.indices, minlength=30)
    assert popular.index("new") == int((users_of >= len(FIRST)).sum())


def test_first_users_have_seen_it_and_are_folded_in_with_it(client: httpx.Client, model: HashGNN) -> None:
    assert add(client, {"item": "new", "users": ["u1", "stranger"]})["unknown_users"] == 1
    seen = [f"i{item}" for item in model.state_.seen[1].indices]
    expected = model.add_items(["new"], [["u1"]]).recommend_for_history([[*seen, "new"], ["new"]], 31)
    assert lists(client, users=["u1", "stranger"]) == expected.lists()
    assert "new" in lists(client, users=["u2"])[0]


def test_new_items_have_titles_of_none_next_to_known_ones(
    model_folder: Path, titles: Path, tmp_path: Path, open_client: Any
) -> None:
    settings = ServiceSettings(
        model=model_folder, items=titles, item_id="movie", interactions=tmp_path / "e.db", watch=0
    )
    for client in open_client(settings):
        add(client, {"item": "evening star", "users": FIRST})
        answer = client.post("/v1/recommend", json={"histories": [["i3"]], "k": 31}).json()
        metadata = {item["id"]: item["metadata"] for item in answer["results"][0]["items"]}
        assert metadata["evening star"] is None
        assert metadata["i4"]["title"] == "Evening 4"
        found = [item["id"] for item in client.get("/v1/items", params={"query": "evening"}).json()["items"]]
        assert set(found) == {f"i{n}" for n in range(0, 29, 2)} | {"evening star"}


def test_it_survives_a_restart(settings: ServiceSettings, open_client: Any) -> None:
    for client in open_client(settings):
        add(client, {"item": "b", "users": FIRST}, {"item": "a"})
        before = lists(client, histories=[["i3"], ["a", "b"]])
    for client in open_client(settings):
        assert lists(client, histories=[["i3"], ["a", "b"]]) == before


def test_two_services_on_one_store_answer_alike_whatever_the_order(
    settings: ServiceSettings, open_client: Any
) -> None:
    for one in open_client(settings):
        for other in open_client(settings):
            asked = {"histories": [["i3"], ["i8", "i2"]]}
            for number in range(5):
                add((one, other)[number % 2], {"item": f"new{number}", "users": FIRST[: number + 1]})
                assert lists(one, **asked) == lists(other, **asked)
            assert one.delete("/v1/items", params={"item": "new2"}).json() == {"removed": 1, "stored": 4}
            assert lists(one, **asked) == lists(other, **asked)
            assert "new2" not in lists(other, **asked)[0]


def test_another_version_gets_the_items_that_it_does_not_know(
    tmp_path: Path, open_client: Any, service: Any
) -> None:
    versions = tmp_path / "versions"
    states = [random_state(20, 30, rng=1), random_state(20, [*(f"i{n}" for n in range(30)), "a"], rng=2)]
    for number, state in enumerate(states):
        save_state(state, versions / f"v{number + 1}")
    (versions / "current").symlink_to("v1")
    settings = ServiceSettings(model=versions, interactions=tmp_path / "events.db", watch=0)
    for client in open_client(settings):
        add(client, {"item": "a", "users": FIRST}, {"item": "b", "users": FIRST})
        service(client).reload(ReloadRequest(version="v2"))
        second = HashGNN.load(versions / "v2").add_items(["b"], [FIRST])
        assert lists(client, histories=[["a"]]) == second.recommend_for_history([["a"]], 31).lists()
        assert client.get("/v1/model").json()["n_new_items"] == 1
        service(client).reload(ReloadRequest(version="v1", next_version="v2", share=0.5))
        asked = {"users": [f"u{n}" for n in range(20)], "k": 40, "filter_seen": False}
        rows = client.post("/v1/recommend", json=asked).json()
        assert {row.get("model_version") for row in rows["results"]} == {None, "v2"}
        assert all({"a", "b"} <= {item["id"] for item in row["items"]} for row in rows["results"])


def test_a_key_adds_once(client: httpx.Client) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = add(client, {"item": "a", "users": FIRST}, headers=headers)
    assert add(client, {"item": "a", "users": FIRST}, headers=headers) == first
    assert add(client, {"item": "b"}, status=422, headers=headers)["detail"].startswith("the idempotency key")
    add(client, {"item": "b"})
    assert "hashgnn_new_items_total 2.0" in client.get("/metrics").text
    assert "hashgnn_new_items_held 2.0" in client.get("/metrics").text


def test_known_items_are_refused_or_left(client: httpx.Client) -> None:
    refused = add(client, {"item": "new"}, {"item": "i3", "users": FIRST}, status=422)
    assert refused["detail"].startswith('items[1] is an item of the model already; pass on_known "skip"')
    assert "new" not in lists(client, histories=[["i3"]])[0]
    found = add(client, {"item": "new"}, {"item": "i3", "users": FIRST}, on_known="skip")
    assert (found["accepted"], found["known"]) == (1, 1)
    again = add(client, {"item": "new", "users": FIRST}, status=422)
    assert again["detail"].startswith("items[0] is an item of the model already")
    assert add(client, {"item": "new", "users": FIRST}, on_known="skip")["known"] == 1


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"items": []}, "items must not be empty"),
        ({"items": [{"item": ""}]}, "items[0].item must not be empty"),
        ({"items": [{"item": 7}]}, "items of this data are text, got 7 of type int"),
        ({"items": [{"item": "a"}, {"item": "a"}]}, "items must differ, got 'a' twice"),
        ({"items": [{"item": "a", "users": [7]}]}, "user ids of this model are text, got 7"),
        ({"items": [{"item": "a", "users": "u1"}]}, "items[0].users must be a list"),
        ({"items": [{"item": "a", "features": {"genre": "War"}}]}, "items[0].features must be left out"),
        ({"items": [{"item": "a", "why": 1}]}, "items[0].why is not a field"),
        ({"items": [{"item": f"n{n}"} for n in range(1025)]}, "items must have at most 1024 entries"),
        (
            {"items": [{"item": "a", "users": [f"w{n}" for n in range(10_001)]}]},
            "items[0].users must have at most 10000 entries",
        ),
    ],
)
def test_bad_requests_keep_nothing(client: httpx.Client, body: Any, sentence: str) -> None:
    answer = client.post("/v1/items", json=body)
    assert answer.status_code in (404, 422)
    assert answer.json()["detail"].startswith(sentence), answer.json()
    assert client.get("/v1/model").json()["n_new_items"] == 0
    with InteractionStore.open(client.app.service.settings.interactions) as store:  # type: ignore[attr-defined]
        assert (len(store.items), store.count) == (0, 0)


def test_ids_of_any_characters_come_back(client: httpx.Client) -> None:
    wild = [
        "tab\there",
        "line\nfeed",
        "nul\x00l",
        "\x7f\x85",
        "'; DROP TABLE items; --",
        "ü\u202e🎬",
        " ",
        "a" * 512,
    ]
    add(client, *({"item": item, "users": FIRST} for item in wild))
    assert set(wild) <= set(lists(client, histories=[["i3"]], k=60)[0])
    for item in wild:
        assert client.delete("/v1/items", params={"item": item}).json()["removed"] == 1
    assert not set(wild) & set(lists(client, histories=[["i3"]], k=60)[0])


def test_items_by_their_features(featured: httpx.Client, tmp_path: Path) -> None:
    rows = [{"genre": "War", "year": 1999}, {"genre": ["Drama", "War"]}]
    for number, features in enumerate(rows):
        add(featured, {"item": f"n{number}", "features": features})
    add(featured, {"item": "n2"})
    model = HashGNN.load(tmp_path / "m" / "v1")
    grown = model.add_items(["n0"], item_features=rows[:1])
    grown = grown.add_items(["n1"], item_features=[{**rows[1], "year": None}]).add_items(["n2"], [[]])
    asked = [["i3"], ["n0"], ["n1", "i2"]]
    assert lists(featured, histories=asked, k=33) == grown.recommend_for_history(asked, 33).lists()


@pytest.mark.parametrize(
    ("features", "sentence"),
    [
        ({"colour": "red"}, "items[0].features must be some of 'genre', 'year', got 'colour'"),
        ({"year": "long ago"}, "items[0].features: year must be numbers, got 'long ago' in row 1"),
        ({"year": 1e31}, "items[0].features.year must be"),
        ({"genre": 1.5}, "items[0].features: genre must be text, whole numbers or lists"),
        ({"genre": {"a": 1}}, "items[0].features.genre must be"),
        ({"genre": ["x"] * 257}, "items[0].features.genre must"),
    ],
)
def test_bad_features_keep_nothing(featured: httpx.Client, features: Any, sentence: str) -> None:
    answer = featured.post("/v1/items", json={"items": [{"item": "a", "features": features}]})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(sentence), answer.json()
    assert featured.get("/v1/model").json()["n_new_items"] == 0


def test_numbers_that_are_none_are_no_json(featured: httpx.Client) -> None:
    body = json.dumps({"items": [{"item": "a", "features": {"year": float("nan")}}]})
    answer = featured.post("/v1/items", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert featured.get("/v1/model").json()["n_new_items"] == 0


def test_a_version_without_the_features_takes_the_item_by_its_users(
    featured: httpx.Client, tmp_path: Path, service: Any
) -> None:
    add(featured, {"item": "new", "users": FIRST, "features": {"genre": "War"}})
    save_state(random_state(20, 30, rng=5), tmp_path / "m" / "v2")
    service(featured).reload(ReloadRequest(version="v2"))
    plain = HashGNN.load(tmp_path / "m" / "v2").add_items(["new"], [FIRST])
    assert lists(featured, histories=[["new"]]) == plain.recommend_for_history([["new"]], 31).lists()


def test_items_are_deleted_those_of_the_model_are_not(client: httpx.Client) -> None:
    before = lists(client, histories=[["i3"]])
    add(client, {"item": "a", "users": FIRST}, {"item": "b", "users": FIRST})
    assert client.delete("/v1/items", params={"item": "a"}).json() == {"removed": 1, "stored": 1}
    assert client.delete("/v1/items", params={"item": "b"}).json() == {"removed": 1, "stored": 0}
    assert client.delete("/v1/items", params={"item": "b"}).json() == {"removed": 0, "stored": 0}
    assert lists(client, histories=[["i3"]]) == before
    refused = client.delete("/v1/items", params={"item": "i3"})
    assert refused.json()["detail"].startswith("item is one of the model itself, which cannot be deleted")
    for query in ("", "?item=", "?item=a&item=b", "?user=a", "?item=" + "a" * 513):
        assert client.delete(f"/v1/items{query}").status_code == 422
    assert client.request("DELETE", "/v1/items?item=a", content=b"{}").status_code == 422


def test_a_deleted_user_no_longer_shapes_an_item(client: httpx.Client, model: HashGNN) -> None:
    add(client, {"item": "new", "users": ["u1", "u2"]})
    assert client.delete("/v1/interactions", params={"user": "u1"}).status_code == 200
    expected = model.add_items(["new"], [["u2"]]).recommend_for_history([["i3"], ["new"]], 31)
    assert lists(client, histories=[["i3"], ["new"]]) == expected.lists()


def test_there_is_a_limit_and_a_switch(settings: ServiceSettings, open_client: Any, tmp_path: Path) -> None:
    for client in open_client(settings.model_copy(update={"new_items": 2})):
        add(client, {"item": "a"})
        refused = add(client, {"item": "b"}, {"item": "c"}, status=422)
        assert refused["detail"].startswith("new items must be at most 2, and 1 are held; train a version")
        add(client, {"item": "b"})
        add(client, {"item": "c"}, status=422)
        client.delete("/v1/items", params={"item": "a"})
        add(client, {"item": "c"})
    for client in open_client(settings.model_copy(update={"new_items": 0})):
        assert add(client, {"item": "x"}, status=404)["detail"].startswith("this service takes no new items")
        assert "b" not in lists(client, histories=[["i3"]])[0]
    for client in open_client(settings.model_copy(update={"interactions": None})):
        add(client, {"item": "x"}, status=404)
        assert client.delete("/v1/items", params={"item": "a"}).status_code == 404


def test_a_store_that_cannot_be_written_adds_nothing(client: httpx.Client, service: Any) -> None:
    add(client, {"item": "a", "users": FIRST})
    before = lists(client, histories=[["i3"]])
    store = service(client).store
    pages = store._writer.execute("PRAGMA page_count").fetchone()[0]
    store._writer.execute(f"PRAGMA max_page_count={pages}")
    full = [{"item": f"n{n}", "users": [f"user {n} {m}" for m in range(400)]} for n in range(50)]
    assert add(client, *full, status=503)["detail"].startswith("the new items could not be kept; nothing was")
    store._writer.execute("PRAGMA max_page_count=1000000")
    assert lists(client, histories=[["i3"]]) == before
    assert add(client, full[0])["accepted"] == 1


def test_integer_ids(tmp_path: Path, open_client: Any) -> None:
    save_state(random_state(range(20), range(100, 130)), tmp_path / "v1")
    settings = ServiceSettings(model=tmp_path / "v1", interactions=tmp_path / "e.db", watch=0)
    for client in open_client(settings):
        add(client, {"item": 7, "users": [1, 2]}, {"item": 8.0, "users": [2.0]})
        assert {7, 8} <= set(lists(client, histories=[[101]], k=32)[0])
        add(client, {"item": "seven"}, status=422)
        assert client.delete("/v1/items", params={"item": "7"}).json()["removed"] == 1
        assert client.delete("/v1/items", params={"item": "seven"}).status_code == 422
