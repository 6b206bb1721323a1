"""Every relaxation in a whole run: it learns, it resumes, and what is saved is what was trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.training.quick import InterruptAfter, quick, run_options, same_group_share

import hashgnn as hg
from hashgnn.codes import BinaryCodes
from hashgnn.data import Interactions
from hashgnn.nn import RELAXATIONS
from hashgnn.training import train

each = pytest.mark.parametrize("relaxation", sorted(RELAXATIONS))


@each
@pytest.mark.parametrize("recipe", ["default", "paper"])
def test_groups_are_learned_through_every_relaxation(
    recipe: str, relaxation: str, blocks: Interactions
) -> None:
    settings = {"objective.min_steps": 4, "optimizer.epochs": 25}
    if recipe == "paper":  # scores of ±16 would hold the sigmoid where it has no slope
        settings = {"objective.score_scale": 0.25, "optimizer.batch_size": 64, "optimizer.epochs": 40}
    state = train(blocks, quick(recipe, relaxation=relaxation, **settings), options=run_options(0))
    assert same_group_share(state) >= 0.95


@each
def test_a_stopped_run_goes_on_to_the_codes_of_a_whole_one(
    relaxation: str, blocks: Interactions, tmp_path: Path
) -> None:
    config = quick("paper", relaxation=relaxation, **{"optimizer.epochs": 4, "optimizer.batch_size": 64})
    whole = train(blocks, config, options=run_options(3))
    stopping = run_options(3, checkpoint_dir=tmp_path, callbacks=[InterruptAfter(2)])
    with pytest.raises(KeyboardInterrupt):
        train(blocks, config, options=stopping)
    resumed = train(blocks, config, options=run_options(3, checkpoint_dir=tmp_path, resume=True))
    assert resumed.training["history"][0]["loss"] == whole.training["history"][0]["loss"]
    assert [e["loss"] for e in resumed.training["history"]] == [e["loss"] for e in whole.training["history"]]
    assert np.array_equal(resumed.users.embeddings, whole.users.embeddings)
    assert (resumed.users.codes, resumed.items.codes) == (whole.users.codes, whole.items.codes)


@each
def test_codes_of_training_of_fold_in_and_of_a_loaded_model_are_the_same(
    relaxation: str, blocks: Interactions, tmp_path: Path
) -> None:
    settings = {"objective.min_steps": 4, "optimizer.epochs": 10, "objective.refinement_rounds": 0}
    model = hg.HashGNN(**quick("default", relaxation=relaxation, **settings).to_dict())
    model.fit(blocks, rng=0, n_threads=1, progress=False)
    model.save(tmp_path / "model")
    loaded = hg.HashGNN.load(tmp_path / "model")
    for state in (model.state_, loaded.state_):
        z = state.projection.users(state.fold_in.users((state.seen > 0).astype(np.float32)))
        assert BinaryCodes.from_signs(z) == state.users.codes
        assert BinaryCodes.from_signs(state.projection.items(state.items.embeddings)) == state.items.codes
    thresholds = [name for name in loaded.state_.projection.arrays if name.endswith("_threshold")]
    assert sorted(thresholds) == (
        ["item_threshold", "user_threshold"] if relaxation == "learned_threshold" else []
    )
    if thresholds:
        assert all(
            np.abs(loaded.state_.projection.arrays[name]).max() > 0.001 for name in thresholds
        )  # they start at 0
