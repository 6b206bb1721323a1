from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hashgnn.benchmarking import PEERS, benchmark_search, generated_workload
from hashgnn.benchmarking.search import benchmark, check_plot, unusable
from hashgnn.benchmarking.search.code_peers import CODE_PEERS
from hashgnn.benchmarking.search.contract import Threads
from hashgnn.benchmarking.search.float_peers import FLOAT_PEERS
from hashgnn.benchmarking.search.machine import has_instructions
from hashgnn.errors import MissingExtraError, ParameterError, ResultWarning

EXACT_PEERS = [
    "faiss-binary-flat",
    "faiss-binary-flat-widened",
    "usearch-exact",
    "faiss-flat-ip",
    "torch-matmul",
]
APPROXIMATE_PEERS = ["faiss-binary-hnsw", "usearch-hnsw", "faiss-hnsw", "hnswlib"]


def test_rows_hold_ratios_and_exact_engines_find_everything() -> None:
    rows = benchmark_search(n_items=3000, n_bits=64, k=10, n_queries=20, peers=["numpy-matmul"], n_rounds=2)
    by_name = {row["engine"]: row for row in rows}
    assert list(by_name) == [
        "hamming",
        "biased",
        "asymmetric",
        "hierarchical",
        "inverted-file",
        "asymmetric-lists",
        "hierarchical-lists",
        "hierarchical-lists-rows64",
        "hierarchical-lists-rows96",
        "hierarchical-lists-rows144",
        "numpy-matmul",
    ]
    assert by_name["hamming"]["ratio_to_ours"] == 1
    fastest = by_name[by_name["numpy-matmul"]["ours"]]
    assert fastest["engine"].startswith("hierarchical")
    assert fastest["index_recall"] >= 0.95
    assert all(
        fastest["batch_ms"] <= row["batch_ms"]
        for row in rows
        if row["engine"].startswith("hierarchical") and row["index_recall"] >= 0.95
    )
    assert fastest["processor_ratio_to_ours_single"] == 1
    for name in ("hamming", "biased", "numpy-matmul"):
        assert by_name[name]["index_recall"] == 1
        assert by_name[name]["breadth"] is None
    assert 0.7 <= by_name["asymmetric"]["index_recall"] < 1  # queries are rounded to sixteen levels
    assert by_name["inverted-file"]["index_recall"] >= 0.95
    assert by_name["hierarchical-lists"]["index_recall"] >= 0.95
    assert by_name["hierarchical-lists"]["breadth"] < 128  # lists
    assert by_name["hierarchical"]["candidates"] == 500
    assert by_name["hamming"]["candidates"] is None
    matmul = by_name["numpy-matmul"]
    assert matmul["ratio_to_ours"] == pytest.approx(fastest["qps"] / matmul["qps"])
    assert matmul["batch_ms"] == pytest.approx(1e3 / matmul["qps"])
    assert by_name["hamming"]["bytes_per_item"] == pytest.approx(8, rel=0.02)
    assert all(row["recall@20"] is None for row in rows)


@pytest.mark.parametrize("peer", EXACT_PEERS + APPROXIMATE_PEERS)
def test_exact_peers_find_everything_and_approximate_ones_reach_the_target(peer: str) -> None:
    pytest.importorskip(peer.split("-")[0])
    rows = benchmark_search(n_items=2000, n_bits=64, k=10, n_queries=8, peers=[peer], n_rounds=1, engines=[])
    found = next(row for row in rows if row["engine"] == peer)
    if peer in EXACT_PEERS:
        assert found["index_recall"] == 1
    else:
        assert found["index_recall"] >= 0.95
    assert peer != "faiss-binary-flat-widened" or found["ours"] == "biased"


@pytest.mark.parametrize("peer", ["faiss-binary-ivf", "faiss-ivfpq"])
def test_inverted_files_of_faiss_look_no_further_than_they_must(peer: str) -> None:
    pytest.importorskip("faiss")
    rows = benchmark_search(
        n_items=20000, n_bits=64, k=10, n_queries=8, peers=[peer], n_rounds=1, engines=["hamming"]
    )
    found = next(row for row in rows if row["engine"] == peer)
    assert found["breadth"] < 564  # four square roots of 20,000: all lists
    assert found["index_recall"] >= 0.95


def test_threads_that_build_are_not_those_that_search(monkeypatch: pytest.MonkeyPatch) -> None:
    faiss = pytest.importorskip("faiss")
    requested: list[int] = []
    monkeypatch.setattr(faiss, "omp_set_num_threads", requested.append)
    rows = benchmark_search(
        n_items=500, n_bits=32, k=10, n_build_threads=3, n_rounds=1, peers=["faiss-hnsw"], engines=["hamming"]
    )
    assert requested[0] == 3
    assert set(requested[1:]) == {1}
    assert {(row["threads"], row["build_threads"]) for row in rows} == {(1, 3)}


def test_no_thread_that_builds_is_refused() -> None:
    with pytest.raises(ParameterError, match="n_build_threads must be an integer >= 1, got 0"):
        benchmark_search(n_items=500, n_build_threads=0, peers=[])


@pytest.mark.parametrize("peer", APPROXIMATE_PEERS)
def test_a_search_for_many_results_leaves_the_breadth_as_it_was(peer: str) -> None:
    pytest.importorskip(peer.split("-")[0])
    data = generated_workload(20000, 32, 64)
    engine = next(engine for engine in (*CODE_PEERS, *FLOAT_PEERS) if engine.name == peer)
    built = engine.build(data, 10, Threads(1, 1))
    assert built.set_breadth is not None
    built.set_breadth(16)
    before = built.search(slice(0, 32), 10)
    built.search(slice(0, 32), 2000)
    assert (built.search(slice(0, 32), 10) == before).all()


def test_every_peer_is_named_once() -> None:
    assert len(set(PEERS)) == len(PEERS) == 31


def test_a_seed_gives_one_workload() -> None:
    one, other = generated_workload(500, 4, 32, rng=3), generated_workload(500, 4, 32, rng=3)
    assert one.item_codes == other.item_codes
    assert (one.items == other.items).all()


def test_an_unknown_peer_is_refused() -> None:
    with pytest.raises(ParameterError, match="peers must be one of 'faiss-binary-flat'"):
        benchmark_search(n_items=100, peers=["lucene"])


def test_peers_that_are_not_installed_are_named_before_anything_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    monkeypatch.setattr(benchmark, "generated_workload", lambda *_, **__: pytest.fail("items were generated"))
    with (
        pytest.warns(ResultWarning, match="hnswlib is left out"),
        pytest.raises(
            MissingExtraError,
            match=r'this peer needs the package hnswlib, of the extra benchmark; .*"hnswlib>=0\.8"',
        ),
    ):
        benchmark_search(n_items=100, k=10, peers=["hnswlib"])


def test_a_peer_that_is_not_installed_is_left_out_and_the_others_are_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    with pytest.warns(ResultWarning, match="hnswlib is left out: this peer needs the package hnswlib"):
        rows = benchmark_search(
            n_items=200, n_bits=32, k=10, n_rounds=1, engines=["hamming"], peers=["numpy-matmul", "hnswlib"]
        )
    assert [row["engine"] for row in rows] == ["hamming", "hierarchical-lists", "numpy-matmul"]
    assert list(unusable(["numpy-matmul", "hnswlib"])) == ["hnswlib"]


def test_a_peer_whose_library_fails_is_left_out_and_nothing_else_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("out of luck")

    peers = {engine.name: engine for engine in benchmark._PEERS}
    failing = tuple(
        replace(engine, build=fail) if name == "torch-matmul" else engine for name, engine in peers.items()
    )
    monkeypatch.setattr(benchmark, "_PEERS", failing)
    with pytest.warns(
        ResultWarning, match="torch-matmul is left out: its library failed: RuntimeError: out of luck"
    ):
        rows = benchmark_search(
            n_items=200,
            n_bits=32,
            k=10,
            n_rounds=1,
            engines=["hamming"],
            peers=["torch-matmul", "numpy-matmul"],
        )
    assert [row["engine"] for row in rows] == ["hamming", "hierarchical-lists", "numpy-matmul"]


def test_an_asked_index_recall_is_reached_by_a_row_each() -> None:
    rows = benchmark_search(
        n_items=5000, n_bits=64, k=10, n_queries=16, n_rounds=1, peers=[], index_recall=[0.8, 0.99],
        engines=["hierarchical", "hierarchical-lists"],
    )  # fmt: skip
    assert [(row["engine"], row["requested_index_recall"]) for row in rows] == [
        ("hierarchical", 0.8),
        ("hierarchical-lists", 0.8),
        ("hierarchical", 0.99),
        ("hierarchical-lists", 0.99),
    ]
    assert all(row["index_recall"] >= row["requested_index_recall"] for row in rows)
    assert rows[0]["candidates"] < rows[2]["candidates"]  # by a scan the least number, whatever requested
    for goal in (0.8, 0.99):
        ours = {row["ours"] for row in rows if row["requested_index_recall"] == goal}
        assert len(ours) == 1
        assert next(
            row for row in rows if row["engine"] in ours and row["requested_index_recall"] == goal
        )["ratio_to_ours"] == 1  # fmt: skip
    for wrong in (0.0, 1.5):
        with pytest.raises(ParameterError, match="index_recall must be a finite number > 0 and <= 1"):
            benchmark_search(n_items=100, peers=[], index_recall=wrong)


@pytest.mark.skipif(not has_instructions("avx2"), reason="a processor without AVX2")
def test_faiss_multiplies_with_what_the_processor_has() -> None:
    pytest.importorskip("faiss")
    script = (
        "import os, numpy\n"
        "from hashgnn.benchmarking.search.code_peers import load_faiss\n"
        "load_faiss()\n"
        "import threadpoolctl\n"
        "print(os.environ.get('OPENBLAS_CORETYPE'), *(p['architecture'] for p in threadpoolctl.threadpool_info()"
        " if p['internal_api'] == 'openblas'))"
    )
    environment = {key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    core, *architectures = done.stdout.split()
    assert core == "None"  # as it was
    assert "Prescott" not in architectures


def test_a_plot_of_another_format_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(ParameterError, match=r"plot must be a .png or .svg file, got .*plot\.doc"):
        check_plot(tmp_path / "plot.doc")


def test_k_beyond_a_workload_is_refused() -> None:
    workload = generated_workload(50, 4, 32)
    with pytest.raises(ParameterError, match="k must be at most 50, the number of items, got 100"):
        benchmark_search(workload=workload, peers=[])


def test_engines_of_a_gpu_take_part_where_there_is_one() -> None:
    torch = pytest.importorskip("torch")
    requested = {"n_items": 3000, "n_bits": 64, "k": 10, "n_queries": 8, "n_rounds": 1}
    if not torch.cuda.is_available():
        rows = benchmark_search(**requested, engines=["hamming", "gpu-hamming"], peers=["gpu-matmul"])
        assert [row["engine"] for row in rows] == ["hamming"]
        with pytest.raises(
            ParameterError, match="engines must name one that can run here, got 'gpu-hamming'"
        ):
            benchmark_search(**requested, engines=["gpu-hamming"], peers=["gpu-matmul"])
        return
    rows = benchmark_search(**requested, engines=["gpu-hamming"], peers=["gpu-matmul"])
    assert [row["engine"] for row in rows] == ["gpu-hamming", "gpu-matmul"]
    assert rows[0]["index_recall"] == 1
    assert rows[1]["index_recall"] >= 0.98  # half precision
    assert rows[0]["bytes_per_item"] == pytest.approx(128, rel=0.03)  # two bytes per bit
