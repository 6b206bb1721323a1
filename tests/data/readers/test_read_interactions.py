"""Every format against the same rows, and every kind of damage against its sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashgnn.data import IdMap, Interactions, read_interactions, read_table
from hashgnn.errors import DataError, DataWarning, ParameterError, UnknownIdError

ROWS = {"user_id": [2, 1, 2], "item_id": [7, 9, 9], "rating": [3, 4, 5], "timestamp": [30, 10, 20]}

FILES = {
    "events.csv": "user_id,item_id,rating,timestamp\n2,7,3,30\n1,9,4,10\n2,9,5,20\n",
    "quoted.csv": 'user_id,item_id,rating,timestamp\r\n"2","7",3,30\r\n1,9,4,10\r\n\r\n2,"9",5,20',
    "bom.csv": "\ufeffuser_id,item_id,rating,timestamp\n2,7,3,30\n1,9,4,10\n2,9,5,20\n",
    "blank_head.csv": "\nuser_id,item_id,rating,timestamp\n2,7,3,30\n1,9,4,10\n2,9,5,20\n",
    "other_columns.csv": 'x,timestamp,rating,user,item\na b,30,3,2,7\n,10,4,1,9\n"q,q",20,5,2,9\n',
    "events.tsv": "user_id\titem_id\trating\ttimestamp\n2\t7\t3\t30\n1\t9\t4\t10\n2\t9\t5\t20\n",
    "ml.inter": (
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        "2\t7\t3\t30.0\n1\t9\t4\t10.0\n2\t9\t5\t20.0\n"
    ),
    "ratings.dat": "2::7::3::30\n1::9::4::10\n2::9::5::20\n",
    "u.data": "2\t7\t3\t30\n1\t9\t4\t10\n2\t9\t5\t20\n",
}


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def pairs(interactions: Interactions) -> list[tuple[Any, Any]]:
    users = interactions.user_ids.ids[interactions.user_index]
    items = interactions.item_ids.ids[interactions.item_index]
    return list(zip(users.tolist(), items.tolist(), strict=True))


@pytest.mark.parametrize("name", FILES)
def test_every_text_format_gives_the_same_interactions(tmp_path: Path, name: str) -> None:
    found = read_interactions(write(tmp_path, name, FILES[name]), weight="rating")
    assert pairs(found) == [(1, 9), (2, 7), (2, 9)]
    assert found.weight is not None
    assert found.timestamp is not None
    assert found.weight.tolist() == [4, 3, 5]
    assert found.timestamp.tolist() == [10, 30, 20]


def test_parquet_gives_the_same_interactions(tmp_path: Path) -> None:
    pa.parquet.write_table(pa.table(ROWS), tmp_path / "events.parquet")
    found = read_interactions(tmp_path / "events.parquet", weight="rating")
    assert pairs(found) == [(1, 9), (2, 7), (2, 9)]
    assert found.weight is not None
    assert found.weight.tolist() == [4, 3, 5]


def test_adjacency_text_is_a_user_and_its_items_on_each_line(tmp_path: Path) -> None:
    found = read_interactions(write(tmp_path, "train.txt", "2 7 9 7\n5\n\n1 9 \r\n2 8"))
    assert pairs(found) == [(1, 9), (2, 7), (2, 8), (2, 9)]
    assert found.n_merged == 1


adjacency_lines = st.lists(st.lists(st.integers(0, 10**18 - 1), max_size=5), min_size=1, max_size=8)


@given(lines=adjacency_lines, separator=st.sampled_from([" ", "  ", "\t"]))
def test_adjacency_text_reads_like_a_loop_over_its_lines(
    tmp_path_factory: pytest.TempPathFactory, lines: list[list[int]], separator: str
) -> None:
    expected = sorted({(line[0], item) for line in lines for item in line[1:]})
    path = tmp_path_factory.mktemp("adjacency") / "train.txt"
    path.write_text("\n".join(separator.join(map(str, line)) for line in lines) + "\n")
    if expected:
        assert pairs(read_interactions(path)) == expected
    else:
        with pytest.raises(DataError, match="the file holds no rows"):
            read_interactions(path)


text_ids = st.text(st.characters(codec="utf-8", exclude_characters='\r\n"\x00'), min_size=1, max_size=6)


@given(rows=st.lists(st.tuples(text_ids, text_ids), min_size=1, max_size=10))
def test_text_ids_survive_a_csv_file(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("csv") / "events.csv"
    with path.open("w", newline="") as file:
        file.write("user_id,item_id\n")
        file.writelines(f'"u{user}","i{item}"\n' for user, item in rows)
    assert set(pairs(read_interactions(path))) == {(f"u{user}", f"i{item}") for user, item in rows}


def test_ids_with_leading_zeros_stay_text(tmp_path: Path) -> None:
    path = write(tmp_path, "events.csv", "user_id,item_id\n007,1\n7,2\n")
    found = read_interactions(path)
    assert found.user_ids.ids.tolist() == ["007", "7"]
    assert found.item_ids.ids.tolist() == [1, 2]


def test_a_file_aligned_to_text_ids_is_read_as_text(tmp_path: Path) -> None:
    path = write(tmp_path, "test.csv", "user_id,item_id\n7,1\n")
    found = read_interactions(path, user_ids=IdMap(["7", "x"]), item_ids=IdMap([1, 2]))
    assert pairs(found) == [("7", 1)]


def test_only_the_columns_in_use_must_be_right(tmp_path: Path) -> None:
    path = write(tmp_path, "events.csv", "user_id,item_id,rating\n1,1,good\n2,1,\n")
    assert len(read_interactions(path)) == 2
    with pytest.raises(DataError, match=r"line 2: rating must be a number, got 'good'"):
        read_interactions(path, weight="rating")


def test_times_may_be_written_as_iso_8601(tmp_path: Path) -> None:
    path = write(
        tmp_path, "e.csv", "user_id,item_id,time\n1,1,1970-01-01T00:00:01\n1,2,1970-01-01 00:00:02\n"
    )
    with pytest.warns(
        DataWarning, match="time has no time zone in 2 of 2 rows, as '1970-01-01T00:00:01'; they"
    ):
        found = read_interactions(path)
    assert found.timestamp is not None
    assert found.timestamp.tolist() == [1_000_000, 2_000_000]


def test_incomplete_times_are_left_out_unless_they_were_requested(tmp_path: Path) -> None:
    path = write(tmp_path, "events.csv", "user_id,item_id,timestamp\n1,1,5\n2,1,\n")
    with pytest.warns(DataWarning, match="timestamp is empty in 1 of 2 rows; times are left out"):
        assert read_interactions(path).timestamp is None
    with pytest.raises(DataError, match=r"events.csv, line 3: timestamp is empty"):
        read_interactions(path, timestamp="timestamp")


BAD_LINES: dict[str, tuple[str, str, str]] = {
    "an empty item": ("e.csv", "user_id,item_id\n1,2\n3,\n", ", line 3: item_id is empty"),
    "an empty user after a blank line": (
        "e.csv",
        "user_id,item_id\n\n1,2\n,3\n",
        ", line 4: user_id is empty",
    ),
    "an empty item where lines end with CR": (
        "e.csv",
        "user_id,item_id\r1,2\r3,\r",
        ", line 3: item_id is empty",
    ),
    "a field too few": (
        "e.csv",
        "user_id,item_id\n1,2\n3\n",
        ", line 3: must have 2 fields ('user_id', 'item_id'), got 1",
    ),
    "a field too many": (
        "e.tsv",
        "user_id\titem_id\n1\t2\t3\n",
        ", line 2: must have 2 fields ('user_id', 'item_id'), got 3",
    ),
    "a MovieLens line cut short": (
        "r.dat",
        "1::2::3::4\n1::2::3\n",
        ", line 2: must have 4 fields ('user_id', 'item_id', 'rating', 'timestamp'), got 3",
    ),
    "a NaN weight": (
        "e.csv",
        "user_id,item_id,weight\n1,2,1\n1,3,nan\n",
        ", line 3: weight must be finite and > 0, got nan",
    ),
    "a weight of zero": (
        "e.csv",
        "user_id,item_id,weight\n1,2,0\n",
        ", line 2: weight must be finite and > 0, got 0",
    ),
    "a weight beyond float32": (
        "e.csv",
        "user_id,item_id,weight\n1,2,1e300\n",
        ", line 2: weight must be finite and > 0, got 1e+300",
    ),
    "a weight that is text": (
        "e.csv",
        "user_id,item_id,weight\n1,2,1\n1,3,much\n1,4,more\n",
        ", line 3: weight must be a number, got 'much'",
    ),
    "a negative timestamp": (
        "e.csv",
        "user_id,item_id,timestamp\n1,2,-5\n",
        ", line 2: timestamp must be >= 0, got -5",
    ),
    "a timestamp too large": (
        "e.csv",
        "user_id,item_id,timestamp\n1,2,1e30\n",
        ", line 2: timestamp must be a number below 2**63, got 1e+30",
    ),
    "a timestamp that is text": (
        "e.csv",
        "user_id,item_id,timestamp\n1,2,5\n1,3,soon\n",
        ", line 3: timestamp must be a number or an ISO 8601 time, got 'soon'",
    ),
    "a missing column": (
        "e.csv",
        "customer,item_id\n1,2\n",
        ": column 'user_id' is missing, found 'customer', 'item_id'; name the column with user=",
    ),
    "a column twice": (
        "e.csv",
        "user_id,item_id,user_id\n1,2,3\n",
        ", line 1: a column name must come once, got 'user_id' twice",
    ),
    "a header alone": ("e.csv", "user_id,item_id\n", ": the file holds no rows"),
    "blank lines alone": ("e.csv", "\n\n", ": the file holds no rows"),
    "nothing at all": ("e.csv", "", ": the file is empty"),
    "a header without types": (
        "e.inter",
        "user_id\titem_id\n1\t2\n",
        ", line 1: a RecBole header names types, as user_id:token, got 'user_id'",
    ),
    "text in an adjacency file": (
        "train.txt",
        "1 2\n1 x9\n",
        ", line 2: an adjacency file holds whole numbers of at most 18 digits, got 'x9'; "
        "name the format with format= if it is another one",
    ),
    "a number too long in an adjacency file": (
        "train.txt",
        "1 2\n1 1234567890123456789\n",
        ", line 2: an adjacency file holds whole numbers of at most 18 digits, got '1234567890123456789'; "
        "name the format with format= if it is another one",
    ),
    "users without items": ("train.txt", "1\n2\n", ": the file holds no rows"),
    "no parquet": (
        "e.parquet",
        "user_id,item_id\n",
        ": not a readable parquet file, it is damaged or of another format",
    ),
    "a suffix that says nothing": (
        "events.log",
        "1 2\n",
        ": the format does not follow from the suffix '.log'; name one of 'parquet', 'csv', 'tsv', "
        "'jsonl', 'arrow', 'recbole', 'movielens', 'adjacency' with format=",
    ),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_what_is_wrong_is_said_in_one_sentence_with_its_line(tmp_path: Path, case: str) -> None:
    name, content, message = BAD_LINES[case]
    path = write(tmp_path, name, content)
    with pytest.raises(DataError) as caught:
        read_interactions(path)
    assert str(caught.value) == f"{path}{message}"


def test_bytes_that_are_no_text_are_named_by_line(tmp_path: Path) -> None:
    path = write(tmp_path, "e.csv", b"user_id,item_id\n1,2\n\xff\xfe,3\n")
    with pytest.raises(DataError) as caught:
        read_interactions(path)
    assert str(caught.value) == f"{path}, line 3: must be UTF-8 text"


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.csv: cannot be read, No such file or directory"):
        read_interactions(tmp_path / "gone.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match=r"folder\.csv: the folder holds no files"):
        read_interactions(tmp_path / "folder.csv")


def test_a_format_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="format must be one of 'parquet', 'csv'"):
        read_interactions(write(tmp_path, "e.csv", "user_id,item_id\n1,2\n"), format="excel")


def test_a_row_of_a_parquet_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    pa.parquet.write_table(pa.table({"user_id": ["a", None], "item_id": [1, 2]}), path)
    with pytest.raises(DataError) as caught:
        read_interactions(path)
    assert str(caught.value) == f"{path}, row 2: user_id is empty"


def test_unknown_ids_and_ids_of_another_type_name_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "test.csv", "user_id,item_id\nu1,1\nu7,1\n")
    known = {"user_ids": IdMap(["u1"]), "item_ids": IdMap([1])}
    with pytest.raises(UnknownIdError) as caught:
        read_interactions(path, **known)
    assert str(caught.value) == (
        f"{path}: 1 of 2 user ids are not in the training data: 'u7'; "
        'pass on_unknown="skip" to leave them out'
    )
    with pytest.warns(DataWarning, match="1 of 2 rows"):
        assert len(read_interactions(path, **known, on_unknown="skip")) == 1
    with pytest.raises(DataError) as wrong:
        read_interactions(path, user_ids=IdMap([1, 2]), item_ids=IdMap([1]), on_unknown="skip")
    assert str(wrong.value) == f"{path}, line 2: user ids of this data are integers, got 'u1' of type str"


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_parquet_file_is_damaged(tmp_path: Path, part: float) -> None:
    path = tmp_path / "e.parquet"
    pa.parquet.write_table(pa.table(ROWS), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(DataError, match="not a readable parquet file, it is damaged or of another format"):
        read_interactions(path)


def test_a_changed_byte_in_the_pages_of_a_checked_parquet_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    table = pa.table({"user_id": list(range(500)), "item_id": list(range(500))})
    pa.parquet.write_table(table, path, write_page_checksum=True, compression="none", use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[content.index((123).to_bytes(8, "little") + (124).to_bytes(8, "little"))] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a readable parquet file"):
        read_interactions(path)


def test_a_table_of_features_gets_its_types(tmp_path: Path) -> None:
    path = write(tmp_path, "items.csv", "item_id,zip,price,title\n1,01234,2.5,A\n2,9,,\n")
    table = read_table(path)
    assert table.to_pydict() == {
        "item_id": [1, 2],
        "zip": ["01234", "9"],
        "price": [2.5, None],
        "title": ["A", None],
    }
