from __future__ import annotations

import numpy as np
import pytest

from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ParameterError
from hashgnn.index import CandidateFilter, TorchHammingIndex
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
    few = CandidateFilter(allowed=rng.random(700) < 0.05)
    index = TorchHammingIndex(codes, bias, device=device)
    for candidates in (None, few):
        found = index.search(queries, 100, candidates=candidates)
        assert_same(found, reference_search(codes, queries, 100, item_bias=bias, candidates=candidates))
        plain = index.search(queries, 100, biased=False, candidates=candidates)
        assert_same(plain, reference_search(codes, queries, 100, candidates=candidates))


def test_lists_are_refused() -> None:
    index = TorchHammingIndex(BinaryCodes(np.zeros((3, 1), np.uint8)), device="cpu")
    with pytest.raises(ParameterError, match="candidates must have no lists"):
        index.search(
            BinaryCodes(np.zeros((1, 1), np.uint8)), 1, candidates=CandidateFilter.from_lists(block=[[1]])
        )


def test_a_missing_device_is_named() -> None:
    with pytest.raises(ParameterError, match="device must be one that torch has here, got 'abacus'"):
        TorchHammingIndex(BinaryCodes(np.zeros((3, 1), np.uint8)), device="abacus")
