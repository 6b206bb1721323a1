"""Keys with names: the file, its changes, rates, and what callers, logs and metrics say of them."""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hashgnn.errors import ParameterError
from hashgnn.serving import ServiceSettings, create_app
from hashgnn.serving.http.api_keys import ApiKey, ApiKeys
from hashgnn.serving.http.key_file import WatchedKeys, read_key_file
from hashgnn.serving.http.rate_limits import RateLimits
from hashgnn.serving.wire.logs import JsonLines

BODY = {"users": ["u1"], "k": 3}


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def named(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_lines_of_the_file(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"other secret").hexdigest()
    path = write(
        tmp_path / "keys",
        "# who may call",
        "",
        "shop: first-secret rate=100",
        "  shop :  second-secret   rate=100",
        f"reports: sha256:{digest} rate=30/min burst=5",
        "slow: s:with:colons rate=2/h",
        "free: key=with=signs",
    )
    keys = read_key_file(path)
    assert [(key.name, key.rate, key.burst) for key in keys] == [
        ("shop", 100, 100), ("shop", 100, 100), ("reports", 0.5, 5), ("slow", 2 / 3600, 1), ("free", None, 1),
    ]  # fmt: skip
    for secret, name in (("first-secret", "shop"), ("second-secret", "shop"), ("other secret", "reports"),
                         ("s:with:colons", "slow"), ("key=with=signs", "free")):  # fmt: skip
        found = ApiKeys(keys).find({b"authorization": f"bearer {secret}".encode()})
        assert found is not None
        assert found.name == name
    assert ApiKeys(keys).find({b"x-api-key": digest.encode()}) is None
    assert "secret" not in repr(keys)
    assert digest not in repr(keys)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["secret-1"], "line 1 must be NAME: KEY, then rate=N and burst=N where wanted"),
        (["a name: secret-1"], "line 1 must be NAME: KEY"),
        (["a: secret-1", "b:"], "line 2 must be NAME: KEY"),
        (["a: secret-1 rate=0"], "line 1 must have a rate between 1e-06 and 1e+06"),
        (["a: secret-1 rate=e"], "line 1 must have a rate between"),
        (["a: secret-1 rate=5 rate=6"], "line 1 may have rate=N, N/min or N/h, and burst=N, after its key"),
        (["a: secret-1 speed=5"], "line 1 may have rate=N"),
        (["a: secret-1 rate=1 burst=0.5"], "line 1 must have a burst between 1 and 1e+06"),
        (["a: secret-1 burst=5"], "line 1 has a burst without a rate"),
        (["a: sha256:secret-1"], "line 1 must have 64 hexadecimal digits after sha256:"),
        (["a: secret-1", "b: secret-1"], "line 2 repeats a key, of a and of b"),
        (["a: secret-1 rate=1", "a: secret-2"], "line 2 gives a another rate than a line before"),
        (["# nothing", ""], "must hold a key, a line such as NAME: KEY"),
        ([f"a{n}: secret-{n}" for n in range(1001)], "must hold at most 1000 keys, got 1001"),
        (["x" * (1 << 20) + "y"], "must have at most 1048576 bytes"),
    ],
)
def test_a_line_that_breaks_a_rule_is_named_and_shows_no_key(
    tmp_path: Path, lines: list[str], said: str
) -> None:
    path = write(tmp_path / "keys", *lines)
    with pytest.raises(ParameterError) as caught:
        read_key_file(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"a: \xff\xfe\xfd")
    for path, said in (
        (tmp_path / "none", "cannot be read, No such file"),
        (tmp_path, "cannot be read, it is no regular file"),
        (tmp_path / "latin", "must be text in UTF-8"),
    ):
        with pytest.raises(ParameterError, match=said):
            read_key_file(path)


def test_a_change_is_taken_when_the_file_holds_still(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "hashgnn.serving")
    path, changes = write(tmp_path / "keys", "shop: old-secret"), []
    keys = WatchedKeys(["fixed"], path, changes.append)

    def known(*secrets: str) -> list[bool]:
        return [keys.current.find({b"x-api-key": secret.encode()}) is not None for secret in secrets]

    keys.look()
    assert (known("fixed", "old-secret", "new-secret"), changes) == ([True, True, False], [])
    write(path, "shop: new-sec")  # half of it
    keys.look()
    write(path, "shop: new-secret", "other: third")
    keys.look()
    assert known("old-secret", "new-secret", "new-sec") == [True, False, False]
    keys.look()
    assert known("fixed", "old-secret", "new-secret", "third") == [True, False, True, True]
    for broken in (lambda: write(path, "shop new-secret"), path.unlink, path.mkdir):
        broken()
        for _ in range(4):
            keys.look()
        assert known("fixed", "new-secret", "third") == [True, True, True]
    path.rmdir()
    write(path, "shop: last-secret")
    keys.look()
    keys.look()
    assert known("fixed", "new-secret", "last-secret") == [True, False, True]
    assert changes == [True, False, False, False, True]
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records]
    assert [line["accepted"] for line in lines] == changes
    assert lines[0]["detail"] == "2 keys of 2 names"
    assert lines[1]["detail"].endswith("where wanted; the keys before stay")
    assert "secret" not in "".join(json.dumps(line) for line in lines)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_bucket_fills_by_its_rate(tmp_path: Path, is_shared: bool) -> None:
    clock = Clock()
    folder = tmp_path if is_shared else None
    limits = RateLimits(folder, clock)
    key = ApiKey("shop", b"", rate=2.0, burst=3.0)
    assert [limits.take(key) for _ in range(3)] == [0, 0, 0]
    assert limits.take(key) == 0.5
    clock.now += 0.25
    assert limits.take(key) == 0.25
    clock.now += 0.25
    assert limits.take(key) == 0
    assert limits.take(key) == 0.5
    clock.now += 1000
    assert [limits.take(key) for _ in range(4)] == [0, 0, 0, 0.5]
    other = RateLimits(folder, clock)  # another worker
    assert (other.take(key) > 0) is is_shared
    assert limits.take(ApiKey("another", b"", rate=1.0)) == 0
    assert not any(limits.take(ApiKey("free", b"")) for _ in range(1000))
    limits.close()
    other.close()


def _take_many(folder: Path, n: int) -> int:
    limits = RateLimits(folder, lambda: 5.0)
    key = ApiKey("shop", b"", rate=1.0, burst=500.0)
    return sum(limits.take(key) == 0 for _ in range(n))


def test_workers_share_a_bucket_to_the_token(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        admitted = pool.starmap(_take_many, [(tmp_path, 400)] * 3)
    assert sum(admitted) == 500


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "keys", "shop: shop-key rate=1/h burst=2", "free: free-key")


@pytest.fixture
def client(model_folder: Path, path: Path, open_client: Any) -> Iterator[httpx.Client]:
    settings = ServiceSettings(
        model=model_folder, api_keys=("plain-key",), api_keys_file=path, admin_token="a token", watch=0
    )
    yield from open_client(settings)


def test_a_missing_key_and_a_wrong_one_are_401(client: httpx.Client) -> None:
    for headers, detail in (
        ({}, "an API key is needed, as Authorization: Bearer KEY"),
        (named("shop-ke"), "this key was refused"),
        ({"X-API-Key": ""}, "this key was refused"),
        (named("a token"), "this key was refused"),
    ):
        answer = client.get("/v1/model", headers=headers)
        assert (answer.status_code, answer.json()["detail"]) == (401, detail)
        assert answer.headers["www-authenticate"] == "Bearer"
    for secret in ("shop-key", "free-key", "plain-key"):
        assert client.get("/v1/model", headers=named(secret)).status_code == 200


def test_an_api_key_is_not_for_operators(client: httpx.Client) -> None:
    for headers, status, detail in (
        ({}, 401, "the admin token is needed, as Authorization: Bearer TOKEN"),
        (named("wrong"), 401, "this token was refused"),
        (named("free-key"), 403, "an API key is not for /admin, the admin token is needed"),
        (named("a token"), 200, None),
    ):
        answer = client.post("/admin/reload", json={}, headers=headers)
        assert (answer.status_code, answer.json().get("detail")) == (status, detail)


def test_a_rate_that_is_used_up_is_429(client: httpx.Client) -> None:
    statuses = [
        client.post("/v1/recommend", json=BODY, headers=named("shop-key")).status_code for _ in range(3)
    ]
    assert statuses == [200, 200, 429]
    refused = client.post("/v1/recommend", json=BODY, headers=named("shop-key"))
    assert refused.json()["detail"] == "the rate of this key is used up, at most 1 per hour"
    assert 3500 <= int(refused.headers["retry-after"]) <= 3600
    assert client.post("/v1/recommend", json=BODY, headers=named("free-key")).status_code == 200
    assert client.get("/health/ready").status_code == 200
    text = client.get("/metrics", headers=named("free-key")).text
    assert 'hashgnn_key_requests_total{key="shop",status="200"} 2.0' in text
    assert 'hashgnn_key_requests_total{key="shop",status="429"} 2.0' in text
    assert 'hashgnn_key_requests_total{key="free",status="200"} 1.0' in text
    assert "free-key" not in text


def test_names_are_logged_and_keys_are_not(client: httpx.Client) -> None:
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(JsonLines().format(record))

    logger, handler = logging.getLogger("hashgnn.serving"), Kept()
    before, client.app._log = logger.level, True  # type: ignore[attr-defined]
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        client.post("/v1/recommend", json=BODY, headers=named("free-key"))
        client.post("/v1/recommend", json=BODY, headers=named("plain-key"))
        client.post("/v1/recommend", json=BODY, headers=named("wrong-key"))
        client.get("/health/live")
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)
    found = [json.loads(line) for line in lines]
    assert [(line["status"], line.get("key")) for line in found] == [
        (200, "free"), (200, "unnamed"), (401, None), (200, None),
    ]  # fmt: skip
    assert "-key" not in "".join(lines)


def test_a_service_does_not_start_with_a_broken_file(model_folder: Path, tmp_path: Path) -> None:
    settings = ServiceSettings(model=model_folder, api_keys_file=write(tmp_path / "keys", "# none"))
    with pytest.raises(ParameterError, match="must hold a key"):
        create_app(settings)
