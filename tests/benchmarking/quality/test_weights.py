"""Methods are compared on pairs: weights, which not all of them know, are left out."""

from __future__ import annotations

from hashgnn.benchmarking.quality import DataSet
from hashgnn.data import Interactions


def test_a_data_set_has_no_weights() -> None:
    rated = Interactions.from_arrays([1, 2], [3, 4], event=["a", "b"], event_weights={"a": 1, "b": 5})
    found = DataSet("mine", rated, rated, "here")
    assert (found.train.weight, found.test.weight, found.train.weighting) == (None, None, None)
    assert rated.weight is not None
