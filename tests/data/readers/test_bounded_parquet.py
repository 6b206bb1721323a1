"""Parquet files that would become large: refused before they are decoded, and ordinary ones read as they are."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.data.readers import hostile_parquet
from tests.pages import ROOT

from hashgnn.data.readers.bounded_parquet import bounded_batches, decoded_type, limit_of, text_bytes
from hashgnn.errors import DataError

N = 20_000
ORDINARY = {
    "id": list(range(N)),
    "title": [f"title number {n}" for n in range(N)],
    "tags": [["a", "b"]] * N,
    "facts": [{"x": "q", "y": 1}] * N,
    "raw": [b"a"] * N,
    "places": [[1.5, 2.5], None] * (N // 2),
    "nothing": [None] * N,
}


def written(table: pa.Table, **options: Any) -> pa.Buffer:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return pa.py_buffer(file.getvalue())


def read(content: pa.Buffer) -> pa.Table:
    """Read all batches; text is decoded within the limit."""
    first, *batches = bounded_batches(content, "x.parquet")
    used = sum(text_bytes(column) for batch in batches for column in batch.columns)
    assert used <= limit_of(content)
    schema = pa.schema([field.with_type(decoded_type(field.type)) for field in first.schema])
    return pa.Table.from_batches([batch.cast(schema) for batch in batches], schema)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zstd"},
        {"compression": "gzip", "data_page_version": "2.0"},
        {"use_dictionary": False},
        {"use_dictionary": False, "column_encoding": {"title": "DELTA_BYTE_ARRAY"}},
        {"use_dictionary": False, "column_encoding": {"title": "DELTA_LENGTH_BYTE_ARRAY"}},
        {
            "write_page_index": True,
            "write_page_checksum": True,
            "data_page_size": 1000,
            "row_group_size": 999,
        },
    ],
)
def test_ordinary_files_are_read_whole(options: dict[str, Any]) -> None:
    pairs = pa.array([[("k", "v")], [], None, []] * (N // 4), pa.map_(pa.string(), pa.string()))
    table = pa.table({**ORDINARY, "pairs": pairs})
    assert read(written(table, **options)).to_pylist() == table.to_pylist()


def test_an_empty_table_has_its_columns() -> None:
    table = pa.table({"id": pa.array([], pa.int64()), "title": pa.array([], pa.string())})
    assert read(written(table)).schema == table.schema


def bomb(name: str) -> pa.Table:
    """A table that takes a few kilobytes or less on disk, and gigabytes in memory."""
    return {
        "a page that compresses well": lambda: pa.table({"id": [1], "t": ["x" * 100_000_000]}),
        "a long entry that is repeated": lambda: pa.table(
            {"t": pa.DictionaryArray.from_arrays(np.zeros(1_000_000, np.int32), ["x" * 100_000])}
        ),
        "a list of a billion nulls": lambda: pa.table(
            {
                "t": pa.ListArray.from_arrays(
                    np.array([0, 40_000_000], np.int32), pa.nulls(40_000_000, pa.int8())
                )
            }
        ),
        "rows without end": lambda: pa.table({"t": pa.nulls(30_000_000, pa.int64())}),
        "a long entry in a struct in a list": lambda: pa.table(
            {
                "id": [1],
                "t": pa.ListArray.from_arrays(
                    np.array([0, 100_000], np.int32),
                    pa.StructArray.from_arrays(
                        [pa.DictionaryArray.from_arrays(np.zeros(100_000, np.int32), ["x" * 100_000])], ["a"]
                    ),
                ),
            }
        ),
    }[name]()


@pytest.mark.parametrize(
    "name",
    [
        "a page that compresses well",
        "a long entry that is repeated",
        "a list of a billion nulls",
        "rows without end",
        "a long entry in a struct in a list",
    ],
)
def test_a_small_file_takes_no_large_memory(name: str, tmp_path: Path) -> None:
    content = written(bomb(name), compression="zstd", data_page_version="2.0", store_schema=False)
    assert len(content) < 100_000
    path = tmp_path / "items.parquet"
    path.write_bytes(content.to_pybytes())
    # In a process of its own, whose memory is bounded.
    code = (
        "import sys, resource, pyarrow as pa, pyarrow.parquet\n"
        "from pathlib import Path\n"
        "from hashgnn.data import IdMap\n"
        "from hashgnn.errors import DataError\n"
        "from hashgnn.checking.item_table import ItemTable\n"
        "ids = IdMap(list(range(100)))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        "    ItemTable.read(Path(sys.argv[1]), sys.argv[2], ids)\n"
        "except DataError as error:\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)\n"
    )
    column = "id" if "id" in pq.read_schema(path).names else "t"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), column], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    kilobytes, _, sentence = done.stdout.partition(" ")
    assert int(kilobytes) < 100_000, sentence
    assert "must take at most" in sentence


def test_a_long_entry_is_counted_before_it_is_repeated() -> None:
    entries = pa.DictionaryArray.from_arrays(np.zeros(5, np.int32), ["four"])
    assert text_bytes(entries) == 20
    assert text_bytes(pa.array([["ab", None], None, ["c"]])) == 3
    assert text_bytes(pa.array([{"a": "xyz", "b": 1}, None])) == 3


def test_a_value_of_fixed_length_is_bounded() -> None:
    table = pa.table({"t": pa.array([b"x" * 2000], pa.binary(2000))})
    with pytest.raises(DataError, match="values of fixed length must have at most 1024 bytes, got 2000"):
        read(written(table))


def test_a_header_that_is_broken_or_leads_out_of_the_file_is_one_sentence() -> None:
    raw = bytearray(written(pa.table({"t": list(range(1000))}), use_dictionary=False).to_pybytes())
    rng = np.random.default_rng(0)
    sentences = set()
    for _ in range(300):
        mutant = bytearray(raw)
        for place in rng.integers(4, 40, 2):
            mutant[place] = rng.integers(256)
        try:
            read(pa.py_buffer(bytes(mutant)))
        except DataError as error:
            sentences.add(str(error))
    assert len(sentences) > 1
    assert not [sentence for sentence in sentences if "\n" in sentence]


def test_what_is_no_parquet_is_refused() -> None:
    for raw in (b"", b"PAR1", b"PAR1" * 10, b"no parquet at all"):
        with pytest.raises(DataError, match=r"x\.parquet: cannot be read as parquet"):
            read(pa.py_buffer(raw))


def test_mutants_of_a_file_end_no_process(tmp_path: Path) -> None:
    """Number 217 contradicts itself in its statistics, at which Arrow's reader of metadata aborts."""
    script = Path(hostile_parquet.__file__)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), "400"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (tmp_path / "number").read_text() + done.stderr[-2000:]
    assert 20 < int(done.stdout) < 300


def test_mutants_of_ids_of_format_1_end_no_process(tmp_path: Path) -> None:
    code = (
        "import random, sys\n"
        "from pathlib import Path\n"
        "import pyarrow as pa, pyarrow.parquet as pq\n"
        "from tests.data.readers.hostile_parquet import mutate\n"
        "from hashgnn.data import IdMap\n"
        "from hashgnn.errors import DataError, ParameterError\n"
        "from hashgnn.data.id_files import read_parquet_ids\n"
        "path = Path(sys.argv[1]) / 'ids.parquet'\n"
        "pq.write_table(IdMap([f'i{n}' for n in range(50)]).to_arrow(), path)\n"
        "raw = path.read_bytes()\n"
        "for number in range(1000):\n"
        "    path.write_bytes(mutate(random.Random(number), raw))\n"
        "    try:\n"
        "        read_parquet_ids(path, 50)\n"
        "    except (DataError, ParameterError):\n"
        "        pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr[-2000:]
