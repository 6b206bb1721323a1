"""Every index passes the contract suite."""

from __future__ import annotations

import numpy as np
import pytest

from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.index import (
    CandidateIndex,
    EmbeddedCodes,
    FaissBinaryHNSW,
    HammingIndex,
    HierarchicalIndex,
    InvertedFile,
    MultiIndexHashing,
    RowQuantiser,
    TorchHammingIndex,
)
from hashgnn.testing.indexes import IndexContract


class TestHammingIndex(IndexContract):
    def build(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> CandidateIndex:
        return HammingIndex(codes, item_bias)


class TestMultiIndexHashing(IndexContract):
    def build(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> CandidateIndex:
        return MultiIndexHashing(codes, item_bias)


class TestInvertedFileThatLooksIntoAllLists(IndexContract):
    def build(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> CandidateIndex:
        n_lists = min(4, len(codes))
        return InvertedFile(codes, item_bias, n_lists=n_lists, n_probe=n_lists)


class TestInvertedFileThatLooksIntoOneList(TestInvertedFileThatLooksIntoAllLists):
    exact = False

    def build(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> CandidateIndex:
        return InvertedFile(codes, item_bias, n_lists=min(4, len(codes)), n_probe=1)


def with_bias(codes: BinaryCodes, item_bias: ItemBias | None) -> np.ndarray:
    """Return embeddings of items: the signs of their codes, and their bias as one more entry."""
    bias = np.zeros(len(codes), np.float32) if item_bias is None else item_bias.values()
    return np.column_stack([codes.signs().astype(np.float32), bias])


class TestHierarchicalIndex(IndexContract):
    """By inner product of these embeddings the score is that of a scan, bias included."""

    def build(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> CandidateIndex:
        return HierarchicalIndex(HammingIndex(codes, item_bias), with_bias(codes, item_bias))

    def queries(self, codes: BinaryCodes, *, biased: bool = True) -> EmbeddedCodes:
        signs = codes.signs().astype(np.float32)
        return EmbeddedCodes(codes, np.column_stack([signs, np.full(len(codes), biased, np.float32)]))

    def entries(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> EmbeddedCodes:
        return EmbeddedCodes(codes, with_bias(codes, item_bias))


class TestHierarchicalIndexOverAnInvertedFileThatLooksIntoAllLists(TestHierarchicalIndex):
    def build(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> CandidateIndex:
        n_lists = min(4, len(codes))
        lists = InvertedFile(codes, item_bias, n_lists=n_lists, n_probe=n_lists)
        return HierarchicalIndex(lists, with_bias(codes, item_bias))


class TestHierarchicalIndexOfRows(TestHierarchicalIndex):
    """Rows of 8 bits stand for the embeddings, nearly."""

    tolerance = 0.02

    def build(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> CandidateIndex:
        return self.over(HammingIndex(codes, item_bias), with_bias(codes, item_bias))

    def over(self, coarse: HammingIndex | InvertedFile, embeddings: np.ndarray) -> CandidateIndex:
        rows = RowQuantiser.fit(embeddings, bits=8)
        return HierarchicalIndex(coarse, embeddings, dtype=None, rows=rows)


class TestHierarchicalIndexOfRowsOverAnInvertedFileThatLooksIntoAllLists(TestHierarchicalIndexOfRows):
    def build(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> CandidateIndex:
        n_lists = min(4, len(codes))
        lists = InvertedFile(codes, item_bias, n_lists=n_lists, n_probe=n_lists)
        return self.over(lists, with_bias(codes, item_bias))


class TestHierarchicalIndexOfRowsAndFloats(TestHierarchicalIndexOfRows):
    """Floats rank the best by rows: scores are exact, and so is the order of all that rows let through."""

    tolerance = 1e-6

    def over(self, coarse: HammingIndex | InvertedFile, embeddings: np.ndarray) -> CandidateIndex:
        rows = RowQuantiser.fit(embeddings, bits=4)
        return HierarchicalIndex(coarse, embeddings, rows=rows)


class TestHierarchicalIndexWhoseRowsLetAllThrough(TestHierarchicalIndexOfRows):
    tolerance = 0.0

    def over(self, coarse: HammingIndex | InvertedFile, embeddings: np.ndarray) -> CandidateIndex:
        rows = RowQuantiser.fit(embeddings, bits=2)
        return HierarchicalIndex(coarse, embeddings, rows=rows, oversampling=1000, refined=1000)


class TestTorchHammingIndex(IndexContract):
    packed = False

    def build(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> CandidateIndex:
        torch = pytest.importorskip("torch")
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return TorchHammingIndex(codes, item_bias, device=device, packed=self.packed)


class TestTorchHammingIndexOfPackedCodes(TestTorchHammingIndex):
    packed = True


class TestFaissBinaryHNSW(IndexContract):
    exact = False

    def build(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> CandidateIndex:
        pytest.importorskip("faiss")
        return FaissBinaryHNSW(codes)
