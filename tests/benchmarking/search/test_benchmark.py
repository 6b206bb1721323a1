from __future__ import annotations

import pytest

from hashgnn.benchmarking import benchmark_search, generated_catalogue
from hashgnn.errors import ParameterError


def test_rows_hold_ratios_and_exact_engines_find_everything() -> None:
    rows = benchmark_search(n_items=3000, n_bits=64, k=10, n_queries=20, peers=["numpy-matmul"], n_rounds=2)
    by_name = {row["engine"]: row for row in rows}
    assert list(by_name) == [
        "hamming",
        "biased",
        "asymmetric",
        "hierarchical",
        "inverted-file",
        "numpy-matmul",
    ]
    assert by_name["hamming"]["ratio_to_ours"] == 1
    assert by_name["hierarchical"]["ratio_to_ours"] == 1
    for name in ("hamming", "biased", "numpy-matmul"):
        assert by_name[name]["index_recall"] == 1
    assert by_name["inverted-file"]["index_recall"] >= 0.95
    matmul, ours = by_name["numpy-matmul"], by_name["hierarchical"]
    assert matmul["ratio_to_ours"] == pytest.approx(ours["qps"] / matmul["qps"])
    assert by_name["hamming"]["bytes_per_item"] == pytest.approx(8, rel=0.02)


def test_faiss_peers_agree_with_our_exact_results() -> None:
    pytest.importorskip("faiss")
    peers = ["faiss-binary-flat", "faiss-flat-ip"]
    rows = benchmark_search(n_items=2000, n_bits=64, k=10, n_queries=8, peers=peers, n_rounds=1, engines=[])
    assert {row["engine"]: row["index_recall"] for row in rows if row["engine"] in peers} == dict.fromkeys(
        peers, 1
    )


def test_a_seed_gives_one_catalogue() -> None:
    one, other = generated_catalogue(500, 4, 32, rng=3), generated_catalogue(500, 4, 32, rng=3)
    assert one.item_codes == other.item_codes
    assert (one.items == other.items).all()


def test_an_unknown_peer_is_refused() -> None:
    with pytest.raises(ParameterError, match="peers must be one of 'faiss-binary-flat'"):
        benchmark_search(n_items=100, peers=["lucene"])
