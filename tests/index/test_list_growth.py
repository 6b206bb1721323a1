"""Lists that grow: no decay of index recall, lists stay short, and searches go on."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.index import EmbeddedCodes, HammingIndex, HierarchicalIndex, InvertedFile, load_index
from hashgnn.index._clustering import two_centroids
from hashgnn.index.stores.list_growth import WAITING, WAITING_PART
from hashgnn.testing.index_cases import assert_same

N_FIRST, N_ALL = 3000, 30_000


def drifting(n: int, seed: int = 0) -> BinaryCodes:
    """Return codes around centres, most of which the first tenth of the codes does not know."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((300, 64))
    newest = 30 + 270 * np.arange(n) / n  # centres are taken up one after the other
    chosen = (rng.random(n) * newest).astype(int)
    return BinaryCodes.from_signs(centres[chosen] + 0.7 * rng.standard_normal((n, 64)))


def index_recall(index: InvertedFile, codes: BinaryCodes, queries: BinaryCodes, k: int = 20) -> float:
    exact = HammingIndex(codes).search(queries, k)
    return float((index.search(queries, k).scores >= exact.scores[:, -1:]).mean())


def lengths(index: InvertedFile) -> np.ndarray:
    store = index.snapshot()
    block_lists = np.repeat(np.arange(store.n_lists), np.diff(store.lists.first_blocks))
    return np.bincount(block_lists[np.flatnonzero(store.lists.alive_mask()) // 32], minlength=store.n_lists)


def grown_by(codes: BinaryCodes, step: int) -> InvertedFile:
    index = InvertedFile(codes[:N_FIRST], n_lists=32, n_probe=8)
    for start in range(N_FIRST, len(codes), step):
        index.add(codes[start : start + step])
    return index


def test_tenfold_growth_of_a_drifting_catalogue_costs_no_recall() -> None:
    codes = drifting(N_ALL)
    queries = codes[np.random.default_rng(5).choice(N_ALL, 1000, replace=False)]
    index = grown_by(codes, 700)
    assert len(index) == N_ALL
    assert 80 <= index.n_lists <= 130  # about 32 times the root of 10
    fresh = InvertedFile(codes, n_lists=index.n_lists, n_probe=8)
    of_fresh = index_recall(fresh, codes, queries)
    assert 0.5 < of_fresh < 1
    assert index_recall(index, codes, queries) >= of_fresh - 0.01
    assert lengths(index).max() <= 4 * lengths(index).mean()


def test_few_codes_wait_and_every_code_is_in_one_list() -> None:
    codes = drifting(6000)
    index = InvertedFile(codes[:3000], n_lists=32, n_probe=4)
    for start in range(3000, 6000, 100):
        index.add(codes[start : start + 100])
        store = index.snapshot()
        waiting = int(store.extra.alive_mask().sum())
        assert waiting <= max(WAITING, len(codes) // WAITING_PART)
        assert lengths(index).sum() + waiting == len(index)
    assert index.codes() == codes
    found = index.search(codes[::37], 1)
    assert (found.scores == 64).all()


def test_the_same_changes_make_the_same_lists(tmp_path: Path) -> None:
    codes = drifting(9000)
    files = [tmp_path / "one", tmp_path / "other"]
    for path in files:
        grown_by(codes, 1500).save(path)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_grown_index_is_opened_as_it_was(tmp_path: Path) -> None:
    codes = drifting(9000)
    bias = ItemBias(np.random.default_rng(0).integers(0, 30, 9000).astype(np.uint8), 4.0)
    index = InvertedFile(codes[:3000], bias[np.arange(3000)], n_lists=16, n_probe=16)
    index.add(codes[3000:], bias[np.arange(3000, 9000)])
    index.remove(np.arange(0, 9000, 7))
    assert index.n_lists > 16
    index.save(tmp_path / "index")
    opened = load_index(tmp_path / "index")
    scan = HammingIndex(codes, bias)
    scan.remove(np.arange(0, 9000, 7))
    expected = scan.search(codes[:50], 300)
    for other in (index, opened):  # all lists were read before they were split, and still are
        found = other.search(codes[:50], 300)
        np.testing.assert_array_equal(found.positions, expected.positions)
        np.testing.assert_array_equal(found.scores, expected.scores)


def test_codes_that_drift_by_updates_are_found_as_in_a_fresh_index() -> None:
    codes = drifting(6000)
    later = drifting(60_000, seed=3)[np.arange(54_000, 60_000)]  # around other centres
    index = InvertedFile(codes, n_lists=64, n_probe=8)
    for start in range(0, 6000, 600):
        index.update(np.arange(start, start + 600), later[start : start + 600])
    fresh = InvertedFile(later, n_lists=index.n_lists, n_probe=8)
    queries = later[::29]
    assert index_recall(index, later, queries) >= index_recall(fresh, later, queries) - 0.01


def test_alike_codes_are_all_found_however_lists_grow() -> None:
    same = BinaryCodes(np.full((5000, 8), 7, np.uint8))
    index = InvertedFile(same[:2000], n_lists=2)
    for start in range(2000, 5000, 100):
        index.add(same[start : start + 100])
    assert index.search(same[:1], 5000).counts.tolist() == [5000]


def test_a_list_is_cut_between_its_two_groups() -> None:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((2, 64))
    group = rng.integers(0, 2, 400)
    codes = BinaryCodes.from_signs(centres[group] + 0.4 * rng.standard_normal((400, 64)))
    _, is_second = two_centroids(codes)
    agreement = (is_second == group.astype(bool)).mean()
    assert max(agreement, 1 - agreement) > 0.99


def test_searches_see_whole_states_while_lists_split() -> None:
    codes = drifting(12_000)
    vectors = codes.signs().astype(np.float32)
    lists = InvertedFile(codes[:2000], n_lists=32, n_probe=32)  # all lists, also once there are more
    index = HierarchicalIndex(lists, vectors[:2000], oversampling=1)
    stop, wrong = threading.Event(), list[str]()
    queries = EmbeddedCodes(codes[:20], vectors[:20])

    def watch() -> None:
        least = np.full(20, -1, np.int64)
        while not stop.is_set():
            found = index.search(queries, 50)
            seen = int(found.positions.max()) + 1
            if (found.counts != 50).any() or seen > len(index):
                wrong.append(f"{found.counts} of {seen}")
            if any(len(set(row)) != 50 for row in found.positions.tolist()):
                wrong.append("a position twice")
            if (found.positions[:, 0] < 0).any() or (found.scores[:, 0] < least).any():
                wrong.append("a best result was lost")
            least = found.scores[:, 0]

    threads = [threading.Thread(target=watch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for start in range(2000, 12_000, 500):
        rows = slice(start, start + 500)
        index.add(EmbeddedCodes(codes[rows], vectors[rows]))
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    whole = HierarchicalIndex(HammingIndex(codes), vectors, oversampling=1)
    assert_same(index.search(queries, 50), whole.search(queries, 50))
