"""Small files that become large, endless lines and very wide headers end in one sentence."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from hashgnn.data import read_interactions, read_table
from hashgnn.data.readers import _location
from hashgnn.data.readers._lines import MAX_LINE
from hashgnn.errors import DataError, ParameterError

CSV = b"user_id,item_id\n" + b"1,2\n" * 1_000_000


def zstd(content: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(content, asbytes=True))


CODECS: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda content: gzip.compress(content, 1),
    "bz2": bz2.compress,
    "xz": lambda content: lzma.compress(content, preset=0),
    "zst": zstd,
}


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_location, "_FREE", 1 << 20)


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("inside", ["csv", "jsonl", "txt", "dat", "arrow"])
def test_a_bomb_is_refused_and_read_on_request(tmp_path: Path, name: str, inside: str) -> None:
    contents = {
        "csv": CSV,
        "jsonl": b'{"user_id": 1, "item_id": 2}\n' * 200_000,
        "txt": b"1 2\n" * 1_000_000,
        "dat": b"1::2::3::4\n" * 300_000,
        "arrow": b"\0" * 4_000_000,
    }
    path = tmp_path / f"e.{inside}.{name}"
    path.write_bytes(CODECS[name](contents[inside]))
    limit = max(1 << 20, 100 * path.stat().st_size)
    assert limit < len(contents[inside])
    with pytest.raises(DataError) as caught:
        read_interactions(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: becomes more than ")
    assert message.endswith(" bytes when it is decompressed; raise max_decompressed if you trust it")
    if inside == "csv":
        assert read_interactions(path, max_decompressed=len(CSV)).n_merged == 999_999
        with pytest.raises(DataError, match=f"becomes more than {len(CSV) - 1} bytes"):
            read_interactions(path, max_decompressed=len(CSV) - 1)


@pytest.mark.usefixtures("little")
def test_a_file_object_and_a_table_of_features_have_the_bound_too() -> None:
    bomb = io.BytesIO(gzip.compress(CSV, 1))
    with pytest.raises(DataError, match="becomes more than"):
        read_interactions(bomb, format="csv")
    bomb.seek(0)
    with pytest.raises(DataError, match="becomes more than"):
        read_table(bomb, format="csv")


@pytest.mark.usefixtures("little")
def test_only_one_layer_is_decompressed(tmp_path: Path) -> None:
    (tmp_path / "e.csv.gz").write_bytes(gzip.compress(gzip.compress(CSV, 1)))
    with pytest.raises(DataError, match="must be UTF-8 text"):
        read_interactions(tmp_path / "e.csv.gz")


@pytest.mark.usefixtures("little")
def test_runs_of_parquet_have_the_bound(tmp_path: Path) -> None:
    n = 1_000_000
    sevens = pa.nulls(n, pa.int64()).fill_null(7)
    pq.write_table(pa.table({"user_id": sevens, "item_id": sevens}), tmp_path / "e.parquet")
    assert (tmp_path / "e.parquet").stat().st_size < 100_000
    with pytest.raises(DataError, match="becomes more than"):
        read_interactions(tmp_path / "e.parquet")
    assert read_interactions(tmp_path / "e.parquet", max_decompressed=10**9).n_merged == n - 1


def repeated(n: int, length: int) -> pa.Table:
    """A long entry of a dictionary in many rows: few bytes in a file, much text."""
    long = pa.DictionaryArray.from_arrays(np.zeros(n, np.int32), ["x" * length])
    return pa.table({"user_id": long, "item_id": np.arange(n) % 10})


def beginnings(n: int, length: int) -> pa.Table:
    return pa.table({"user_id": [f"{'x' * length}{row}" for row in range(n)], "item_id": np.arange(n) % 10})


BOMBS: dict[str, Callable[[Path], object]] = {
    "dictionary.parquet": lambda path: pq.write_table(repeated(20_000, 1000), path, store_schema=False),
    "categories.parquet": lambda path: pq.write_table(repeated(20_000, 1000), path),
    "beginnings.parquet": lambda path: pq.write_table(
        beginnings(20_000, 1000), path, use_dictionary=False, column_encoding={"user_id": "DELTA_BYTE_ARRAY"}
    ),
    "dictionary.arrow": lambda path: feather.write_feather(repeated(20_000, 1000), path),
    "compressed.feather": lambda path: feather.write_feather(
        pa.table({"user_id": np.zeros(3_000_000, np.int64), "item_id": np.zeros(3_000_000, np.int64)}),
        path,
        compression="zstd",
    ),
    "nulls.arrow": lambda path: feather.write_feather(
        pa.table({"user_id": pa.nulls(3_000_000), "item_id": pa.nulls(3_000_000)}), path
    ),
}


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize("name", BOMBS)
def test_text_and_buffers_of_arrow_have_the_bound(tmp_path: Path, name: str) -> None:
    BOMBS[name](tmp_path / name)
    assert (tmp_path / name).stat().st_size < 200_000
    with pytest.raises(DataError, match="becomes more than"):
        read_interactions(tmp_path / name)
    if name != "nulls.arrow":
        assert len(read_interactions(tmp_path / name, max_decompressed=10**9)) > 0


@pytest.mark.parametrize("compression", ["uncompressed", "lz4", "zstd"])
def test_ordinary_files_of_arrow_are_read(tmp_path: Path, compression: str) -> None:
    table = pa.table({"user_id": ["a", "b", "a"] * 100, "item_id": [f"i{n % 7}" for n in range(300)]})
    feather.write_feather(table, tmp_path / "e.feather", compression=compression, chunksize=50)
    coded = table.set_column(0, "user_id", table["user_id"].dictionary_encode())
    feather.write_feather(coded, tmp_path / "d.feather", compression=compression)
    for name in ("e.feather", "d.feather"):
        assert read_interactions(tmp_path / name).user_ids.printed(np.arange(2)) == ["a", "b"]


@pytest.mark.parametrize("value", [0, -1, 1.5, "1GB", True])
def test_the_bound_is_a_number_of_bytes(tmp_path: Path, value: object) -> None:
    (tmp_path / "e.csv").write_bytes(b"user_id,item_id\n1,2\n")
    with pytest.raises(ParameterError, match="max_decompressed must be an integer"):
        read_interactions(tmp_path / "e.csv", max_decompressed=value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("e.csv", b"x" * (MAX_LINE + 2), 1),
        ("e.csv", b"user_id,item_id\n1,2\n1," + b"x" * (MAX_LINE + 2), 3),
        ("e.tsv", b"user_id\titem_id\n1\t" + b"x" * (MAX_LINE + 2), 2),
        ("e.inter", b"user_id:token\titem_id:token\n1\t" + b"x" * (MAX_LINE + 2), 2),
        ("e.jsonl", b'{"user_id": 1, "item_id": 2}\n{"user_id": "' + b"x" * (MAX_LINE + 2), 2),
    ],
)
def test_an_endless_line_is_named(tmp_path: Path, name: str, content: bytes, line: int) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_interactions(tmp_path / name)
    assert str(caught.value) == (
        f"{tmp_path / name}, line {line}: must have at most {MAX_LINE} bytes, got a longer line"
    )


@pytest.mark.parametrize(("end", "n"), [(b"\r", MAX_LINE // 4 + 1), (b"\r\n", 1000), (b"\n", 1000)])
def test_a_long_file_of_short_lines_is_read_whatever_ends_them(tmp_path: Path, end: bytes, n: int) -> None:
    lines = [b"user_id,item_id", *[b"1,2"] * n, b"3,4"]
    (tmp_path / "e.csv").write_bytes(end.join(lines))
    found = read_interactions(tmp_path / "e.csv")
    assert (found.user_ids.ids.tolist(), found.n_merged) == ([1, 3], n - 1)
    (tmp_path / "e.csv").write_bytes(end.join([*lines, b"5"]))
    with pytest.raises(DataError, match=f"line {n + 3}: must have 2 fields"):
        read_interactions(tmp_path / "e.csv")


def test_a_header_of_a_million_columns_is_refused(tmp_path: Path) -> None:
    names = [f"c{place}" for place in range(1_000_000)]
    (tmp_path / "e.csv").write_text(",".join(names))
    (tmp_path / "e.jsonl").write_text(json.dumps(dict.fromkeys(names, 1)))
    halves = [json.dumps(dict.fromkeys(names[start : start + 6_000], 1)) for start in (0, 6_000)]
    (tmp_path / "two.jsonl").write_text("\n".join(halves))
    for name in ("e.csv", "e.jsonl", "two.jsonl"):
        with pytest.raises(DataError, match="a table must have at most 10000 columns, got 1"):
            read_interactions(tmp_path / name)


def test_a_decimal_comma_can_be_said(tmp_path: Path) -> None:
    for name, mark in (("e.tsv", "\t"), ("e.csv", "|"), ("f.csv", "\t")):
        (tmp_path / name).write_text(
            mark.join(("user_id", "item_id", "weight")) + "\n" + mark.join("12") + f"{mark}4,5\n"
        )
        found = read_interactions(tmp_path / name, decimal=",")
        assert found.weight is not None
        assert found.weight.tolist() == [4.5]
        with pytest.raises(DataError, match="weight must be a number, got '4,5'"):
            read_interactions(tmp_path / name, decimal=".")
    (tmp_path / "g.csv").write_text("user_id;item_id;weight\n1;2;4,5\n")
    assert read_interactions(tmp_path / "g.csv").weight.tolist() == [4.5]  # type: ignore[union-attr]
    with pytest.raises(DataError, match="weight must be a number, got '4,5'"):
        read_interactions(tmp_path / "g.csv", decimal=".")
    with pytest.raises(ParameterError, match="decimal must be None for the format 'jsonl', got ','"):
        read_interactions(tmp_path / "g.csv", format="jsonl", decimal=",")
    with pytest.raises(ParameterError, match="decimal and delimiter must be different characters, got ','"):
        read_interactions(tmp_path / "g.csv", delimiter=",", decimal=",")
