"""Filters over lists that change, and that change themselves: what was packed for them is kept up to date."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.index import (
    CandidateFilter,
    EmbeddedCodes,
    HammingIndex,
    HierarchicalIndex,
    InvertedFile,
    RowQuantiser,
)
from hashgnn.index.stores.allowed_lists import AllowedLists
from hashgnn.index.stores.packed_filter import PackedFilter, of_length, positions_of

Array = np.ndarray[Any, Any]
_WIDTH, _K, _N = 16, 10, 4000


def _some(rng: np.random.Generator, n: int) -> tuple[EmbeddedCodes, ItemBias]:
    vectors = rng.standard_normal((n, _WIDTH)).astype(np.float32)
    codes = BinaryCodes.from_signs(vectors @ np.random.default_rng(7).standard_normal((_WIDTH, 64)))
    return EmbeddedCodes(codes, vectors), ItemBias(rng.integers(0, 9, n).astype(np.uint8), 2.0)


def _of_codes(entries: EmbeddedCodes, bias: ItemBias) -> tuple[Any, Callable[[Any], Any]]:
    return InvertedFile(entries.codes, bias, n_lists=32, n_probe=32), lambda some: some.codes


def _of_rows(entries: EmbeddedCodes, bias: ItemBias) -> tuple[Any, Callable[[Any], Any]]:
    rows = RowQuantiser.fit(entries.embeddings, bits=4)
    index = HierarchicalIndex(
        HammingIndex(entries.codes, bias), entries.embeddings, rows=rows, n_lists=32, refined=1000
    )
    index.n_probe = 32
    return index, lambda some: some


class _Catalogue:
    """An index and a plain table of what it should hold."""

    def __init__(self, make: Callable[..., Any], rng: np.random.Generator) -> None:
        self.rng, (self.entries, self.bias) = rng, _some(rng, _N)
        self.index, self.part = make(self.entries, self.bias)
        self.alive = np.ones(_N, bool)

    def change(self, n: int) -> None:
        """Add, move and remove some items."""
        more, more_bias = _some(self.rng, n)
        self.index.add(self.part(more), more_bias)
        codes = BinaryCodes(np.concatenate([self.entries.codes.packed, more.codes.packed]), 64)
        self.entries = EmbeddedCodes(codes, np.concatenate([self.entries.embeddings, more.embeddings]))
        self.bias = ItemBias(np.concatenate([self.bias.penalty, more_bias.penalty]), 2.0)
        self.alive = np.concatenate([self.alive, np.ones(n, bool)])
        self.move(n)

    def move(self, n: int) -> None:
        """Put other items in the places of some, and remove some."""
        places = self.rng.choice(len(self.alive), n, replace=False)
        moved, bias = _some(self.rng, n)
        self.index.update(places, self.part(moved), bias)
        self._moved(places, moved, bias)
        gone = self.rng.choice(len(self.alive), n // 2, replace=False)
        self.index.remove(gone)
        self.alive[gone] = False

    def _moved(self, places: Array, moved: EmbeddedCodes, bias: ItemBias) -> None:
        packed, vectors, penalty = (
            part.copy() for part in (self.entries.codes.packed, self.entries.embeddings, self.bias.penalty)
        )
        packed[places], vectors[places], penalty[places] = moved.codes.packed, moved.embeddings, bias.penalty
        self.entries, self.bias = EmbeddedCodes(BinaryCodes(packed, 64), vectors), ItemBias(penalty, 2.0)

    def check(self, queries: EmbeddedCodes, candidates: CandidateFilter, allowed: Array) -> None:
        """Compare with every item that is there and allowed, one by one."""
        found = self.index.search(self.part(queries), _K, candidates=candidates)
        there = np.flatnonzero(allowed & self.alive)
        assert (found.counts == min(_K, len(there))).all()
        n = min(_K, len(there))
        if isinstance(self.index, InvertedFile):
            signs = queries.codes.signs().astype(np.float32)
            scores = signs @ self.entries.codes.signs()[there].T.astype(np.float32)
            scores += 2.0 - 2.0 * self.bias.penalty[there]
        else:
            scores = queries.embeddings @ self.entries.embeddings[there].T
        expected = -np.sort(-scores, axis=1)[:, :n]
        np.testing.assert_allclose(found.scores[:, :n], expected, atol=1e-4)
        for row, positions in enumerate(found.positions[:, :n]):
            assert len(set(positions.tolist())) == n
            assert set(positions.tolist()) <= set(there.tolist()), row


@pytest.mark.parametrize("make", [_of_codes, _of_rows], ids=["codes", "rows"])
@pytest.mark.parametrize("share", [0.5, 0.1, 0.01])
def test_what_passes_is_found_while_filter_and_lists_change(make: Callable[..., Any], share: float) -> None:
    rng = np.random.default_rng(int(1000 * share))
    catalogue = _Catalogue(make, rng)
    allowed = rng.random(_N) < share
    queries, _ = _some(rng, 40)
    for step in range(14):
        if step % 2:
            catalogue.change(60)
            allowed = np.concatenate([allowed, rng.random(60) < share])
        else:
            turned = rng.choice(len(allowed), 20, replace=False)
            allowed = allowed.copy()
            allowed[turned] = rng.random(20) < share
        candidates = CandidateFilter(allow_all=allowed)
        catalogue.check(queries, candidates, allowed)
        catalogue.check(queries[:3], candidates, allowed)  # again, as packed


@pytest.mark.parametrize("make", [_of_codes, _of_rows], ids=["codes", "rows"])
@pytest.mark.parametrize("share", [0.6, 0.2])
def test_lists_of_a_changing_filter_are_those_of_one_that_is_packed_anew(
    make: Callable[..., Any], share: float
) -> None:
    rng = np.random.default_rng(6)
    catalogue = _Catalogue(make, rng)
    catalogue.index.n_probe = 2
    queries, _ = _some(rng, 40)
    asked, allowed = catalogue.part(queries), rng.random(_N) < share
    n_grown = 0
    for step in range(20):
        if step % 3 == 2:
            catalogue.change(40)
            allowed = np.concatenate([allowed, rng.random(40) < share])
        else:
            allowed = allowed.copy()
            turned = rng.choice(len(allowed), 12, replace=False)
            allowed[turned] = ~allowed[turned]
        candidates = CandidateFilter(allow_all=allowed)
        found = catalogue.index.search(asked, _K, candidates=candidates)
        anew = pickle.loads(pickle.dumps(catalogue.index))
        expected = anew.search(asked, _K, candidates=candidates)
        np.testing.assert_array_equal(found.counts, expected.counts)
        assert (
            found.scores >= expected.scores
        ).all()  # what finds no room in its list is read by every query
        if make is _of_rows:
            np.testing.assert_array_equal(found.positions, expected.positions)
        (known,) = [one for one in _allowed(catalogue.index)._known.values() if one.lists is not None]
        n_grown += known.in_lists is not None and known.in_lists.n_dead > 0
    assert n_grown > 3  # and it was not packed anew each time


def _allowed(index: Any) -> AllowedLists:
    state = index.snapshot()
    found: AllowedLists = (state if isinstance(index, InvertedFile) else state.store)._allowed
    return found


@pytest.mark.parametrize("make", [_of_codes, _of_rows], ids=["codes", "rows"])
def test_a_filter_that_is_kept_sees_items_that_move_and_go(make: Callable[..., Any]) -> None:
    rng = np.random.default_rng(3)
    catalogue = _Catalogue(make, rng)
    allowed = rng.random(_N) < 0.3
    candidates, (queries, _) = CandidateFilter(allow_all=allowed), _some(rng, 40)
    for _ in range(6):
        catalogue.check(queries, candidates, allowed)
        catalogue.move(50)


def test_an_earlier_state_and_a_second_one_from_it_stay_as_they_are() -> None:
    rng = np.random.default_rng(4)
    first = _Catalogue(_of_codes, rng)
    allowed = rng.random(_N) < 0.4
    candidates, (queries, _) = CandidateFilter(allow_all=allowed), _some(rng, 40)
    first.check(queries, candidates, allowed)
    more, bias = _some(rng, 100)
    others = [first.index.with_added(more.codes, bias), first.index.with_added(more.codes[::-1], bias)]
    for other, added in zip(others, (more, more[::-1]), strict=True):
        for _ in range(3):
            longer = np.concatenate([allowed, np.ones(100, bool)])
            found = other.search(added.codes, 1, candidates=CandidateFilter(allow_all=longer), biased=False)
            assert (found.scores[:, 0] == 64).all()
        first.check(queries, candidates, allowed)


def test_changes_of_bits_are_positions() -> None:
    rng = np.random.default_rng(5)
    held, wanted = (rng.integers(0, 2**32, 9, dtype=np.uint32) for _ in range(2))
    moved = np.array([3, 70, 200])
    table: Any = None
    part = PackedFilter(table, held, 100).after(moved)
    assert part is not None
    gone, added = part.changes(np.concatenate([wanted, wanted[:1]]))
    before = set(positions_of(held).tolist())
    after = set(positions_of(np.concatenate([wanted, wanted[:1]])).tolist())
    assert set(gone.tolist()) == (before - after) | (before & set(moved.tolist()))
    assert set(added.tolist()) == (after - before) | (after & before & set(moved.tolist()))
    assert len(of_length(held, 4)) == 4
    assert PackedFilter(table, held, 2).after(np.arange(33)) is None
