"""Batches at addresses: fsspec's memory for one process, its local files and an S3 server for several."""

from __future__ import annotations

import os
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.batch.conftest import files

from hashgnn import HashGNN
from hashgnn.answering.batch_histories import checksum_of, find_histories, read_histories
from hashgnn.answering.batch_job import BatchJob
from hashgnn.batch import PartWriter, read_manifest, run_batch
from hashgnn.batch.folder import OutputFolder
from hashgnn.batch.place import AddressPlace, place_of
from hashgnn.errors import DataError, ParameterError, StorageError


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


@pytest.fixture
def address(tmp_path: Path) -> str:
    """An address whose files several processes see: fsspec's own file system of local files."""
    return f"local://{tmp_path}/store"


def content(system: Any, root: str) -> dict[str, bytes]:
    return {name.rpartition("/")[2]: system.cat_file(name) for name in sorted(system.find(root))}


def test_the_folder_at_an_address_is_the_folder_here(
    memory: Any, job: BatchJob, whole: dict[str, bytes]
) -> None:
    folder = OutputFolder("memory://shop/all", job)
    writer = PartWriter(job, folder.place.name)
    with folder.opened():
        assert folder.finished_parts() == {}
        records = {number: writer.write(number) for number in range(job.n_parts)}
        result = folder.finish(records, job.n_parts, 1.0)
    assert content(memory, "/shop/all") == whole
    assert (result.path, result.n_results) == ("memory://shop/all", 750)
    assert read_manifest("memory://shop/all")["results"] == 750
    memory.pipe("/shop/all/part-00003.parquet", whole["part-00003.parquet"][:-1] + b"!")
    with pytest.raises(DataError, match=r"part-00003.parquet: its checksum does not match the manifest"):
        read_manifest("memory://shop/all")


def test_a_run_to_an_address_by_several_processes(
    address: str, model: HashGNN, whole: dict[str, bytes], tmp_path: Path
) -> None:
    result = model.recommend_all(address, k=5, part_rows=15, n_workers=2, progress=False)
    assert files(tmp_path / "store") == whole
    assert (result.path, result.n_made) == (address, 10)


def test_a_stopped_run_goes_on_at_an_address(
    address: str, job: BatchJob, model: HashGNN, whole: dict[str, bytes], tmp_path: Path
) -> None:
    child = os.fork()
    if not child:  # pragma: no cover - it is killed
        folder = OutputFolder(address, job)
        with folder.opened():
            for number in (0, 1, 2):
                PartWriter(job, address).write(number)
            (tmp_path / "ready").touch()
            time.sleep(60)
        os._exit(1)
    limit = time.monotonic() + 60
    while not (tmp_path / "ready").exists() and time.monotonic() < limit:
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert sorted(files(tmp_path / "store")) == ["_request.json", *sorted(whole)[1:4]]
    (tmp_path / "store/part-00001.parquet").write_bytes(
        b"PAR1 cut"
    )  # as a store without whole files leaves it
    result = model.recommend_all(address, k=5, part_rows=15, n_workers=1, progress=False)
    assert result.n_made == 8
    assert files(tmp_path / "store") == whole


def test_another_request_and_other_files_at_an_address_are_refused(
    memory: Any, job: BatchJob, model: HashGNN
) -> None:
    memory.pipe("/shop/notes/todo.txt", b"buy milk")
    memory.pipe("/shop/file", b"")
    for place, sentence in (
        ("memory://shop/notes", "exists and holds no batch of hashgnn"),
        ("memory://shop/file", "must be a folder, this is a file"),
        ("https://shop.example/all", "output must not be a web address"),
    ):
        with pytest.raises(ParameterError, match=sentence):
            OutputFolder(place, job)
    with OutputFolder("memory://shop/all", job).opened():
        other = BatchJob(model.batch_request(k=6, part_rows=15), 150)
        with pytest.raises(ParameterError, match="another request, with another k"):
            OutputFolder("memory://shop/all", other)
    assert memory.cat_file("/shop/notes/todo.txt") == b"buy milk"


def test_an_error_before_the_first_part_leaves_nothing_at_the_address(memory: Any, job: BatchJob) -> None:
    with pytest.raises(RuntimeError), OutputFolder("memory://shop/all", job).opened():
        raise RuntimeError
    assert memory.find("/shop") == []


def test_a_store_that_fails_is_one_sentence(
    memory: Any, job: BatchJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Access Denied")

    monkeypatch.setattr(type(memory), "put_file", full)
    with pytest.raises(StorageError, match=r"memory://shop/all: could not be written, Access Denied"):
        run_batch(job, "memory://shop/all", progress=False)
    assert memory.find("/shop") == []
    with pytest.raises(DataError, match="no installed package reads nosuch|Protocol not known: nosuch"):
        place_of("nosuch://shop/all")


def test_histories_and_titles_at_addresses(address: str, model: HashGNN, tmp_path: Path) -> None:
    rows = [["i1", "i2"], ["i3"], ["i4", "i5"]]
    for folder in (tmp_path / "here", tmp_path / "there"):
        (folder / "deep").mkdir(parents=True)
        pq.write_table(pa.table({"user_id": [1, 2], "history": rows[:2]}), folder / "a.parquet")
        pq.write_table(pa.table({"user_id": [3], "history": rows[2:]}), folder / "deep/b.parquet")
        (folder / "_SUCCESS").touch()
    there = f"local://{tmp_path}/there"
    assert checksum_of(there) == checksum_of(tmp_path / "here")
    assert read_histories(find_histories(there), 1, 3)["user_id"].to_pylist() == [2, 3]
    pq.write_table(
        pa.table({"item_id": model.item_ids.tolist(), "title": model.item_ids.tolist()}),
        tmp_path / "t.parquet",
    )
    new = tmp_path / "new.csv"
    new.write_text("user_id,item_id\nu1,i4\n")
    options: dict[str, Any] = {"k": 4, "n_workers": 1, "progress": False}
    model.recommend_all(address, histories=there, items=f"local://{tmp_path}/t.parquet", **options)
    model.recommend_all(
        tmp_path / "out", histories=tmp_path / "here", items=tmp_path / "t.parquet", **options
    )
    assert files(tmp_path / "store") == files(tmp_path / "out")
    table = pq.read_table(tmp_path / "out")
    assert table["title"].to_pylist() == table["item_id"].to_pylist()
    model.recommend_all(f"{address}2", since_training=f"local://{new}", **options)
    model.recommend_all(tmp_path / "out2", since_training=new, **options)
    assert files(tmp_path / "store2") == files(tmp_path / "out2")
    with pytest.raises(DataError, match="there is no such file or folder"):
        checksum_of(f"local://{tmp_path}/nowhere")


def test_a_model_that_lies_nowhere_is_copied_next_to_the_address_and_removed(
    address: str, model: HashGNN, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HASHGNN_CACHE", str(tmp_path / "cache"))
    alone = HashGNN.from_state(model.state_)
    alone.recommend_all(address, k=5, part_rows=15, n_workers=1, progress=False)
    table = pq.read_table(tmp_path / "store").replace_schema_metadata(None)
    assert table.equals(model.recommend(model.user_ids, k=5).to_arrow())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "store"]


def test_a_model_at_an_address_is_opened_by_the_workers(
    address: str, model: HashGNN, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HASHGNN_CACHE", str(tmp_path / "cache"))
    model.save(f"local://{tmp_path}/model")
    loaded = HashGNN.load(f"local://{tmp_path}/model")
    loaded.recommend_all(tmp_path / "out", k=5, part_rows=15, n_workers=1, progress=False)
    assert files(tmp_path / "out") == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "model", "out"]


def test_an_s3_server_takes_and_gives_a_batch(
    model: HashGNN, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
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
        make = urllib.request.Request(f"http://{host}:{port}/shop", method="PUT")
        make.add_header("Authorization", "AWS4-HMAC-SHA256 Credential=a/20240101/us-east-1/s3/aws4_request")
        urllib.request.urlopen(make).close()
        monkeypatch.setitem(sys.modules, "s3fs", None)
        monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
        query = f"?scheme=http&endpoint_override={host}:{port}&region=us-east-1"
        options: dict[str, Any] = {"k": 5, "part_rows": 15, "n_workers": 1, "progress": False}
        model.recommend_all(f"s3://shop/lists/all{query}", **options)
        place = place_of(f"s3://shop/lists/all{query}")
        assert isinstance(place, AddressPlace)
        assert {name: place.read(name) for name in sorted(place.names())} == whole
        place.remove("part-00004.parquet")
        place.remove("_manifest.json")
        place.remove("part-00077.parquet")
        with pytest.raises(DataError, match="holds no batch"):
            read_manifest(f"s3://shop/lists/all{query}")
        with pytest.raises(ParameterError, match="holds no batch"):
            model.recommend_all(f"s3://shop/lists/all{query}", **options)
        result = model.recommend_all(f"s3://shop/lists/all.csv{query}", **options)
        file = place_of(f"s3://shop/lists{query}")
        assert sorted(name for name in file.names() if name.startswith((".", "all."))) == ["all.csv"]
        assert file.size("all.csv") == result.n_bytes
    finally:
        running.stop()
