"""Addresses: fsspec's own memory stands for a store in the network."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet
import pytest

from hashgnn import _extras
from hashgnn.data import read_interactions, read_table
from hashgnn.errors import DataError, MissingExtraError

CSV = b"user_id,item_id\n1,2\n3,4\n"


@pytest.fixture
def store() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    system.rm("/", recursive=True) if system.find("/") else None
    yield system
    for name in system.find("/"):
        system.rm(name)


def parquet(**columns: Any) -> bytes:
    file = io.BytesIO()
    pa.parquet.write_table(pa.table(columns), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("e.csv", CSV),
        ("e.csv.gz", gzip.compress(CSV, mtime=0)),
        ("e.parquet", parquet(user_id=[1, 3], item_id=[2, 4])),
        ("e.jsonl", b'{"user_id": 1, "item_id": 2}\n{"user_id": 3, "item_id": 4}\n'),
    ],
)
def test_a_file_at_an_address(store: Any, name: str, content: bytes) -> None:
    store.pipe(f"/shop/{name}", content)
    found = read_interactions(f"memory://shop/{name}")
    assert (found.user_ids.ids.tolist(), found.item_ids.ids.tolist()) == ([1, 3], [2, 4])
    assert read_table(f"memory://shop/{name}").num_rows == 2
    assert len(read_interactions(Path(f"memory://shop/{name}"))) == 2  # a path has one slash less


def test_folders_and_patterns_at_an_address(store: Any) -> None:
    for user in (1, 3):
        store.pipe(f"/shop/e/user_id={user}/p.parquet", parquet(item_id=[user + 1]))
    store.pipe("/shop/e/_SUCCESS", b"")
    for address in (
        "memory://shop/e",
        "memory://shop/e/",
        "memory://shop/e/*/*.parquet",
        "memory://shop/e/**",
    ):
        found = read_interactions(address)
        assert (found.user_ids.ids.tolist(), found.item_ids.ids.tolist()) == ([1, 3], [2, 4])


def test_the_line_at_an_address_is_named(store: Any) -> None:
    store.pipe("/shop/e.csv", CSV + b"5,\n")
    with pytest.raises(DataError) as caught:
        read_interactions("memory://shop/e.csv")
    assert str(caught.value) == "memory://shop/e.csv, line 4: item_id is empty"
    store.pipe("/shop/many/e.csv", CSV + b"5,\n")
    store.pipe("/shop/many/d.csv", CSV)
    with pytest.raises(DataError) as caught:
        read_interactions("memory://shop/many")
    assert str(caught.value) == "memory://shop/many/e.csv, line 4: item_id is empty"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("memory://shop/gone.csv", "memory://shop/gone.csv: cannot be read, nothing is at this address"),
        ("memory://shop/*.gone", r"memory://shop/\*\.gone: no file is at this address"),
        ("nosuch://x/e.csv", "nosuch://x/e.csv: cannot be read, Protocol not known: nosuch"),
        ("file://other/e.csv", "a file:// address must name this machine"),
    ],
)
def test_an_address_that_cannot_be_read_is_one_sentence(store: Any, address: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_interactions(address)


def test_a_file_address_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a b.csv").write_bytes(CSV)
    monkeypatch.setitem(sys.modules, "fsspec", None)
    assert len(read_interactions((tmp_path / "a b.csv").as_uri())) == 2
    assert len(read_interactions(Path((tmp_path / "a b.csv").as_uri()))) == 2


def test_without_the_extra_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(_extras.importlib, "import_module", missing)
    with pytest.raises(MissingExtraError) as caught:
        read_interactions("s3://shop/e.csv")
    assert str(caught.value) == (
        "reading s3://shop/e.csv needs the package fsspec, of the extra cloud; install it with: "
        'pip install "aiohttp>=3.9" "fsspec>=2024.6"'
    )


def test_neither_datasets_nor_file_systems_are_imported_for_a_plain_file(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_bytes(CSV)
    code = (
        "import sys; from hashgnn.data import read_interactions; read_interactions(sys.argv[1]); "
        "sys.exit(any(name in sys.modules for name in ('pyarrow.dataset', 'fsspec')))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "e.csv")], check=True)
