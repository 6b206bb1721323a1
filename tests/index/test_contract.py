from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.index import (
    CandidateFilter,
    CandidateIndex,
    FaissBinaryHNSW,
    HammingIndex,
    HierarchicalIndex,
    InvertedFile,
    Matches,
    MultiIndexHashing,
    TorchHammingIndex,
)
from hashgnn.testing.indexes import IndexContract


class TestHammingIndex(IndexContract):
    def build(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> CandidateIndex:
        return HammingIndex(codes, item_bias)

    def load(self, path: Path) -> CandidateIndex:
        return HammingIndex.load(path)


class TestMultiIndexHashing(IndexContract):
    def build(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> CandidateIndex:
        return MultiIndexHashing(codes, item_bias)

    def load(self, path: Path) -> CandidateIndex:
        return MultiIndexHashing.load(path)


class TestInvertedFileThatLooksIntoAllLists(IndexContract):
    def build(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> CandidateIndex:
        n_lists = min(4, len(codes))
        return InvertedFile(codes, item_bias, n_lists=n_lists, n_probe=n_lists)

    def load(self, path: Path) -> CandidateIndex:
        return InvertedFile.load(path)


class TestInvertedFileThatLooksIntoOneList(TestInvertedFileThatLooksIntoAllLists):
    exact = False

    def build(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> CandidateIndex:
        return InvertedFile(codes, item_bias, n_lists=min(4, len(codes)), n_probe=1)


class BySigns(CandidateIndex):
    """A hierarchical index whose embeddings are the signs of the codes: it must answer as a scan does."""

    lacks = frozenset({"item bias", "float queries"})

    def __init__(self, index: HierarchicalIndex) -> None:
        self._index = index

    @classmethod
    def build(cls, index: HammingIndex | InvertedFile, codes: BinaryCodes) -> BySigns:
        return cls(HierarchicalIndex(index, codes.signs().astype("float32")))

    @property
    def n_bits(self) -> int:
        return self._index.n_bits

    def __len__(self) -> int:
        return len(self._index)

    def search(
        self,
        queries: Any,
        k: int,
        *,
        candidates: CandidateFilter | None = None,
        biased: bool = True,
        n_threads: int = 1,
    ) -> Matches:
        signs = queries.signs().astype("float32") if isinstance(queries, BinaryCodes) else queries
        return self._index.search(queries, signs, k, candidates=candidates, n_threads=n_threads)

    def add(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> Any:
        return self._index.add(codes, codes.signs().astype("float32"))

    def update(self, positions: Any, codes: BinaryCodes, item_bias: ItemBias | None = None) -> None:
        self._index.update(positions, codes, codes.signs().astype("float32"))

    def remove(self, positions: Any) -> None:
        self._index.remove(positions)

    def save(self, path: str | Path) -> None:
        self._index.save(path)


class TestHierarchicalIndex(IndexContract):
    def build(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> CandidateIndex:
        return BySigns.build(HammingIndex(codes), codes)

    def load(self, path: Path) -> CandidateIndex:
        return BySigns(HierarchicalIndex.load(path))


class TestHierarchicalIndexOverAnInvertedFileThatLooksIntoAllLists(TestHierarchicalIndex):
    def build(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> CandidateIndex:
        n_lists = min(4, len(codes))
        return BySigns.build(InvertedFile(codes, n_lists=n_lists, n_probe=n_lists), codes)


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
