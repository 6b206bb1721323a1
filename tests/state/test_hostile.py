"""Models and indexes from strangers, whose checksums are right; see hostile_models.py for the mutants."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.state import hostile_models

from hashgnn._tensors import read_tensors, write_tensors
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.data import IdMap
from hashgnn.data.id_files import read_ids, read_parquet_ids, write_ids
from hashgnn.errors import ArtifactDamagedError, ArtifactError, DataError, HashGNNError, ParameterError
from hashgnn.index import EmbeddedCodes, HammingIndex, HierarchicalIndex, MultiIndexHashing, load_index
from hashgnn.recommender import HashGNN
from hashgnn.state import load_state, save_state
from hashgnn.state.artifact import MANIFEST, open_artifact
from hashgnn.testing.states import random_state

COUNT = int(os.environ.get("HASHGNN_MUTANTS", "10000"))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_state(random_state(5, 9, n_bits=16), tmp_path / "v1")
    return tmp_path / "v1"


def edit(path: Path, **changes: Any) -> None:
    hostile_models.write_manifest(path, {**json.loads((path / MANIFEST).read_text()), **changes})


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="the limit of memory is counted from Linux's own"
)
def test_every_mutant_answers_finite_scores_or_raises_an_error_of_ours(tmp_path: Path) -> None:
    script = Path(hostile_models.__file__)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "mutants"), str(COUNT)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    loaded = int(done.stdout.rpartition(": ")[2].split()[0])
    assert COUNT / 20 < loaded < COUNT / 2  # neither do all fail at the door, nor do changes change nothing


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"created": "yesterday"}, "created must be a time in ISO 8601 with its offset from UTC, got 'yesterday'"),
        ({"created": "2026-01-01T00:00:00"}, "created must be a time in ISO 8601"),
        ({"created": 3}, "created must be a valid string, got 3"),
        ({"library_versions": {"numpy": 2}}, "library_versions.numpy must be a valid string, got 2"),
        ({"files": []}, r"files must be a valid dictionary, got \[\]"),
        ({"training": ["fast"]}, r"training must be a valid dictionary, got \['fast'\]"),
        ({"metrics": {"recall@20": float("nan")}}, "its numbers must be finite, got nan"),
        ({"metrics": {"recall@20": 2**1300}}, "its integers must lie within 64 bits, got one of 1301 bits"),
        ({"metrics": {"name": "\ud800"}}, "its text must be Unicode, got a lone surrogate"),
        ({"metrics": None}, "metrics must be a valid dictionary, got None"),
        ({"index_recall": 0}, "index_recall must be greater than 0, got 0"),
        ({"index_recall": 7.0}, "index_recall must be less than or equal to 1, got 7.0"),
        ({"n_users": 2**42}, "n_users must be less than 2147483648, got 4398046511104"),
        ({"n_users": 4}, "users.arrow must hold 4 ids as the manifest states, got 5"),
        ({"n_items": True}, "n_items must be a valid integer, got True"),
        ({"fold_in": {"kind": "history"}}, "fold_in.params is missing"),
        ({"config": {"n_bits": 16, "encoder": {"name": []}}}, "its files do not fit together"),
        ({"config": "default"}, "config must be a valid dictionary, got 'default'"),
    ],
)  # fmt: skip
def test_a_senseless_field_of_the_manifest_is_named(saved: Path, changes: dict[str, Any], said: str) -> None:
    edit(saved, **changes)
    with pytest.raises(ArtifactDamagedError, match=said) as caught:
        load_state(saved)
    assert str(caught.value).startswith(f"{saved}: ")


def test_unknown_entries_of_the_manifest_are_ignored(saved: Path) -> None:
    edit(saved, colour="blue", fold_in={**json.loads((saved / MANIFEST).read_text())["fold_in"], "note": 1})
    assert load_state(saved).n_items == 9


def replace_by_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def replace_by_link(path: Path) -> None:
    outside = path.parent.parent / "outside"
    path.rename(outside)
    path.symlink_to(outside)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
@pytest.mark.parametrize("name", [MANIFEST, "item_index.hgx", "users.arrow", "embeddings.safetensors"])
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (replace_by_fifo, "it is no regular file"),
        (replace_by_device, "it is a link"),
        (replace_by_link, "it is a link"),
    ],
)
def test_what_is_no_regular_file_of_the_folder_is_refused_at_once(
    saved: Path, spoil: Any, said: str, name: str
) -> None:
    spoil(saved / name)
    started = time.monotonic()
    for verify in (False, True):
        with pytest.raises(ArtifactError, match=f"{name} cannot be read, {said}$"):
            open_artifact(saved, verify=verify)
    assert time.monotonic() - started < 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_an_index_or_a_table_that_is_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ArtifactError, match="cannot be read, it is no regular file"):
        load_index(tmp_path / "pipe")
    with pytest.raises(ArtifactDamagedError, match="cannot be read, it is no regular file"):
        read_tensors(tmp_path / "pipe")


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_compressed_ids_are_refused(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "ids.arrow"
    table = pa.table({"id": pa.array(["x" * 1_000_000], pa.large_string())}).replace_schema_metadata(
        {"id_kind": "str"}
    )
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    assert path.stat().st_size < 10_000
    with pytest.raises(DataError, match="must hold plain record batches, got compressed or encoded ones"):
        read_ids(path, 1, mmap=True)


@pytest.mark.parametrize("mmap", [True, False])
def test_ids_whose_first_message_is_no_schema_are_refused(tmp_path: Path, mmap: bool) -> None:
    path = tmp_path / "ids.arrow"
    write_ids(path, IdMap(["b", "a"]))
    raw = bytearray(path.read_bytes())
    kind = 0x25  # where the first message has the type of its header, 1 for a schema
    assert raw[kind] == 1
    for value in (0, 2, 3, 4, 5, 6, 184, 255):
        raw[kind] = value
        path.write_bytes(raw)
        with pytest.raises(DataError, match="is no table of ids"):
            read_ids(path, 2, mmap=mmap)


def write_parquet(path: Path, column: pa.Array, **options: Any) -> None:
    table = pa.table({"id": column}).replace_schema_metadata({"id_kind": "str"})
    pq.write_table(table, path, **options)


def test_ids_of_format_1_take_no_more_memory_than_their_file_allows(tmp_path: Path) -> None:
    path = tmp_path / "users.parquet"
    write_parquet(path, pa.array(["x" * 1000]).take(pa.array([0] * 1_000_000)))
    assert path.stat().st_size < 200_000  # of a gigabyte
    before = pa.total_allocated_bytes()
    with pytest.raises(DataError, match="take at least a byte an id, got 1000000 ids"):
        read_parquet_ids(path, 1_000_000)
    write_parquet(path, pa.array(["x" * 1000]).take(pa.array([0] * 500)))
    with pytest.raises(DataError, match="must hold each id once"):
        read_parquet_ids(path, 500)
    write_parquet(path, pa.array([letter * 2_000_000 for letter in "abcd"]), compression="zstd")
    with pytest.raises(DataError, match="must be compressed by Snappy or not at all"):
        read_parquet_ids(path, 4)
    prefix = "x" * 100_000
    write_parquet(
        path, pa.array([f"{prefix}{n}" for n in range(2000)]),
        use_dictionary=False, column_encoding={"id": "DELTA_BYTE_ARRAY"},
    )  # fmt: skip
    with pytest.raises(DataError, match=r"users\.parquet is no table of ids"):
        read_parquet_ids(path, 2000)
    assert pa.total_allocated_bytes() - before < 1 << 20
    honest = [f"user-{n}" for n in range(5000)]
    write_parquet(path, pa.array(honest))
    assert read_parquet_ids(path, 5000).ids.tolist() == honest


def rewritten(path: Path, change: Any) -> None:
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.dumps(change(json.loads(raw[8 : 8 + length]))).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + raw[8 + length :])


@pytest.mark.parametrize(
    "entry",
    [
        {"shape": [0, 2**40], "data_offsets": [0, 0]},
        {"shape": [2**62, 0], "data_offsets": [0, 0]},
        {"shape": [2**32, 2**32], "data_offsets": [0, 0]},
        {"shape": [-1, -24], "data_offsets": [0, 24]},
        {"shape": [True, 24], "data_offsets": [0, 24]},
        {"shape": "24", "data_offsets": [0, 24]},
        {"shape": [24] + [1] * 70, "data_offsets": [0, 24]},
    ],
)
def test_shapes_that_the_file_does_not_hold_are_refused(tmp_path: Path, entry: dict[str, Any]) -> None:
    path = tmp_path / "tables.safetensors"
    write_tensors(path, {"a": np.zeros(24, np.uint8)})
    rewritten(path, lambda header: {"a": {"dtype": "U8", **entry}})
    with pytest.raises(ArtifactDamagedError, match="the entry of tensor 'a' does not fit the file"):
        read_tensors(path)


def test_tensors_that_share_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tables.safetensors"
    write_tensors(path, {"a": np.zeros(24, np.uint8)})
    rewritten(path, lambda header: {f"a{n}": header["a"] for n in range(2)})
    with pytest.raises(ArtifactDamagedError, match="its tensors overlap"):
        read_tensors(path)


def test_hash_tables_of_a_small_file_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "index"
    index = MultiIndexHashing(BinaryCodes(np.zeros((3, 128), np.uint8)))
    index._n_tables = 43  # parts of 24 bits: 43 tables of 64 MiB
    index.save(path)
    with pytest.raises(
        ArtifactDamagedError, match="n_tables must keep hash tables within 64 times the codes"
    ):
        load_index(path)


def test_a_bias_beyond_its_bound_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"top must be a finite number .* got 1e\+300"):
        ItemBias(np.zeros(1, np.uint8), 1e300)


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_no_answer_holds_what_is_not_finite(tmp_path: Path, value: float) -> None:
    state = random_state(5, 9, n_bits=16)
    save_state(state, tmp_path / "v1")
    tables = {"users": state.users.embeddings.copy(), "items": np.full_like(state.items.embeddings, value)}
    tables["users"][:] = 2
    write_tensors(tmp_path / "v1" / "embeddings.safetensors", tables)
    hostile_models.sign_file(tmp_path / "v1", "embeddings.safetensors")
    model = HashGNN.load(tmp_path / "v1")
    for way in ("float", "hierarchical"):
        with np.errstate(all="ignore"), pytest.raises(HashGNNError, match="finite|NaN"):
            model.recommend(["u0"], k=3, search=way)
    assert np.isfinite(model.recommend(["u0"], k=3, search="hamming").scores).all()


def test_products_beyond_float32_are_no_scores_of_an_index() -> None:
    codes = BinaryCodes(np.zeros((3, 1), np.uint8))
    index = HierarchicalIndex(HammingIndex(codes), np.full((3, 2), 3e38, np.float32))
    with pytest.raises(ParameterError, match="inner products must be finite"):
        index.search(EmbeddedCodes(codes, np.full((3, 2), 2, np.float32)), 1)


def test_a_mutant_is_made_from_its_number_alone(tmp_path: Path) -> None:
    raw = json.loads((Path(__file__).parent / "format-2" / MANIFEST).read_text())
    first, second = (hostile_models.mutate_json(random.Random(7), raw) for _ in range(2))
    assert first == second != raw
