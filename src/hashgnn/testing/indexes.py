"""The contract of an index: subclass it in a test module and say how to build one."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ArtifactDamagedError, ArtifactError, ParameterError
from hashgnn.index import CandidateFilter, CandidateIndex, Matches
from hashgnn.testing.index_cases import Case, assert_same, cases, random_codes
from hashgnn.testing.index_reference import kept_mask, reference_asymmetric, reference_search

# The suite is inherited, so that one test runs in several classes.
_GENERATED = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.differing_executors])


class IndexContract(ABC):
    """What every index must do, but for what it says it lacks.

    Attributes
    ----------
    exact : bool
        Whether it finds all that the reference finds. Where not, each result must still be a true one, in
        order, that the filters let through.
    """

    exact: ClassVar[bool] = True

    @abstractmethod
    def build(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> CandidateIndex:
        """Return an index over these codes; called with a bias only if it does not lack one."""

    def load(self, path: Path) -> CandidateIndex:
        """Open a saved index; needed only if it does not lack saving."""
        raise NotImplementedError

    @_GENERATED
    @given(case=cases(max_codes=200))
    def test_code_queries_are_answered_as_by_the_reference(self, case: Case) -> None:
        index, case = self._index(case)
        for biased in (True, False):
            found = index.search(
                case.queries, case.k, candidates=case.filter, biased=biased, n_threads=case.n_threads
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
        if "float queries" in index.lacks:
            with pytest.raises(ParameterError, match="queries must be BinaryCodes for a"):
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

    def test_what_it_lacks_is_refused_in_one_sentence(self, tmp_path: Path) -> None:
        index, codes = self.build(random_codes(40, 0)), random_codes(2, 1)
        asked: dict[str, Callable[[], Any]] = {
            "filters": lambda: index.search(
                codes, 3, candidates=CandidateFilter(allow_all=np.ones(40, bool))
            ),
            "saving": lambda: index.save(tmp_path / "index"),
            "changes": lambda: index.add(codes),
        }
        sentences = {
            "filters": "candidates must be None for a",
            "saving": "cannot be saved; save the codes and build it again",
            "changes": "cannot be changed; build a new one",
        }
        for name in index.lacks & set(asked):
            with pytest.raises(ParameterError, match=sentences[name]):
                asked[name]()
        changes: list[Callable[[], None]] = [lambda: index.update([0, 1], codes), lambda: index.remove([0])]
        if "changes" in index.lacks:
            for change in changes:
                with pytest.raises(ParameterError, match=sentences["changes"]):
                    change()

    def test_k_from_one_to_all(self) -> None:
        codes, queries = random_codes(70, 0), random_codes(3, 1)
        index = self.build(codes)
        for k in (1, 2, 69, 70):
            case = Case(codes, queries, np.empty((3, 24), np.float32), None, None, k, 1)
            self._check(index.search(queries, k), reference_search(codes, queries, k), case, None)
        for k, sentence in ((0, "k must be an integer >= 1, got 0"), (71, "k must be at most 70, got 71")):
            with pytest.raises(ParameterError, match=sentence):
                index.search(queries, k)

    def test_threads_change_nothing_ours_and_the_callers(self) -> None:
        codes, queries = random_codes(2000, 0), random_codes(33, 1)
        index = self.build(codes)
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
        index, queries = self.build(random_codes(50, 0)), random_codes(2, 1)
        calls: list[tuple[str, Any]] = [
            (
                "queries must have n_bits=24 like the index, got 32",
                lambda: index.search(random_codes(2, 0, 32), 5),
            ),
            (
                "queries must be BinaryCodes or an array of float32, got uint8",
                lambda: index.search(queries.packed, 5),
            ),
            ("n_threads must be an integer >= 1, got 0", lambda: index.search(queries, 5, n_threads=0)),
            (
                "queries must be finite, got 24 NaN",
                lambda: index.search(np.full((1, 24), np.nan, np.float32), 5),
            ),
        ]
        if "filters" not in index.lacks:
            no_filter: Any = [1, 2]
            calls.append(
                (
                    "candidates must be a CandidateFilter or None, got list",
                    lambda: index.search(queries, 5, candidates=no_filter),
                )
            )
            wrong = CandidateFilter(allow_all=np.ones(49, bool))
            calls.append(
                (
                    "allowed must have one entry a code, 50, got 49",
                    lambda: index.search(queries, 5, candidates=wrong),
                )
            )
        if "filters" not in index.lacks:
            for name in ("block", "allow"):
                for at in (50, -1):
                    lists_given: dict[str, Any] = {f"{name}_per_query": [[at]] * 2}
                    lists = CandidateFilter.from_lists(**lists_given)
                    calls.append(
                        (
                            f"{name} must hold positions from 0 to 49, got {at}",
                            lambda f=lists: index.search(queries, 5, candidates=f),
                        )
                    )
            few = CandidateFilter.from_lists(allow_per_query=[[1]])
            calls.append(
                (
                    "allow must have one list a query, 2, got 1",
                    lambda: index.search(queries, 5, candidates=few),
                )
            )
        for sentence, call in calls:
            with pytest.raises(ParameterError, match=sentence):
                call()

    def test_queries_that_are_not_contiguous_are_answered_alike(self) -> None:
        index = self.build(random_codes(60, 0))
        queries = random_codes(6, 1)
        assert_same(
            index.search(BinaryCodes(queries.packed[::2]), 9),
            index.search(BinaryCodes(queries.packed[::2].copy()), 9),
        )
        if "float queries" not in index.lacks:
            floats = np.random.default_rng(0).standard_normal((24, 4)).astype(np.float32)
            assert_same(index.search(floats.T, 9), index.search(floats.T.copy(), 9))

    @_GENERATED
    @given(seed=st.integers(0, 10**6), steps=st.lists(st.sampled_from("aur"), min_size=1, max_size=5))
    def test_changes_equal_an_index_built_afresh(self, seed: int, steps: list[str]) -> None:
        rng = np.random.default_rng(seed)
        packed = random_codes(int(rng.integers(1, 120)), seed).packed
        index, alive = self.build(BinaryCodes(packed)), np.ones(len(packed), bool)
        if "changes" in index.lacks:
            return
        for number, step in enumerate(steps):
            count = int(rng.integers(0, 60 if step == "a" else len(packed) + 1))
            codes, rows = random_codes(count, seed + number), rng.permutation(len(packed))[:count]
            if step == "a":
                assert index.add(codes).tolist() == list(range(len(packed), len(packed) + count))
                packed = np.concatenate([packed, codes.packed])
                alive = np.concatenate([alive, np.ones(count, bool)])
            elif step == "u":
                index.update(rows, codes)
                packed = packed.copy()
                packed[rows] = codes.packed
            else:
                index.remove(rows)
                alive[rows] = False
        assert len(index) == len(packed)
        queries = random_codes(3, seed + 99)
        everything = BinaryCodes(packed)
        case = Case(everything, queries, np.empty((3, 24), np.float32), None, None, len(packed), 1)
        found = index.search(queries, len(packed))
        self._check(found, reference_search(everything, queries, len(packed), alive=alive), case, None, alive)

    def test_a_search_during_updates_sees_one_state(self) -> None:
        # Every update sets all codes to one pattern: a mixture would show two distances.
        n = 3000
        index = self.build(BinaryCodes(np.zeros((n, 8), np.uint8)))
        if "changes" in index.lacks:
            pytest.skip("it cannot change")
        stop, mixtures = threading.Event(), list[Array]()

        def look() -> None:
            query = BinaryCodes(np.zeros((1, 8), np.uint8))
            while not stop.is_set():
                scores = index.search(query, n).scores
                if len(np.unique(scores)) != 1:
                    mixtures.append(scores)

        threads = [threading.Thread(target=look) for _ in range(2)]
        for thread in threads:
            thread.start()
        for pattern in range(1, 20):
            index.update(np.arange(n), BinaryCodes(np.full((n, 8), pattern, np.uint8)))
        stop.set()
        for thread in threads:
            thread.join()
        assert not mixtures

    def test_a_saved_index_answers_alike_and_a_damaged_one_is_named(self, tmp_path: Path) -> None:
        index, queries, path = self.build(random_codes(500, 0)), random_codes(5, 1), tmp_path / "index"
        if "saving" in index.lacks:
            pytest.skip("it cannot be saved")
        if "changes" not in index.lacks:
            index.add(random_codes(9, 2))
            index.update([3], random_codes(1, 3))
            index.remove([0, 7])
        index.save(path)
        opened = self.load(path)
        assert type(opened) is type(index)
        assert_same(opened.search(queries, 100), index.search(queries, 100))
        if "changes" not in index.lacks:
            opened.remove([1])
            assert 1 not in opened.search(queries, len(opened)).positions
            assert_same(self.load(path).search(queries, 100), index.search(queries, 100))
        whole = path.read_bytes()
        for content in (whole[:70], whole[: len(whole) // 2]):
            path.write_bytes(content)
            with pytest.raises(ArtifactDamagedError, match="truncated"):
                self.load(path)
        path.write_bytes(b"something else" * 10)
        with pytest.raises(ArtifactError, match="not a hashgnn index"):
            self.load(path)

    def _index(self, case: Case) -> tuple[CandidateIndex, Case]:
        """Return an index, and the case without what it lacks."""
        lacks = self.build(case.codes[:1]).lacks
        if "item bias" in lacks:
            case = replace(case, bias=None)
        if "filters" in lacks:
            case = replace(case, filter=None)
        return self.build(case.codes, *([] if case.bias is None else [case.bias])), case

    def _check(
        self, found: Matches, expected: Matches, case: Case, bias: ItemBias | None, alive: Array | None = None
    ) -> None:
        if self.exact:
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
            np.testing.assert_allclose(
                found.scores[row, :count], case.codes.n_bits + top - 2 * values[row, best]
            )
            assert (np.diff(values[row, best] * len(case.codes) + best) > 0).all()
