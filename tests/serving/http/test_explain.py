"""``POST /v1/explain`` and ``explain`` of ``/v1/recommend``: the library's reasons, bounded, whatever is sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hashgnn import HashGNN
from hashgnn.serving import ServiceSettings
from hashgnn.state import save_state
from hashgnn.testing.states import random_state


@pytest.fixture(scope="session")
def model(model_folder: Path) -> HashGNN:
    return HashGNN.load(model_folder)


@pytest.fixture
def storing(model_folder: Path, tmp_path: Path, open_client: Any) -> Iterator[httpx.Client]:
    yield from open_client(ServiceSettings(model=model_folder, interactions=tmp_path / "events.db", watch=0))


def explained(client: httpx.Client, **body: Any) -> Any:
    answer = client.post("/v1/explain", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("search", ["hamming", "biased", "asymmetric", "hierarchical", "float"])
@pytest.mark.parametrize("of", [{"user": "u3"}, {"history": ["i1", "i5", "i8"]}])
def test_the_parts_are_those_of_the_library_and_add_up(
    client: httpx.Client, model: HashGNN, search: str, of: dict[str, Any]
) -> None:
    document = explained(client, **of, items=["i4", "i9"], reasons=2, search=search)
    found = model.explain(of.get("user") or of["history"], ["i4", "i9"], 2, search=search)
    assert (document["explanation"], document["note"]) == ("sum", found.note)
    assert document["source"] == ("model" if "user" in of else "history")
    for row, item in enumerate(document["items"]):
        assert [reason["id"] for reason in item["reasons"]] == found.reason_ids[row].tolist()
        assert [reason["part"] for reason in item["reasons"]] == pytest.approx(found.values[row], rel=1e-5)
        assert [reason["share"] for reason in item["reasons"]] == pytest.approx(found.shares[row], rel=1e-5)
        total = sum(reason["part"] for reason in item["reasons"]) + item["others"] + item["rest"]
        assert total == pytest.approx(item["score"], rel=1e-5, abs=1e-5)
        assert item["metadata"]["title"]
        assert item["reasons"][0]["metadata"]["year"] >= 1990


def test_recommendations_name_their_reasons(client: httpx.Client, model: HashGNN) -> None:
    body = {"users": ["u3", "nobody", "u5"], "k": 4, "on_unknown": "popular"}
    plain = client.post("/v1/recommend", json=body).json()["results"]
    rows = client.post("/v1/recommend", json={**body, "explain": True}).json()["results"]
    assert [row["explanation"] for row in rows] == ["sum", "popularity", "sum"]
    assert "explanation" not in plain[0]
    for row, without in zip(rows, plain, strict=True):
        assert [item["id"] for item in row["items"]] == [item["id"] for item in without["items"]]
        assert all("reasons" not in item for item in without["items"])
    assert [len(item["reasons"]) for item in rows[1]["items"]] == [0] * 4
    for row, user in ((rows[0], "u3"), (rows[2], "u5")):
        found = model.explain(user, [item["id"] for item in row["items"]])
        got = [[reason["id"] for reason in item["reasons"]] for item in row["items"]]
        assert got == found.reason_ids.tolist()


def test_how_many_reasons_are_named_is_a_number_or_a_word(client: httpx.Client) -> None:
    def lengths(explain: Any) -> list[int]:
        body = {"histories": [[f"i{n}" for n in range(25)]], "k": 3, "explain": explain}
        (row,) = client.post("/v1/recommend", json=body).json()["results"]
        return [len(item.get("reasons", ())) for item in row["items"]]

    assert [lengths(value)[0] for value in (False, 0, True, 1, 2.0, 20)] == [0, 0, 3, 1, 2, 20]


def test_what_was_stored_since_the_training_is_a_reason(storing: httpx.Client) -> None:
    row = {"user": "new", "item": "i7"}
    assert storing.post("/v1/interactions", json={"interactions": [row]}).status_code == 200
    document = explained(storing, user="new", items=["i4"])
    assert document["source"] == "history"
    assert [reason["id"] for reason in document["items"][0]["reasons"]] == ["i7"]
    before = {
        reason["id"]
        for reason in explained(storing, user="u3", items=["i4"], reasons=20)["items"][0]["reasons"]
    }
    assert storing.delete("/v1/interactions", params={"user": "u3", "item": min(before)}).status_code == 200
    after = {
        reason["id"]
        for reason in explained(storing, user="u3", items=["i4"], reasons=20)["items"][0]["reasons"]
    }
    assert after == before - {min(before)}


def test_an_unknown_user_gets_what_on_unknown_says(client: httpx.Client) -> None:
    document = explained(client, user="nobody", items=["i4"])
    assert (document["explanation"], document["source"]) == ("popularity", "popular")
    assert document["items"][0]["reasons"] == []
    skipped = explained(client, user="nobody", items=["i4"], on_unknown="skip")
    assert (skipped["items"], skipped["explanation"], skipped["source"]) == ([], None, None)


def test_a_model_whose_score_is_no_sum_says_so(tmp_path: Path, open_client: Any) -> None:
    pytest.importorskip("torch")
    from tests.recommender.test_every_encoder import fitted

    save_state(fitted({"encoder": "graphsage"}, "edges").state_, tmp_path / "v1")
    for client in open_client(ServiceSettings(model=tmp_path / "v1", watch=0)):
        document = explained(client, history=[1, 2, 8], items=[3])
        assert document["explanation"] == "similarity"
        assert "by the encoder graphsage the score of a user is no sum" in document["note"]
        assert set(document["items"][0]) == {"id", "score", "reasons", "metadata"}
        values = [reason["similarity"] for reason in document["items"][0]["reasons"]]
        assert values == sorted(values, reverse=True)
        assert all(-1 <= value <= 1.0001 for value in values)


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"items": ["i4"]}, 422, "exactly one of user, history must be given"),
    ({"user": "u1", "history": ["i1"], "items": ["i4"]}, 422, "exactly one of user, history"),
    ({"user": "u1", "items": []}, 422, "items must not be empty"),
    ({"user": "u1", "items": ["i1"] * 101}, 422, "items must have at most 100 entries"),
    ({"user": "u1", "items": ["gone"]}, 404, "items[0] is not an item of the model"),
    ({"user": "u1", "items": [4]}, 422, "item ids of this model are text"),
    ({"user": 1, "items": ["i4"]}, 422, "user ids of this model are text"),
    ({"user": "", "items": ["i4"]}, 422, "user must"),
    ({"user": "u1", "items": ["i4"], "reasons": 0}, 422, "reasons must be at least 1"),
    ({"user": "u1", "items": ["i4"], "reasons": 21}, 422, "reasons must be at most 20"),
    ({"user": "u1", "items": ["i4"], "reasons": True}, 422, "reasons must be an integer"),
    ({"user": "u1", "items": ["i4"], "search": "fast"}, 422, "search must be"),
    ({"user": "nobody", "items": ["i4"], "on_unknown": "error"}, 404, "user is not a user of the model"),
    (
        {"history": ["gone"], "items": ["i4"], "on_unknown": "error"},
        404,
        "history must name items of the model",
    ),
    ({"history": ["i1"] * 10_001, "items": ["i4"]}, 422, "history must have at most 10000 entries"),
    ({"user": "u1", "items": ["i4"], "k": 3}, 422, "k is not a field of this request"),
]


@pytest.mark.parametrize(("body", "status", "sentence"), REFUSED)
def test_what_is_refused(client: httpx.Client, body: dict[str, Any], status: int, sentence: str) -> None:
    answer = client.post("/v1/explain", json=body)
    assert answer.status_code == status
    assert sentence in answer.json()["detail"]


@pytest.mark.parametrize("explain", [-1, 21, 1.5, "3", None, [3], 1e30])
def test_a_number_of_reasons_has_bounds(client: httpx.Client, explain: Any) -> None:
    answer = client.post("/v1/recommend", json={"users": ["u1"], "explain": explain})
    assert answer.status_code == 422
    assert "explain must be true, false or an integer from 0 to 20" in answer.json()["detail"]


def test_reasons_of_too_many_results_are_refused(client: httpx.Client) -> None:
    body = {"users": ["u1"] * 1000, "k": 11, "explain": 1}
    answer = client.post("/v1/recommend", json=body)
    assert answer.status_code == 422
    assert "rows times k must be at most 10000 with explain, got 1000 times 11" in answer.json()["detail"]


def test_a_search_way_without_an_item_bias_is_refused(tmp_path: Path, open_client: Any) -> None:
    save_state(random_state(item_bias=False), tmp_path / "v1")
    for client in open_client(ServiceSettings(model=tmp_path / "v1", watch=0)):
        answer = client.post("/v1/explain", json={"user": "u1", "items": ["i4"], "search": "biased"})
        assert answer.status_code == 422
        assert "search must be one of" in answer.json()["detail"]


def test_a_long_history_is_explained_within_the_time(client: httpx.Client) -> None:
    history = [f"i{n % 30}" for n in range(10_000)]
    document = explained(client, history=history, items=[f"i{n}" for n in range(30)], reasons=20)
    assert len(document["items"]) == 30
