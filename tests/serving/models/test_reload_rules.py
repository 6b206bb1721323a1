"""Versions that would not know their callers' ids, or do not open in time: refused, and the old one goes on."""

from __future__ import annotations

import json
import logging
import pickle
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.state.hostile_models import sign_file

from hashgnn._tensors import read_tensors, write_tensors
from hashgnn.errors import ArtifactError
from hashgnn.serving import ServiceSettings
from hashgnn.serving.models import service as service_module
from hashgnn.serving.models.model_version import open_version
from hashgnn.serving.models.opening import Opener, Refusal, VersionRefusedError
from hashgnn.serving.models.reload_requests import ReloadMailbox
from hashgnn.serving.models.service import Service
from hashgnn.serving.models.standing import Standing
from hashgnn.serving.wire.logs import JsonLines
from hashgnn.serving.wire.schemas import ReloadRequest
from hashgnn.state import save_state
from hashgnn.testing.states import random_state

TOKEN = {"Authorization": "Bearer let me in"}
OTHER = {
    "integers": (list(range(20)), 30, "its user ids are integers, those before are text"),
    "uuids": ([uuid.UUID(int=n) for n in range(20)], 30, "its user ids are UUID, those before are text"),
    "items": (20, list(range(30)), "its item ids are integers, those before are text"),
    "strangers": ([f"s{n}" for n in range(20)], 30, "it knows 0 % of the users before, at least 50 % are needed"),
    "few-items": (20, [*(f"i{n}" for n in range(14)), *(f"x{n}" for n in range(16))],
                  "it knows 46.67 % of the items before, at least 50 % are needed"),
}  # fmt: skip


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    """v1 and v2 have the same ids; the others do not. ``current`` links to v1."""
    for number in (1, 2):
        save_state(random_state(20, 30, rng=number), tmp_path / f"v{number}")
    for name, (users, items, _) in OTHER.items():
        save_state(random_state(users, items), tmp_path / name)
    (tmp_path / "current").symlink_to("v1")
    return tmp_path


def point_to(versions: Path, name: str) -> None:
    (versions / "new").symlink_to(name)
    (versions / "new").rename(versions / "current")


def settings(versions: Path, **options: Any) -> ServiceSettings:
    return ServiceSettings(model=versions, watch=0, admin_token="let me in", **options)


@pytest.fixture
def client(versions: Path, open_client: Any) -> Iterator[httpx.Client]:
    yield from open_client(settings(versions))


def reload(client: httpx.Client, **body: Any) -> httpx.Response:
    return client.post("/admin/reload", json=body, headers=TOKEN)


def answered_by(client: httpx.Client) -> str:
    version: str = client.get("/v1/model").json()["version"]
    return version


@pytest.mark.parametrize("name", OTHER)
def test_a_version_with_other_ids_is_refused_in_one_sentence(
    client: httpx.Client, versions: Path, service: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "hashgnn.serving")
    sentence = f"{name} is refused, {OTHER[name][2]}; allow_new_ids takes it all the same"
    for body in ({"version": name}, {"version": "v1", "next_version": name, "share": 0.5}):
        answer = reload(client, **body)
        assert (answer.status_code, answer.json()["detail"]) == (409, sentence)
    point_to(versions, name)
    for _ in range(3):
        service(client).check_for_update()
    assert answered_by(client) == "v1"
    assert client.post("/v1/recommend", json={"users": ["u1"], "on_unknown": "error"}).status_code == 200
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records]
    assert [(line["accepted"], line["detail"]) for line in lines] == [(False, sentence)] * 3
    metrics = client.get("/metrics").text
    assert 'hashgnn_reloads_total{result="refused"} 3.0' in metrics
    assert 'hashgnn_reloads_refused_total{reason="ids"} 3.0' in metrics


def test_the_request_may_allow_new_ids(client: httpx.Client) -> None:
    assert reload(client, version="integers", allow_new_ids=True).json()["version"] == "integers"
    assert client.post("/v1/recommend", json={"users": [3], "on_unknown": "error"}).status_code == 200
    assert reload(client, version="v1").status_code == 409
    assert reload(client, version="v1", allow_new_ids="yes").status_code == 422


def test_the_service_may_allow_new_ids(versions: Path, open_client: Any, service: Any) -> None:
    for client in open_client(settings(versions, allow_new_ids=True)):
        point_to(versions, "uuids")
        service(client).check_for_update()
        assert answered_by(client) == "uuids"
        assert reload(client, version="items").status_code == 200


def test_a_version_that_answers_a_share_may_take_over(client: httpx.Client) -> None:
    """It was accepted once, so it is not compared again."""
    allowed = {"version": "v1", "next_version": "strangers", "share": 0.5, "allow_new_ids": True}
    assert reload(client, **allowed).status_code == 200
    assert reload(client, version="strangers").json()["version"] == "strangers"


def test_the_second_version_is_compared_at_the_start(versions: Path) -> None:
    with pytest.raises(VersionRefusedError, match="integers is refused, its user ids are integers"):
        Service(settings(versions, next_model=versions / "integers", next_share=0.5)).start()
    Service(settings(versions, next_model=versions / "integers", next_share=0.5, allow_new_ids=True)).start()


class Slow:
    """Opens versions; those of one name wait until they are released, and look whether they were given up."""

    def __init__(self, name: str) -> None:
        self.name, self.released, self.ended = name, threading.Event(), threading.Event()

    def __call__(self, path: Path, *, check: Callable[[], None], **options: Any) -> Any:
        if path.resolve().name != self.name:
            return open_version(path, check=check, **options)
        try:
            self.released.wait(60)
            check()
            return open_version(path, check=check, **options)
        finally:
            self.ended.set()


def test_a_version_that_does_not_open_in_time_is_given_up(
    versions: Path, open_client: Any, service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow("v2")
    monkeypatch.setattr(service_module, "open_version", slow)
    for client in open_client(settings(versions, reload_timeout=0.2)):
        answer = reload(client, version="v2")
        assert answer.status_code == 409
        assert answer.json()["detail"] == (
            "v2 is refused, it was not open within 0.2 seconds; a larger --reload-timeout waits longer"
        )
        assert answered_by(client) == "v1"
        assert 'hashgnn_reloads_refused_total{reason="time"} 1.0' in client.get("/metrics").text
        slow.released.set()
        assert slow.ended.wait(60)
        assert answered_by(client) == "v1", "what was given up does not take over later"


def test_a_reload_that_runs_ends_when_the_service_stops(
    versions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow("v2")
    monkeypatch.setattr(service_module, "open_version", slow)
    running = Service(settings(versions))
    running.start()
    point_to(versions, "v2")
    reloading = threading.Thread(target=running.check_for_update)
    reloading.start()
    while not any(thread.name == "opening" for thread in threading.enumerate()):
        pass
    running.close()
    reloading.join(60)
    assert not reloading.is_alive()
    assert running.active.current.name == "v1"
    slow.released.set()
    assert slow.ended.wait(60)


def test_openings_that_hang_are_few(tmp_path: Path) -> None:
    released = threading.Event()
    opener = Opener(lambda folder, check: released.wait(60), 0.05)
    for _ in range(3):
        with pytest.raises(VersionRefusedError, match="was not open within 0.05 seconds"):
            opener.open(tmp_path / "v2")
    with pytest.raises(
        VersionRefusedError, match="3 versions that were given up are still being opened"
    ) as caught:
        opener.open(tmp_path / "v3")
    assert caught.value.refusal is Refusal.TIME
    released.set()
    for thread in list(opener._left):
        thread.join(60)
    assert opener.open(tmp_path / "v3") is True


def test_a_mistake_while_opening_is_a_refusal(
    versions: Path, open_client: Any, service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for client in open_client(settings(versions)):

        def fail(path: Path, **options: Any) -> None:
            raise RecursionError("too deep")

        monkeypatch.setattr(service_module, "open_version", fail)
        assert reload(client, version="v2").status_code == 409
        point_to(versions, "v2")
        service(client).check_for_update()
        assert answered_by(client) == "v1"


def test_an_opening_stops_at_each_of_its_parts(versions: Path) -> None:
    """However far it is, a check that raises ends it; nothing of it goes on."""
    for last in range(12):
        calls = [0]

        def stop(last: int = last, calls: list[int] = calls) -> None:
            calls[0] += 1
            if calls[0] > last:
                raise KeyError("given up")

        with pytest.raises(KeyError):
            open_version(versions / "v1", check=stop)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("checksums")]


def test_a_new_worker_serves_what_the_others_serve(versions: Path, tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    first = Service(settings(versions, runtime=runtime))
    first.start()
    point_to(versions, "integers")
    first.check_for_update()
    second = Service(settings(versions, runtime=runtime))
    second.start()
    assert second.active.current.name == "v1", "integers was refused"
    point_to(versions, "v2")
    for one in (first, second):
        one.check_for_update()
        assert one.active.current.name == "v2"
    third = Service(settings(versions, runtime=runtime))
    third.start()
    third.check_for_update()
    assert third.active.current.name == "v2"


def test_a_new_worker_does_not_repeat_old_requests(versions: Path, tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    first = Service(settings(versions, runtime=runtime))
    first.start()
    first.reload(ReloadRequest(version="v1", next_version="v2", share=0.25))
    second = Service(settings(versions, runtime=runtime))
    second.start()
    active = second.active
    assert (active.current.name, active.share) == ("v1", 0.25)
    assert active.next_version is not None
    assert active.next_version.name == "v2"
    first.reload(ReloadRequest(version="v2"))
    third = Service(settings(versions, runtime=runtime))
    third.start()
    third.check_for_update()
    assert (third.active.current.name, third.active.next_version) == ("v2", None)
    second.check_for_update()
    assert second.active.current.name == "v2"


def test_folders_of_the_others_that_are_gone_are_not_needed(versions: Path, tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    ReloadMailbox(runtime).leave(Standing(versions / "gone", None, 0.0, ""))
    service = Service(settings(versions, runtime=runtime))
    service.start()
    assert service.active.current.name == "v1"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.nan, "users.embeddings must be finite, got NaN or infinity in row 7"),
        (3e38, "its embeddings are so large that scores would be infinite, up to 3e\\+38"),
    ],
)
def test_a_version_whose_scores_would_not_be_finite_does_not_take_over(
    versions: Path, value: float, said: str
) -> None:
    file = versions / "v2" / "embeddings.safetensors"
    tensors = {name: np.array(table) for name, table in read_tensors(file, mmap=False)[0].items()}
    tensors["users"][7] = value
    write_tensors(file, tensors)
    sign_file(versions / "v2", file.name)
    with pytest.raises(ArtifactError, match=said):
        open_version(versions / "v2")


def test_a_refusal_can_be_sent_to_another_process() -> None:
    sent = pickle.loads(pickle.dumps(VersionRefusedError("v2 is refused, because", Refusal.IDS)))
    assert (str(sent), sent.refusal) == ("v2 is refused, because", Refusal.IDS)
