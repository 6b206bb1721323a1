"""The search ways of a coded model, worked by hand: one user, four items, two of eight bits that matter."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from hashgnn._types import Array
from hashgnn.benchmarking.quality._coded_model import CodedModel
from hashgnn.benchmarking.quality.quantisers import QuantisedItems
from hashgnn.codes import BinaryCodes

SIGNS = np.ones((4, 8))
SIGNS[1, 0] = SIGNS[2, :2] = SIGNS[3, :3] = -1
USERS = np.array([[1.0, 0.0]], np.float32)
ITEMS = np.array([[0.1, 0.0], [0.2, 0.0], [0.9, 0.0], [0.5, 0.0]], np.float32)
ONE = np.array([0])


class Reversed(QuantisedItems):
    """Stands for the items in the wrong order."""

    @property
    def bytes_per_item(self) -> float:
        return 1.0

    def scores(self, queries: Array) -> Array:
        result: Array = queries @ ITEMS[::-1].T
        return result


def model(**more: object) -> CodedModel:
    seen = sp.csr_matrix(([1.0], ([0], [1])), shape=(1, 4))
    parts = {
        "queries": np.full((1, 8), 0.5, np.float32),
        "user_codes": BinaryCodes.from_signs(np.ones((1, 8))),
        "item_codes": BinaryCodes.from_signs(SIGNS),
    }
    return CodedModel(seen, USERS, ITEMS, code_bytes=1, **{**parts, **more})  # type: ignore[arg-type]


def test_hamming_and_asymmetric_scores_are_inner_products_of_signs() -> None:
    hamming = model().score_block(ONE, "hamming", 2, oversampling=1)
    asymmetric = model().score_block(ONE, "asymmetric", 2, oversampling=1)
    assert hamming.tolist() == [[8, 6, 4, 2]]
    assert asymmetric.tolist() == [[4, 3, 2, 1]]


def test_hierarchical_reranks_the_nearest_unseen_items_by_floats() -> None:
    found = model().score_block(ONE, "hierarchical", 1, oversampling=2)
    # Item 1 is seen, so items 0 and 2 are the two candidates.
    np.testing.assert_array_equal(found, np.array([[0.1, -np.inf, 0.9, -np.inf]], np.float32))


def test_what_is_not_bits_is_scored_by_what_its_bytes_stand_for() -> None:
    quantised = model(quantised=Reversed(), queries=USERS, user_codes=None, item_codes=None)
    assert quantised.search_ways == ("asymmetric", "hierarchical", "float")
    found = quantised.score_block(ONE, "asymmetric", 2, oversampling=1)
    np.testing.assert_array_equal(found, np.array([[0.5, 0.9, 0.2, 0.1]], np.float32))


def test_bytes_are_those_of_the_code_and_of_the_floats_that_are_read() -> None:
    sizes = {way: model().bytes_per_item(way) for way in model().search_ways}
    assert sizes == {"hamming": 1, "asymmetric": 1, "hierarchical": 9, "float": 8}
