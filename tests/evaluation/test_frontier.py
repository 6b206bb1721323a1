from __future__ import annotations

import json

import numpy as np
import pytest
from table_model import TableModel, matrix

from hashgnn.errors import ParameterError
from hashgnn.evaluation import evaluate
from hashgnn.evaluation.frontier import FrontierRow, frontier, frontier_rows, frontier_table


def row(name, size, wait, value, metric="recall@20"):
    return FrontierRow(name, "hamming", 64, size, wait, metric, value)


def test_the_frontier_holds_what_nothing_else_beats_everywhere():
    small, fast, good = row("small", 8, 2, 0.1), row("fast", 32, 1, 0.1), row("good", 32, 2, 0.2)
    beaten, twin = row("beaten", 32, 2, 0.1), row("twin", 8, 2, 0.1)
    rows = [beaten, good, twin, fast, small]
    assert {found.method for found in frontier(rows)} == {"small", "twin", "fast", "good"}
    assert [found.bytes_per_item for found in frontier(rows)] == [8, 8, 32, 32]
    table = json.loads(json.dumps(frontier_table(rows)))
    assert [line["method"] for line in table if not line["on_frontier"]] == ["beaten"]
    assert table[1] | {"on_frontier": None} == {**vars(good), "on_frontier": None}


def test_rows_come_from_a_result():
    model = TableModel({"hamming": np.eye(3, dtype=np.float32), "float": np.zeros((3, 3), np.float32)})
    train, test = matrix([[1], [2], [0]], 3), matrix([[0], [1], [2]], 3)
    result = evaluate(model, train, test, metrics=["recall@1"], rng=0)
    rows = frontier_rows(result, method="m", n_bits=8, metric="recall@1")
    assert [(found.search, found.value, found.bytes_per_item) for found in rows] == [
        ("hamming", 1.0, 8.0),
        ("float", pytest.approx(1 / 3), 16.0),
    ]
    assert [found.milliseconds_per_query for found in rows] == list(result.milliseconds_per_query.values())
    with pytest.raises(
        ParameterError, match="metric must be one that was evaluated, recall@1, got 'recall@20'"
    ):
        frontier_rows(result, method="m", n_bits=8)
    untimed = evaluate(model, train, test, metrics=["recall@1"], n_timed=0, rng=0)
    with pytest.raises(ParameterError, match="result must hold times, got none"):
        frontier_rows(untimed, method="m", n_bits=8, metric="recall@1")


def test_rows_of_two_metrics_are_not_compared():
    with pytest.raises(ParameterError, match="rows must be of one metric, got ndcg@20, recall@20"):
        frontier([row("a", 8, 1, 0.1), row("b", 8, 1, 0.1, metric="ndcg@20")])
