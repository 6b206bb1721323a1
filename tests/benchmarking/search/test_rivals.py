from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hashgnn.benchmarking import benchmark_search, generated_workload
from hashgnn.benchmarking.search import unusable
from hashgnn.benchmarking.search.contract import Built, Threads
from hashgnn.benchmarking.search.index_recall import ExactResults
from hashgnn.benchmarking.search.rivals import RIVALS, svs
from hashgnn.benchmarking.search.stored import StoredEngine, build
from hashgnn.benchmarking.search.workload import Workload
from hashgnn.errors import EngineError

THREADS = Threads(1, 1)
K = 10
# Those that compare few bits find less, however far they look.
FIND_LESS = {
    "rabitqlib-ivf-1",
    "rabitqlib-ivf-4",
    "rabitqlib-ivf-5",
    "zvec-ivf-rabitq",
    "turbovec-2",
    "turbovec-4",
    "faiss-rabitq",
    "rabitqlib-hnsw",
}


@pytest.fixture(scope="module")
def data() -> Workload:
    return generated_workload(3000, 48, 64, width=64, rng=0)


def named(name: str) -> StoredEngine:
    reason = unusable([name]).get(name)
    if reason is not None:
        pytest.skip(reason)
    engine = next(engine for engine in RIVALS if engine.name == name)
    assert isinstance(engine, StoredEngine)
    return engine


@pytest.fixture
def silent() -> None:
    warnings.simplefilter("ignore")  # of the libraries


@pytest.mark.parametrize("name", [engine.name for engine in RIVALS])
@pytest.mark.usefixtures("silent")
def test_a_rival_finds_what_was_asked_and_says_what_it_keeps(name: str, data: Workload) -> None:
    built, seconds = build(named(name), data, K, THREADS, None)
    exact = ExactResults(data, K, 1)
    tuned = exact.tune(built, 0.95)
    found = exact.index_recall(built)
    assert found >= (0.05 if name in FIND_LESS else 0.95)
    assert min(seconds) >= 0
    per_item = built.n_bytes / len(data.items)
    assert 8 <= per_item < 8192  # zvec keeps files of some megabytes, however few the items
    if tuned.breadth is not None:
        assert built.breadths[0] <= tuned.breadth <= built.breadths[1]


@pytest.mark.parametrize("name", [engine.name for engine in RIVALS])
@pytest.mark.usefixtures("silent")
def test_a_rival_gives_positions_of_its_items_each_once(name: str, data: Workload) -> None:
    built = named(name).build(data, K, THREADS)
    if built.set_breadth is not None:
        built.set_breadth(built.breadths[0])
    for size in (1, K, 200):  # more than it was built for, and more than one list holds
        positions = built.search(slice(3, 8), size)
        assert positions.shape == (5, size)
        assert positions.dtype == np.int64
        assert -1 <= positions.min() <= positions.max() < len(data.items)
        for row in positions:
            kept = row[row >= 0]
            assert len(np.unique(kept)) == len(kept)
    few = built.search(np.array([4, 3]), K)
    assert (few == built.search(slice(3, 5), K)[::-1]).mean() > 0.9


@pytest.mark.parametrize(
    "name", ["rabitqlib-ivf-4", "svs-float16", "scann", "turbovec-4", "faiss-ivf-rabitq", "zvec-hnsw"]
)
@pytest.mark.usefixtures("silent")
def test_a_kept_rival_is_loaded_and_answers_the_same(name: str, data: Workload, tmp_path: Path) -> None:
    engine = named(name)
    first, seconds = build(engine, data, K, THREADS, tmp_path)
    before = _asked(first)
    del first
    assert engine.stored is not None
    unable = replace(engine, stored=replace(engine.stored, make=lambda *_: pytest.fail("it was built again")))
    again, taken = build(unable, data, K, THREADS, tmp_path)
    assert taken == seconds
    assert (_asked(again) == before).mean() > 0.98
    other = generated_workload(3000, 48, 64, width=64, rng=1)
    build(engine, other, K, THREADS, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2  # other items are not taken for these


def _asked(built: Built) -> np.ndarray:
    if built.set_breadth is not None:
        built.set_breadth(min(64, built.breadths[1]))
    return built.search(slice(0, 32), K)


def test_compression_of_svs_is_left_out_where_it_would_end_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(svs, "vendor", lambda: "AuthenticAMD")
    with pytest.raises(EngineError, match="need a processor of Intel, got AuthenticAMD"):
        svs.load_compressed()
    assert set(unusable(["svs-lvq", "svs-leanvec"])) == {"svs-lvq", "svs-leanvec"}


@pytest.mark.usefixtures("silent")
def test_a_rival_is_compared_with_the_best_of_ours() -> None:
    named("turbovec-4-reranked")
    rows = benchmark_search(
        n_items=2000, n_bits=64, k=K, n_queries=8, n_rounds=1, engines=[], peers=["turbovec-4-reranked"],
        index_recall=0.9,
    )  # fmt: skip
    ours, theirs = rows
    assert (ours["engine"], theirs["ours"]) == ("hierarchical-lists", "hierarchical-lists")
    assert theirs["ratio_to_ours"] == pytest.approx(theirs["batch_ms"] / ours["batch_ms"])
    assert theirs["ratio_to_ours_single"] == pytest.approx(
        theirs["single_query_ms"] / ours["single_query_ms"]
    )
