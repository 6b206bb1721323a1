"""A model within a memory budget ranks items by rows of few bits, and leaves its floats on disk."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest

from hashgnn.errors import ArtifactDamagedError, ParameterError
from hashgnn.evaluation import evaluate
from hashgnn.index import HammingIndex, InvertedFile, build
from hashgnn.recommender import HashGNN
from hashgnn.state import ModelState
from hashgnn.testing.states import random_state

USERS = np.arange(80)
DIM = 48


@pytest.fixture(scope="module")
def state() -> ModelState:
    return random_state(80, 5000, dim=DIM, density=0.02, rng=4)


@pytest.fixture
def path(state: ModelState, tmp_path: Path) -> Path:
    HashGNN.from_state(state).save(tmp_path / "v1")
    return tmp_path / "v1"


def agreement(model: HashGNN, k: int = 100) -> float:
    """Return the share of the best unseen items by all floats that hierarchical search finds."""
    exact, found = (model.search_block(USERS, way, k) for way in ("float", "hierarchical"))
    return float(
        np.mean(
            [len(np.intersect1d(*rows)) / k for rows in zip(exact.positions, found.positions, strict=True)]
        )
    )


@pytest.mark.parametrize("scan_limit", [100, 100_000])
@pytest.mark.parametrize(("budget", "requested"), [(22, 0.9), (60, 0.95), (60, 0.99)])
def test_the_index_recall_is_reached_within_the_budget(
    path: Path, budget: float, requested: float, scan_limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "SCAN_LIMIT", scan_limit)
    budget += 10 if scan_limit == 100 else 0  # lists have positions and empty lanes
    model = HashGNN.load(path, index_recall=requested, bytes_per_item=budget)
    assert isinstance(model.item_index, InvertedFile if scan_limit == 100 else HammingIndex)
    ranked = model.fitted.ranked_items
    assert ranked is not None
    assert (ranked.nbytes - 8 * DIM * DIM - 4 * DIM) / 5000 <= budget
    for k in (100, 10):
        assert agreement(model, k) >= requested - 0.02
    for user in USERS[:5]:
        found = model.search_block(USERS[user : user + 1], "hierarchical", 50)
        assert not np.isin(found.positions, model.state_.seen[user].indices).any()


def test_a_model_saved_within_a_budget_opens_with_its_rows(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = HashGNN.load(path, index_recall=0.97, bytes_per_item=25)
    made.save(tmp_path / "v2")
    monkeypatch.setattr("hashgnn.answering.memory_budget.hierarchical_within", None)  # nothing is made again
    for model in (
        HashGNN.load(tmp_path / "v2"),
        HashGNN.load(tmp_path / "v2", mmap=False, verify=True),
        pickle.loads(pickle.dumps(HashGNN.load(tmp_path / "v2"))),
        HashGNN.load(tmp_path / "v2", bytes_per_item=25),
    ):
        assert repr(model.fitted.ranked_items) == repr(made.fitted.ranked_items)
        one, other = (each.search_block(USERS, "hierarchical", 20) for each in (model, made))
        np.testing.assert_array_equal(one.positions, other.positions)
        np.testing.assert_array_equal(one.scores, other.scores)
    model.save(tmp_path / "v3")
    for name in ("item_rows.hgx", "item_index.hgx"):
        assert (tmp_path / "v3" / name).read_bytes() == (tmp_path / "v2" / name).read_bytes()


def test_new_items_join_the_rows(path: Path, tmp_path: Path) -> None:
    model = HashGNN.load(path, index_recall=0.95, bytes_per_item=60)
    model.recommend(["u1"], k=3)
    grown = model.add_items(["new1", "new2"], [["u1", "u2"], ["u3"]])
    assert agreement(grown) >= 0.93
    grown.save(tmp_path / "grown")
    again = HashGNN.load(tmp_path / "grown")
    for one in (grown, again):
        assert one.fitted.ranked_items is not None
        assert len(one.fitted.ranked_items) == 5002
        found = one.search_block(USERS, "hierarchical", 5002 - 400)
        assert (found.positions >= 5000).any()
    assert len(model.fitted.ranked_items or ()) == 5000


def test_quality_is_measured_exactly_and_as_served(path: Path) -> None:
    model = HashGNN.load(path, index_recall=0.9, bytes_per_item=22)
    test = model.state_.seen[:, ::-1].tocsr()
    test = test - test.multiply(model.state_.seen > 0)
    test.eliminate_zeros()
    scored, served = (
        evaluate(
            model,
            model.state_.seen,
            test,
            metrics=["recall@50"],
            search=["hierarchical", "float"],
            served=is_served,
            n_bootstrap=0,
            n_timed=0,
        ).metrics
        for is_served in (False, True)
    )
    assert scored["hierarchical"]["recall@50"] == pytest.approx(scored["float"]["recall@50"])
    assert served["hierarchical"]["recall@50"] == pytest.approx(served["float"]["recall@50"], abs=0.02)
    assert model.fitted.items_for_users.bytes_per_item("hierarchical") < 30


def test_a_budget_that_cannot_be_is_one_sentence(path: Path, state: ModelState) -> None:
    for budget, sentence in (
        (0, "bytes_per_item must be a finite number > 0 and <= .*, got 0"),
        (float("nan"), "bytes_per_item must be a finite number > 0"),
    ):
        with pytest.raises(ParameterError, match=sentence):
            HashGNN.load(path, bytes_per_item=budget)
    with pytest.raises(
        ParameterError, match=r"bytes_per_item must be at least 2[0-9]\.\d, \d\.\d for codes of 32 bits"
    ):
        HashGNN.load(path, bytes_per_item=9).recommend(["u1"])
    with pytest.raises(ParameterError, match="bytes_per_item must be None where an engine holds the items"):
        from hashgnn.answering.fitted_model import FittedModel

        FittedModel(state, None, object(), 30)  # type: ignore[arg-type]


def test_rows_of_other_items_are_damage(path: Path, tmp_path: Path, state: ModelState) -> None:
    made = HashGNN.load(path, bytes_per_item=60, index_recall=0.9)
    other = HashGNN.from_state(random_state(80, 400, dim=DIM, rng=1))
    wrong = dataclasses.replace(other.state_, ranked_items=made.fitted.ranked_items, bytes_per_item=60)
    from hashgnn.state import save_state

    save_state(wrong, tmp_path / "wrong")
    with pytest.raises(
        ArtifactDamagedError, match="its rows do not fit the codes and embeddings of the model"
    ):
        HashGNN.load(tmp_path / "wrong")
