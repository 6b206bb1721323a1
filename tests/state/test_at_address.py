"""Models at addresses: fsspec's memory for what is written, a real web server and an S3 server for the way."""

from __future__ import annotations

import functools
import http.server
import json
import multiprocessing
import os
import shutil
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from hashgnn import HashGNN
from hashgnn.errors import ArtifactDamagedError, ArtifactError, MissingExtraError, StorageError
from hashgnn.state import at_address, load_state, save_state
from hashgnn.state.artifact import MANIFEST
from hashgnn.testing.states import random_state

ADDRESS = "memory://shop/models/v1"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HASHGNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


@pytest.fixture
def store() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    yield system
    system.store.clear()


@pytest.fixture(scope="module")
def models() -> list[HashGNN]:
    return [HashGNN.from_state(random_state(30, 40, rng=seed)) for seed in (0, 1)]


def lists(model: HashGNN) -> list[list[Any]]:
    return model.recommend(model.user_ids[:5].tolist(), 5).lists()


def content(store: Any) -> dict[str, bytes]:
    return {name: store.cat_file(name) for name in store.find("/shop")}


def names(store: Any) -> set[str]:
    return {Path(name).name for name in store.find("/shop")}


def test_what_is_saved_at_an_address_is_loaded_from_it(
    store: Any, models: list[HashGNN], cache: Path
) -> None:
    models[0].save(ADDRESS)
    loaded = HashGNN.load(ADDRESS)
    assert lists(loaded) == lists(models[0])
    assert lists(HashGNN.load(Path(ADDRESS), verify=True)) == lists(models[0])  # a path has one slash less
    (copy,) = cache.glob("*/v1")
    assert copy.parent.name == loaded.state_.checksum
    assert {file.name for file in copy.iterdir()} == names(store)


def test_an_address_holds_what_a_folder_holds(store: Any, models: list[HashGNN], tmp_path: Path) -> None:
    models[0].save(ADDRESS)
    models[0].save(tmp_path / "v1")
    for file in (tmp_path / "v1").iterdir():
        assert store.cat_file(f"/shop/models/v1/{file.name}") == file.read_bytes()


def test_the_copy_is_used_again_and_a_new_model_is_noticed(
    store: Any, models: list[HashGNN], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models[0].save(ADDRESS)
    HashGNN.load(ADDRESS)
    copied: list[str] = []
    whole = at_address._copy_file
    monkeypatch.setattr(at_address, "_copy_file", lambda *args: (copied.append(args[1]), whole(*args))[1])
    HashGNN.load(ADDRESS)
    assert copied == []
    models[1].save(ADDRESS, overwrite=True)
    assert lists(HashGNN.load(ADDRESS)) == lists(models[1])
    assert len(copied) == len(names(store)) - 1
    assert len(list(cache.glob("*/v1"))) == 2


def test_the_rules_of_overwriting_are_those_of_a_folder(store: Any, models: list[HashGNN]) -> None:
    models[0].save(ADDRESS)
    before = content(store)
    with pytest.raises(ArtifactError) as caught:
        models[1].save(ADDRESS)
    assert str(caught.value) == f"{ADDRESS}: holds a saved model; pass overwrite=True to replace it"
    assert content(store) == before
    store.pipe("/shop/notes/todo.txt", b"buy milk")
    store.pipe("/shop/other/manifest.json", b'{"kind": "other"}')
    for name in ("notes", "other"):
        with pytest.raises(ArtifactError, match="exists and is not a saved hashgnn model; save to another"):
            models[0].save(f"memory://shop/{name}", overwrite=True)
    assert names(store) >= {"todo.txt"}


def test_files_that_the_new_model_does_not_have_go(store: Any, models: list[HashGNN]) -> None:
    models[0].save(ADDRESS)
    plain = names(store)
    manifest = json.loads(store.cat_file(f"/shop/models/v1/{MANIFEST}"))
    manifest["files"]["extra.bin"] = {"bytes": 1, "sha256": "0" * 64}
    text = _signed(manifest)
    store.pipe(f"/shop/models/v1/{MANIFEST}", text)
    store.pipe("/shop/models/v1/extra.bin", b"x")
    models[1].save(ADDRESS, overwrite=True)
    assert names(store) == plain


def _signed(manifest: dict[str, Any]) -> bytes:
    from hashgnn.state.artifact import _manifest_text

    manifest.pop("checksum")
    return _manifest_text(manifest).encode()


@pytest.mark.parametrize("n_puts", range(4))
def test_a_failed_upload_leaves_what_was_there(
    store: Any, models: list[HashGNN], n_puts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    models[0].save(ADDRESS)
    before = content(store)
    put, done = type(store).put_file, []

    def cut_off(self: Any, *args: Any, **kwargs: Any) -> None:
        if len(done) == n_puts:
            raise OSError(28, "No space left on device")
        done.append(put(self, *args, **kwargs))

    monkeypatch.setattr(type(store), "put_file", cut_off)
    with pytest.raises(StorageError, match=f"{ADDRESS}: could not be written, No space left on device"):
        models[1].save(ADDRESS, overwrite=True)
    assert content(store) == before
    with pytest.raises(StorageError):
        models[1].save("memory://shop/models/v2")
    monkeypatch.undo()
    models[1].save("memory://shop/models/v2")  # nothing is in the way


def test_the_manifest_comes_last(store: Any, models: list[HashGNN], monkeypatch: pytest.MonkeyPatch) -> None:
    """At every moment of an upload a reader finds the old model, none, or the new one."""
    models[0].save(ADDRESS)
    seen: set[str] = set()
    answers = {str(lists(model)): name for model, name in zip(models, ("old", "new"), strict=True)}
    for method in ("put_file", "mv", "rm_file"):
        plain = getattr(type(store), method)

        def watched(self: Any, *args: Any, plain: Any = plain, **kwargs: Any) -> Any:
            result = plain(self, *args, **kwargs)
            try:
                seen.add(answers[str(lists(HashGNN.load(ADDRESS)))])
            except ArtifactError as error:
                assert str(error) == f"{ADDRESS}: not a saved hashgnn model, it has no {MANIFEST}"  # noqa: PT017
                seen.add("none")
            return result

        monkeypatch.setattr(type(store), method, watched)
    models[1].save(ADDRESS, overwrite=True)
    assert seen == {"old", "none", "new"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("gone", "embeddings.safetensors is missing"),
        ("short", "embeddings.safetensors has [0-9]+ bytes, its manifest says [0-9]+"),
        ("long", "embeddings.safetensors has more bytes, its manifest says [0-9]+"),
        ("other", "embeddings.safetensors does not match its checksum; it is damaged or was edited"),
        ("manifest", "the checksum of manifest.json does not match its content"),
        ("endless", "manifest.json is larger than"),
        ("no json", "manifest.json cannot be read, it is not valid JSON"),
    ],
)
def test_what_does_not_fit_the_manifest_is_not_kept(
    store: Any, models: list[HashGNN], cache: Path, change: str, message: str
) -> None:
    models[0].save(ADDRESS)
    name = "/shop/models/v1/embeddings.safetensors"
    plain = store.cat_file(name)
    manifest = store.cat_file(f"/shop/models/v1/{MANIFEST}")
    if change == "gone":
        store.rm(name)
    elif change in ("short", "long", "other"):
        store.pipe(name, {"short": plain[:-1], "long": plain + b"x", "other": plain[::-1]}[change])
    else:
        texts = {
            "manifest": manifest.replace(b'"n_users": 30', b'"n_users": 31'),
            "endless": b" " * (5 << 20),
            "no json": b"<html>",
        }
        store.pipe(f"/shop/models/v1/{MANIFEST}", texts[change])
    with pytest.raises(ArtifactDamagedError, match=f"^{ADDRESS}: {message}"):
        HashGNN.load(ADDRESS)
    assert [file for file in cache.rglob("*") if file.is_file() and file.name != ".lock"] == []


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("memory://shop/nothing", "not a saved hashgnn model, it has no manifest.json"),
        ("nosuch://shop/v1", "cannot be read, Protocol not known: nosuch"),
    ],
)
def test_where_nothing_is_one_sentence_says_so(store: Any, address: str, message: str) -> None:
    with pytest.raises(ArtifactError, match=f"^{address}: {message}"):
        HashGNN.load(address)


def test_a_damaged_copy_is_made_again(store: Any, models: list[HashGNN], cache: Path) -> None:
    models[0].save(ADDRESS)
    HashGNN.load(ADDRESS)
    (copy,) = cache.glob("*/v1")
    (copy / "embeddings.safetensors").write_bytes(b"")
    (copy.parent / "left.tmp").mkdir()
    assert lists(HashGNN.load(ADDRESS)) == lists(models[0])
    assert sorted(path.name for path in copy.parent.iterdir()) == [".lock", "v1"]


def test_more_than_the_disk_holds_is_not_begun(
    store: Any, models: list[HashGNN], monkeypatch: pytest.MonkeyPatch
) -> None:
    models[0].save(ADDRESS)
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(at_address.shutil, "disk_usage", lambda path: usage._replace(free=100))
    with pytest.raises(
        StorageError, match="bytes, more than are free at .*; name another folder with cache_dir"
    ):
        HashGNN.load(ADDRESS)


def test_the_folder_of_copies_may_be_named(
    store: Any, models: list[HashGNN], cache: Path, tmp_path: Path
) -> None:
    save_state(models[0].state_, ADDRESS)
    load_state(ADDRESS, cache_dir=tmp_path / "mine")
    assert list((tmp_path / "mine" / "models").glob("*/v1"))
    assert not cache.exists()


def test_a_file_address_is_a_folder(models: list[HashGNN], tmp_path: Path, cache: Path) -> None:
    models[0].save((tmp_path / "v 1").as_uri())
    assert lists(HashGNN.load((tmp_path / "v 1").as_uri())) == lists(models[0])
    assert (tmp_path / "v 1" / MANIFEST).is_file()
    assert not cache.exists()


def test_without_the_extra_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match=r'of the extra cloud; install it with: pip install "aiohttp'):
        HashGNN.load("s3://shop/s3fs/v1")


@pytest.fixture
def web(models: list[HashGNN], tmp_path: Path) -> Iterator[str]:
    pytest.importorskip("aiohttp", reason="aiohttp is not installed, which reads https:// (extra cloud)")
    models[0].save(tmp_path / "www" / "v1")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def _answer(address: str) -> list[list[Any]]:
    return lists(HashGNN.load(address))


def test_a_web_server_is_read_by_several_processes_at_once(
    web: str, models: list[HashGNN], cache: Path
) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        assert pool.map(_answer, [f"{web}/v1/"] * 6) == [lists(models[0])] * 6
    assert len(list(cache.glob("*/*"))) == 2  # one copy and its lock
    with pytest.raises(ArtifactError, match="/v2: not a saved hashgnn model, it has no manifest.json"):
        HashGNN.load(f"{web}/v2")


def test_a_web_server_takes_no_model(web: str, models: list[HashGNN]) -> None:
    with pytest.raises(
        StorageError, match="a model cannot be saved at a web address; choose an object store"
    ):
        models[0].save(f"{web}/v2")


@pytest.mark.parametrize("way", ["s3fs", "arrow"])
def test_an_s3_server_takes_and_gives_a_model(
    way: str, models: list[HashGNN], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = pytest.importorskip(
        "moto.server", reason="moto and flask-cors are not installed, the S3 server of this test"
    )
    for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    try:
        host, port = running.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        make = urllib.request.Request(f"{endpoint}/shop", method="PUT")
        make.add_header("Authorization", "AWS4-HMAC-SHA256 Credential=a/20240101/us-east-1/s3/aws4_request")
        urllib.request.urlopen(make).close()
        if way == "s3fs":
            pytest.importorskip("s3fs", reason="s3fs is not installed")
            monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
            address = "s3://shop/s3fs/v1"
        else:
            monkeypatch.setitem(sys.modules, "s3fs", None)
            monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
            address = f"s3://shop/arrow/v1?scheme=http&endpoint_override={host}:{port}&region=us-east-1"
        models[0].save(address)
        assert lists(HashGNN.load(address)) == lists(models[0])
        with pytest.raises(ArtifactError, match="holds a saved model"):
            models[1].save(address)
        models[1].save(address, overwrite=True)
        assert lists(HashGNN.load(address)) == lists(models[1])
        with pytest.raises(ArtifactError):
            HashGNN.load(address.replace("v1", "v9"))
    finally:
        running.stop()


def test_embeddings_are_mapped_from_the_copy(store: Any, models: list[HashGNN]) -> None:
    models[0].save(ADDRESS)
    np.testing.assert_array_equal(
        HashGNN.load(ADDRESS).state_.items.embeddings, models[0].state_.items.embeddings
    )
    assert os.environ["HASHGNN_CACHE"]
