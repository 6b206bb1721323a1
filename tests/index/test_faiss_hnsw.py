from __future__ import annotations

import numpy as np
import pytest

from hashgnn.codes import BinaryCodes
from hashgnn.errors import ParameterError
from hashgnn.index import CandidateFilter, FaissBinaryHNSW
from hashgnn.testing.index_reference import reference_search

pytest.importorskip("faiss")

CODES = BinaryCodes(np.random.default_rng(0).integers(0, 256, (800, 8), np.uint8))
QUERIES = BinaryCodes(np.random.default_rng(1).integers(0, 256, (5, 8), np.uint8))


def test_nearly_all_of_the_nearest_are_found_in_order() -> None:
    found = FaissBinaryHNSW(CODES, breadth=400).search(QUERIES, 20)
    exact = reference_search(CODES, QUERIES, 20)
    assert exact.distances is not None
    assert found.distances is not None
    assert (found.distances <= exact.distances[:, -1:]).mean() > 0.9
    assert (np.diff(found.distances * 800 + found.positions, axis=1) > 0).all()
    for row in range(5):
        distances = QUERIES[row : row + 1].distances(CODES[found.positions[row]])[0]
        np.testing.assert_array_equal(found.distances[row], distances)


def test_filters_are_refused() -> None:
    with pytest.raises(ParameterError, match="candidates must be None for a FaissBinaryHNSW"):
        FaissBinaryHNSW(CODES[:50]).search(QUERIES, 5, candidates=CandidateFilter())
