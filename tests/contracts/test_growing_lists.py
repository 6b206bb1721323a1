"""The contract of indexes over lists, of which a few later codes are enough to make them grow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.contracts.test_indexes import TestHierarchicalIndex as HierarchicalContract
from tests.contracts.test_indexes import with_bias

from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.index import CandidateIndex, HierarchicalIndex, InvertedFile
from hashgnn.index.stores import list_growth
from hashgnn.testing.indexes import IndexContract


@pytest.fixture(autouse=True, scope="module")
def lists_that_grow_at_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(list_growth, "WAITING", 3)
        patch.setattr(list_growth, "WAITING_PART", 1 << 30)
        yield


class TestInvertedFileThatGrows(IndexContract):
    def build(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> CandidateIndex:
        n_lists = min(4, len(codes))
        return InvertedFile(codes, item_bias, n_lists=n_lists, n_probe=n_lists)


class TestInvertedFileThatGrowsAndLooksIntoOneList(IndexContract):
    exact = False

    def build(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> CandidateIndex:
        return InvertedFile(codes, item_bias, n_lists=min(4, len(codes)), n_probe=1)


class TestHierarchicalIndexOverListsThatGrow(HierarchicalContract):
    def build(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> CandidateIndex:
        n_lists = min(4, len(codes))
        lists = InvertedFile(codes, item_bias, n_lists=n_lists, n_probe=n_lists)
        return HierarchicalIndex(lists, with_bias(codes, item_bias))
