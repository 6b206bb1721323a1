"""Float queries over lists read the blocks that promise most: by the means of lists and by the bias."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.index import CandidateFilter, HammingIndex, InvertedFile, load_index
from hashgnn.index._clustering import default_n_lists
from hashgnn.index.stores.inverted_lists import InvertedLists
from hashgnn.ranking import IndexLists
from hashgnn.testing.index_cases import assert_same

N, N_LISTS, K = 12_000, 50, 20
CENTRES = np.random.default_rng(9).standard_normal((60, 64))


def near_centres(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (CENTRES[rng.integers(0, 60, n)] + rng.standard_normal((n, 64))).astype(np.float32)


CODES = BinaryCodes.from_signs(near_centres(N, 0))
BIAS = ItemBias.from_values(-np.random.default_rng(1).gamma(3, 8, N).clip(0, 120))
QUERIES = near_centres(64, 2)


def recall(index: InvertedFile, scan: HammingIndex, candidates: CandidateFilter | None = None) -> float:
    found, exact = (one.search(QUERIES, K, candidates=candidates) for one in (index, scan))
    np.testing.assert_array_equal(found.counts, exact.counts)
    return float((found.scores >= exact.scores[:, -1:]).mean())


def test_the_bias_says_which_blocks_are_read() -> None:
    """With a bias that decides much, a tenth of the codes holds nearly all of the best; without it in the choice, half of them."""
    index, scan = InvertedFile(CODES, BIAS, n_lists=N_LISTS, n_probe=5), HammingIndex(CODES, BIAS)
    assert recall(index, scan) > 0.95
    unaware = InvertedFile(CODES, n_lists=N_LISTS, n_probe=5).search(QUERIES, K)
    exact = scan.search(QUERIES, K)
    shared = [np.isin(*rows).mean() for rows in zip(exact.positions, unaware.positions, strict=True)]
    assert np.mean(shared) < 0.6


def test_lists_hold_the_items_with_the_largest_bias_first() -> None:
    lists = InvertedFile(CODES, BIAS, n_lists=N_LISTS)._state.lists
    assert lists.penalty is not None
    alive = lists.alive_mask()
    for first, end in zip(lists.first_blocks[:-1] * 32, lists.first_blocks[1:] * 32, strict=True):
        held = lists.penalty[first:end][alive[first:end]].astype(int)
        assert (np.diff(held) >= 0).all()
    plain = InvertedLists.build(CODES, None, np.arange(N, dtype=np.int32), np.zeros(N, np.int64), 1)
    assert (np.diff(plain.positions[plain.alive_mask()]) > 0).all()


def test_what_a_query_may_not_get_is_made_up_for() -> None:
    index, scan = InvertedFile(CODES, BIAS, n_lists=N_LISTS, n_probe=5), HammingIndex(CODES, BIAS)
    usual, rng = recall(index, scan), np.random.default_rng(3)
    best = scan.search(QUERIES, 40).positions
    blocked = IndexLists(np.arange(65) * 40, np.sort(best, axis=1).ravel().astype(np.int32))
    assert recall(index, scan, CandidateFilter(block_per_query=blocked)) > 0.9
    for share in (0.5, 0.1, 0.01):
        mask = CandidateFilter(allow_all=rng.random(N) < share)
        for _ in range(2):  # at the second search its codes are packed
            assert recall(index, scan, mask) >= usual - 0.02
    own = IndexLists(
        np.arange(65) * 3000,
        np.sort(rng.random((64, N)).argsort(1)[:, :3000], axis=1).ravel().astype(np.int32),
    )
    assert recall(index, scan, CandidateFilter(allow_per_query=own)) >= usual - 0.02


@pytest.mark.parametrize("length", [1e-43, 1e-37, 1e30])
@pytest.mark.parametrize("bias", [None, BIAS], ids=["plain", "biased"])
def test_queries_of_any_length_are_answered(length: float, bias: ItemBias | None) -> None:
    index = InvertedFile(CODES, bias, n_lists=N_LISTS, n_probe=2)
    found = index.search(QUERIES * np.float32(length), K)
    assert (found.counts == K).all()
    assert np.isfinite(found.scores).all()


def test_changes_are_seen_by_float_queries() -> None:
    index = InvertedFile(CODES[:9000], BIAS[:9000], n_lists=N_LISTS, n_probe=5)
    index.search(QUERIES, K)
    index.add(CODES[9000:9500], BIAS[9000:9500])
    index.remove(np.arange(0, 9000, 3))
    index.update([1, 2], CODES[11_000:11_002], BIAS[11_000:11_002])
    positions = np.arange(9500)
    positions[[1, 2]] = [11_000, 11_001]
    scan = HammingIndex(CODES[positions], BIAS[positions])
    scan.remove(np.arange(0, 9000, 3))
    assert recall(index, scan) > 0.95
    index.add(CODES[9500:], BIAS[9500:])  # enough for all to join lists
    scan.add(CODES[9500:], BIAS[9500:])
    assert recall(index, scan) > 0.95
    index.n_probe = index.n_lists
    assert_same(index.search(QUERIES, K), scan.search(QUERIES, K))


def test_the_means_count_as_bytes_once_a_float_query_came() -> None:
    index = InvertedFile(CODES, BIAS, n_lists=N_LISTS)
    before = index.nbytes
    index.search(BinaryCodes.from_signs(QUERIES), K)
    assert index.nbytes == before
    index.search(QUERIES, K)
    after = index.nbytes
    n_blocks = len(index._state.lists.alive)
    assert after == before + n_blocks + 64 * (64 + 12)  # centres lie in groups of 16
    index.remove([3])
    assert index.nbytes == after


def test_tune_sets_the_smallest_power_of_two_for_float_queries() -> None:
    index = InvertedFile(CODES, BIAS, n_lists=N_LISTS)
    reached = index.tune(QUERIES, K, index_recall=0.9)
    assert reached >= 0.9
    assert index.n_probe < N_LISTS / 2
    assert recall(index, HammingIndex(CODES, BIAS)) == pytest.approx(reached)
    index.n_probe //= 2
    assert recall(index, HammingIndex(CODES, BIAS)) < 0.9


def test_default_lists_are_long_enough() -> None:
    assert [default_n_lists(n) for n in (1, 1000, 40_981, 100_000, 1_000_000, 10_000_000)] == [
        1,
        4,
        170,
        416,
        4096,
        16_384,
    ]


def test_lists_made_for_float_queries_find_more_and_stay_so(tmp_path: Path) -> None:
    scan = HammingIndex(CODES, BIAS)
    plain, made = (
        InvertedFile(CODES, BIAS, n_lists=30, n_probe=2, float_queries=made) for made in (False, True)
    )
    found = recall(made, scan)
    assert found > recall(plain, scan) + 0.003
    made.save(tmp_path / "index")
    opened = load_index(tmp_path / "index")
    assert isinstance(opened, InvertedFile)
    assert recall(opened, scan) == found
    half = InvertedFile(CODES[: N // 2], BIAS[: N // 2], n_lists=30, n_probe=2, float_queries=True)
    half.add(CODES[N // 2 :], BIAS[N // 2 :])  # half as many as were clustered: all are clustered anew
    half.n_probe = max(1, round(2 / 30 * half.n_lists))
    assert recall(half, scan) > recall(plain, scan)
    half.n_probe = half.n_lists
    assert_same(half.search(QUERIES, K), scan.search(QUERIES, K))
