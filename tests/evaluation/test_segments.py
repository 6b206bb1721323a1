from __future__ import annotations

import numpy as np
import pytest
from table_model import TableModel, matrix

from hashgnn.errors import ParameterError
from hashgnn.evaluation import (
    column_segments,
    evaluate,
    history_segments,
    popularity_segments,
    segment_rows,
)


def of(segments):
    return {value: np.flatnonzero(mask).tolist() for value, mask in segments.members.items()}


def test_users_are_new_warm_or_heavy_by_their_training_items():
    lengths = [0, 1, 5, 6, 7, 8, 9, 10, 20, 30, 40]
    train = matrix([list(range(n)) for n in lengths], 50)
    assert of(history_segments(train)) == {"new": [0, 1, 2], "warm": [3, 4, 5, 6, 7, 8], "heavy": [9, 10]}


def test_users_of_one_length_are_of_one_segment():
    train = matrix([list(range(9))] * 10, 20)
    assert of(history_segments(train)) == {"new": [], "warm": list(range(10)), "heavy": []}


def test_items_are_head_or_tail():
    assert of(popularity_segments(np.array([1, 2, 3, 4, 5, 9, 7, 8, 6, 0]))) == {
        "head": [5, 7],
        "tail": [0, 1, 2, 3, 4, 6, 8, 9],
    }


def test_a_column_of_many_texts_keeps_the_most_frequent():
    texts = [f"t{n}" for n in range(20) for _ in range(n + 1)]
    found = of(column_segments("item", "brand", texts))
    assert len(found) == 12
    assert list(found)[-1] == "other"
    assert set(found) == {"other", *(f"t{n}" for n in range(9, 20))}
    assert len(found["other"]) == sum(range(1, 10))


def test_a_column_of_many_numbers_becomes_quarters():
    found = of(column_segments("item", "price", [float(n) for n in range(1, 21)] + [None]))
    assert [len(rows) for rows in found.values()] == [5, 5, 5, 5, 1]
    assert list(found)[-1] == "unknown"
    few = of(column_segments("item", "stars", [1, 2, 2, 5]))
    assert few == {"1": [0], "2": [1, 2], "5": [3]}


def result():
    table = np.tile(np.array([[9, 8, 7, 1, 0, 0]], np.float32), (4, 1))
    train, test = matrix([[0], [0], [], []], 6), matrix([[1, 5], [5], [0], [1]], 6)
    names = ["recall@2", "itemrecall@2"]
    return evaluate(TableModel({"a": table}), train, test, metrics=names, n_bootstrap=0, n_timed=0, rng=0)


def test_the_value_of_a_segment_is_that_of_its_users_alone():
    country = column_segments("user", "country", ["at", "at", "de", None])
    rows = segment_rows(result(), country, metric="recall@2", rng=0)
    assert [(row.value, row.n, row.mean) for row in rows] == [
        ("at", 2, 0.25),
        ("de", 1, 1),
        ("unknown", 1, 1),
    ]
    assert (rows[0].low, rows[0].high) == (0.0, 0.5)
    whole = sum(row.n * row.mean for row in rows) / 4
    assert whole == result().metrics["a"]["recall@2"]


def test_the_value_of_items_is_the_mean_over_those_that_were_held_out():
    colour = column_segments("item", "colour", ["red", "red", "red", "red", "red", "blue"])
    rows = segment_rows(result(), colour, metric="itemrecall@2")
    assert [(row.value, row.n, row.mean, row.low) for row in rows] == [
        ("blue", 1, 0, None),
        ("red", 2, 1, None),
    ]


def test_a_segment_without_users_is_left_out():
    rows = segment_rows(result(), history_segments(matrix([[0]] * 4, 6)), metric="recall@2", n_bootstrap=0)
    assert [(row.value, row.n) for row in rows] == [("new", 4)]


def test_a_metric_of_the_other_side_is_refused():
    with pytest.raises(ParameterError, match="a value for each user, recall@2, got 'itemrecall@2'"):
        segment_rows(result(), history_segments(matrix([[0]] * 4, 6)), metric="itemrecall@2")
