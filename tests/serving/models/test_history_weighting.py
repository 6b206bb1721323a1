"""Histories that are weighed, by the service: as the library weighs them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hashgnn.recommender import HashGNN
from hashgnn.serving import ServiceSettings

HISTORY = ["i1", "i2", "i3", "i4", "i5"]


@pytest.fixture(scope="module")
def model(model_folder: Path) -> HashGNN:
    return HashGNN.load(model_folder)


@pytest.fixture
def client(model_folder: Path, tmp_path: Path, open_client: Any) -> Iterator[httpx.Client]:
    yield from open_client(ServiceSettings(model=model_folder, interactions=tmp_path / "e.db", watch=0))


def asked(client: Any, **body: Any) -> list[list[str]]:
    answer = client.post("/v1/recommend", json={"k": 10, **body})
    assert answer.status_code == 200, answer.text
    return [[item["id"] for item in row["items"]] for row in answer.json()["results"]]


def test_the_service_weighs_histories(client: Any, model: HashGNN) -> None:
    for weighting in ({"last_n": 2}, {"position_half_life": 2}, {"last_n": 3, "position_half_life": 1.5}):
        expected = model.recommend_for_history([HISTORY, ["i9"]], history_weighting=weighting).lists()
        assert asked(client, histories=[HISTORY, ["i9"]], history_weighting=weighting) == expected
    times = [[0, 10, 5000, 5010, 5020]]
    for weighting in ({"session": "10m"}, {"age_half_life": 60}):
        expected = model.recommend_for_history(
            [HISTORY], timestamps=times, history_weighting=weighting
        ).lists()
        assert asked(client, histories=[HISTORY], timestamps=times, history_weighting=weighting) == expected


def test_the_service_weighs_what_users_did_lately(client: Any, model: HashGNN) -> None:
    rows = [("u1", "i9", 100), ("u1", "i3", 5000), ("u1", "i4", 4000), ("new", "i5", 1)]
    body = {"interactions": [{"user": u, "item": i, "timestamp": t} for u, i, t in rows]}
    assert client.post("/v1/interactions", json=body).status_code == 200
    options: Any = {"filter_seen": False}
    found = asked(client, users=["u1", "u2", "new"], history_weighting={"last_n": 1}, **options)
    expected = model.recommend_for_history([["i3"], ["i5"]], **options).lists()
    assert [found[0], found[2]] == expected
    assert found[1] == model.recommend(["u2"], **options).lists()[0]
    session = asked(client, users=["u1"], history_weighting={"session": "30m"}, **options)
    assert session == model.recommend_for_history([["i4", "i3"]], **options).lists()


def test_codes_are_weighed_as_lists_are(client: Any, model: HashGNN) -> None:
    def codes(**body: Any) -> list[str]:
        answer = client.post("/v1/encode", json=body)
        assert answer.status_code == 200, answer.text
        return [row["code"] for row in answer.json()["results"]]

    times = [[0, 10, 5000, 5010, 5020]]
    for weighting, seconds in (
        ({"last_n": 2}, None),
        ({"position_half_life": 2}, None),
        ({"session": "10m"}, times),
        ({"age_half_life": 60}, times),
    ):
        folded = model.fold_in_users([HISTORY], timestamps=seconds, history_weighting=weighting)
        given = {} if seconds is None else {"timestamps": seconds}
        found = codes(histories=[HISTORY], history_weighting=weighting, **given)
        assert found == [folded.codes.packed[0].tobytes().hex()]
        assert found != codes(histories=[HISTORY])
    rows = [{"user": "u1", "item": item, "timestamp": time} for item, time in (("i9", 100), ("i3", 5000))]
    assert client.post("/v1/interactions", json={"interactions": rows}).status_code == 200
    lately = model.fold_in_users([["i3"]]).codes.packed[0].tobytes().hex()
    assert codes(users=["u1"], history_weighting={"last_n": 1}) == [lately]
    for body in (
        {"items": ["i1"], "history_weighting": {"last_n": 1}},
        {"histories": [HISTORY], "history_weighting": {"session": "5m"}},
        {"histories": [HISTORY], "timestamps": times},
        {"users": ["u1"], "history_weighting": {"last_n": 1}, "timestamps": times},
    ):
        refused = client.post("/v1/encode", json=body)
        assert refused.status_code == 422
        assert "\n" not in refused.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {"history_weighting": {}},
        {"history_weighting": {"last_n": 0}},
        {"history_weighting": {"last_n": 1.5}},
        {"history_weighting": {"session": "soon"}},
        {"history_weighting": {"session": "0s"}, "timestamps": [[1] * 5]},
        {"history_weighting": {"session": "5m"}},
        {"history_weighting": {"last_n": 1}, "timestamps": [[1]]},
        {"timestamps": [[1] * 5]},
        {"history_weighting": {"why": 1}},
    ],
)
def test_the_service_refuses_in_one_sentence(client: Any, body: Any) -> None:
    answer = client.post("/v1/recommend", json={"histories": [HISTORY], **body})
    assert answer.status_code == 422
    assert "\n" not in answer.json()["detail"]
