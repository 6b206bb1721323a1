from __future__ import annotations

import datetime

import pytest

from hashgnn.cli._ids import typed_ids
from hashgnn.cli._options import comma_list, id_lines
from hashgnn.data import IdMap
from hashgnn.errors import ParameterError


def test_text_becomes_integers_where_the_ids_are_integers() -> None:
    assert typed_ids("user", ["7", "-12"], IdMap([7, 8])) == [7, -12]


def test_text_stays_text_where_the_ids_are_text() -> None:
    assert typed_ids("user", ["7", "007"], IdMap(["7", "007"])) == ["7", "007"]


def test_text_for_integer_ids_is_refused() -> None:
    with pytest.raises(ParameterError, match="^item ids of this model are integers, got 'i7'$"):
        typed_ids("item", ["3", "i7"], IdMap([3]))


def test_other_ids_are_found_by_how_they_print() -> None:
    day = datetime.date(2026, 11, 23)
    assert typed_ids("item", ["2026-11-23", "x"], IdMap([day])) == [day, "x"]


def test_ids_with_commas_are_quoted() -> None:
    assert comma_list("--users", 'u1,"a, b" , u2') == ["u1", "a, b", "u2"]


@pytest.mark.parametrize("text", ["", ",", "a,,b", "a,"])
def test_empty_entries_are_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="^--users must be a list like a,b,c without empty entries"):
        comma_list("--users", text)


def test_a_file_of_ids_is_read_without_its_empty_lines(tmp_path) -> None:
    path = tmp_path / "users.txt"
    path.write_bytes("\ufeffu1\r\n\r\n u,2 \n".encode())
    assert id_lines(path) == ["u1", "u,2"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\n\n", "holds no id"),
        (b"\xff\xfe\x00", "must be a text file in UTF-8 with one id a line"),
        (None, "cannot be read, No such file or directory"),
    ],
)
def test_a_bad_file_of_ids_is_refused(tmp_path, content: bytes | None, sentence: str) -> None:
    path = tmp_path / "users.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ParameterError, match=f"^{path}: {sentence}$"):
        id_lines(path)
