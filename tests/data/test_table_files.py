"""Tables to files: what is written is read back, a file stands whole or not at all, and nothing is replaced unasked."""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import json
import os
import stat
import subprocess
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from hashgnn._files import atomic_file
from hashgnn.data import IdMap, read_interactions, read_table, write_table
from hashgnn.data.table_files import check_table_file, is_table_name
from hashgnn.errors import DataError, ParameterError, StorageError

AWKWARD = [
    "a,b",
    'say "x"',
    "two\nlines",
    "tab\there",
    "ünï ☕",
    "007",
    "'",
    "=1+1",
    "back\\slash",
    " blank ",
]
DAY = datetime.date(2024, 5, 1)
MOMENT = datetime.datetime(2024, 5, 1, 12, 30, tzinfo=datetime.UTC)
TABLE = pa.table({"item_id": ["a", "b"], "rank": pa.array([1, 2], pa.int32())})


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.parquet", "x.csv.gz", "x.jsonl.zst", "X.NDJSON"])
def test_awkward_text_is_read_back_as_it_was(name: str, tmp_path: Path) -> None:
    table = pa.table({"user_id": AWKWARD, "item_id": AWKWARD[::-1]})
    assert write_table(table, tmp_path / name) == len(AWKWARD)
    found = read_interactions(tmp_path / name)
    pairs = zip(found.user_index, found.item_index, strict=True)
    ids = [(found.user_ids.ids[user], found.item_ids.ids[item]) for user, item in pairs]
    assert sorted(ids) == sorted(zip(AWKWARD, AWKWARD[::-1], strict=True))


def test_csv_is_that_of_the_csv_module(tmp_path: Path) -> None:
    write_table(pa.table({"a": AWKWARD, "n": range(len(AWKWARD))}), tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [["a", "n"], *([text, str(place)] for place, text in enumerate(AWKWARD))]


@pytest.mark.parametrize(
    "ids",
    [
        [3, 1, 2**62],
        [uuid.UUID(int=7), uuid.UUID(int=8)],
        [b"\x00\xff", b"ab"],
        [DAY, DAY + datetime.timedelta(1)],
        [MOMENT, MOMENT + datetime.timedelta(microseconds=1)],
        [True, False],
    ],
    ids=lambda ids: type(ids[0]).__name__,
)
@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_ids_of_every_kind_are_the_same_ids_when_they_are_read(
    ids: list[Any], suffix: str, tmp_path: Path
) -> None:
    write_table(pa.table({"user_id": pa.array(ids), "item_id": ["i"] * len(ids)}), tmp_path / f"x.{suffix}")
    found = read_interactions(tmp_path / f"x.{suffix}", user_ids=IdMap(ids))
    assert found.user_ids.ids[found.user_index].tolist() == ids
    if suffix == "parquet":
        assert pq.read_table(tmp_path / "x.parquet")["user_id"].to_pylist() == ids


def test_floats_are_the_shortest_decimals_of_the_same_float32(tmp_path: Path) -> None:
    values = np.array([2.1, 1 / 3, 1e-9, -7], np.float32)
    table = pa.table({"score": values, "list": pa.array([[2.1], None, [], [1.5, 2]], pa.list_(pa.float32()))})
    write_table(table, tmp_path / "x.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert rows[0]["score"] == 2.1
    assert np.array([row["score"] for row in rows], np.float32).tolist() == values.tolist()
    assert [row["list"] for row in rows] == [[2.1], None, [], [1.5, 2.0]]
    write_table(table, tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text().splitlines()[1] == '2.1,"[2.1]"'


def test_what_is_no_number_is_null_in_json() -> None:
    file = io.BytesIO()
    write_table(
        pa.table({"a": [float("nan"), float("inf"), 1.0], "b": [None, None, None]}), file, format="jsonl"
    )
    assert [json.loads(line)["a"] for line in file.getvalue().splitlines()] == [None, None, 1.0]
    assert not file.closed


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_an_empty_table_is_a_file_with_its_columns(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    assert write_table(TABLE.slice(0, 0), path) == 0
    if suffix == "parquet":
        assert pq.read_table(path).schema == TABLE.schema
    else:
        assert path.read_text() == {"csv": '"item_id","rank"\n', "jsonl": ""}[suffix]


def test_tables_of_one_schema_follow_one_another(tmp_path: Path) -> None:
    assert write_table(iter([TABLE, TABLE.slice(0, 0), TABLE]), tmp_path / "x.parquet") == 4
    assert pq.read_table(tmp_path / "x.parquet").equals(pa.concat_tables([TABLE, TABLE]))
    other = pa.table({"item_id": ["a"], "rank": ["first"]})
    with pytest.raises(DataError, match="one schema, got 'item_id string', 'rank int32' and then"):
        write_table([TABLE, other], tmp_path / "y.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]


# --- never over a file unasked, whole or not at all ------------------------------------------------------------


def test_an_existing_file_is_replaced_only_when_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("mine")
    with pytest.raises(ParameterError, match=r"x.csv: exists; pass overwrite=True to replace it"):
        write_table(TABLE, path)
    assert path.read_text() == "mine"
    write_table(TABLE, path, overwrite=True)
    assert read_table(path)["rank"].to_pylist() == [1, 2]
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_link_to_nothing_and_a_file_that_comes_meanwhile_stay(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ParameterError, match="link.csv: exists"):
        write_table(TABLE, tmp_path / "link.csv")

    def tables() -> Iterator[pa.Table]:
        yield TABLE
        (tmp_path / "x.csv").write_text("of another process")

    with pytest.raises(StorageError, match=r"x.csv: could not be written, File exists; nothing was changed"):
        write_table(tables(), tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text() == "of another process"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.csv", "x.csv"]


def test_an_error_in_the_middle_leaves_no_file_and_no_folder(tmp_path: Path) -> None:
    def tables() -> Iterator[pa.Table]:
        yield TABLE
        raise KeyboardInterrupt

    for suffix in ("parquet", "csv", "jsonl", "csv.gz"):
        with pytest.raises(KeyboardInterrupt):
            write_table(tables(), tmp_path / f"new/deep/x.{suffix}")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "x.csv").write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write_table(tables(), tmp_path / "x.csv", overwrite=True)
    assert (tmp_path / "x.csv").read_text() == "old"


def test_a_file_in_a_folder_that_is_not_there_is_written_with_the_folder(tmp_path: Path) -> None:
    write_table(TABLE, tmp_path / "new/deep/x.csv")
    assert (tmp_path / "new/deep/x.csv").is_file()


@pytest.mark.parametrize(
    ("name", "format", "sentence"),
    [
        ("folder", "csv", "folder: must be a file to write, and is a folder"),
        ("folder.csv", None, r"folder.csv: must be a file to write, and is a folder"),
        ("x.xlsx", None, r"output must end in .parquet, .csv or .jsonl, got '.*x.xlsx'; pass format="),
        ("x", None, 'pass format="csv" for a file of another name'),
        ("x.parquet.gz", None, "output must end in"),
        ("x.csv", "excel", "format must be one of 'parquet', 'csv', 'jsonl', got 'excel'"),
        ("file/x.csv", None, "cannot be made, .*file is not a folder that may be written"),
        ("https://shop.example/x.csv", None, "cannot be written, it is a web address"),
    ],
)
def test_where_no_table_can_be_written_is_said_before_any_work(
    name: str, format: str | None, sentence: str, tmp_path: Path
) -> None:
    for folder in ("folder", "folder.csv"):
        (tmp_path / folder).mkdir()
    (tmp_path / "file").write_text("mine")
    target = name if "://" in name else tmp_path / name
    for call in (check_table_file, lambda *args, **named: write_table(TABLE, *args, **named)):
        with pytest.raises(ParameterError, match=sentence):
            call(target, format=format)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "folder.csv"]


def test_a_full_disk_is_one_sentence_and_a_device_keeps_its_name(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("/dev/full is not there")
    many = pa.table({"a": range(100_000)})
    for format in ("csv", "jsonl", "parquet"):
        with pytest.raises(StorageError, match=r"/dev/full: could not be written, the disk is full"):
            write_table(many, "/dev/full", format=format)
        write_table(many, "/dev/null", format=format)
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_small_disk_that_fills_up_keeps_what_was_there(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a file system cannot be mounted here")
    try:
        (disk / "x.csv").write_text("old")
        many = pa.table({"a": np.random.default_rng(0).random(100_000)})
        for suffix in ("csv", "jsonl", "parquet"):
            with pytest.raises(StorageError, match="the disk is full; nothing was changed"):
                write_table(many, disk / f"new/y.{suffix}")
        with pytest.raises(StorageError, match="the disk is full"):
            write_table(many, disk / "x.csv", overwrite=True)
        assert {path.name: path.read_text() for path in disk.iterdir()} == {"x.csv": "old"}
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    if os.getuid():
        folder.chmod(0o500)
    else:  # the superuser may write everywhere
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != folder)
    with pytest.raises(ParameterError, match="locked is not a folder that may be written"):
        write_table(TABLE, folder / "x.csv")
    assert list(folder.iterdir()) == []


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append((tmp_path / "pipe.csv").read_text()))
    reader.start()
    write_table(TABLE, tmp_path / "pipe.csv")
    reader.join(60)
    assert found == ['"item_id","rank"\n"a",1\n"b",2\n']
    assert stat.S_ISFIFO((tmp_path / "pipe.csv").stat().st_mode)


# --- addresses ---------------------------------------------------------------------------------------------------


def test_a_table_at_an_address() -> None:
    store = fsspec.filesystem("memory")
    store.store.clear()
    try:
        write_table(TABLE, "memory://shop/x.csv")
        assert read_table("memory://shop/x.csv")["rank"].to_pylist() == [1, 2]
        with pytest.raises(ParameterError, match="memory://shop/x.csv: exists; pass overwrite=True"):
            write_table(TABLE, "memory://shop/x.csv")
        with pytest.raises(ParameterError, match="memory://shop: must be a file to write, and is a folder"):
            write_table(TABLE, "memory://shop", format="csv")
        write_table(TABLE.slice(1), Path("memory://shop/x.csv"), overwrite=True)  # a path has one slash less
        assert store.cat("/shop/x.csv") == b'"item_id","rank"\n"b",2\n'

        def tables() -> Iterator[pa.Table]:
            yield TABLE
            raise RuntimeError

        with pytest.raises(RuntimeError):
            write_table(tables(), "memory://shop/y.csv.gz")
        assert store.find("/shop") == ["/shop/x.csv"]
        write_table(TABLE, "memory://shop/y.csv.gz")
        assert gzip.decompress(store.cat("/shop/y.csv.gz")) == b'"item_id","rank"\n"a",1\n"b",2\n'
        with pytest.raises(DataError, match="nosuch"):
            write_table(TABLE, "nosuch://shop/y.csv")
    finally:
        store.store.clear()


def test_names_of_tables() -> None:
    named = [
        name
        for name in ("a.csv", "a.CSV.GZ", "a.parquet", "a.pq", "a", "a.txt", "b.gz", "c.d/e")
        if is_table_name(name)
    ]
    assert named == ["a.csv", "a.CSV.GZ", "a.parquet", "a.pq"]


def test_a_new_name_is_taken_where_the_file_system_has_no_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: Any, **__: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", link)
    with atomic_file(tmp_path / "x", replace=False) as temporary:
        temporary.write_text("new")
    with (
        pytest.raises(StorageError, match="File exists"),
        atomic_file(tmp_path / "x", replace=False) as other,
    ):
        other.write_text("newer")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"x": "new"}
