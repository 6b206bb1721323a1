"""Every encoder can be named in a config, trained by both objectives, saved, loaded and folded in."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from hashgnn.data import Interactions
from hashgnn.errors import ParameterError
from hashgnn.nn import ENCODERS
from hashgnn.recommender import HashGNN

# Two groups of users that each have most of six items.
N_USERS, N_ITEMS = 24, 12
FORMS = {
    **{name: {"encoder": name} for name in ENCODERS},
    "graphsage, gcn": {"encoder": "graphsage", "encoder.aggregator": "gcn"},
    "graphsage, concat": {"encoder": "graphsage", "encoder.aggregator": "concat"},
    "graphsage, max": {"encoder": "graphsage", "encoder.aggregator": "max"},
    "gat of one head": {"encoder": "gat", "encoder.heads": 1},
    "pinsage with few neighbours": {"encoder": "pinsage", "encoder.n_neighbours": 2},
}
SAMPLED = {name: form for name, form in FORMS.items() if form["encoder"] in ("graphsage", "gat")}


def groups() -> Interactions:
    dense = np.kron(np.eye(2), np.ones((12, 6))) * (np.random.default_rng(0).random((N_USERS, N_ITEMS)) < 0.8)
    dense[[0, 12], [0, 6]] = 1
    return Interactions.from_csr(sparse.csr_matrix(dense))


# Relaxed codes throughout, so that a few steps on little data are enough for every encoder.
SMALL = {
    "n_bits": 16,
    "embedding_dim": 8,
    "relaxation.schedule": "constant",
    "optimizer.batch_size": 32,
    "optimizer.epochs": 20,
    "optimizer.learning_rate": 0.02,
    "validation.share": 0.0,
}


OBJECTIVES = {
    "edges": {"objective.ranking_loss": "bpr", "objective.ranking_weight": 1.0},
    "users": {"objective": "users", "objective.min_steps": 6},
}


def fitted(form: dict, objective: str, **settings: object) -> HashGNN:
    whole = {"encoder.fan_outs": []} if objective == "users" and form["encoder"] == "graphsage" else {}
    model = HashGNN(recipe="paper", **{**SMALL, **OBJECTIVES[objective], **form, **whole, **settings})
    return model.fit(groups(), device="cpu", n_threads=1, rng=0, progress=False)


def own_group_share(scores: np.ndarray) -> float:
    """Share of users whose best item is of their own group."""
    return float((scores.argmax(axis=1) // 6 == np.arange(len(scores)) // 12).mean())


@pytest.mark.parametrize("objective", ["edges", "users"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_encoder_trains_is_saved_loaded_and_folds_in(form, objective, tmp_path) -> None:
    model = fitted(form, objective)
    state = model.state_
    assert own_group_share(state.users.embeddings @ state.items.embeddings.T) > 0.9
    model.save(tmp_path / "model")
    loaded = HashGNN.load(tmp_path / "model")
    assert loaded.config == model.config
    assert loaded.recommend([0, 13], k=3).lists() == model.recommend([0, 13], k=3).lists()
    histories = [[1, 2, 3, 4], [7, 8, 9, 10]]
    found = loaded.recommend_for_history(histories, k=2, search="float")
    assert found.lists() == model.recommend_for_history(histories, k=2, search="float").lists()
    assert [row[0] // 6 for row in found.lists()] == [0, 1]


@pytest.mark.parametrize("form", SAMPLED.values(), ids=SAMPLED)
def test_encoders_that_sample_learn_from_samples(form) -> None:
    state = fitted(form, "edges", **{"encoder.fan_outs": [3, 2]}).state_
    assert own_group_share(state.users.embeddings @ state.items.embeddings.T) > 0.9


def test_heads_that_do_not_divide_the_width_raise() -> None:
    with pytest.raises(ParameterError, match="heads must divide embedding_dim=8, got 3"):
        fitted({"encoder": "gat", "encoder.heads": 3}, "edges")


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_new_item_is_of_the_group_of_its_users_and_so_is_who_takes_it(form) -> None:
    model = fitted(form, "edges")
    before = model.encode(item_ids=range(N_ITEMS))
    grown = model.add_items([100, 200], [[0, 1, 2, 3, 4], [12, 13, 14, 15, 16]])
    after = grown.encode(item_ids=range(N_ITEMS))
    assert after.codes == before.codes
    assert after.embeddings.tobytes() == before.embeddings.tobytes()
    similar = grown.similar_items([100, 200], k=3, search="float").lists()
    assert [{item // 6 for item in row} for row in similar] == [{0}, {1}]
    # Two encoders are far from linear in what an item adds to a history, and a group of six says little of it.
    if form["encoder"] != "ngcf" and form.get("encoder.aggregator") != "max":
        found = grown.recommend_for_history([[100], [200]], k=4, search="float").lists()
        assert [{item // 6 for item in row if item < N_ITEMS} for row in found] == [{0}, {1}]
    known = [[1, 2, 3], [8, 9]]
    assert (
        grown.recommend_for_history(known, k=9, block=[100, 200]).lists()
        == model.recommend_for_history(known, k=9).lists()
    )
