from __future__ import annotations

import numpy as np
import pytest

from hashgnn._checks import check_choice, check_float, check_int, check_matrix, check_threads, quote_some
from hashgnn.errors import ParameterError
from hashgnn.runs import RunOptions


@pytest.mark.parametrize(
    ("rule", "value", "message"),
    [
        ({"minimum": 1}, 0, "k must be an integer >= 1, got 0"),
        ({"minimum": 8, "multiple_of": 8}, 100, "k must be a positive multiple of 8, got 100"),
        ({"minimum": 8, "multiple_of": 8}, 0, "k must be a positive multiple of 8, got 0"),
        ({"minimum": 1, "maximum": 5}, 9, "k must be at most 5, got 9"),
        ({"minimum": 1}, 1.5, "k must be an integer, got 1.5"),
        ({}, True, "k must be an integer, got True"),
        ({"minimum": 16, "multiple_of": 8}, 8, "k must be a multiple of 8 >= 16, got 8"),
    ],
)
def test_an_integer_that_breaks_its_rule_is_named(rule: dict[str, int], value: object, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        check_int("k", value, **rule)
    assert str(caught.value) == message


@pytest.mark.parametrize("value", [np.int8(3), np.uint64(3), 3])
def test_an_integer_of_any_kind_becomes_a_python_int(value: object) -> None:
    assert type(check_int("k", value)) is int


@pytest.mark.parametrize("value", [1025, 100_000, 2**63])
def test_more_threads_than_a_machine_can_start_are_refused(value: int) -> None:
    assert check_threads(1024) == 1024
    with pytest.raises(ParameterError, match=f"n_threads must be at most 1024, got {value}"):
        check_threads(value)
    with pytest.raises(ParameterError, match="n_threads must be at most 1024"):
        RunOptions(n_threads=value)


@pytest.mark.parametrize("value", [0.0, 1.5, float("nan"), float("inf"), "0.5", None, True])
def test_a_float_outside_its_range_is_named(value: object) -> None:
    with pytest.raises(ParameterError, match=r"share must be a finite number > 0 and <= 1, got"):
        check_float("share", value, minimum=0, maximum=1, open_minimum=True)


def test_a_choice_lists_the_options() -> None:
    with pytest.raises(ParameterError) as caught:
        check_choice("search", "hash", ["hamming", "float"])
    assert str(caught.value) == "search must be one of 'hamming', 'float', got 'hash'"


def test_a_matrix_is_not_cast_from_another_kind_and_must_be_finite() -> None:
    with pytest.raises(ParameterError, match="codes must have dtype uint8, got int64"):
        check_matrix("codes", np.zeros((2, 2), np.int64), dtype=np.uint8)
    with pytest.raises(ParameterError, match=r"x must have shape \(n, 3\), got \(2, 2\)"):
        check_matrix("x", np.zeros((2, 2)), dtype=np.float32, n_columns=3)
    with pytest.raises(ParameterError, match="x must be finite, got 1 NaN or infinity"):
        check_matrix("x", np.array([[np.nan, 1.0]]), dtype=np.float32)
    result = check_matrix("x", np.ones((3, 2)).T, dtype=np.float32)
    assert result.flags.c_contiguous
    assert result.dtype == np.float32


def test_a_long_list_is_cut_and_counted() -> None:
    assert quote_some(list("abcdefg")) == "'a', 'b', 'c', 'd', 'e' and 2 more"
