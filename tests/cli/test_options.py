"""What is typed on a command line: ids, lists, seeds; and the sentences that come back in its own words."""

from __future__ import annotations

import datetime

import pytest

from hashgnn.cli._group import as_options
from hashgnn.cli._option_values import comma_list, id_lines
from hashgnn.cli._reading import listed_ids, typed_ids
from hashgnn.cli.benchmark.quality import _seeds
from hashgnn.data import IdMap
from hashgnn.errors import ParameterError


def test_text_becomes_integers_where_the_ids_are_integers() -> None:
    assert typed_ids("user", ["7", "-12"], IdMap([7, 8])) == [7, -12]


def test_text_stays_text_where_the_ids_are_text() -> None:
    assert typed_ids("user", ["7", "007"], IdMap(["7", "007"])) == ["7", "007"]


def test_text_for_integer_ids_is_refused() -> None:
    with pytest.raises(ParameterError, match="^item ids of this model are integers, got 'i7'$"):
        typed_ids("item", ["3", "i7"], IdMap([3]))


def test_other_ids_are_read_from_how_they_print() -> None:
    days = IdMap([datetime.date(2026, 11, 23)])
    assert typed_ids("item", ["2026-11-23", "2026-11-24"], days) == [
        datetime.date(2026, 11, 23),
        datetime.date(2026, 11, 24),
    ]
    with pytest.raises(ParameterError, match=r"^item ids of this model are dates \(as text: .*\), got 'x'$"):
        typed_ids("item", ["2026-11-23", "x"], days)


@pytest.mark.parametrize("text", ["", "1,2", '["a",1', "[1],", "x"])
def test_a_list_of_tuples_is_json(text: str) -> None:
    with pytest.raises(
        ParameterError, match="^(--allow must be JSON lists|item ids of this model are tuples)"
    ):
        listed_ids("item", "--allow", text, None, IdMap([("a", 1)]))


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
        (b"\xff\xfe\x00", "must be a text file in UTF-8 with one id per line"),
        (None, "cannot be read, No such file or directory"),
    ],
)
def test_a_bad_file_of_ids_is_refused(tmp_path, content: bytes | None, sentence: str) -> None:
    path = tmp_path / "users.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ParameterError, match=f"^{path}: {sentence}$"):
        id_lines(path)


def test_ids_of_an_option_and_of_its_file_are_added_up(tmp_path) -> None:
    path = tmp_path / "items.txt"
    path.write_text("8\n9\n")
    known = IdMap([7, 8, 9])
    assert listed_ids("item", "--allow", "7", path, known) == [7, 8, 9]
    assert listed_ids("item", "--allow", None, path, known) == [8, 9]
    assert listed_ids("item", "--allow", "7", None, known) == [7]
    assert listed_ids("item", "--allow", None, None, known) is None


def test_a_number_of_seeds_and_a_list_of_seeds_are_two_options() -> None:
    assert _seeds("2", None) == [0, 1]
    assert _seeds("3", "2") == [2]
    assert _seeds("3", "2,5") == [2, 5]


@pytest.mark.parametrize("text", ["2,", "2,5", "0", "-1", "two", ""])
def test_a_number_of_seeds_is_one_number(text: str) -> None:
    with pytest.raises(
        ParameterError,
        match="^--seeds must be a number of seeds >= 1, .*; name single seeds with --seed-list 4,7$",
    ):
        _seeds(text, None)


@pytest.mark.parametrize(
    ("sentence", "written"),
    [
        ('9 is unknown; pass on_unknown="skip"', "9 is unknown; pass --on-unknown skip"),
        ("remove them, or pass another on_unknown", "remove them, or pass another --on-unknown"),
        ("v1: exists; pass overwrite=True to replace it", "v1: exists; pass --overwrite to replace it"),
        ("name the column with timestamp=", "name the column with --time"),
        ("pass it or use recommend_for_history", "pass it or use --history"),
        # No option of the command, no argument, or part of a path or of what was typed.
        ('9 is unknown; pass n_threads="all"', '9 is unknown; pass n_threads="all"'),
        ("choose another folder", "choose another folder"),
        ("data/time=7/overwrite=True: is a folder", "data/time=7/overwrite=True: is a folder"),
        ("a setting must be written key=value, got 'overwrite=True'", None),
    ],
)
def test_arguments_in_a_sentence_are_written_as_options_of_the_command(
    sentence: str, written: str | None
) -> None:
    options = {"--on-unknown", "--overwrite", "--time", "--history"}
    assert as_options(sentence, options) == (written or sentence)
    assert as_options(sentence, {"--k"}) == sentence
