"""Paths and addresses that name nothing: one sentence each; and ``~``, which is the home folder for models too."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hashgnn._addresses import file_system
from hashgnn.data import read_interactions
from hashgnn.errors import DataError, HashGNNError
from hashgnn.recommender import HashGNN
from hashgnn.testing.states import random_state


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("", "^path must be text without NUL that is not empty, got ''$"),
        ("a\0b.csv", "^path must be text without NUL"),
        ("~nobody-of-this-name/e.csv", "this user has no home folder$"),
        ("http://[::1", "Invalid IPv6 URL$"),
        ("file://[::1", "Invalid IPv6 URL$"),
    ],
)
def test_what_names_no_file_is_one_sentence(path: str, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_interactions(path, format="csv")


def test_a_closed_file_is_named() -> None:
    file = io.BytesIO(b"user_id,item_id\n1,2\n")
    file.close()
    with pytest.raises(DataError, match="^the file object: must be open to be read$"):
        read_interactions(file, format="csv")


def test_a_scheme_may_be_in_capitals(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("user_id,item_id\n1,2\n")
    assert len(read_interactions(f"FILE://{tmp_path}/e.csv")) == 1
    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("memory").pipe("/capitals/e.csv", b"user_id,item_id\n1,2\n")
    assert len(read_interactions("MEMORY://capitals/e.csv")) == 1


def test_a_store_without_a_network_is_given_up_soon() -> None:
    pytest.importorskip("fsspec")
    system, path = file_system("gs://bucket/e.csv")
    if system.protocol != "gs" and hasattr(system, "fs"):  # of Arrow, where gcsfs is not installed
        _, (options,) = system.fs.__reduce__()
        assert options["retry_time_limit"] == timedelta(seconds=30)
    assert path == "bucket/e.csv"


@pytest.mark.parametrize("path", ["", "a\0b", 5, None, b"x", "~nobody-of-this-name/m"])
def test_what_names_no_model_is_one_sentence(path: Any) -> None:
    model = HashGNN.from_state(random_state([1, 2], [1, 2], rng=1))
    for call in (model.save, HashGNN.load):
        with pytest.raises(HashGNNError, match="^path must be"):
            call(path)


def test_a_model_is_saved_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    HashGNN.from_state(random_state([1, 2], [1, 2], rng=1)).save("~/m")
    assert (tmp_path / "home" / "m" / "manifest.json").exists()
    assert not (tmp_path / "~").exists()
    assert HashGNN.load("~/m").state_.users.ids.ids.tolist() == [1, 2]
