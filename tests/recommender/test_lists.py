"""A model that may miss some of the best searches its items in lists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from hashgnn.errors import ParameterError
from hashgnn.evaluation import evaluate
from hashgnn.index import HammingIndex, InvertedFile, build
from hashgnn.recommender import HashGNN
from hashgnn.state import ModelState
from hashgnn.testing.states import random_state

USERS = np.arange(80)


@pytest.fixture(scope="module")
def state() -> ModelState:
    return random_state(80, 6000, rng=4)


@pytest.fixture(autouse=True)
def _few_items_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "SCAN_LIMIT", 1000)


@pytest.mark.parametrize("way", ["hamming", "biased", "asymmetric", "hierarchical"])
def test_the_requested_index_recall_is_about_reached(state: ModelState, way: str) -> None:
    exact = HashGNN.from_state(state).search_block(USERS, way, 100)
    found = HashGNN.from_state(state, index_recall=0.9).search_block(USERS, way, 100)
    assert (found.counts == 100).all()
    shared = np.mean(
        [len(np.intersect1d(*rows)) / 100 for rows in zip(exact.positions, found.positions, strict=True)]
    )
    assert 0.7 < shared < 1
    for user in USERS:
        assert not np.isin(found.positions[user], state.seen[user].indices).any()


def test_an_evaluation_of_what_is_served_sees_what_the_lists_miss(state: ModelState) -> None:
    exact = HashGNN.from_state(state).search_block(USERS, "biased", 50)
    best = sparse.csr_matrix((np.ones(exact.positions.size), (np.repeat(USERS, 50), exact.positions.ravel())))
    best.resize(state.seen.shape)
    listed = HashGNN.from_state(state, index_recall=0.9)
    scored, served = (
        evaluate(
            listed,
            state.seen,
            best,
            metrics=["recall@50"],
            search="biased",
            served=is_served,
            n_bootstrap=0,
            n_timed=0,
        ).metrics["biased"]["recall@50"]
        for is_served in (False, True)
    )
    assert scored == 1
    assert 0.7 < served < 1


def test_floats_over_everything_and_users_miss_nothing(state: ModelState) -> None:
    exact, listed = HashGNN.from_state(state), HashGNN.from_state(state, index_recall=0.9)
    np.testing.assert_array_equal(
        listed.search_block(USERS, "float", 10).positions, exact.search_block(USERS, "float", 10).positions
    )
    assert listed.similar_users("u1").lists() == exact.similar_users("u1").lists()
    assert len(listed.similar_items("i1", k=10).lists()[0]) == 10


def test_lists_are_for_many_items_of_which_some_may_be_missed(
    state: ModelState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    HashGNN.from_state(state).save(tmp_path / "v1")
    assert isinstance(HashGNN.load(tmp_path / "v1").item_index, HammingIndex)
    assert isinstance(HashGNN.load(tmp_path / "v1", index_recall=0.9).item_index, InvertedFile)
    monkeypatch.setattr(build, "SCAN_LIMIT", 6000)
    assert isinstance(HashGNN.load(tmp_path / "v1", index_recall=0.9).item_index, HammingIndex)


def test_lists_are_saved_and_used_as_they_are(
    state: ModelState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = HashGNN.from_state(state, index_recall=0.9)
    listed.save(tmp_path / "v1")
    with monkeypatch.context() as patch:
        patch.setattr("hashgnn.answering.fitted_model.build_index", None)  # nothing is built
        loaded = HashGNN.load(tmp_path / "v1")
        assert (loaded.index_recall, loaded.item_index.n_probe) == (0.9, listed.item_index.n_probe)
        for way in loaded.search_ways:
            one, other = (model.search_block(USERS, way, 20) for model in (loaded, listed))
            np.testing.assert_array_equal(one.positions, other.positions)
        loaded.save(tmp_path / "v2")
        assert (tmp_path / "v2" / "item_index.hgx").read_bytes() == (
            tmp_path / "v1" / "item_index.hgx"
        ).read_bytes()
    assert loaded.state_.items.codes == state.items.codes
    exact = HashGNN.load(tmp_path / "v1", index_recall=1.0)
    assert isinstance(exact.item_index, HammingIndex)
    np.testing.assert_array_equal(
        exact.search_block(USERS, "biased", 20).positions,
        HashGNN.from_state(state).search_block(USERS, "biased", 20).positions,
    )


def test_a_share_that_is_none_is_refused_before_anything_is_searched(state: ModelState) -> None:
    with pytest.raises(ParameterError, match="index_recall must be a finite number > 0 and <= 1, got 0"):
        HashGNN.from_state(state, index_recall=0)
