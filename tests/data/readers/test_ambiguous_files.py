"""Files that could be read in two ways: read rightly, or refused, but never guessed."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from hashgnn.data import Interactions, read_interactions
from hashgnn.errors import DataError


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_adjacency_lines_end_as_on_any_system(tmp_path: Path, end: str) -> None:
    path = tmp_path / "train.txt"
    path.write_bytes(end.join(["1 2 3", "4 5", ""]).encode())
    found = read_interactions(path)
    assert found.user_ids.ids.tolist() == [1, 4]
    assert found.csr.toarray().tolist() == [[1, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_line_of_a_bad_number_is_counted_for_any_line_end(tmp_path: Path, end: str) -> None:
    path = tmp_path / "train.txt"
    path.write_bytes(end.join(["1 2 3", "", "4 five"]).encode())
    with pytest.raises(DataError, match=r"line 3: .* got 'five'"):
        read_interactions(path)


def test_two_columns_of_one_name_in_a_parquet_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    columns = [pa.array([1]), pa.array([2]), pa.array([3])]
    pa.parquet.write_table(pa.Table.from_arrays(columns, ["user_id", "item_id", "user_id"]), path)
    with pytest.raises(DataError) as caught:
        read_interactions(path)
    assert str(caught.value) == f"{path}: a column name must come once, got 'user_id' twice"


def test_one_column_for_two_roles_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    path.write_text("user_id,item_id\n1,2\n")
    with pytest.raises(DataError) as caught:
        read_interactions(path, user="item_id")
    assert str(caught.value) == f"{path}: user and item must be different columns, got 'item_id' for both"
    with pytest.raises(DataError) as caught:
        Interactions.from_frame(pa.table({"user_id": [1], "item_id": [2]}), weight="item_id")
    assert str(caught.value) == "item and weight must be different columns, got 'item_id' for both"


def test_a_weight_that_nobody_named_gives_way_to_an_id() -> None:
    found = Interactions.from_frame(pa.table({"user_id": [1], "weight": [5]}), item="weight")
    assert found.item_ids.ids.tolist() == [5]
    assert found.weight is None


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_quote_without_an_end_does_not_swallow_the_rows_behind_it(tmp_path: Path, end: str) -> None:
    path = tmp_path / "e.csv"
    path.write_bytes(end.join(["user_id,item_id,title", "1,2,a", '3,4,"b', "5,6,c", ""]).encode())
    with pytest.raises(DataError) as caught:
        read_interactions(path)
    assert str(caught.value) == f"{path}, line 3: a quoted field has no end"


def test_a_quote_without_an_end_in_a_long_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    path.write_text('user_id,item_id\n1,2\n3,"4\n' + "5,6\n" * 50_000)
    with pytest.raises(DataError) as caught:
        read_interactions(path)
    assert str(caught.value) == (
        f"{path}, line 3: a field must have at most 131072 characters; a quote before it may have no end"
    )


def test_a_quote_inside_a_field_is_a_character(tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    path.write_text('user_id,item_id,title\n1,5" disk,x\n3,4,y\n')
    assert read_interactions(path).item_ids.ids.tolist() == ["4", '5" disk']


def test_quoted_fields_may_go_over_lines_anywhere_in_a_long_file(tmp_path: Path) -> None:
    n_rows = 60_000  # more than one block of the parser
    path = tmp_path / "e.csv"
    rows = (f'{row % 7},{row},"a long title\nover, two ""lines"""\n' for row in range(n_rows))
    path.write_text("user_id,item_id,title\n" + "".join(rows))
    assert path.stat().st_size > 2 * 2**20
    found = read_interactions(path)
    assert (found.n_users, found.n_items, len(found)) == (7, n_rows, n_rows)


@pytest.mark.parametrize(
    ("last", "message"),
    [
        ("5,,x", ", line 7: item_id is empty"),
        ("5", ", line 7: must have 3 fields ('user_id', 'item_id', 'title'), got 1"),
    ],
)
def test_lines_are_counted_through_quoted_fields_and_blank_lines(
    tmp_path: Path, last: str, message: str
) -> None:
    path = tmp_path / "e.csv"
    path.write_text(f'user_id,item_id,title\n1,2,"a\n\nb"\n\n3,4,"c"\n{last}\n')
    with pytest.raises(DataError) as caught:
        read_interactions(path)
    assert str(caught.value) == f"{path}{message}"
