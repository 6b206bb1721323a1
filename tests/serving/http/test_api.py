"""What the API answers is what the recommender answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from hashgnn.recommender import HashGNN


@pytest.fixture(scope="module")
def model(model_folder: Path) -> HashGNN:
    return HashGNN.load(model_folder)


def ids(row: dict) -> list:
    return [item["id"] for item in row["items"]]


@pytest.mark.parametrize("search", ["hamming", "biased", "asymmetric", "hierarchical", "float"])
def test_users_get_what_the_recommender_gives(client: httpx.Client, model: HashGNN, search: str) -> None:
    users = ["u3", "u0", "u7"]
    answer = client.post("/v1/recommend", json={"users": users, "k": 5, "search": search}).json()
    wanted = model.recommend(users, 5, search=search)
    assert [row["user"] for row in answer["results"]] == users
    assert [ids(row) for row in answer["results"]] == wanted.lists()
    scores = [item["score"] for row in answer["results"] for item in row["items"]]
    assert scores == pytest.approx(wanted.scores.ravel().tolist(), rel=1e-5)
    assert {row["source"] for row in answer["results"]} == {"model"}
    assert (answer["model_version"], answer["search"]) == ("v1", search)


def test_histories_are_folded_in(client: httpx.Client, model: HashGNN) -> None:
    histories = [["i1", "i2"], ["i9", "nothing of ours"]]
    answer = client.post("/v1/recommend", json={"histories": histories, "k": 4}).json()
    wanted = model.recommend_for_history([["i1", "i2"], ["i9"]], 4)
    assert [ids(row) for row in answer["results"]] == wanted.lists()
    assert [(row["history"], row["source"]) for row in answer["results"]] == [(0, "history"), (1, "history")]
    assert not any("user" in row for row in answer["results"])


def test_an_unknown_user_gets_popular_items_or_a_problem(client: httpx.Client, model: HashGNN) -> None:
    body = {"users": ["u1", "stranger"], "k": 3, "on_unknown": "popular"}
    rows = client.post("/v1/recommend", json=body).json()["results"]
    wanted = model.recommend(["u1", "stranger"], 3, on_unknown="popular")
    assert [ids(row) for row in rows] == wanted.lists()
    assert [row["source"] for row in rows] == ["model", "popular"]
    refused = client.post("/v1/recommend", json={**body, "on_unknown": "error"})
    assert refused.status_code == 404
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["detail"] == "users[1] is not a user of the model; pass another on_unknown"


def test_lists_limit_every_row(client: httpx.Client, model: HashGNN) -> None:
    allow, block = ["i1", "i2", "i3", "i4"], ["i2"]
    body = {"users": ["u1", "stranger"], "k": 9, "allow": allow, "block": block}
    rows = client.post("/v1/recommend", json={**body, "filter_seen": False}).json()["results"]
    wanted = model.recommend(
        ["u1", "stranger"], 9, allow=allow, block=block, filter_seen=False, on_unknown="popular"
    )
    assert [ids(row) for row in rows] == wanted.lists()
    assert set(ids(rows[0])) == {"i1", "i3", "i4"}


def test_similar_items_are_those_of_the_recommender(client: httpx.Client, model: HashGNN) -> None:
    answer = client.post("/v1/similar-items", json={"items": ["i5", "i6"], "k": 4}).json()
    assert [ids(row) for row in answer["results"]] == model.similar_items(["i5", "i6"], 4).lists()
    assert [row["item"] for row in answer["results"]] == ["i5", "i6"]


def test_encode_gives_codes_and_embeddings(client: httpx.Client, model: HashGNN) -> None:
    answer = client.post("/v1/encode", json={"items": ["i5", "what"]}).json()
    encoded = model.encode(item_ids=["i5"])
    known, unknown = answer["results"]
    assert answer["n_bits"] == 32
    assert bytes.fromhex(known["code"]) == encoded.codes.packed[0].tobytes()
    assert known["embedding"] == pytest.approx(encoded.embeddings[0].tolist(), rel=1e-6)
    assert known["item_bias"] == model.state_.items.bias.values()[5]
    assert unknown == {"code": None, "embedding": None, "known": False, "item_bias": None}
    folded = client.post("/v1/encode", json={"histories": [["i1", "i2"], []]}).json()["results"]
    assert bytes.fromhex(folded[0]["code"]) == model.fold_in_users([["i1", "i2"]]).codes.packed[0].tobytes()
    assert [row["known"] for row in folded] == [True, False]


def test_items_are_found_by_title(client: httpx.Client) -> None:
    found = client.get("/v1/items", params={"query": "EVENING", "limit": 3}).json()["items"]
    assert len(found) == 3
    assert all(item["metadata"]["title"].startswith("Evening") for item in found)
    assert client.get("/v1/items", params={"query": "number 27"}).json()["items"] == [
        {"id": "i27", "metadata": {"title": "The Number 27", "year": 2017}}
    ]
    assert client.get("/v1/items", params={"query": "no such title"}).json() == {"items": []}


def test_the_model_describes_itself(client: httpx.Client) -> None:
    document = client.get("/v1/model").json()
    assert (document["version"], document["n_items"], document["n_bits"]) == ("v1", 30, 32)
    assert document["search_ways"] == ["hamming", "biased", "asymmetric", "hierarchical", "float"]
    assert document["metadata_columns"] == ["title", "year"]
    assert document["code_health"]["item_codes"]["n_codes"] == 30


def test_health_tells_alive_from_ready(client: httpx.Client, service: Any) -> None:
    assert client.get("/health/live").json()["status"] == "live"
    assert client.get("/health/ready").json() == {"status": "ready", "model_version": "v1"}
    service(client).draining = True
    assert client.get("/health/ready").status_code == 503
    assert client.get("/health/live").status_code == 200


def test_unknown_users_are_left_out_where_they_are_skipped(client: httpx.Client, model: HashGNN) -> None:
    body = {"users": ["stranger", "u1", "nobody", "u2"], "k": 3, "on_unknown": "skip"}
    rows = client.post("/v1/recommend", json=body).json()["results"]
    assert [row["user"] for row in rows] == ["u1", "u2"]
    assert [ids(row) for row in rows] == model.recommend(["u1", "u2"], 3).lists()
    assert client.post("/v1/recommend", json={**body, "users": ["nobody"]}).json()["results"] == []
