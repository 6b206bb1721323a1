from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.training.quick import quick, run_options, same_group_share

from hashgnn.config import RECIPES
from hashgnn.data import Interactions, split
from hashgnn.errors import DataError, ParameterError, TrainingError
from hashgnn.graph import BipartiteGraph
from hashgnn.nn import ENCODERS
from hashgnn.runs import RunOptions
from hashgnn.training import train
from hashgnn.training.device import resolve_device, threads


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_learns_two_groups(recipe: str, blocks: Interactions) -> None:
    settings = (
        {"optimizer.epochs": 30}
        if recipe == "default"
        else {"optimizer.epochs": 60, "optimizer.learning_rate": 0.01}
    )
    state = train(blocks, quick(recipe, **settings), options=run_options(0))
    # Chance gives 0.5; what sampled neighbourhoods reach differs a little between processors.
    assert same_group_share(state) >= 0.9


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("objective", ["edges", "users"])
def test_every_encoder_trains_under_every_objective(
    encoder: str, objective: str, blocks: Interactions
) -> None:
    config = quick(
        "default",
        encoder=encoder,
        objective=objective,
        **{"optimizer.epochs": 40, "optimizer.learning_rate": 0.03},
        item_bias=False,
    )
    assert same_group_share(train(blocks, config, options=run_options(0))) >= 0.95


@pytest.mark.parametrize("recipe", RECIPES)
def test_one_seed_gives_one_model_and_another_seed_another(recipe: str, blocks: Interactions) -> None:
    config = quick(recipe, **({"encoder.history_dropout": 0.3} if recipe == "default" else {}))
    first, again, other = (train(blocks, config, options=run_options(seed)) for seed in (1, 1, 2))
    assert first.items.codes == again.items.codes
    assert np.array_equal(first.users.embeddings, again.users.embeddings)
    assert not np.array_equal(first.users.embeddings, other.users.embeddings)


def test_the_item_bias_moves_at_the_shared_learning_rate(blocks: Interactions) -> None:
    degrees = BipartiteGraph.from_interactions(blocks).item_degrees
    start = 0.6 * np.log(degrees)

    def moved(rate: float) -> float:
        config = quick(
            "default",
            **{
                "optimizer.learning_rate": 0.05,
                "optimizer.shared_learning_rate": rate,
                "optimizer.epochs": 10,
            },
        )
        state = train(blocks, config, options=run_options(0))
        assert state.items.bias is not None
        return float(np.abs(state.items.bias.values() * state.training["scales"]["code"] - start).mean())

    assert moved(1e-9) < 0.13  # what rounding to steps of two bits leaves
    assert moved(0.05) > 2 * moved(1e-9)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_loss_falls(recipe: str, blocks: Interactions) -> None:
    config = quick(
        recipe,
        relaxation="ste",
        optimizer={"epochs": 10, "schedule": "constant", "learning_rate": 0.01},
        # A sample of 24 items makes the loss of a step mostly noise.
        objective={"item_share": 1.0} if recipe == "default" else {},
    )
    history = train(blocks, config, options=run_options(0)).training["history"]
    assert history[-1]["loss"] < 0.97 * history[0]["loss"]


def test_training_changes_no_global_random_state_and_no_thread_count(blocks: Interactions) -> None:
    torch.manual_seed(5)
    np.random.seed(5)
    before = torch.rand(1), np.random.random(), torch.get_num_threads()
    torch.manual_seed(5)
    np.random.seed(5)
    train(blocks, quick("paper", **{"optimizer.epochs": 1}), options=run_options(0))
    assert (torch.rand(1), np.random.random(), torch.get_num_threads()) == before


def test_the_log_tells_each_epoch_and_the_best_is_kept(blocks: Interactions, tmp_path: Path) -> None:
    fitted, valid = split.random(blocks, 0.2, rng=0)
    config = quick(
        "default", **{"optimizer.epochs": 8, "validation.patience": 2, "validation.metric": "recall@5"}
    )
    log = tmp_path / "run.jsonl"
    state = train(fitted, config, valid=valid, options=run_options(0, log_path=log))
    events = [json.loads(line) for line in log.read_text().splitlines()]
    epochs = [event for event in events if event["event"] == "epoch"]
    assert [event["event"] for event in events] == ["start", "objective", *["epoch"] * len(epochs), "end"]
    assert events[1]["teacher"] == state.training["teacher"]
    values = [event["recall@5"] for event in epochs]
    best = state.training["best_epoch"]
    assert values[best - 1] == max(values) == state.metrics["recall@5"]
    relaxed = [event["relaxed recall@5"] for event in epochs]
    assert all(0 < value <= 1 for value in relaxed)
    assert relaxed != values  # of the codes before the sign
    assert len(epochs) == min(8, best + 2)


@pytest.mark.parametrize(("relaxation", "other"), [("ste", "relaxed"), ("none", "codes")])
def test_epochs_are_chosen_by_codes_unless_none_are_trained(
    relaxation: str, other: str, blocks: Interactions
) -> None:
    config = quick("paper", relaxation=relaxation, validation={"share": 0.2, "metric": "recall@5"})
    training = train(blocks, config, options=run_options(0)).training
    history = training["history"]
    assert {"recall@5", f"{other} recall@5"} < set(history[0])
    best = max(history, key=lambda entry: entry["recall@5"])
    assert training["best_epoch"] == best["epoch"]


def test_held_back_interactions_count_again_in_the_saved_model(blocks: Interactions) -> None:
    state = train(blocks, quick("default", **{"validation.share": 0.3}), options=run_options(0))
    assert state.seen.nnz == len(blocks)
    whole = state.fold_in.users((state.seen > 0).astype(np.float32))
    np.testing.assert_allclose(whole, state.users.embeddings, rtol=1e-4, atol=1e-4)


def test_folding_in_a_known_history_gives_the_user_its_own_code(blocks: Interactions) -> None:
    state = train(blocks, quick("default"), options=run_options(0))
    z = state.projection.users(state.fold_in.users((state.seen > 0).astype(np.float32)))
    assert np.array_equal(z >= 0, state.users.codes.signs() > 0)


def test_a_bias_is_learned_towards_popular_items() -> None:
    rng = np.random.default_rng(0)
    likely = np.linspace(0.02, 0.6, 30)
    users, items = np.nonzero(rng.random((200, 30)) < likely)
    state = train(Interactions.from_arrays(users, items), quick("default"), options=run_options(0))
    assert state.items.bias is not None
    assert np.corrcoef(state.items.bias.values(), state.seen.sum(axis=0).A1)[0, 1] > 0.7


def test_a_loss_that_is_no_number_ends_the_run_with_a_remedy(blocks: Interactions) -> None:
    with pytest.raises(TrainingError) as caught:
        train(
            blocks,
            quick("paper", **{"optimizer.learning_rate": 1e30, "optimizer.epochs": 20}),
            options=run_options(0),
        )
    message = str(caught.value)
    assert "lower learning_rate (now 1e+30) or set gradient_clip" in message
    assert "in epoch" in message


def test_a_user_who_has_seen_everything_is_trained_around() -> None:
    users, items = np.nonzero(np.array([[1, 1, 1], [1, 1, 0], [0, 1, 1], [1, 0, 0]]))
    state = train(
        Interactions.from_arrays(users, items),
        quick("paper", **{"objective.n_negatives": 2}),
        options=run_options(0),
    )
    assert np.isfinite(state.users.embeddings).all()


@pytest.mark.parametrize(
    ("users", "items", "message"),
    [
        ([1, 1], [1, 2], "training needs at least 2 users with interactions, got 1"),
        ([1, 2], [1, 1], "training needs at least 2 items with interactions, got 1"),
    ],
)
def test_one_user_or_one_item_is_not_enough(users: list[int], items: list[int], message: str) -> None:
    with pytest.raises(DataError) as caught:
        train(Interactions.from_arrays(users, items), quick("default"))
    assert str(caught.value) == message


def test_bad_run_options_are_named(blocks: Interactions) -> None:
    config = quick("default")
    with pytest.raises(ParameterError, match="checkpoint_dir must be given with resume=True, got None"):
        RunOptions(resume=True)
    with pytest.raises(ParameterError, match="device must be 'auto', 'cpu' or"):
        train(blocks, config, options=RunOptions(device="gpu"))
    with pytest.raises(ParameterError, match="n_threads must be an integer >= 1, got 0"):
        RunOptions(n_threads=0)
    with pytest.raises(ParameterError, match="valid must have the id maps of the training data"):
        train(blocks, config, valid=Interactions.from_arrays([1, 2], [1, 2]))


def test_auto_takes_cuda_where_there_is_one() -> None:
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with threads(1, 0) as count:
        assert (count, torch.get_num_threads()) == (1, 1)
