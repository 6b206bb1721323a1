"""Every engine passes the contract suites of engines, of indexes and of recommenders."""

from __future__ import annotations

import tempfile
from abc import abstractmethod
from pathlib import Path
from typing import Any

from tests.servers import lancedb_url, milvus_lite_url, milvus_server_url, postgres_url

from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.data import Interactions
from hashgnn.engines import export_model
from hashgnn.index import CandidateIndex
from hashgnn.recommender import HashGNN
from hashgnn.testing.engines import EngineContract, index_over
from hashgnn.testing.indexes import IndexContract
from hashgnn.testing.recommender import SavedRecommenderContract
from hashgnn.testing.states import random_state


class _InAnEngine(SavedRecommenderContract):
    """The suite of recommenders, over a model whose items are in an engine."""

    @abstractmethod
    def url(self, name: str) -> str: ...

    def make(self, interactions: Interactions) -> HashGNN:
        users, items = interactions.user_ids.ids.tolist(), interactions.item_ids.ids.tolist()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "v1")
            HashGNN.from_state(random_state(users, items, seen=interactions.csr)).save(path)
            export_model(path, self.url("made"), replace=True)
            return HashGNN.load(path, mmap=False, engine=self.url("made"))

    def save(self, model: Any, path: Path) -> None:
        model.save(path)
        export_model(path, self.url("saved"), replace=True)

    def load(self, path: Path) -> HashGNN:
        return HashGNN.load(path, engine=self.url("saved"))


class TestPostgres(EngineContract):
    def url(self, name: str, **options: object) -> str:
        return postgres_url(name, **options)

    def unreachable(self) -> str:
        return "postgresql://nobody@127.0.0.1:1/none?connect_timeout=2"


class TestPostgresByGraph(TestPostgres):
    """Of so few items all are found by a graph too, and its results are in order."""

    def url(self, name: str, **options: object) -> str:
        return postgres_url(
            f"{name[:30]}_hnsw", **{"index": "hnsw", "similar": "hnsw", "exact_below": 0, **options}
        )


class TestPostgresIndex(IndexContract):
    def build(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> CandidateIndex:
        return index_over(postgres_url("codes"), codes, item_bias)


class TestPostgresGraphIndex(IndexContract):
    exact = False

    def build(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> CandidateIndex:
        return index_over(postgres_url("graph_codes", index="hnsw", exact_below=0), codes, item_bias)


class TestPostgresRecommender(_InAnEngine):
    def url(self, name: str) -> str:
        return postgres_url(f"recommender_{name}")


class TestLance(EngineContract):
    keeps_replaced = True

    def url(self, name: str, **options: object) -> str:
        return lancedb_url(name, **options)

    def unreachable(self) -> str:
        return "lancedb:///proc/1/none"


class TestLanceByLists(TestLance):
    """All lists are probed, so all is found."""

    def url(self, name: str, **options: object) -> str:
        return lancedb_url(
            f"{name[:30]}_ivf", **{"index": "ivf", "lists": 4, "probes": 4, "exact_below": 0, **options}
        )


class TestLanceIndex(IndexContract):
    def build(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> CandidateIndex:
        return index_over(lancedb_url("codes"), codes, item_bias)


class TestLanceRecommender(_InAnEngine):
    def url(self, name: str) -> str:
        return lancedb_url(f"recommender_{name}")


class TestMilvusLite(EngineContract):
    def url(self, name: str, **options: object) -> str:
        return milvus_lite_url(name, **options)

    def unreachable(self) -> str:
        return "milvus://127.0.0.1:1?timeout=2"


class TestMilvusLiteIndex(IndexContract):
    def build(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> CandidateIndex:
        return index_over(milvus_lite_url("codes"), codes, item_bias)


class TestMilvusLiteRecommender(_InAnEngine):
    def url(self, name: str) -> str:
        return milvus_lite_url(f"recommender_{name}")


class TestMilvusServer(TestMilvusLite):
    def url(self, name: str, **options: object) -> str:
        return milvus_server_url(name, **options)


class TestMilvusServerByLists(TestMilvusServer):
    """All lists are probed, so all is found."""

    def url(self, name: str, **options: object) -> str:
        return milvus_server_url(
            f"{name[:30]}_ivf", **{"index": "ivf", "lists": 4, "probes": 4, "exact_below": 0, **options}
        )
