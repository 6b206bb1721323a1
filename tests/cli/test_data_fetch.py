"""``hashgnn data fetch`` over a set whose files are in the cache already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hashgnn.data.datasets import catalogue
from hashgnn.data.datasets._checksums import Checksum
from hashgnn.data.datasets._download import RemoteFile
from hashgnn.data.datasets.lightgcn import read_train_and_test

Run = Callable[..., tuple[int, str, str]]
CONTENT = {"train.txt": b"0 10 20\n1 10 30\n", "test.txt": b"0 30\n1 20\n"}


@pytest.fixture(autouse=True)
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set in the cache; its address does not exist."""
    folder = tmp_path / "cache" / "datasets" / "tiny"
    folder.mkdir(parents=True)
    files = []
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
        checksum = Checksum("sha256", hashlib.sha256(content).hexdigest())
        files.append(RemoteFile(name, (f"https://tiny.invalid/{name}",), checksum, 1000))
    routes = (catalogue.Route("a place", tuple(files), read_train_and_test),)
    counts = {"n_users": 2, "n_items": 3, "n_interactions": 6, "n_test": 2}
    dataset = catalogue.Dataset(name="tiny", description="", licence="public domain", **counts, routes=routes)
    monkeypatch.setitem(catalogue.DATASETS, "tiny", dataset)
    monkeypatch.setenv("HASHGNN_CACHE", str(tmp_path / "cache"))
    return folder


def test_the_parts_of_a_split_set_are_written_as_parquet(run: Run, tmp_path: Path) -> None:
    place = tmp_path / "here"
    code, out, err = run("data", "fetch", "tiny", "-o", place, "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["files"] == [str(place / "train.parquet"), str(place / "test.parquet")]
    assert (document["source"], document["licence"]) == ("a place", "public domain")
    assert pq.read_table(place / "test.parquet").to_pydict() == {"user_id": [0, 1], "item_id": [30, 20]}
    code, out, err = run("data", "fetch", "tiny", "-o", place)
    assert (code, out) == (2, "")
    assert err == f"hashgnn: {place / 'train.parquet'}: exists; pass --overwrite to replace it\n"
    code, out, _ = run("data", "fetch", "tiny", "-o", place, "--overwrite")
    assert code == 0
    assert out.splitlines()[-2:] == document["files"]


def test_what_cannot_be_fetched_is_one_sentence(run: Run, tiny: Path, tmp_path: Path) -> None:
    (tiny / "test.txt").write_bytes(b"damaged")
    mirror = "http://127.0.0.1:9"  # the port that discards everything, and is closed
    code, out, err = run("data", "fetch", "tiny", "--base-url", mirror)
    assert (code, out) == (2, "")
    assert err == (
        f"hashgnn: tiny could not be fetched; test.txt could not be fetched: {mirror}/test.txt: "
        "the connection was refused\n"
    )
    code, _, err = run("data", "fetch", "netflix")
    assert code == 2
    assert err.startswith("hashgnn: name must be one of 'movielens-100k', ")
