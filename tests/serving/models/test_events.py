"""Types of events over HTTP: those of the model are kept and exported, others are refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from hashgnn.data import Weighting, read_interactions
from hashgnn.serving import ServiceSettings
from hashgnn.serving.store import InteractionStore
from hashgnn.state import load_state, save_state

WEIGHTS = {"view": 1.0, "purchase": 5.0}


@pytest.fixture(scope="module")
def weighed_folder(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weighed") / "v1"
    save_state(dataclasses.replace(load_state(model_folder), weighting=Weighting(WEIGHTS)), folder)
    return folder


@pytest.fixture
def client(weighed_folder: Path, tmp_path: Path, open_client: Any) -> Iterator[httpx.Client]:
    yield from open_client(ServiceSettings(model=weighed_folder, interactions=tmp_path / "e.db", watch=0))


def tell(client: httpx.Client, *events: Any) -> httpx.Response:
    rows = [{"user": "u1", "item": f"i{place}", "event": event} for place, event in enumerate(events)]
    return client.post("/v1/interactions", json={"interactions": rows})


def test_events_are_kept_and_exported_for_the_next_training(client: httpx.Client, tmp_path: Path) -> None:
    assert client.get("/v1/model").json()["event_weights"] == WEIGHTS
    assert tell(client, "view", "purchase", None).json()["accepted"] == 3
    with InteractionStore.open(tmp_path / "e.db") as store:
        store.export(tmp_path / "e.parquet")
    assert pq.read_table(tmp_path / "e.parquet")["event"].to_pylist() == ["view", "purchase", None]
    with pytest.warns(UserWarning, match="event is empty in 1 of 3 rows"):
        found = read_interactions(tmp_path / "e.parquet", event_column="event", event_weights=WEIGHTS)
    assert found.weight is not None
    assert found.weight.tolist() == [1, 5, 1]


@pytest.mark.parametrize(
    ("events", "words"),
    [
        (
            ("skip", "view", "skip"),
            "event must be one of 'view', 'purchase', got 'skip' in 2 of 3 interactions",
        ),
        (("View",), "event must be one of 'view', 'purchase', got 'View' in 1 of 1 interactions"),
        (("",), "event"),
        ((5,), "event"),
        (("x" * 201,), "event"),
    ],
)
def test_other_events_are_refused_and_nothing_is_kept(
    client: httpx.Client, tmp_path: Path, events: tuple[Any, ...], words: str
) -> None:
    answer = tell(client, *events)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]
    with InteractionStore.open(tmp_path / "e.db") as store:
        assert store.count == 0


def test_a_model_without_events_takes_none(model_folder: Path, tmp_path: Path, open_client: Any) -> None:
    settings = ServiceSettings(model=model_folder, interactions=tmp_path / "e.db", watch=0)
    for client in open_client(settings):
        answer = tell(client, "view")
        assert answer.status_code == 422
        assert answer.json()["detail"] == (
            "event must be left out, got 'view' in 1 of 1 interactions; "
            "the model was trained without types of events"
        )
        assert tell(client, None).status_code == 200


def test_a_store_of_an_earlier_version_gets_the_column(tmp_path: Path) -> None:
    import sqlite3

    with InteractionStore.open(tmp_path / "e.db") as store:
        store.append(["a"], ["b"])
    connection = sqlite3.connect(tmp_path / "e.db")
    connection.execute("ALTER TABLE interactions DROP COLUMN event")
    connection.commit()
    connection.close()
    with InteractionStore.open(tmp_path / "e.db") as store:
        store.append(["c"], ["d"], events=["view"])
        store.export(tmp_path / "e.parquet")
    assert pq.read_table(tmp_path / "e.parquet")["event"].to_pylist() == [None, "view"]


@pytest.mark.parametrize("event", ["", "x" * 201, 5, b"view", "\ud800"])
def test_the_store_itself_refuses_what_is_no_type(tmp_path: Path, event: Any) -> None:
    from hashgnn.errors import ParameterError

    with (
        InteractionStore.open(tmp_path / "e.db") as store,
        pytest.raises(ParameterError, match="events must be"),
    ):
        store.append(["a"], ["b"], events=[event])
