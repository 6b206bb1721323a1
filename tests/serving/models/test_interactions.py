"""New interactions: kept, filtered and folded in at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from hashgnn.recommender import HashGNN
from hashgnn.serving import ServiceSettings


@pytest.fixture
def client(model_folder: Path, tmp_path: Path, open_client: Any) -> Iterator[httpx.Client]:
    yield from open_client(ServiceSettings(model=model_folder, interactions=tmp_path / "events.db", watch=0))


@pytest.fixture(scope="module")
def model(model_folder: Path) -> HashGNN:
    return HashGNN.load(model_folder)


def recommended(client: httpx.Client, **options: Any) -> list[dict[str, Any]]:
    answer = client.post("/v1/recommend", json={"k": 8, **options})
    assert answer.status_code == 200, answer.text
    return [{**row, "items": [item["id"] for item in row["items"]]} for row in answer.json()["results"]]


def tell(client: httpx.Client, *pairs: tuple[str, str]) -> dict[str, Any]:
    body = {"interactions": [{"user": user, "item": item} for user, item in pairs]}
    answer = client.post("/v1/interactions", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_stranger_is_folded_in_after_the_first_interactions(client: httpx.Client, model: HashGNN) -> None:
    assert recommended(client, users=["new"])[0]["source"] == "popular"
    assert tell(client, ("new", "i3"), ("new", "i8")) == {"accepted": 2, "unknown_items": 0, "stored": 2}
    (row,) = recommended(client, users=["new"])
    assert row["source"] == "history"
    assert row["items"] == model.recommend_for_history([["i3", "i8"]], 8).lists()[0]


def test_a_known_user_is_folded_in_with_old_and_new(client: httpx.Client, model: HashGNN) -> None:
    seen = model.state_.seen[4].indices
    unseen = f"i{np.setdiff1d(np.arange(30), seen)[0]}"
    history = [*(f"i{item}" for item in seen), unseen]
    tell(client, ("u4", unseen))
    rows = recommended(client, users=["u5", "u4", "nobody"])
    assert [row["source"] for row in rows] == ["model", "history", "popular"]
    assert rows[0]["items"] == model.recommend(["u5"], 8).lists()[0]
    assert rows[1]["items"] == model.recommend_for_history([history], 8).lists()[0]
    assert unseen not in rows[1]["items"]


def test_seen_items_may_come_again_where_they_are_not_filtered(client: httpx.Client) -> None:
    tell(client, ("new", "i3"))
    assert "i3" not in recommended(client, users=["new"], k=30)[0]["items"]
    assert "i3" in recommended(client, users=["new"], k=30, filter_seen=False)[0]["items"]


def test_unknown_ids_are_handled_as_requested(client: httpx.Client) -> None:
    tell(client, ("new", "i3"))
    (row,) = recommended(client, users=["new"], on_unknown="popular")
    assert (row["source"], "i3" in row["items"]) == ("popular", False)
    refused = client.post("/v1/recommend", json={"users": ["new"], "on_unknown": "error"})
    assert refused.status_code == 404


def test_items_that_the_model_does_not_know_are_kept_for_the_next_training(client: httpx.Client) -> None:
    assert tell(client, ("new", "a novelty"))["unknown_items"] == 1
    assert recommended(client, users=["new"])[0]["source"] == "popular"


def test_encode_gives_the_code_that_recommend_asks_with(client: httpx.Client, model: HashGNN) -> None:
    tell(client, ("new", "i3"))
    known, unknown = client.post("/v1/encode", json={"users": ["new", "nobody"]}).json()["results"]
    assert bytes.fromhex(known["code"]) == model.fold_in_users([["i3"]]).codes.packed[0].tobytes()
    assert unknown["known"] is False


def test_a_refused_interaction_keeps_nothing(client: httpx.Client) -> None:
    good, bad = {"user": "u1", "item": "i1"}, {"user": "u1", "item": "i1", "weight": -1}
    assert client.post("/v1/interactions", json={"interactions": [good, bad]}).status_code == 422
    assert (
        client.post("/v1/interactions", json={"interactions": [good, {"user": 1, "item": "i1"}]}).status_code
        == 422
    )
    assert tell(client, ("u1", "i1"))["stored"] == 1


def test_interactions_outlive_the_service(model_folder: Path, tmp_path: Path, open_client: Any) -> None:
    settings = ServiceSettings(model=model_folder, interactions=tmp_path / "events.db", watch=0)
    for client in open_client(settings):
        tell(client, ("new", "i3"))
    for client in open_client(settings):
        assert recommended(client, users=["new"])[0]["source"] == "history"


def test_where_all_users_are_skipped_no_row_is_answered(client: httpx.Client) -> None:
    tell(client, ("new", "i3"))
    assert recommended(client, users=["new", "nobody"], on_unknown="skip") == []
