"""Lists of embeddings know their means and how wide they lie, and wide lists are read sooner."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashgnn import _native
from hashgnn.codes import BinaryCodes
from hashgnn.errors import ArtifactDamagedError, ParameterError
from hashgnn.index import EmbeddedCodes, HammingIndex, HierarchicalIndex, RowQuantiser, load_index
from hashgnn.index._vector_clustering import clustered
from hashgnn.index.stores.embedded_store import kept_as
from hashgnn.index.stores.list_centres import ListCentres
from hashgnn.index.stores.list_store import ListStore
from hashgnn.testing.index_cases import edit_header

Array = np.ndarray[Any, Any]
_WIDTH, _K = 24, 10


def _entries(n: int, seed: int = 0, n_clusters: int = 300) -> EmbeddedCodes:
    """Return embeddings in clusters, every third of them four times as wide as the others."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((n_clusters, _WIDTH)) * 2
    cluster = rng.integers(0, n_clusters, n)
    width = np.where(cluster % 3 == 0, 1.2, 0.3)[:, None]
    vectors = (centres[cluster] + width * rng.standard_normal((n, _WIDTH))).astype(np.float32)
    return EmbeddedCodes(BinaryCodes.from_signs(vectors), vectors)


def _index(entries: EmbeddedCodes, n_lists: int, **options: Any) -> HierarchicalIndex:
    rows = RowQuantiser.fit(entries.embeddings, bits=4)
    return HierarchicalIndex(
        HammingIndex(entries.codes), entries.embeddings, rows=rows, n_lists=n_lists, **options
    )


def _parts(index: HierarchicalIndex) -> tuple[ListStore, ListCentres]:
    store = index.snapshot().store
    assert isinstance(store, ListStore)
    assert isinstance(store.centroids, ListCentres)
    return store, store.centroids


def _radii(index: HierarchicalIndex, vectors: Array) -> Array:
    """Return the radii of the lists by a plain loop; ``extra`` has none."""
    store, centres = _parts(index)
    found = np.zeros(store.n_lists + 1)
    firsts, alive = store.lists.first_blocks * _native.BLOCK, store.lists.alive_mask()
    for number in range(store.n_lists):
        slots = slice(firsts[number], firsts[number + 1])
        members = store.lists.positions[slots][alive[slots]]
        moved = vectors[members].astype(np.float64) - centres.floats[number]
        found[number] = np.sqrt((moved**2).sum(axis=1).mean()) if len(members) else 0
    return found


@pytest.mark.parametrize("n_threads", [1, 2])
def test_centres_are_the_means_of_all_entries_of_their_lists(n_threads: int) -> None:
    vectors = _entries(5000).embeddings
    centres, lists = clustered(
        lambda some: vectors[some], len(vectors), 60, rng=np.random.default_rng(0), n_threads=n_threads
    )
    assert lists.min() >= 0
    assert lists.max() < 60
    for number in np.unique(lists):
        np.testing.assert_allclose(
            centres[number], vectors[lists == number].mean(axis=0), rtol=1e-4, atol=1e-4
        )
    own = ((vectors - centres[lists]) ** 2).sum(axis=1)
    best = np.min([((vectors - centre) ** 2).sum(axis=1) for centre in centres], axis=0)
    assert own.mean() < 1.05 * best.mean()


def test_sums_of_lists_are_checked_and_added() -> None:
    vectors, lists = _entries(50).embeddings, np.arange(50, dtype=np.int32) % 4
    sums, counts = np.ones((4, _WIDTH), np.float32), np.ones(4, np.int64)
    _native.add_to_lists(vectors, lists, sums, counts)
    assert counts.tolist() == [14, 14, 13, 13]
    expected = [1 + vectors[lists == number].sum(axis=0) for number in range(4)]
    np.testing.assert_allclose(sums, expected, rtol=1e-5, atol=1e-4)
    for bad in (np.full(50, 4, np.int32), np.full(50, -1, np.int32)):
        with pytest.raises(ParameterError, match="a list must be one of the sums"):
            _native.add_to_lists(vectors, bad, sums, counts)
    with pytest.raises(ParameterError, match="one list an embedding"):
        _native.add_to_lists(vectors, lists[:9], sums, counts)
    with pytest.raises(ParameterError, match="one count a sum"):
        _native.add_to_lists(vectors, lists, sums, counts[:3])
    assert counts.tolist() == [14, 14, 13, 13]


def test_radii_are_those_of_the_lists() -> None:
    entries = _entries(4000)
    index = _index(entries, 50)
    _, centres = _parts(index)
    np.testing.assert_allclose(centres.radii, _radii(index, entries.embeddings), rtol=1e-4)
    assert centres.radii[:-1].max() > 1.5 * centres.radii[:-1].min()


def test_radii_follow_what_is_added() -> None:
    entries = _entries(6000)
    index = _index(entries[:3000], 40)
    for first in range(3000, 6000, 500):
        index.add(entries[first : first + 500])
    store, centres = _parts(index)
    assert store.n_lists > 40  # some were split
    held = np.zeros(len(entries), bool)
    held[store.lists.positions[store.lists.alive_mask()]] = True
    assert held.mean() > 0.8
    found, expected = centres.radii, _radii(index, entries.embeddings)
    assert len(found) == store.n_lists + 1
    np.testing.assert_allclose(found, expected, rtol=0.1)


@pytest.mark.parametrize("n_lists", [60, 1200])
def test_lists_that_lie_wide_are_read_sooner_and_more_is_found(n_lists: int) -> None:
    entries, queries = _entries(12_000), _entries(200, seed=1)
    index = _index(entries, n_lists)
    store, centres = _parts(index)
    index.n_probe = max(2, n_lists // 200)
    kth = np.sort(queries.embeddings @ entries.embeddings.T, axis=1)[:, -_K][:, None] - 1e-4
    shares = []
    for radii in (centres.radii, np.zeros_like(centres.radii)):
        other = HierarchicalIndex.__new__(HierarchicalIndex)
        other.__setstate__(index.__getstate__())
        changed = replace(store, centroids=replace(centres, radii=radii))
        other._begin(replace(index.snapshot(), store=changed))
        shares.append(float((other.search(queries, _K, refined=4).scores >= kth).mean()))
    assert shares[0] > shares[1] + 0.005
    assert shares[0] > 0.7


def test_radii_are_saved_and_sent_and_files_without_them_open(tmp_path: Path) -> None:
    entries, queries = _entries(3000), _entries(20, seed=1)
    index = _index(entries, 40)
    index.n_probe = 5
    index.save(tmp_path / "index")
    expected = index.search(queries, _K)
    for other in (load_index(tmp_path / "index"), pickle.loads(pickle.dumps(index))):
        assert isinstance(other, HierarchicalIndex)
        np.testing.assert_array_equal(_parts(other)[1].radii, _parts(index)[1].radii)
        np.testing.assert_array_equal(other.search(queries, _K).positions, expected.positions)
    edit_header(tmp_path / "index", "centres.radii.float32", "centres.other.float32")
    earlier = load_index(tmp_path / "index")
    assert isinstance(earlier, HierarchicalIndex)
    assert not _parts(earlier)[1].radii.any()
    assert (earlier.search(queries, _K).counts == _K).all()


def test_radii_of_another_number_are_damage(tmp_path: Path) -> None:
    index = _index(_entries(3000), 40)
    index.save(tmp_path / "index")

    content = (tmp_path / "index").read_bytes()
    at = content.index(b'"centres.radii.float32"')
    section = content[at : content.index(b"}", at)].decode()
    edit_header(tmp_path / "index", section, section.replace("164", "160"))
    with pytest.raises(ArtifactDamagedError, match="radius for each of 40 lists"):
        load_index(tmp_path / "index")


def test_an_entry_too_large_for_float16_is_found_by_any_thread() -> None:
    vectors = np.ones((20_000, 8), np.float32)
    halves, _ = kept_as(vectors, "float16", len(vectors), 3)
    np.testing.assert_array_equal(halves, vectors)
    vectors[-1, -1] = 70_000
    for n_threads in (1, 3):
        with pytest.raises(ParameterError, match="at most 65504"):
            kept_as(vectors, "float16", len(vectors), n_threads)
