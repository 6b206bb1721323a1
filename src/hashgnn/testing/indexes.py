"""The contract of an index: subclass it in a test module and say how to build one."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ArtifactDamagedError, ArtifactError, ParameterError
from hashgnn.index import CandidateFilter, CandidateIndex, Matches, MutableIndex, load_index
from hashgnn.testing.index_cases import Case, assert_same, cases, random_codes
from hashgnn.testing.index_reference import kept_mask, reference_asymmetric, reference_search

# The suite is inherited, so that one test runs in several classes.
_GENERATED = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.differing_executors])


class IndexContract(ABC):
    """The contract of every index, except for unsupported features.

    Attributes
    ----------
    exact : bool
        Whether it finds all that the reference finds. Where not, each result must still be a true one, in
        order, that passes the filters.
    tolerance : float
        How far a score may be off, relative to the largest that a code can have. Above 0, results are as many
        as those of the reference, in the order of their own scores.
    """

    exact: ClassVar[bool] = True
    tolerance: ClassVar[float] = 0.0

    @abstractmethod
    def build(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> CandidateIndex:
        """Return an index over these codes; called with a bias only if the index supports one."""

    def queries(self, codes: BinaryCodes, *, biased: bool = True) -> Any:
        """Return queries as the index takes them; unbiased ones where the item bias must not count."""
        return codes

    def entries(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> Any:
        """Return codes as the index takes them in a change."""
        return codes

    @_GENERATED
    @given(case=cases(max_codes=200))
    def test_code_queries_are_answered_as_by_the_reference(self, case: Case) -> None:
        index, case = self._index(case)
        for biased in (True, False):
            found = index.search(
                self.queries(case.queries, biased=biased),
                case.k,
                candidates=case.filter,
                biased=biased,
                n_threads=case.n_threads,
            )
            bias = case.bias if biased else None
            expected = reference_search(
                case.codes, case.queries, case.k, item_bias=bias, candidates=case.filter
            )
            self._check(found, expected, case, bias)

    @_GENERATED
    @given(case=cases(max_codes=120))
    def test_float_queries_are_answered_as_by_the_reference_or_refused(self, case: Case) -> None:
        index, case = self._index(case)
        if "float queries" in index.unsupported:
            with pytest.raises(ParameterError, match=r"queries must be (BinaryCodes|EmbeddedCodes) for a"):
                index.search(case.floats, case.k)
            return
        found = index.search(case.floats, case.k, candidates=case.filter, n_threads=case.n_threads)
        if self.exact:
            assert_same(
                found,
                reference_asymmetric(
                    case.codes, case.floats, case.k, item_bias=case.bias, candidates=case.filter
                ),
            )

    def test_what_it_does_not_support_is_refused_in_one_sentence(self, tmp_path: Path) -> None:
        index, codes = self.build(random_codes(40, 0)), random_codes(2, 1)
        no_changes = "cannot be changed; build a new one"
        everything = CandidateFilter(allow_all=np.ones(40, bool))
        calls: list[tuple[str, str, Callable[[], Any]]] = [
            (
                "filters",
                "candidates must be None for a",
                lambda: index.search(codes, 3, candidates=everything),
            ),
            (
                "saving",
                "cannot be saved; save the codes and build it again",
                lambda: index.save(tmp_path / "index"),
            ),
            ("changes", no_changes, lambda: index.add(codes)),
            ("changes", no_changes, lambda: index.update([0, 1], codes)),
            ("changes", no_changes, lambda: index.remove([0])),
        ]
        for name, sentence, call in calls:
            if name in index.unsupported:
                with pytest.raises(ParameterError, match=sentence):
                    call()

    def test_k_from_one_to_all(self) -> None:
        codes, queries = random_codes(70, 0), random_codes(3, 1)
        index = self.build(codes)
        for k in (1, 2, 69, 70):
            case = Case(codes, queries, np.empty((3, 24), np.float32), None, None, k, 1)
            found = index.search(self.queries(queries), k)
            self._check(found, reference_search(codes, queries, k), case, None)
        for k, sentence in ((0, "k must be an integer >= 1, got 0"), (71, "k must be at most 70, got 71")):
            with pytest.raises(ParameterError, match=sentence):
                index.search(self.queries(queries), k)

    def test_threads_change_nothing_ours_and_the_callers(self) -> None:
        index, queries = self.build(random_codes(2000, 0)), self.queries(random_codes(33, 1))
        alone = index.search(queries, 40)
        found: list[Matches] = []
        callers = [
            threading.Thread(target=lambda n=n: found.append(index.search(queries, 40, n_threads=n)))
            for n in (1, 2, 3, 7)
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert len(found) == len(callers)
        for matches in found:
            assert_same(matches, alone)
        one_by_one = [index.search(queries[row : row + 1], 40).positions[0] for row in range(33)]
        np.testing.assert_array_equal(np.stack(one_by_one), alone.positions)

    def test_bad_queries_and_filters_are_one_sentence(self) -> None:
        index, codes = self.build(random_codes(50, 0)), random_codes(2, 1)
        queries = self.queries(codes)
        no_filter: Any = [1, 2]
        short = CandidateFilter(allow_all=np.ones(49, bool))
        few = CandidateFilter.from_lists(allow_per_query=[[1]])
        calls: list[tuple[str, Callable[[], Any]]] = [
            (
                "queries must have n_bits=24 like the index, got 32",
                lambda: index.search(self.queries(random_codes(2, 0, 32)), 5),
            ),
            ("queries must be (BinaryCodes|EmbeddedCodes)", lambda: index.search(codes.packed, 5)),
            ("n_threads must be an integer >= 1, got 0", lambda: index.search(queries, 5, n_threads=0)),
        ]
        if "float queries" not in index.unsupported:
            nan = np.full((1, 24), np.nan, np.float32)
            calls.append(("queries must be finite, got 24 NaN", lambda: index.search(nan, 5)))
            huge = np.full((1, 24), -3e38, np.float32)
            calls.append(
                (r"queries must lie between .* to be finite, got 3e\+38", lambda: index.search(huge, 5))
            )
            assert index.search(huge / 50, 5).is_finite
        if "filters" not in index.unsupported:
            calls += [
                (
                    "candidates must be a CandidateFilter or None, got list",
                    lambda: index.search(queries, 5, candidates=no_filter),
                ),
                (
                    "allow_all must have one entry a code, 50, got 49",
                    lambda: index.search(queries, 5, candidates=short),
                ),
                (
                    "allow_per_query must have one list a query, 2, got 1",
                    lambda: index.search(queries, 5, candidates=few),
                ),
            ]
            for name in ("block", "allow"):
                for at in (50, -1):
                    lists: dict[str, Any] = {f"{name}_per_query": [[at]] * 2}
                    outside = CandidateFilter.from_lists(**lists)
                    calls.append(
                        (
                            f"{name}_per_query must hold positions from 0 to 49, got {at}",
                            partial(index.search, queries, 5, candidates=outside),
                        )
                    )
        for sentence, call in calls:
            with pytest.raises(ParameterError, match=sentence):
                call()

    def test_queries_that_are_not_contiguous_are_answered_the_same(self) -> None:
        index = self.build(random_codes(60, 0))
        packed = random_codes(6, 1).packed
        assert_same(
            index.search(self.queries(BinaryCodes(packed[::2])), 9),
            index.search(self.queries(BinaryCodes(packed[::2].copy())), 9),
        )
        if "float queries" not in index.unsupported:
            floats = np.random.default_rng(0).standard_normal((24, 4)).astype(np.float32)
            assert_same(index.search(floats.T, 9), index.search(floats.T.copy(), 9))

    @_GENERATED
    @given(
        seed=st.integers(0, 10**6),
        biased=st.booleans(),
        steps=st.lists(st.sampled_from("aur"), min_size=1, max_size=5),
    )
    def test_changes_equal_an_index_built_afresh(self, seed: int, biased: bool, steps: list[str]) -> None:
        rng = np.random.default_rng(seed)
        packed = random_codes(int(rng.integers(1, 120)), seed).packed
        alive = np.ones(len(packed), bool)
        penalty = rng.integers(0, 20, len(packed)).astype(np.uint8)
        unsupported = self.build(random_codes(1, 0)).unsupported
        if "changes" in unsupported:
            return
        biased = biased and "item bias" not in unsupported

        def bias_of(penalties: Array) -> ItemBias | None:
            return ItemBias(penalties, 6.0) if biased else None

        index = self._built(BinaryCodes(packed), bias_of(penalty))
        for number, step in enumerate(steps):
            count = int(rng.integers(0, 60 if step == "a" else len(packed) + 1))
            codes, rows = random_codes(count, seed + number), rng.permutation(len(packed))[:count]
            added = rng.integers(0, 20, count).astype(np.uint8)
            entries = self.entries(codes, bias_of(added))
            if step == "a":
                positions = index.add(entries, bias_of(added))
                assert positions.tolist() == list(range(len(packed), len(packed) + count))
                packed = np.concatenate([packed, codes.packed])
                penalty = np.concatenate([penalty, added])
                alive = np.concatenate([alive, np.ones(count, bool)])
            elif step == "u":
                index.update(rows, entries, bias_of(added))
                packed, penalty = packed.copy(), penalty.copy()
                packed[rows], penalty[rows] = codes.packed, added
            else:
                index.remove(rows)
                alive[rows] = False
        assert len(index) == len(packed)
        queries, bias = random_codes(3, seed + 99), bias_of(penalty)
        everything = BinaryCodes(packed)
        case = Case(everything, queries, np.empty((3, 24), np.float32), bias, None, len(packed), 1)
        found = index.search(self.queries(queries), len(packed))
        expected = reference_search(everything, queries, len(packed), item_bias=bias, alive=alive)
        self._check(found, expected, case, bias, alive)
        if isinstance(index, MutableIndex):
            np.testing.assert_array_equal(index.alive(), alive)
            there = rng.permutation(np.flatnonzero(alive))
            np.testing.assert_array_equal(index.codes(there).packed, packed[there])
            np.testing.assert_array_equal(index.codes().packed[there], packed[there])
            kept = index.item_bias(there)
            assert (kept is None) == (bias is None)
            if kept is not None and bias is not None:
                np.testing.assert_array_equal(kept.penalty, penalty[there])
                assert kept.top == bias.top

    def test_a_search_during_updates_sees_one_state(self) -> None:
        # Every update sets all codes to one pattern: a mixture would show two distances.
        n = 3000
        index = self.build(BinaryCodes(np.zeros((n, 8), np.uint8)))
        if "changes" in index.unsupported:
            pytest.skip("it cannot change")
        stop, mixtures = threading.Event(), list[Array]()
        query = self.queries(BinaryCodes(np.zeros((1, 8), np.uint8)))

        def watch() -> None:
            while not stop.is_set():
                scores = index.search(query, n).scores
                if len(np.unique(scores)) != 1:
                    mixtures.append(scores)

        threads = [threading.Thread(target=watch) for _ in range(2)]
        for thread in threads:
            thread.start()
        for pattern in range(1, 20):
            codes = BinaryCodes(np.full((n, 8), pattern, np.uint8))
            index.update(np.arange(n), self.entries(codes))
        stop.set()
        for thread in threads:
            thread.join()
        assert not mixtures

    def test_a_saved_index_is_opened_by_its_kind_and_answers_as_before(self, tmp_path: Path) -> None:
        index, path = self.build(random_codes(500, 0)), tmp_path / "index"
        if "saving" in index.unsupported:
            pytest.skip("it cannot be saved")
        if "changes" not in index.unsupported:
            index.add(self.entries(random_codes(9, 2)))
            index.update([3], self.entries(random_codes(1, 3)))
            index.remove([0, 7])
        index.save(path)
        queries = self.queries(random_codes(5, 1))
        expected = index.search(queries, 100)
        for verify in (False, True):
            opened = load_index(path, verify=verify)
            assert type(opened) is type(index)
            assert repr(opened) == repr(index)
            assert_same(opened.search(queries, 100), expected)
        assert_same(type(opened).load(path).search(queries, 100), expected)
        if "changes" not in index.unsupported:
            opened.remove([1])
            assert 1 not in opened.search(queries, len(opened)).positions
            assert_same(load_index(path).search(queries, 100), expected)
        opened.save(path)  # over the file that it is mapped from
        assert len(load_index(path)) == len(index)

    def test_a_damaged_or_foreign_file_is_named(self, tmp_path: Path) -> None:
        index, path = self.build(random_codes(500, 0)), tmp_path / "index"
        if "saving" in index.unsupported:
            pytest.skip("it cannot be saved")
        index.save(path)
        whole = path.read_bytes()
        for content in (whole[:70], whole[: len(whole) // 2]):
            path.write_bytes(content)
            with pytest.raises(ArtifactDamagedError, match="truncated"):
                load_index(path)
        edited = bytearray(whole)
        edited[4096] ^= 1
        path.write_bytes(edited)
        with pytest.raises(ArtifactDamagedError, match=r"the checksum of the section .* does not match"):
            load_index(path, verify=True)
        path.write_bytes(b"something else" * 10)
        with pytest.raises(ArtifactError, match="not a hashgnn index"):
            load_index(path)

    def _index(self, case: Case) -> tuple[CandidateIndex, Case]:
        """Return an index, and the case without unsupported features."""
        unsupported = self.build(case.codes[:1]).unsupported
        if "item bias" in unsupported:
            case = replace(case, bias=None)
        if "filters" in unsupported:
            case = replace(case, filter=None)
        return self._built(case.codes, case.bias), case

    def _built(self, codes: BinaryCodes, bias: ItemBias | None) -> CandidateIndex:
        return self.build(codes, *([] if bias is None else [bias]))

    def _check(
        self, found: Matches, expected: Matches, case: Case, bias: ItemBias | None, alive: Array | None = None
    ) -> None:
        if self.exact and not self.tolerance:
            assert_same(found, expected)
            return
        kept = kept_mask(len(case.queries), len(case.codes), case.filter, alive)
        values = case.queries.distances(case.codes).astype(np.int64)
        if bias is not None:
            values = values + bias.penalty
        top = 0.0 if bias is None else bias.top
        for row, count in enumerate(found.counts.tolist()):
            best, rest = found.positions[row, :count], found.positions[row, count:]
            assert kept[row, best].all()
            assert (rest == -1).all()
            largest = case.codes.n_bits + abs(top) + 2 * float(values.max(initial=0))
            np.testing.assert_allclose(
                found.scores[row, :count],
                case.codes.n_bits + top - 2 * values[row, best],
                rtol=1e-7,
                atol=self.tolerance * largest,
            )
            if self.tolerance:
                assert count == expected.counts[row]
                assert len(np.unique(best)) == count
                in_order = np.lexsort((best, -found.scores[row, :count]))
                assert (in_order == np.arange(count)).all()
                continue
            assert (np.diff(values[row, best] * len(case.codes) + best) > 0).all()
