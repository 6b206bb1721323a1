"""Files as other tools write them: delimiters, compression, JSON lines, Arrow, folders, patterns, file objects."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.feather
import pyarrow.parquet
import pytest

from hashgnn.data import Interactions, read_interactions, read_table
from hashgnn.errors import DataError, ParameterError

CSV = "user_id,item_id,weight,time\n2,b,1.5,30\n1,b,2,10\n2,a,1,20\n"
TABLE = pa.table(
    {"user_id": [2, 1, 2], "item_id": ["b", "b", "a"], "weight": [1.5, 2, 1], "time": [30, 10, 20]}
)
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda content: pa.compress(content, codec="zstd", asbytes=True),
}


def check(found: Interactions) -> None:
    assert found.user_ids.ids.tolist() == [1, 2]
    assert found.item_ids.ids.tolist() == ["a", "b"]
    assert found.csr.toarray().tolist() == [[0, 2], [1, 1.5]]
    assert found.timestamp is not None
    assert found.timestamp.tolist() == [10, 20, 30]


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# Delimiters


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("blank", ["", " ", "  "])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_delimiter_is_found_in_the_header_and_blanks_behind_it_are_left_off(
    tmp_path: Path, mark: str, blank: str, end: str
) -> None:
    check(read_interactions(write(tmp_path / "e.csv", CSV.replace(",", mark + blank).replace("\n", end))))


@pytest.mark.parametrize("mark", [",", ";", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_blanks_before_the_delimiter_and_the_end_are_left_off(tmp_path: Path, mark: str, end: str) -> None:
    text = CSV.replace(",", f" {mark} ").replace("\n", f"  {end}")
    check(read_interactions(write(tmp_path / "e.csv", text)))
    assert read_table(tmp_path / "e.csv").column_names == ["user_id", "item_id", "weight", "time"]
    check(read_interactions(write(tmp_path / "cut.csv", text.rstrip())))
    only_rows = text.replace(text.splitlines()[0], "user_id,item_id,weight,time".replace(",", mark), 1)
    check(read_interactions(write(tmp_path / "rows.csv", only_rows)))


@pytest.mark.parametrize("size", [1, 2**18 - 11, 2**18 - 10, 2**18 - 9])
def test_a_blank_before_a_delimiter_is_seen_where_two_blocks_meet(tmp_path: Path, size: int) -> None:
    path = write(tmp_path / "e.csv", f"a,b\n{'x' * size} ,y z\n")
    assert read_table(path).to_pylist() == [{"a": "x" * size, "b": "y z"}]
    path = write(tmp_path / "f.csv", f'a,b\n"{"x" * size} ",y\n"p " ,"q , r" \n')
    assert read_table(path).to_pylist() == [{"a": "x" * size + " ", "b": "y"}, {"a": "p ", "b": "q , r"}]


def test_blanks_after_the_delimiter_are_left_off_where_the_header_has_none(tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", 'user_id,item_id\n1, u 2\n1,"  x, y"\n2, "z, 1"\n')
    assert read_interactions(path).item_ids.ids.tolist() == ["  x, y", "u 2", "z, 1"]


@pytest.mark.parametrize("size", [1, 2**18])
def test_blanks_in_quotes_stay(tmp_path: Path, size: int) -> None:
    path = write(tmp_path / "e.csv", f'user_id,item_id,title\n1,2,"{"a, b" * size}"\n"u, v",2," x"\n')
    assert read_table(path)["title"].to_pylist() == ["a, b" * size, " x"]
    assert read_interactions(path).user_ids.ids.tolist() == ["1", "u, v"]


def test_lines_are_counted_where_blanks_follow_the_delimiter(tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", 'user_id, item_id\n1, "a\nb"\n2, ""\n')
    with pytest.raises(DataError, match=r"e\.csv, line 4: item_id is empty"):
        read_interactions(path)


def test_a_delimiter_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", "user_id:item_id,x;y\n1:2\n")
    assert read_interactions(path, delimiter=":", item="item_id,x;y").item_ids.ids.tolist() == [2]
    assert read_table(path, delimiter=":").column_names == ["user_id", "item_id,x;y"]
    for delimiter in ("::", "", '"', "\n", "é"):
        with pytest.raises(ParameterError, match="delimiter must be one ASCII character"):
            read_interactions(path, delimiter=delimiter)
    with pytest.raises(ParameterError, match="delimiter must be None for the format 'parquet', got ';'"):
        read_interactions(path, format="parquet", delimiter=";")


def test_the_delimiter_that_makes_the_most_columns_is_taken_and_the_comma_first(tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", "user_id;item_id;name, first\n1;2;x\n")
    assert read_table(path).column_names == ["user_id", "item_id", "name, first"]
    path = write(tmp_path / "f.csv", "user_id,item_id|x\n1,2\n")
    assert read_table(path).column_names == ["user_id", "item_id|x"]


def test_with_semicolons_a_comma_is_the_decimal_sign(tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", "user_id;item_id;weight;time\n1;2,0;1,5;1,25\n2;3,0;-0,5;2\n")
    with pytest.raises(DataError, match=r"line 3: weight must be finite and > 0, got -0\.5"):
        read_interactions(path)
    path = write(tmp_path / "e.csv", "user_id;item_id;weight\n1;2,0;1,5\n2;3,0;2.5\n")
    found = read_interactions(path)
    assert found.item_ids.ids.tolist() == [2, 3]
    assert found.csr.toarray().tolist() == [[1.5, 0], [0, 2.5]]
    assert read_table(path)["weight"].to_pylist() == [1.5, 2.5]
    path = write(tmp_path / "e.csv", "user_id;item_id;weight\n1;2;1\n1;3;1.234,5\n")
    with pytest.raises(DataError, match=r"line 3: weight must be a number, got '1\.234,5'"):
        read_interactions(path)


# Compression


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("name", ["e.csv", "e.jsonl", "e.parquet", "e.feather", "e.tsv"])
def test_every_form_may_be_compressed(tmp_path: Path, suffix: str, name: str) -> None:
    content = {
        "e.csv": CSV.encode(),
        "e.tsv": CSV.replace(",", "\t").encode(),
        "e.jsonl": "\n".join(json.dumps(row) for row in TABLE.to_pylist()).encode(),
        "e.parquet": _bytes_of(pa.parquet.write_table),
        "e.feather": _bytes_of(pa.feather.write_feather),
    }[name]
    check(read_interactions(write(tmp_path / (name + suffix), COMPRESS[suffix](content))))


def _bytes_of(save: Any) -> bytes:
    file = io.BytesIO()
    save(TABLE, file)
    return file.getvalue()


def test_movielens_and_adjacency_files_may_be_compressed(tmp_path: Path) -> None:
    path = write(tmp_path / "r.dat.gz", gzip.compress(b"1::2::3::4\n"))
    assert read_interactions(path).item_ids.ids.tolist() == [2]
    path = write(tmp_path / "train.txt.gz", gzip.compress(b"1 2 3\n"))
    assert read_interactions(path).item_ids.ids.tolist() == [2, 3]


def test_the_first_bytes_say_whether_a_file_is_compressed(tmp_path: Path) -> None:
    check(read_interactions(write(tmp_path / "unpacked.csv.gz", CSV)))
    check(read_interactions(write(tmp_path / "packed.csv", gzip.compress(CSV.encode()))))


def test_members_of_a_compressed_file_are_read_one_after_the_other(tmp_path: Path) -> None:
    head, rows = CSV[:30], CSV[30:]
    for suffix, compress in COMPRESS.items():
        path = tmp_path / f"e.csv{suffix}"
        check(read_interactions(write(path, compress(head.encode()) + compress(rows.encode()))))


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_compressed_file_that_is_cut_is_one_sentence(tmp_path: Path, suffix: str) -> None:
    rows = "".join(f"{row * 7919 % 10007},{row * 104729 % 10009}\n" for row in range(20_000))
    content = COMPRESS[suffix](("user_id,item_id\n" + rows).encode())
    for part in (0.01, 0.5, 0.99):
        path = write(tmp_path / f"e.csv{suffix}", content[: max(12, int(len(content) * part))])
        with pytest.raises(DataError, match=r"e\.csv.*: cannot be (decompressed|read), ") as caught:
            read_interactions(path)
        assert "\n" not in str(caught.value)


def test_a_line_of_a_compressed_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv.gz", gzip.compress(b"user_id,item_id\n1,2\n3,\n"))
    with pytest.raises(DataError, match=r"e\.csv\.gz, line 3: item_id is empty"):
        read_interactions(path)


# JSON lines


@pytest.mark.parametrize("name", ["e.jsonl", "e.ndjson", "E.JSONL"])
def test_json_lines(tmp_path: Path, name: str) -> None:
    lines = [json.dumps(row) for row in TABLE.to_pylist()]
    check(read_interactions(write(tmp_path / name, "\ufeff" + "\n\n".join(lines) + "\r\n")))


def test_json_keeps_the_kinds_of_ids(tmp_path: Path) -> None:
    path = write(tmp_path / "e.jsonl", '{"user_id": "007", "item_id": 1}\n{"user_id": "1", "item_id": 2.0}\n')
    found = read_interactions(path)
    assert found.user_ids.ids.tolist() == ["007", "1"]
    assert found.item_ids.ids.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", ", line 3: must be one JSON object on one line"),
        ("[" * 100_000, ", line 3: must be one JSON object on one line"),
        ("[1, 2]", ", line 3: must be a JSON object, got a list"),
        ('{"user_id": 1}', ", line 3: item_id is empty"),
        ('{"user_id": 1, "item_id": ""}', ", line 3: item_id is empty"),
        (
            '{"user_id": "1", "item_id": "a"}',
            ", line 3: user_id must be of one kind, got text in a column of numbers",
        ),
        ('{"user_id": 1, "item_id": "a", "weight": -1}', ", line 3: weight must be finite and > 0, got -1.0"),
    ],
)
def test_a_wrong_json_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path / "e.jsonl", '\n{"user_id": 1, "item_id": "a", "weight": 1.0}\n' + line)
    with pytest.raises(DataError) as caught:
        read_interactions(path)
    assert str(caught.value).startswith(f"{path}{message}")


# Arrow


@pytest.mark.parametrize("compression", ["uncompressed", "lz4", "zstd"])
def test_feather(tmp_path: Path, compression: str) -> None:
    pa.feather.write_feather(TABLE, tmp_path / "e.feather", compression=compression)
    check(read_interactions(tmp_path / "e.feather"))


@pytest.mark.parametrize("new", [pa.ipc.new_file, pa.ipc.new_stream])
def test_arrow_files_and_streams(tmp_path: Path, new: Any) -> None:
    with pa.OSFile(str(tmp_path / "e.arrow"), "wb") as file, new(file, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=2)
    check(read_interactions(tmp_path / "e.arrow"))
    content = (tmp_path / "e.arrow").read_bytes()
    for part in (0.1, 0.5):
        write(tmp_path / "cut.arrow", content[: int(len(content) * part)])
        with pytest.raises(
            DataError, match="not a readable Arrow IPC file, it is damaged or of another format"
        ):
            read_interactions(tmp_path / "cut.arrow")


# Folders and patterns


def test_a_folder_of_parquet_with_hive_partitions(tmp_path: Path) -> None:
    pa.dataset.write_dataset(
        TABLE, tmp_path / "e", format="parquet", partitioning=["user_id"], partitioning_flavor="hive"
    )
    write(tmp_path / "e" / "_SUCCESS", "")
    write(tmp_path / "e" / "user_id=1" / ".part-0.parquet.crc", "x")
    check(read_interactions(tmp_path / "e"))
    check(read_interactions(tmp_path / "e" / "**" / "*.parquet"))
    check(read_interactions(f"{tmp_path}/e/user_id=*/*"))
    assert read_table(tmp_path / "e")["user_id"].to_pylist() == [1, 2, 2]


def test_partitions_are_text_where_one_is_no_number_and_empty_where_hive_says_so(tmp_path: Path) -> None:
    for name in ("user_id=7", "user_id=a%20b"):
        write(tmp_path / "e" / name / "p.csv", "item_id\n1\n")
    assert read_interactions(tmp_path / "e").user_ids.ids.tolist() == ["7", "a b"]
    path = write(tmp_path / "e" / "user_id=__HIVE_DEFAULT_PARTITION__" / "p.csv", "item_id\n1\n")
    with pytest.raises(DataError) as caught:
        read_interactions(tmp_path / "e")
    assert str(caught.value) == f"{path}, line 2: user_id is empty"


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_parts_of_csv_are_one_table_and_the_line_of_a_part_is_named(tmp_path: Path, suffix: str) -> None:
    pack = gzip.compress if suffix else bytes
    for part, rows in enumerate(["2,b,1.5,30\n", "1,b,2,10\n2,a,1,20\n"]):
        content = f"user_id,item_id,weight,time\n{rows}"
        write(tmp_path / "e" / f"part-{part}.csv{suffix}", pack(content.encode()))
    check(read_interactions(tmp_path / "e"))
    check(read_interactions(str(tmp_path / "e" / "part-[0-9].csv*")))
    path = write(
        tmp_path / "e" / f"part-2.csv{suffix}", pack(b"user_id,item_id,weight,time\n1,2,3,4\n1,,3,4\n")
    )
    with pytest.raises(DataError) as caught:
        read_interactions(tmp_path / "e")
    assert str(caught.value) == f"{path}, line 3: item_id is empty"


def test_files_of_several_integer_widths_are_one_table(tmp_path: Path) -> None:
    for part, kind in enumerate([pa.int32(), pa.int64(), pa.uint8()]):
        table = pa.table({"user_id": pa.array([part], kind), "item_id": [part]})
        pa.parquet.write_table(table, tmp_path / f"{part}.parquet")
    assert read_interactions(tmp_path).user_ids.ids.tolist() == [0, 1, 2]
    pa.parquet.write_table(pa.table({"user_id": ["x"], "item_id": [1]}), tmp_path / "3.parquet")
    with pytest.raises(DataError, match="user_id must be of one type in all files, got 'int32', 'int64'"):
        read_interactions(tmp_path)


def test_folders_and_patterns_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file matches the pattern"):
        read_interactions(tmp_path / "*.parquet")
    write(tmp_path / "a.csv", CSV)
    write(tmp_path / "b.jsonl", "{}")
    with pytest.raises(
        DataError, match=r"files must be of one format, got 'csv', 'jsonl'; choose some .* \*\.csv"
    ):
        read_interactions(tmp_path)
    check(read_interactions(tmp_path / "*.csv"))


def test_a_name_with_the_signs_of_a_pattern_is_a_file_where_there_is_one(tmp_path: Path) -> None:
    check(read_interactions(write(tmp_path / "e[1].csv", CSV)))


def test_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "e.csv", CSV)
    check(read_interactions("~/e.csv"))
    check(read_interactions("~/*.csv"))


# File objects


def test_file_objects(tmp_path: Path) -> None:
    with write(tmp_path / "e.csv", CSV).open("rb") as file:
        check(read_interactions(file))
    check(read_interactions(io.BytesIO(CSV.encode()), format="csv"))
    check(read_interactions(io.BytesIO(gzip.compress(CSV.encode())), format="csv"))
    check(read_interactions(io.BytesIO(_bytes_of(pa.parquet.write_table)), format="parquet"))
    with pytest.raises(DataError, match="the file object: the format does not follow from the suffix ''"):
        read_interactions(io.BytesIO(CSV.encode()))
    with (
        (tmp_path / "e.csv").open() as text,
        pytest.raises(DataError, match="must be opened in binary mode, got str"),
    ):
        read_interactions(text)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="the file object, line 2: item_id is empty"):
        read_interactions(io.BytesIO(b"user_id,item_id\n1,\n"), format="csv")


@pytest.mark.parametrize("wrong", [None, 7, b"e.csv", pd.DataFrame()])
def test_what_is_no_path_is_refused(wrong: Any) -> None:
    with pytest.raises(DataError, match="path must be text, a path or a file opened in binary mode, got "):
        read_interactions(wrong)


def test_a_device_is_refused_and_not_read_for_ever() -> None:
    with pytest.raises(DataError, match="/dev/zero: must be a regular file; pass a file object"):
        read_interactions("/dev/zero", format="csv")


# Width


@pytest.mark.timeout(60)
def test_a_header_of_a_million_columns_is_one_sentence(tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", ",".join(f"c{number}" for number in range(1_000_000)) + "\n1\n")
    with pytest.raises(DataError) as caught:
        read_interactions(path)
    assert str(caught.value) == f"{path}, line 1: a table must have at most 10000 columns, got 1000000"
