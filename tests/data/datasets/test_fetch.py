from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hashgnn.data.datasets import catalogue, fetch, list_datasets
from hashgnn.data.datasets._checksums import Checksum
from hashgnn.data.datasets._download import RemoteFile
from hashgnn.data.datasets._packages import PackageFile
from hashgnn.data.datasets.lightgcn import read_train_and_test
from hashgnn.errors import FetchError, ParameterError

TRAIN, TEST = b"0 10 20\n1 10 30\n", b"0 30\n1 20\n"


def files(*urls: str) -> tuple[RemoteFile, ...]:
    return tuple(
        RemoteFile(
            name,
            tuple(f"{url}/{name}" for url in urls),
            Checksum("sha256", hashlib.sha256(body).hexdigest()),
            1000,
        )
        for name, body in (("train.txt", TRAIN), ("test.txt", TEST))
    )


@pytest.fixture
def tiny(server: Any, monkeypatch: pytest.MonkeyPatch) -> catalogue.Dataset:
    """A data set of two users, three items and six interactions, on the server of this test."""
    server.files |= {"/train.txt": TRAIN, "/test.txt": TEST}
    dataset = catalogue.Dataset(
        name="tiny",
        description="",
        licence="public domain",
        n_users=2,
        n_items=3,
        n_interactions=6,
        n_test=2,
        routes=(catalogue.Route("here", files(server.url), read_train_and_test),),
    )
    monkeypatch.setitem(catalogue.DATASETS, "tiny", dataset)
    return dataset


def pairs(interactions: Any) -> set[tuple[int, int]]:
    users = [interactions.user_ids.ids[index] for index in interactions.user_index.tolist()]
    items = [interactions.item_ids.ids[index] for index in interactions.item_index.tolist()]
    return {(int(user), int(item)) for user, item in zip(users, items, strict=True)}


def test_a_set_is_fetched_with_its_split_on_common_id_maps(tiny: Any, tmp_path: Path) -> None:
    loaded = fetch("tiny", cache_dir=tmp_path)
    assert pairs(loaded.train) == {(0, 10), (0, 20), (1, 10), (1, 30)}
    assert pairs(loaded.test) == {(0, 30), (1, 20)}
    assert pairs(loaded.interactions) == pairs(loaded.train) | pairs(loaded.test)
    assert loaded.test.csr.shape == loaded.train.csr.shape == (2, 3)
    assert (loaded.source, loaded.licence, loaded.is_generated) == ("here", "public domain", False)
    assert loaded.item_titles == {}


def test_what_was_fetched_once_needs_no_network(server: Any, tiny: Any, tmp_path: Path) -> None:
    first = fetch("tiny", cache_dir=tmp_path)
    requests = list(server.requests)
    server.files.clear()
    assert pairs(fetch("tiny", cache_dir=tmp_path).interactions) == pairs(first.interactions)
    assert server.requests == requests


def test_the_next_route_is_taken_where_one_fails(
    server: Any, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = catalogue.Route("away", files(f"{server.url}/away"), read_train_and_test)
    both = replace(tiny, routes=(away, *tiny.routes))
    monkeypatch.setitem(catalogue.DATASETS, "tiny", both)
    assert fetch("tiny", cache_dir=tmp_path).source == "here"


def test_when_every_route_fails_the_error_names_each(
    server: Any, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    package = PackageFile("no-such-set==1.0", "no_such_set-1.0-py3-none-any.whl", Checksum("md5", ""))
    routes = (*tiny.routes, catalogue.Route("a package", (package,), read_train_and_test))
    monkeypatch.setitem(catalogue.DATASETS, "tiny", replace(tiny, routes=routes))
    server.files.clear()
    with pytest.raises(FetchError) as caught:
        fetch("tiny", cache_dir=tmp_path)
    message = str(caught.value)
    assert message.startswith(f"tiny could not be fetched; train.txt could not be fetched: {server.url}/")
    assert "HTTP 404; pip download no-such-set==1.0 failed: " in message


def test_a_mirror_is_the_only_server_contacted(server: Any, tiny: Any, tmp_path: Path) -> None:
    server.files |= {"/mirror/train.txt": TRAIN, "/mirror/test.txt": TEST}
    loaded = fetch("tiny", cache_dir=tmp_path, base_url=f"{server.url}/mirror/")
    assert loaded.source == f"{server.url}/mirror"
    assert [path for path, _ in server.requests] == ["/mirror/train.txt", "/mirror/test.txt"]


def test_other_counts_than_the_published_are_refused(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(catalogue.DATASETS, "tiny", replace(tiny, n_items=4))
    with pytest.raises(FetchError) as caught:
        fetch("tiny", cache_dir=tmp_path)
    assert str(caught.value) == (
        "tiny: users, items, interactions and held-out rows must be (2, 4, 6, 2), got (2, 3, 6, 2)"
    )


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ParameterError, match=r"name must be one of 'movielens-100k', .*, got 'netflix'"):
        fetch("netflix")


def test_every_address_of_the_catalogue_is_pinned_and_secure() -> None:
    lengths = {"sha256": 64, "md5": 32, "git-blob": 40}
    for dataset in list_datasets():
        for file in (file for route in dataset.routes for file in route.files):
            assert len(file.checksum.digest) == lengths[file.checksum.kind]
            assert all(url.startswith("https://") for url in getattr(file, "urls", ()))


@pytest.mark.network
def test_movielens_100k_comes_over_the_network(tmp_path: Path) -> None:
    if not os.environ.get("HASHGNN_NETWORK"):
        pytest.skip("HASHGNN_NETWORK is not set; it allows the tests that use the public network")
    loaded = fetch("movielens-100k", cache_dir=tmp_path)
    assert (loaded.interactions.n_users, loaded.interactions.n_items, len(loaded.interactions)) == (
        943,
        1682,
        100_000,
    )
    assert loaded.item_titles[1] == "Toy Story"
    assert loaded.train is None
