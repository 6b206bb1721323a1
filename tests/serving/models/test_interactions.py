"""New interactions: kept, filtered and folded in at once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from hashgnn.errors import ParameterError
from hashgnn.recommender import HashGNN
from hashgnn.serving import ServiceSettings
from hashgnn.serving.store import InteractionStore
from hashgnn.serving.wire.schemas import ReloadRequest
from hashgnn.state import save_state
from hashgnn.testing.states import random_state


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


def delete(client: httpx.Client, **parameters: str) -> dict[str, Any]:
    answer = client.delete("/v1/interactions", params=parameters)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def items_of(model: HashGNN, user: int) -> list[str]:
    return [f"i{item}" for item in model.state_.seen[user].indices]


def test_a_deleted_user_of_the_training_is_unknown(client: httpx.Client, model: HashGNN) -> None:
    seen = items_of(model, 4)
    assert recommended(client, users=["u4"])[0]["source"] == "model"
    assert delete(client, user="u4") == {"removed": 0, "forgotten": len(seen), "stored": 0}
    assert delete(client, user="u4") == {"removed": 0, "forgotten": 0, "stored": 0}
    (row,) = recommended(client, users=["u4"], k=30)
    assert (row["source"], len(row["items"])) == ("popular", 30)  # nothing is left out as seen
    assert client.post("/v1/encode", json={"users": ["u4"]}).json()["results"][0]["known"] is False
    refused = client.post("/v1/recommend", json={"users": ["u3", "u4"], "on_unknown": "error"})
    assert (refused.status_code, refused.json()["detail"]) == (
        404,
        "users[1] is not a user of the model; pass another on_unknown",
    )
    assert recommended(client, users=["u4"], on_unknown="skip") == []
    assert recommended(client, users=["u5"])[0]["items"] == model.recommend(["u5"], 8).lists()[0]


def test_a_deleted_user_who_comes_back_is_folded_in_from_what_is_new(
    client: httpx.Client, model: HashGNN
) -> None:
    tell(client, ("u4", "i1"))
    assert delete(client, user="u4")["removed"] == 1
    tell(client, ("u4", "i3"), ("u4", "i8"))
    (row,) = recommended(client, users=["u4"])
    assert row["source"] == "history"
    assert row["items"] == model.recommend_for_history([["i3", "i8"]], 8).lists()[0]


@pytest.mark.parametrize("on_unknown", ["fold_in", "popular", "skip", "error"])
def test_a_deleted_interaction_of_the_training_is_folded_out(
    client: httpx.Client, model: HashGNN, on_unknown: str
) -> None:
    first, *rest = items_of(model, 4)
    assert delete(client, user="u4", item=first) == {"removed": 0, "forgotten": 1, "stored": 0}
    (row,) = recommended(client, users=["u4"], k=30, on_unknown=on_unknown)
    assert row["source"] == "history"
    assert row["items"] == model.recommend_for_history([rest], 30).lists()[0]
    assert first in row["items"]  # it is no item that the user has seen
    (encoded,) = client.post("/v1/encode", json={"users": ["u4"]}).json()["results"]
    assert bytes.fromhex(encoded["code"]) == model.fold_in_users([rest]).codes.packed[0].tobytes()


def test_a_user_of_whom_nothing_is_left_is_unknown(client: httpx.Client, model: HashGNN) -> None:
    for item in items_of(model, 4):
        assert delete(client, user="u4", item=item)["forgotten"] == 1
    assert recommended(client, users=["u4"])[0]["source"] == "popular"


def test_a_deleted_new_interaction_is_out_of_the_fold_in(client: httpx.Client, model: HashGNN) -> None:
    tell(client, ("new", "i3"), ("new", "i8"), ("new", "i3"))
    assert delete(client, user="new", item="i3") == {"removed": 2, "forgotten": 0, "stored": 1}
    assert (
        recommended(client, users=["new"])[0]["items"] == model.recommend_for_history([["i8"]], 8).lists()[0]
    )
    assert delete(client, user="new") == {"removed": 1, "forgotten": 0, "stored": 0}
    assert recommended(client, users=["new"])[0]["source"] == "popular"


def test_an_item_that_is_told_again_after_its_deletion_counts(client: httpx.Client, model: HashGNN) -> None:
    seen = items_of(model, 4)
    delete(client, user="u4", item=seen[0])
    tell(client, ("u4", seen[0]))
    (row,) = recommended(client, users=["u4"])
    assert row["items"] == model.recommend_for_history([seen], 8).lists()[0]


def test_users_of_one_request_keep_their_rows_and_their_sources(client: httpx.Client, model: HashGNN) -> None:
    delete(client, user="u1")
    delete(client, user="u2", item=items_of(model, 2)[0])
    tell(client, ("new", "i3"))
    rows = recommended(client, users=["u0", "u1", "new", "u2", "u3"])
    assert [row["user"] for row in rows] == ["u0", "u1", "new", "u2", "u3"]
    assert [row["source"] for row in rows] == ["model", "popular", "history", "history", "model"]
    for user, row in (("u0", rows[0]), ("u3", rows[4])):
        assert row["items"] == model.recommend([user], 8).lists()[0]


def test_deletions_hold_after_a_restart_and_for_older_models_only(
    model_folder: Path, tmp_path: Path, open_client: Any, model: HashGNN
) -> None:
    store = tmp_path / "events.db"
    settings = ServiceSettings(model=model_folder, interactions=store, watch=0)
    for client in open_client(settings):
        delete(client, user="u4")
    for client in open_client(settings):
        assert recommended(client, users=["u4"])[0]["source"] == "popular"
    with InteractionStore.open(store) as opened:
        lineage = {"exports": {opened.identity: opened.last}}
    trained_later = replace(model.state_, training={"lineage": lineage})
    save_state(trained_later, tmp_path / "v2")
    for client in open_client(settings.model_copy(update={"model": tmp_path / "v2"})):
        assert recommended(client, users=["u4"])[0]["source"] == "model"
        assert delete(client, user="u4")["forgotten"] == len(items_of(model, 4))
        assert recommended(client, users=["u4"])[0]["source"] == "popular"


def test_another_process_deletes_for_a_service_that_runs(client: httpx.Client, tmp_path: Path) -> None:
    with InteractionStore.open(tmp_path / "events.db") as other:
        other.delete("u4")
    assert recommended(client, users=["u4"])[0]["source"] == "popular"


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("", "user must be given once, and item at most once"),
        ("item=i1", "user must be given once, and item at most once"),
        ("user=u1&user=u2", "user must be given once, and item at most once"),
        ("user=u1&item=i1&item=i2", "user must be given once, and item at most once"),
        ("user=", "user must be text of 1 to 512 characters"),
        ("user=u1&item=", "item must be text of 1 to 512 characters"),
        ("user=" + "u" * 513, "user must be text of 1 to 512 characters"),
        ("user=u1&itme=i1", "'itme' is not a parameter of this request"),
        ("user=%ff", "the query must be a few parameters, percent-encoded in UTF-8"),
    ],
)
def test_a_slip_deletes_nothing(client: httpx.Client, query: str, sentence: str) -> None:
    refused = client.request("DELETE", f"/v1/interactions?{query}")
    assert (refused.status_code, refused.json()["detail"]) == (422, sentence)
    assert recommended(client, users=["u1"])[0]["source"] == "model"


def test_a_body_that_would_be_overlooked_deletes_nothing(client: httpx.Client) -> None:
    refused = client.request("DELETE", "/v1/interactions?user=u1", json={"item": "i1"})
    assert (refused.status_code, refused.json()["detail"]) == (
        422,
        "this request takes no body; user and item are parameters of its address",
    )
    assert recommended(client, users=["u1"])[0]["source"] == "model"


def test_odd_ids_are_deleted_by_their_text(client: httpx.Client) -> None:
    for user in ("a/b", "..", "ü &=?#%", "\u0000", "1"):
        tell(client, (user, "i3"))
        assert delete(client, user=user)["removed"] == 1


def test_integer_ids_are_read_as_integers(tmp_path: Path, open_client: Any) -> None:
    save_state(random_state([3, 5, 7], range(20)), tmp_path / "v1")
    settings = ServiceSettings(model=tmp_path / "v1", interactions=tmp_path / "events.db", watch=0)
    for client in open_client(settings):
        body = {"interactions": [{"user": 5, "item": 1}, {"user": 5.0, "item": 2.0}]}
        assert client.post("/v1/interactions", json=body).json()["stored"] == 2
        assert delete(client, user="5", item="2.0")["removed"] == 1
        assert delete(client, user="5")["removed"] == 1
        assert client.post("/v1/recommend", json={"users": [5]}).json()["results"][0]["source"] == "popular"
        for wrong in ("ann", "1.5", "1e0", "9" * 19, "9" * 400, " 5"):
            refused = client.delete("/v1/interactions", params={"user": wrong})
            assert refused.status_code == 422
            assert refused.json()["detail"].startswith("user ids of this model are integers, got ")


def test_a_key_stores_once_and_gets_the_first_answer(
    client: httpx.Client, model_folder: Path, tmp_path: Path, open_client: Any
) -> None:
    body = {"interactions": [{"user": "new", "item": "a novelty"}]}
    headers = {"Idempotency-Key": "7f9c-1"}
    first = client.post("/v1/interactions", json=body, headers=headers)
    tell(client, ("u1", "i1"))
    settings = ServiceSettings(model=model_folder, interactions=tmp_path / "events.db", watch=0)
    for worker in open_client(settings):  # a second worker of the same store
        again = worker.post("/v1/interactions", json=body, headers=headers)
    spaced = client.post("/v1/interactions", content=json.dumps(body, indent=2), headers={
        **headers, "content-type": "application/json"})  # fmt: skip
    assert first.json() == again.json() == spaced.json() == {"accepted": 1, "unknown_items": 1, "stored": 1}
    other = {"interactions": [{"user": "new", "item": "i2"}]}
    refused = client.post("/v1/interactions", json=other, headers=headers)
    assert (refused.status_code, refused.json()["detail"]) == (
        422,
        "the idempotency key was sent before with other content; send a new key",
    )
    assert tell(client, ("u1", "i2"))["stored"] == 3
    assert "hashgnn_interactions_total 3.0" in client.get("/metrics").text


def test_a_key_is_one_of_the_caller_s_own(model_folder: Path, tmp_path: Path, open_client: Any) -> None:
    keys = tmp_path / "keys.txt"
    keys.write_text("shop: one\nshop: two\nreports: three\n")
    settings = ServiceSettings(
        model=model_folder,
        interactions=tmp_path / "events.db",
        api_keys=("four", "five"),
        api_keys_file=keys,
        watch=0,
    )
    stored = {}
    for client in open_client(settings):
        for secret in ("one", "three", "four", "five", "two"):
            body = {"interactions": [{"user": "u1", "item": "i2" if secret == "two" else "i1"}]}
            headers = {"Idempotency-Key": "7f9c-1", "X-API-Key": secret}
            answer = client.post("/v1/interactions", json=body, headers=headers)
            stored[secret] = answer.json().get("stored", answer.status_code)
            again = client.post("/v1/interactions", json=body, headers=headers)
            assert again.json().get("stored") == answer.json().get("stored")
    # Each holder has keys of its own; "two" replaces "one" and is of the same holder.
    assert stored == {"one": 1, "three": 2, "four": 3, "five": 4, "two": 422}


@pytest.mark.parametrize("key", ["", "a b", "a" * 256, "ü".encode()])
def test_a_key_that_is_none_is_refused(client: httpx.Client, key: Any) -> None:
    body = {"interactions": [{"user": "u1", "item": "i1"}]}
    refused = client.post("/v1/interactions", json=body, headers={"Idempotency-Key": key})
    assert (refused.status_code, refused.json()["detail"]) == (
        422,
        "Idempotency-Key must be 1 to 255 visible ASCII characters, given once",
    )
    assert tell(client, ("u1", "i1"))["stored"] == 1


def test_a_store_that_is_gone_is_not_ready_and_takes_nothing(
    client: httpx.Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    delete(client, user="u4")
    assert "hashgnn_store_healthy 1.0" in client.get("/metrics").text
    path, body = tmp_path / "events.db", {"interactions": [{"user": "u1", "item": "i1"}]}
    path.rename(tmp_path / "elsewhere")
    ready = client.get("/health/ready")
    sentence = "the store of interactions cannot be written: its file is gone"
    assert (ready.status_code, ready.json()["detail"]) == (503, sentence)
    assert "hashgnn_store_healthy 0.0" in client.get("/metrics").text
    refused = client.post("/v1/interactions", json=body)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert refused.json()["detail"] == "the interactions could not be kept; nothing was changed"
    assert client.delete("/v1/interactions", params={"user": "u1"}).status_code == 503
    assert not path.exists()
    assert any("its file is gone" in str(record.__dict__.get("fields")) for record in caplog.records)
    assert recommended(client, users=["u4"])[0]["source"] == "popular"  # what is open is still read
    (tmp_path / "elsewhere").rename(path)
    assert client.get("/health/ready").status_code == 200
    assert "hashgnn_store_healthy 1.0" in client.get("/metrics").text
    assert client.post("/v1/interactions", json=body).json()["stored"] == 1


def test_where_deletions_cannot_be_read_no_user_is_answered(client: httpx.Client, service: Any) -> None:
    service(client).store._reader.close()
    service(client).store._reader = sqlite3.connect(":memory:", check_same_thread=False)
    refused = client.post("/v1/recommend", json={"users": ["u1"]})
    assert (refused.status_code, refused.json()["detail"]) == (
        503,
        "the interactions could not be read; nothing was changed",
    )
    assert client.post("/v1/recommend", json={"histories": [["i1"]]}).status_code == 200


def test_a_service_without_a_store_has_no_such_metric(model_folder: Path, open_client: Any) -> None:
    for client in open_client(ServiceSettings(model=model_folder, watch=0)):
        assert "store_healthy" not in client.get("/metrics").text
        refused = client.delete("/v1/interactions", params={"user": "u1"})
        assert (refused.status_code, refused.json()["detail"]) == (
            404,
            "this service keeps no interactions; start it with --interactions FILE",
        )


@pytest.mark.parametrize(
    ("timestamp", "kept"),
    [
        (1764412800, 1764412800.0),
        (1764412800.25, 1764412800.25),
        (253402300799, 253402300799.0),
        ("2025-11-29T10:40:00Z", 1764412800.0),
        ("2025-11-29T10:40:00", 1764412800.0),
        ("2025-11-29 11:40:00.5+01:00", 1764412800.5),
        ("2025-11-29T10:40:00.1234567 UTC", 1764412800.123456),
        ("2025-11-29", 1764374400.0),
    ],
)
def test_times_are_seconds_or_iso_8601(
    client: httpx.Client, service: Any, timestamp: Any, kept: float
) -> None:
    body = {"interactions": [{"user": "u1", "item": "i1", "timestamp": timestamp}]}
    answer = client.post("/v1/interactions", json=body)
    assert answer.status_code == 200, answer.text
    assert service(client).store._read("SELECT time FROM interactions") == [(round(kept * 1e6),)]


@pytest.mark.parametrize(
    ("timestamp", "sentence"),
    [
        (1764412800000, "be seconds since 1970, at most 253402300799; divide milliseconds by 1000, got "
                        "1764412800000"),
        (-1, "be seconds since 1970, at least 0, got -1"),
        ("1969-12-31T23:59:59Z", 'be seconds since 1970, at least 0, got "1969-12-31T23:59:59Z"'),
        ("1764412800", 'be seconds since 1970 or ISO 8601 text, got "1764412800"'),
        ("yesterday", 'be seconds since 1970 or ISO 8601 text, got "yesterday"'),
        ("2025-13-01T00:00:00Z", 'be seconds since 1970 or ISO 8601 text, got "2025-13-01T00:00:00Z"'),
        ("", 'be seconds since 1970 or ISO 8601 text, got ""'),
        (True, "be seconds since 1970 or ISO 8601 text, got true"),
        ([], "be seconds since 1970 or ISO 8601 text"),
    ],
)  # fmt: skip
def test_other_times_are_refused(client: httpx.Client, timestamp: Any, sentence: str) -> None:
    body = {"interactions": [{"user": "u1", "item": "i1", "timestamp": timestamp}]}
    refused = client.post("/v1/interactions", json=body)
    assert (refused.status_code, refused.json()["detail"]) == (
        422,
        f"interactions[0].timestamp must {sentence}",
    )


@pytest.mark.parametrize(("users", "items"), [([1], ["i1"]), (["u1"], [1]), ([1], [1])])
def test_a_store_of_another_type_of_ids_is_refused_at_the_start(
    users: list[Any], items: list[Any], model_folder: Path, tmp_path: Path, open_client: Any
) -> None:
    with InteractionStore.open(tmp_path / "events.db") as store:
        store.append(users, items)
    settings = ServiceSettings(model=model_folder, interactions=tmp_path / "events.db", watch=0)
    with pytest.raises(
        ParameterError, match=r"events\.db are integers, those of the model text; name another store"
    ):
        next(open_client(settings))


def test_a_reload_after_which_the_store_takes_nothing_is_logged(
    tmp_path: Path, open_client: Any, service: Any, caplog: pytest.LogCaptureFixture
) -> None:
    save_state(random_state(20, 30), tmp_path / "v1")
    save_state(random_state(list(range(20)), list(range(30))), tmp_path / "v2")
    settings = ServiceSettings(
        model=tmp_path / "v1", interactions=tmp_path / "events.db", watch=0, allow_new_ids=True
    )
    for client in open_client(settings):
        tell(client, ("u1", "i1"))
        with caplog.at_level("WARNING"):
            service(client).reload(ReloadRequest(version="v2"))
        assert "interactions refused" in caplog.text
        answer = client.post("/v1/interactions", json={"interactions": [{"user": 1, "item": 2}]})
        assert answer.status_code == 422


@pytest.mark.parametrize("weight", [True, False, "1", "", [1], {}])
def test_a_weight_that_is_no_number_is_refused(weight: Any, client: httpx.Client) -> None:
    body = {"interactions": [{"user": "u1", "item": "i1", "weight": weight}]}
    answer = client.post("/v1/interactions", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("interactions[0].weight must be a number")
    assert tell(client, ("u1", "i1"))["stored"] == 1
