from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ArtifactDamagedError, ArtifactError, ArtifactVersionError, ParameterError
from hashgnn.index import CandidateFilter, HammingIndex, InvertedFile, MultiIndexHashing
from hashgnn.index._arguments import search_arguments
from hashgnn.index.stores.code_store import CodeStore
from hashgnn.index.stores.segments import pack_segments, unpack_rows
from hashgnn.ranking import IndexLists, Matches
from hashgnn.testing.index_cases import assert_same, edit_header
from hashgnn.testing.index_reference import reference_search


def some_codes(n: int, seed: int, n_bits: int = 24) -> BinaryCodes:
    return BinaryCodes(np.random.default_rng(seed).integers(0, 256, (n, n_bits // 8), np.uint8))


def some_bias(n: int, seed: int) -> ItemBias:
    return ItemBias(np.random.default_rng(seed).integers(0, 20, n).astype(np.uint8), 6.0)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), biased=st.booleans(), steps=st.lists(st.sampled_from("aur"), max_size=6))
def test_changes_across_segments_equal_a_store_built_afresh(
    seed: int, biased: bool, steps: list[str]
) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, 200))
    packed, penalty, alive = some_codes(n, seed).packed, some_bias(n, seed).penalty, np.ones(n, bool)
    bias = ItemBias(penalty, 6.0) if biased else None
    store = CodeStore.build(BinaryCodes(packed), bias, segment_size=64)
    for number, step in enumerate(steps):
        count = int(rng.integers(0, 150)) if step == "a" else int(rng.integers(0, len(packed) + 1))
        codes, more = some_codes(count, seed + number), some_bias(count, seed + number)
        new_bias = more if biased else None
        rows = rng.permutation(len(packed))[:count]
        if step == "a":
            store = store.added(codes, new_bias)
            packed = np.concatenate([packed, codes.packed])
            penalty = np.concatenate([penalty, more.penalty])
            alive = np.concatenate([alive, np.ones(count, bool)])
        elif step == "u":
            store = store.updated(rows, codes, new_bias)
            packed, penalty = packed.copy(), penalty.copy()
            packed[rows], penalty[rows] = codes.packed, more.penalty
        else:
            store = store.removed(rows)
            alive[rows] = False
    assert store.codes() == BinaryCodes(packed)
    np.testing.assert_array_equal(store.alive_mask(), alive)
    if len(packed) == 0:
        return
    some = rng.integers(0, len(packed), 50)
    assert store.codes(some) == BinaryCodes(packed[some])
    bias, top = (ItemBias(penalty, 6.0), 6.0) if biased else (None, None)
    if bias is not None:
        for kept, expected in ((store.bias(), bias), (store.bias(some), bias[some])):
            assert kept is not None
            np.testing.assert_array_equal(kept.penalty, expected.penalty)
    queries = some_codes(3, seed + 99)
    for candidates in (None, CandidateFilter(allow_all=rng.random(len(packed)) < 0.7)):
        arguments = search_arguments(len(packed), 1, candidates, biased=True, top=top)
        assert_same(
            Matches(*store.search(queries, 4, arguments)),
            reference_search(
                BinaryCodes(packed),
                queries,
                len(packed),
                item_bias=bias,
                alive=alive,
                candidates=candidates,
            ),
        )


@pytest.mark.parametrize("n_bits", [8, 24, 64, 128, 200, 1024])
def test_rows_are_unpacked_by_place(n_bits: int) -> None:
    codes = some_codes(100, 1, n_bits)
    (segment,) = pack_segments(codes, None)
    places = np.array([99, 0, 31, 32, 64, 99])
    np.testing.assert_array_equal(unpack_rows(segment.words, n_bits, places), codes.packed[places])


def saved(path: Path, n: int = 500) -> HammingIndex:
    index = HammingIndex(some_codes(n, 1), some_bias(n, 1), query_bits=5)
    index.remove([0, 7])
    index.save(path)
    return index


def test_a_saved_index_gives_the_same_answers_and_can_change(tmp_path: Path) -> None:
    path = tmp_path / "codes.index"
    index = saved(path)
    for verify in (False, True):
        loaded = HammingIndex.load(path, verify=verify)
        queries = some_codes(5, 2)
        assert_same(loaded.search(queries, 100), index.search(queries, 100))
        floats = np.random.default_rng(0).standard_normal((2, 24)).astype(np.float32)
        assert_same(loaded.search(floats, 9), index.search(floats, 9))
    loaded.add(some_codes(3, 3), some_bias(3, 3))
    loaded.update([1], some_codes(1, 4), some_bias(1, 4))
    assert len(loaded) == 503
    assert_same(HammingIndex.load(path).search(queries, 100), index.search(queries, 100))


def test_truncated_edited_foreign_and_newer_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "codes.index"
    saved(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with pytest.raises(ArtifactDamagedError, match="lies outside of the file; it was truncated"):
        HammingIndex.load(path)
    path.write_bytes(whole[:70])
    with pytest.raises(ArtifactDamagedError, match="checksum of its header does not match"):
        HammingIndex.load(path)
    edited = bytearray(whole)
    edited[4096] ^= 1
    path.write_bytes(edited)
    with pytest.raises(ArtifactDamagedError, match="checksum of the section words does not match"):
        HammingIndex.load(path, verify=True)
    path.write_bytes(b"something else" * 10)
    with pytest.raises(ArtifactError, match="not a hashgnn index"):
        HammingIndex.load(path)
    with pytest.raises(ArtifactError, match="there is no such file"):
        HammingIndex.load(tmp_path / "none")
    saved(path)
    edit_header(path, '"format_version": 2', '"format_version": 3')
    with pytest.raises(ArtifactVersionError, match="written in index format 3"):
        HammingIndex.load(path)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda i, q: i.search(q, 0), "k must be an integer >= 1, got 0"),
        (lambda i, q: i.search(q, 51), "k must be at most 50, got 51"),
        (lambda i, q: i.search(q, 5, n_threads=0), "n_threads must be an integer >= 1, got 0"),
        (
            lambda i, q: i.search(some_codes(2, 0, 32), 5),
            "queries must have n_bits=24 like the index, got 32",
        ),
        (lambda i, q: i.search(q.packed, 5), "queries must be BinaryCodes or an array of float32, got uint8"),
        (
            lambda i, q: i.search(np.full((1, 24), np.nan, np.float32), 5),
            "queries must be finite, got 24 NaN or infinity",
        ),
        (
            lambda i, q: i.search(q, 5, candidates=CandidateFilter.from_lists(block_per_query=[[50]] * 2)),
            "block_per_query must hold positions from 0 to 49, got 50",
        ),
        (
            lambda i, q: i.search(q, 5, candidates=CandidateFilter.from_lists(allow_per_query=[[1]])),
            "allow_per_query must have one list a query, 2, got 1",
        ),
        (
            lambda i, q: i.search(q, 5, candidates=CandidateFilter(allow_all=np.ones(49, bool))),
            "allow_all must have one entry a code, 50, got 49",
        ),
        (
            lambda i, q: i.search(
                q,
                5,
                candidates=CandidateFilter(
                    block_per_query=IndexLists(np.array([0, 2, 1]), np.zeros(1, np.int32))
                ),
            ),
            "block_per_query must have an indptr that never falls, it does at 1",
        ),
        (
            lambda i, q: i.search(q, 5, candidates=[1]),
            "candidates must be a CandidateFilter or None, got list",
        ),
        (lambda i, q: i.remove([50]), "positions must be from 0 to 49, got 50"),
        (lambda i, q: i.remove([0.5]), r"positions must be a list of integers, got \(1,\) float64"),
        (lambda i, q: i.update([1, 1], q), "positions must be distinct, got 1 that repeat another"),
        (
            lambda i, q: i.add(q, some_bias(2, 0)),
            "item_bias must be given exactly if the index has one; it has none",
        ),
    ],
)
@pytest.mark.parametrize(
    "build", [HammingIndex, MultiIndexHashing, lambda codes: InvertedFile(codes, n_lists=4)]
)
def test_bad_input_is_one_sentence(
    call: Callable[[HammingIndex, BinaryCodes], None],
    sentence: str,
    build: Callable[[BinaryCodes], HammingIndex],
) -> None:
    with pytest.raises(ParameterError, match=sentence):
        call(build(some_codes(50, 0)), some_codes(2, 1))


def test_a_bias_out_of_range_is_refused() -> None:
    index = HammingIndex(some_codes(5, 0), some_bias(5, 0))
    with pytest.raises(ParameterError, match="item_bias must lie between -504 and 6"):
        index.add(some_codes(1, 0), ItemBias(np.zeros(1, np.uint8), 9.0))
