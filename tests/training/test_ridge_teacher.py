"""The item ridge as teacher and as start of a hash model."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from tests.training.quick import InterruptAfter, quick, run_options, same_group_share

from hashgnn import _rng
from hashgnn.config import ModelConfig
from hashgnn.data import Interactions
from hashgnn.graph import Backend, BipartiteGraph, ItemRidge
from hashgnn.nn import GraphView
from hashgnn.state import load_state, save_state
from hashgnn.training import build, train
from hashgnn.training.build import build_model
from hashgnn.training.objectives.teacher import build_teacher

RIDGE = {"name": "ridge", "n_neighbours": 6, "regularisation": 5.0, "k": 4}


def teacher_of(interactions: Interactions, **settings: object):
    graph = BipartiteGraph.from_interactions(interactions)
    config = quick("default", teacher=settings)
    return graph, build_teacher(graph, config.teacher, np.random.default_rng(0), False, Backend())


def test_a_ridge_s_lists_are_the_teacher_s(blocks: Interactions) -> None:
    graph, teacher = teacher_of(blocks, **RIDGE)
    fitted = ItemRidge.fit(graph, n_neighbours=6, regularisation=5.0)
    np.testing.assert_array_equal(teacher.lists, fitted.top(4).positions)
    assert teacher.facts == {
        "family": "ridge",
        "n_neighbours": 6,
        "regularisation": 5.0,
        "user_exponent": 0.5,
        "item_exponent": 0.5,
        "max_history": 1000,
    }


def test_sampled_histories_are_counted_in_the_facts(blocks: Interactions) -> None:
    graph, teacher = teacher_of(blocks, **RIDGE, max_history=2)
    assert teacher.facts["n_sampled_histories"] == int((graph.user_degrees > 2).sum())


def test_auto_says_once_why_filters_were_left_out(
    blocks: Interactions, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    with caplog.at_level(logging.INFO, logger="hashgnn"):
        state = train(blocks, quick("default", **{"teacher.filter_budget": 0.0}), options=run_options(0))
    said = [record.getMessage() for record in caplog.records]
    facts = state.training["teacher"]
    assert said == [facts["left_out"]]
    assert caplog.records[0].levelno == logging.INFO  # a quiet run shows nothing
    assert said[0].startswith("graph filters were left out")
    assert facts["family"] == "ridge"
    assert list(facts["tried"]) == ["ridge"]
    save_state(state, tmp_path / "model")
    assert load_state(tmp_path / "model").training["teacher"] == facts


def test_auto_reports_each_family(blocks: Interactions) -> None:
    _, teacher = teacher_of(blocks, name="auto", k=3, rank=8)
    assert "left_out" not in teacher.facts
    assert len(teacher.facts["tried"]) == 2
    chosen = teacher.facts["tried"][teacher.facts["family"]]
    assert chosen == {
        "recall@20": teacher.facts["held_out_recall@20"],
        "ndcg@20": teacher.facts["held_out_ndcg@20"],
    }


@pytest.mark.parametrize(
    "settings",
    [
        {"teacher": RIDGE},
        {"warm_start_from": "ridge", "teacher": "none"},
        {"teacher.filter_budget": 0.0, "warm_start_from": "ridge"},
    ],
    ids=str,
)
def test_groups_are_learned_from_a_ridge(settings: dict[str, object], blocks: Interactions) -> None:
    config = quick("default", **{"objective.min_steps": 4, "optimizer.epochs": 25}, **settings)
    assert same_group_share(train(blocks, config, options=run_options(0))) >= 0.95


def test_a_run_that_was_stopped_goes_on_to_the_same_model(blocks: Interactions, tmp_path: Path) -> None:
    config = quick("default", **{"teacher.filter_budget": 0.0}, warm_start_from="ridge")
    whole = train(blocks, config, options=run_options(3))
    options = {"checkpoint_dir": tmp_path / "checkpoints"}
    with pytest.raises(KeyboardInterrupt):
        train(blocks, config, options=run_options(3, callbacks=[InterruptAfter(1)], **options))
    resumed = train(blocks, config, options=run_options(3, resume=True, **options))
    assert resumed.training["teacher"] == whole.training["teacher"]
    np.testing.assert_array_equal(resumed.items.codes.signs(), whole.items.codes.signs())
    np.testing.assert_array_equal(resumed.items.embeddings, whole.items.embeddings)


def start(graph: BipartiteGraph, config: ModelConfig) -> tuple[np.ndarray, np.ndarray]:
    view = GraphView.from_scipy(graph.user_item, adjacency=graph.adjacency)
    encoder = build_model(graph, view, config, _rng.derive(0, 1)).encoder
    return encoder.source.detach().numpy(), encoder.item_input.table.detach().numpy()


def test_the_start_ranks_as_the_ridge_does(blocks: Interactions) -> None:
    """Sources times targets follow the weights; rows of the targets have one length."""
    graph = BipartiteGraph.from_interactions(blocks)
    source, target = start(graph, quick("default", warm_start_from="ridge"))
    weights = ItemRidge.fit(graph, rng=0).weights
    weights = weights if isinstance(weights, np.ndarray) else weights.toarray()
    assert np.corrcoef((source @ target.T).ravel(), weights.ravel())[0, 1] > 0.5
    np.testing.assert_allclose(np.linalg.norm(target, axis=1), target.shape[1] ** 0.5, rtol=0.05)


@pytest.mark.parametrize("encoder", ["mf", "lightgcn", "history"])
@pytest.mark.parametrize("start_from", ["spectrum", "ridge"])
def test_every_encoder_takes_either_start(encoder: str, start_from: str, blocks: Interactions) -> None:
    config = quick(
        "default",
        encoder={"name": encoder},
        warm_start_from=start_from,
        teacher="none",
        **{"optimizer.epochs": 2},
    )
    losses = [one["loss"] for one in train(blocks, config, options=run_options(0)).training["history"]]
    assert np.isfinite(losses).all()


def test_many_users_start_from_the_items_part_alone(
    blocks: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = BipartiteGraph.from_interactions(blocks)
    config = quick("default")
    whole = start(graph, config)
    monkeypatch.setattr(build, "_MANY", 0)
    part = start(graph, config)
    for one, other in zip(whole, part, strict=True):
        products = [table @ table.T for table in (one, other)]
        np.testing.assert_allclose(*(p / np.abs(p).max() for p in products), atol=0.05)
