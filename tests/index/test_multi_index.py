from __future__ import annotations

import numpy as np
from hypothesis import given, settings

from hashgnn.codes import BinaryCodes
from hashgnn.index import MultiIndexHashing
from hashgnn.testing.index_cases import Case, assert_same, cases
from hashgnn.testing.index_reference import reference_asymmetric, reference_search


@settings(max_examples=80, deadline=None)
@given(cases())
def test_multi_index_hashing_equals_the_reference(case: Case) -> None:
    index = MultiIndexHashing(case.codes, case.bias)
    found = index.search(case.queries, case.k, candidates=case.filter, n_threads=case.n_threads)
    assert_same(
        found, reference_search(case.codes, case.queries, case.k, item_bias=case.bias, candidates=case.filter)
    )
    floats = index.search(case.floats, case.k, candidates=case.filter)
    expected = reference_asymmetric(
        case.codes, case.floats, case.k, item_bias=case.bias, candidates=case.filter
    )
    assert_same(floats, expected)


def near_queries(codes: BinaryCodes, n: int) -> BinaryCodes:
    """Codes with three bits turned: their neighbours are found in the tables, without a scan."""
    packed = codes.packed[:n].copy()
    packed[:, 0] ^= 0b00010001
    packed[:, 5] ^= 1
    return BinaryCodes(packed)


def test_near_neighbours_among_many_codes_are_exact() -> None:
    rng = np.random.default_rng(0)
    codes = BinaryCodes(rng.integers(0, 256, (30_000, 8), np.uint8))
    queries = near_queries(codes, 20)
    assert_same(MultiIndexHashing(codes).search(queries, 1), reference_search(codes, queries, 1))


def test_changes_are_seen() -> None:
    rng = np.random.default_rng(1)
    codes = BinaryCodes(rng.integers(0, 256, (20_000, 8), np.uint8))
    more = BinaryCodes(rng.integers(0, 256, (50, 8), np.uint8))
    index = MultiIndexHashing(codes)
    index.add(more)
    index.update([3, 20_001], more[10:12])
    index.remove([4, 20_002])
    packed = np.concatenate([codes.packed, more.packed])
    packed[[3, 20_001]] = more.packed[10:12]
    alive = np.ones(20_050, bool)
    alive[[4, 20_002]] = False
    now = BinaryCodes(packed)
    queries = BinaryCodes(np.concatenate([near_queries(now, 6).packed, more.packed[:12]]))
    assert_same(index.search(queries, 2), reference_search(now, queries, 2, alive=alive))
