"""Versions of a model: opened, refused, swapped, shared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hashgnn.index import InvertedFile, build
from hashgnn.serving import ServiceSettings
from hashgnn.state import save_state
from hashgnn.testing.states import random_state

TOKEN = {"Authorization": "Bearer let me in"}


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    """A folder with two versions and a link to the first."""
    for number in (1, 2):
        save_state(random_state(20, 30, rng=number), tmp_path / f"v{number}")
    (tmp_path / "current").symlink_to("v1")
    return tmp_path


@pytest.fixture
def client(versions: Path, open_client: Any) -> Iterator[httpx.Client]:
    yield from open_client(ServiceSettings(model=versions, watch=0, admin_token="let me in"))


def point_to(versions: Path, name: str) -> None:
    (versions / "new").symlink_to(name)
    (versions / "new").rename(versions / "current")


def answered_by(client: httpx.Client) -> str:
    answer = client.post("/v1/recommend", json={"users": ["u1"], "k": 3})
    assert answer.status_code == 200
    version: str = answer.json()["model_version"]
    return version


def damage(folder: Path) -> None:
    file = folder / "item_index.hgx"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def test_a_new_link_is_followed(client: httpx.Client, versions: Path, service: Any) -> None:
    assert answered_by(client) == "v1"
    assert service(client).check_for_update() is None
    assert answered_by(client) == "v1"
    point_to(versions, "v2")
    service(client).check_for_update()
    assert answered_by(client) == "v2"
    assert 'hashgnn_reloads_total{result="accepted"} 1.0' in client.get("/metrics").text


def test_a_damaged_version_is_refused_and_the_old_one_goes_on(
    client: httpx.Client, versions: Path, service: Any
) -> None:
    damage(versions / "v2")
    refused = client.post("/admin/reload", json={"version": "v2"}, headers=TOKEN)
    assert refused.status_code == 409
    assert str(versions) not in refused.text
    point_to(versions, "v2")
    for _ in range(3):
        service(client).check_for_update()
    assert answered_by(client) == "v1"
    # Asked for once and found once: what was refused is not opened again and again.
    assert 'hashgnn_reloads_total{result="refused"} 2.0' in client.get("/metrics").text


def test_a_version_saved_over_the_old_one_is_found(
    client: httpx.Client, versions: Path, service: Any
) -> None:
    before = client.get("/v1/model").json()["checksum"]
    save_state(random_state(20, 30, rng=9), versions / "v1", overwrite=True)
    service(client).check_for_update()
    assert client.get("/v1/model").json()["checksum"] != before


def test_a_link_to_nothing_changes_nothing(client: httpx.Client, versions: Path, service: Any) -> None:
    point_to(versions, "v7")
    service(client).check_for_update()
    assert answered_by(client) == "v1"
    point_to(versions, "v2")
    service(client).check_for_update()
    assert answered_by(client) == "v2"


def test_reload_asks_for_the_token(client: httpx.Client) -> None:
    assert client.post("/admin/reload", json={}).status_code == 401
    wrong = client.post("/admin/reload", json={}, headers={"Authorization": "Bearer let me out"})
    assert wrong.status_code == 401
    answer = client.post("/admin/reload", json={"version": "v2"}, headers=TOKEN)
    assert answer.json() == {"version": "v2", "next_version": None, "share": 0.0, "changed": True}
    assert answered_by(client) == "v2"


@pytest.mark.parametrize("name", ["..", "../v2", "/etc", "v2/../v2", "no such"])
def test_a_version_is_a_plain_name(client: httpx.Client, name: str) -> None:
    assert client.post("/admin/reload", json={"version": name}, headers=TOKEN).status_code == 409
    assert answered_by(client) == "v1"


def test_without_a_token_there_is_no_reload(versions: Path, open_client: Any) -> None:
    for client in open_client(ServiceSettings(model=versions, watch=0)):
        assert client.post("/admin/reload", json={}, headers=TOKEN).status_code in (404, 405)


def test_two_versions_share_the_users(client: httpx.Client) -> None:
    users = [f"u{n}" for n in range(20)]

    def second_half(share: float) -> set[str]:
        body = {"version": "v1", "next_version": "v2", "share": share}
        assert client.post("/admin/reload", json=body, headers=TOKEN).json()["share"] == share
        rows = client.post("/v1/recommend", json={"users": users, "k": 3}).json()["results"]
        assert [row["user"] for row in rows] == users
        return {row["user"] for row in rows if row.get("model_version") == "v2"}

    half, most = second_half(0.5), second_half(0.8)
    assert 3 <= len(half) <= 17
    assert half < most, "a larger share moves users to the second version, and none back"
    assert second_half(1.0) == set(users)
    assert second_half(0.0) == set()


def test_an_unknown_user_is_named_by_the_place_in_the_request(client: httpx.Client) -> None:
    client.post("/admin/reload", json={"version": "v1", "next_version": "v2", "share": 0.5}, headers=TOKEN)
    users = [f"u{n}" for n in range(20)]
    answer = client.post("/v1/recommend", json={"users": [*users, "stranger"], "on_unknown": "error"})
    assert answer.status_code == 404
    assert answer.json()["detail"] == "users[20] is not a user of the model; pass another on_unknown"


def test_rows_of_the_second_version_are_its_own(client: httpx.Client) -> None:
    users = [f"u{n}" for n in range(20)]
    client.post("/admin/reload", json={"version": "v1", "next_version": "v2", "share": 0.5}, headers=TOKEN)
    both = client.post("/v1/recommend", json={"users": users, "k": 5}).json()["results"]
    alone = {}
    for version in ("v1", "v2"):
        client.post("/admin/reload", json={"version": version}, headers=TOKEN)
        alone[version] = client.post("/v1/recommend", json={"users": users, "k": 5}).json()["results"]
    for place, row in enumerate(both):
        assert row["items"] == alone[row.get("model_version", "v1")][place]["items"]


def test_many_items_are_searched_in_lists_where_some_may_be_missed(
    versions: Path, open_client: Any, service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "SCAN_LIMIT", 10)
    for client in open_client(ServiceSettings(model=versions, watch=0, index_recall=0.9)):
        index = service(client).active.current.fitted.item_index
        assert isinstance(index, InvertedFile)
        assert answered_by(client) == "v1"
