from __future__ import annotations

import numpy as np
import pytest

from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ParameterError
from hashgnn.index import CandidateFilter, HammingIndex, TorchHammingIndex, torch_hamming
from hashgnn.ranking import IndexLists
from hashgnn.testing.index_cases import assert_same
from hashgnn.testing.index_reference import reference_search

torch = pytest.importorskip("torch")

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("n_bits", [8, 128, 1024])
def test_answers_equal_the_reference(device: str, n_bits: int) -> None:
    rng = np.random.default_rng(0)
    codes = BinaryCodes(rng.integers(0, 256, (700, n_bits // 8), np.uint8))
    queries = BinaryCodes(rng.integers(0, 256, (9, n_bits // 8), np.uint8))
    bias = ItemBias(rng.integers(0, 256, 700).astype(np.uint8), 3.0)
    few = CandidateFilter(allow_all=rng.random(700) < 0.05)
    index = TorchHammingIndex(codes, bias, device=device)
    for candidates in (None, few):
        found = index.search(queries, 100, candidates=candidates)
        assert_same(found, reference_search(codes, queries, 100, item_bias=bias, candidates=candidates))
        plain = index.search(queries, 100, biased=False, candidates=candidates)
        assert_same(plain, reference_search(codes, queries, 100, candidates=candidates))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("packed", [False, True])
def test_tiles_blocks_and_groups_change_nothing(device: str, packed: bool) -> None:
    rng = np.random.default_rng(0)
    # Few patterns: most distances tie, within groups and across them, blocks and tiles.
    codes = BinaryCodes(rng.integers(0, 256, (30, 16), np.uint8)[rng.integers(0, 30, 9000)])
    queries = BinaryCodes(rng.integers(0, 256, (20, 16), np.uint8))
    bias = ItemBias(rng.integers(0, 4, 9000).astype(np.uint8), 0.0)
    lists = [rng.integers(0, 9000, 500) for _ in range(20)]
    filters = (
        CandidateFilter.from_lists(block_per_query=lists),
        CandidateFilter.from_lists(allow_per_query=lists),
    )
    index = TorchHammingIndex(
        codes, bias, device=device, packed=packed, codes_per_tile=2048, queries_per_block=7
    )
    for k in (1, 30, 3000, 9000):
        for candidates in (None, *filters):
            found = index.search(queries, k, candidates=candidates)
            assert_same(found, reference_search(codes, queries, k, item_bias=bias, candidates=candidates))


@pytest.mark.parametrize("k", [1, 10, 100, 1000])
def test_a_group_is_near_the_size_with_the_smallest_sort(k: int) -> None:
    n = 1_000_000
    sorted_codes = {2**i: n / 2**i + k * 2**i for i in range(3, 11)}
    size = torch_hamming._group_size(n, k)
    assert sorted_codes[size] <= 1.1 * min(sorted_codes.values())


def test_packed_codes_take_one_bit_for_a_bit() -> None:
    codes = BinaryCodes(np.zeros((2048, 16), np.uint8))
    kept = [TorchHammingIndex(codes, device="cpu", packed=packed).nbytes for packed in (True, False)]
    assert kept == [2048 * 16, 2048 * 128 * 4]


def test_lists_of_the_wrong_shape_are_one_sentence() -> None:
    index = TorchHammingIndex(BinaryCodes(np.zeros((9, 1), np.uint8)), device="cpu")
    queries = BinaryCodes(np.zeros((2, 1), np.uint8))
    indices = np.array([1, 2], np.int32)
    for indptr, sentence in (
        ([0, 1, 3], "block_per_query must have an indptr from 0 to its number of entries, 2"),
        ([0, 3, 2], "block_per_query must have an indptr that never falls, it does at 1"),
    ):
        wrong = CandidateFilter(block_per_query=IndexLists(np.array(indptr), indices))
        with pytest.raises(ParameterError, match=sentence):
            index.search(queries, 1, candidates=wrong)
        with pytest.raises(ParameterError, match=sentence):
            HammingIndex(BinaryCodes(np.zeros((9, 1), np.uint8))).search(queries, 1, candidates=wrong)


def test_a_missing_device_is_named() -> None:
    with pytest.raises(ParameterError, match="device must be one that torch has here, got 'abacus'"):
        TorchHammingIndex(BinaryCodes(np.zeros((3, 1), np.uint8)), device="abacus")
