"""What an evaluation found, as a person and a data frame see it; and metrics of one's own."""

from __future__ import annotations

import numpy as np
import pytest
from table_model import TableModel, matrix

from hashgnn.evaluation import CatalogueMetric, UserMetric, evaluate

TRAIN, TEST = matrix([[0], [0, 4], [1]], 5), matrix([[1, 4], [2], []], 5)
TABLE = np.array([[9, 5, 4, 3, 2], [9, 5, 4, 3, 8], [9, 1, 1, 1, 1]], np.float32)
TIED = np.array([[9, 1, 1, 1, 1], [9, 1, 1, 1, 8], [9, 1, 1, 1, 1]], np.float32)


def result(**settings):
    model = TableModel({"float": TABLE, "hamming": TIED})
    settings = {"metrics": ["recall@2", "coverage@2"], "n_timed": 0, "rng": 0, **settings}
    return evaluate(model, TRAIN, TEST, **settings)


def test_it_prints_as_a_table():
    assert str(result()).splitlines() == [
        "2 users, 5 items, every item ranked by its exact score, 95 % intervals over users",
        "search way                 recall@2  coverage@2  bytes per item  ms per query",
        "float       0.7500 [0.5000, 1.0000]      0.4000               8             –",
        "hamming     0.7500 [0.5000, 1.0000]      0.4000              16             –",
    ]


def test_it_says_when_lists_were_measured_as_served():
    printed = repr(result(served=True, n_bootstrap=0, n_timed=1))
    assert printed.splitlines()[0] == "2 users, 5 items, as served"
    assert not printed.endswith("–")


def test_a_notebook_shows_the_same_table():
    page = result(n_bootstrap=0)._repr_html_()
    assert "<caption>2 users, 5 items, every item ranked by its exact score</caption>" in page
    assert '<th scope="row">hamming</th><td>0.7500</td><td>0.4000</td><td>16</td><td>–</td>' in page


@pytest.mark.parametrize("backend", ["pandas", "pyarrow"])
def test_a_frame_has_a_row_for_each_way_and_metric(backend):
    frame = result().to_frame(backend)
    table = frame.to_pydict() if backend == "pyarrow" else frame.astype(object).to_dict("list")
    assert list(zip(table["search"], table["metric"], table["value"], strict=True)) == [
        ("float", "recall@2", 0.75),
        ("float", "coverage@2", 0.4),
        ("hamming", "recall@2", 0.75),
        ("hamming", "coverage@2", 0.4),
    ]
    assert table["expected"][2] == pytest.approx((2 / 4 + 2 / 3) / 2)
    assert (table["low"][0], table["high"][0]) == (0.5, 1.0)
    assert table["bytes_per_item"] == [8, 8, 16, 16]
    if backend == "pyarrow":
        assert table["expected"][1] is table["low"][1] is table["milliseconds_per_query"][0] is None


class Misses(UserMetric):
    name = "misses"

    def observed(self, judged):
        return (~judged.hits[:, : self.k]).sum(axis=1).astype(float)


class Most(CatalogueMetric):
    name = "most"

    def of_counts(self, counts):
        return float(counts.max())


def test_a_metric_of_ones_own_is_measured_like_the_others():
    found = result(metrics=[Misses(2), "recall@2", Most(1)])
    assert found.metrics["float"] == {"misses@2": 1.0, "recall@2": 0.75, "most@1": 2.0}
    assert found.per_user["float"]["misses@2"].tolist() == [1, 1]
    assert found.expected["float"].keys() == {"recall@2"}
    assert found.intervals["float"]["misses@2"] == (1.0, 1.0)
