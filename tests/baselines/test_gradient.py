from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from tests.baselines.blocks import N_ITEMS, N_USERS, communities, held_out

import hashgnn.baselines.fitting as fitting
from hashgnn.baselines import BASELINES, fit_baseline
from hashgnn.baselines.gradient import EdgeTraining
from hashgnn.data import Interactions
from hashgnn.errors import ParameterError, TrainingError
from hashgnn.nn import bpr
from hashgnn.runs import Callback, Run
from hashgnn.training.objectives.embeddings import _moved, _scores

QUICK = {"epochs": 6, "batch_size": 32, "validate_every": 1, "n_threads": 1, "progress": False}


def validation() -> Interactions:
    train, users = communities(), np.arange(N_USERS)
    matrix = sp.csr_matrix((np.ones(N_USERS), (users, held_out(users))), shape=(N_USERS, N_ITEMS))
    return Interactions.from_csr(matrix, user_ids=train.user_ids, item_ids=train.item_ids)


def spied(values: list[float], monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Let validation return these values, and keep the item embeddings that it received."""
    seen: list[np.ndarray] = []

    class Told:
        def __init__(self, fitted, valid, metric, scorer_of, *, max_users) -> None:
            self.metric, self.scorer_of = metric, scorer_of

        def __call__(self, encoder) -> dict[str, float]:
            seen.append(self.scorer_of(encoder).items.numpy().copy())
            return {self.metric: values[len(seen) - 1]}

    monkeypatch.setattr(fitting, "Validator", Told)
    return seen


def test_the_best_epoch_of_the_validation_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = spied([0.1, 0.4, 0.2, 0.3, 0.1, 0.2], monkeypatch)
    model = fit_baseline("mf-bpr", communities(), dim=4, rng=0, valid=validation(), patience=9, **QUICK)
    assert len(seen) == 6
    assert np.array_equal(model.item_embeddings, seen[1])
    assert not np.array_equal(seen[1], seen[5])


def test_training_stops_when_validation_no_longer_rises(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = spied([0.3, 0.2, 0.3, 0.9, 0.9, 0.9], monkeypatch)
    fit_baseline("mf-bpr", communities(), dim=4, rng=0, valid=validation(), patience=2, **QUICK)
    assert len(seen) == 3


def test_validation_runs_every_few_epochs_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = spied([0.1, 0.2, 0.3], monkeypatch)
    fit_baseline("mf-bpr", communities(), dim=4, rng=0, **{**QUICK, "epochs": 5, "validate_every": 2})
    assert len(seen) == 3


def test_without_validation_interactions_a_tenth_is_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    train, found = communities(), []

    def validator(fitted, valid, metric, *_, **__):
        found.append((fitted, valid))
        return lambda encoder: {metric: 0.5}

    monkeypatch.setattr(fitting, "Validator", validator)
    fit_baseline("mf-bpr", train, dim=4, rng=0, **{**QUICK, "epochs": 1})
    fitted, held = found[0]
    assert len(fitted) + len(held) == len(train)
    assert 0.03 * len(train) < len(held) < 0.2 * len(train)
    assert not fitted.csr.multiply(held.csr).nnz


def test_bilateral_softmax_gives_vectors_of_unit_length() -> None:
    model = fit_baseline("lightgcn-bsl", communities(), dim=4, rng=0, **QUICK)
    for table in (model.user_embeddings, model.item_embeddings):
        np.testing.assert_allclose(np.linalg.norm(table, axis=1), 1, rtol=1e-5)


def test_embeddings_are_made_over_all_interactions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where training changes nothing, they are the encoder's over the whole graph, not the fitted part's."""
    spied([0.1], monkeypatch)
    still = {**QUICK, "epochs": 1, "learning_rate": 1e-30, "regularisation": 0.0}
    train = communities()
    split = fit_baseline("lightgcn", train, dim=4, rng=0, **still)
    spied([0.1], monkeypatch)
    whole = fit_baseline("lightgcn", train, dim=4, rng=0, valid=validation(), **still)
    np.testing.assert_allclose(split.item_embeddings, whole.item_embeddings, rtol=1e-5, atol=1e-7)


def test_encoder_options_are_added_to_the_defaults() -> None:
    defaults = BASELINES["graphsage"].function.defaults
    training = EdgeTraining.with_defaults(defaults, {"encoder_options": {"n_layers": 1}})
    assert training.encoder_options == {"aggregator": "concat", "n_layers": 1}
    pooled = fit_baseline(
        "graphsage", communities(), dim=4, rng=0, encoder_options={"aggregator": "max"}, **QUICK
    )
    mean = fit_baseline("graphsage", communities(), dim=4, rng=0, **QUICK)
    assert not np.array_equal(pooled.item_embeddings, mean.item_embeddings)


def test_a_loss_that_is_no_number_names_its_remedy() -> None:
    sentence = r"in epoch \d, step \d; lower learning_rate \(now 1e\+30\) or set gradient_clip$"
    with pytest.raises(TrainingError, match=sentence):
        fit_baseline("mf-bpr", communities(), dim=4, rng=0, **{**QUICK, "learning_rate": 1e30})


class Follower(Callback):
    """Keep the losses of the steps and press Ctrl-C after an epoch, if one is given."""

    def __init__(self, interrupt_after: int = 0) -> None:
        self.interrupt_after, self.losses, self.history = interrupt_after, [], []

    def on_start(self, run: Run) -> None:
        self.config, self.name, self.seed = run.config, run.name, run.seed

    def on_step(self, run: Run) -> None:
        self.losses.append(run.loss)

    def on_epoch_end(self, run: Run) -> None:
        self.history = [dict(entry) for entry in run.history]
        if run.epoch == self.interrupt_after:
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["mf-bpr", "lightgcn-bsl"])
def test_an_interrupted_baseline_resumes_to_the_vectors_of_a_whole_run(name: str, tmp_path: Path) -> None:
    def fit(**options: object) -> tuple[object, Follower]:
        follower = Follower(**{k: options.pop(k) for k in ("interrupt_after",) if k in options})
        model = fit_baseline(
            name,
            communities(),
            dim=4,
            rng=5,
            callbacks=[follower],
            **{**QUICK, "validate_every": 2},
            **options,
        )
        return model, follower

    whole, followed = fit()
    with pytest.raises(KeyboardInterrupt):
        fit(checkpoint_dir=tmp_path, interrupt_after=3)
    resumed, continued = fit(checkpoint_dir=tmp_path, resume=True)
    assert np.array_equal(resumed.user_embeddings, whole.user_embeddings)
    assert np.array_equal(resumed.item_embeddings, whole.item_embeddings)
    assert continued.losses == followed.losses[len(followed.losses) // 2 :]
    assert [e["loss"] for e in continued.history] == [e["loss"] for e in followed.history]


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    fit_baseline("mf-bpr", communities(), dim=4, rng=0, checkpoint_dir=tmp_path, **QUICK)
    with pytest.raises(ParameterError, match="the checkpoint is of a run with other data, settings or seed"):
        fit_baseline(
            "mf-bpr",
            communities(),
            dim=4,
            rng=0,
            checkpoint_dir=tmp_path,
            resume=True,
            regularisation=0.5,
            **QUICK,
        )


def test_callbacks_and_the_log_follow_a_baseline(tmp_path: Path) -> None:
    follower, log = Follower(), tmp_path / "log.jsonl"
    fit_baseline(
        "mf-bpr", communities(), dim=4, rng=9, callbacks=[follower], log_path=log, patience=9, **QUICK
    )
    assert (follower.name, follower.seed, follower.config["dim"]) == ("training mf", 9, 4)
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [event["event"] for event in events] == ["start", *["epoch"] * 6, "end"]
    assert [event["recall@16"] for event in events[1:-1]] == [e["recall@16"] for e in follower.history]


def test_without_validation_interactions_the_last_epoch_is_kept() -> None:
    """A tenth of nothing to spare is nothing: one interaction a user."""
    few = Interactions.from_arrays(np.arange(6), np.arange(6) % 3)
    follower = Follower()
    fit_baseline("mf-bpr", few, dim=4, rng=0, callbacks=[follower], patience=1, **QUICK)
    assert len(follower.history) == 6


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"loss": "hinge"}, "loss must be one of 'bpr', 'apr', 'bsl', got 'hinge'"),
        ({"temperature": 0}, "temperature must be a finite number > 0, got 0"),
        ({"gradient_clip": -1}, "gradient_clip must be a finite number >= 0, got -1"),
        ({"regularisation": -1}, "regularisation must be a finite number >= 0, got -1"),
        ({"device": "tpu"}, r"device must be 'auto', 'cpu' or 'cuda\[:n\]', got 'tpu'"),
        ({"encoder_options": {"depth": 3}}, "depth is not a setting of encoder 'mf'; it has none"),
    ],
)
def test_settings_out_of_range_raise(settings, sentence) -> None:
    with pytest.raises(ParameterError, match=sentence):
        fit_baseline("mf-bpr", communities(), dim=4, rng=0, **settings)


def test_an_adversary_moves_each_embedding_to_where_the_loss_rises_most() -> None:
    generator = torch.Generator().manual_seed(0)
    u, i = (torch.randn(5, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    j = torch.randn(5, 2, 3, generator=generator, dtype=torch.float64)
    moved = _moved((u, i, j), 0.3)
    for before, after in zip((u, i, j), moved, strict=True):
        torch.testing.assert_close((after - before).norm(dim=-1), torch.full(before.shape[:-1], 0.3).double())
    risen = bpr(*_scores(*moved))
    assert risen > bpr(*_scores(u, i, j))
    for _ in range(20):  # no other step of the same length, to first order, rises further
        steps = [
            torch.nn.functional.normalize(torch.randn(x.shape, generator=generator), dim=-1) for x in moved
        ]
        other = [x + 1e-4 * step for x, step in zip((u, i, j), steps, strict=True)]
        assert bpr(*_scores(*other)) <= bpr(*_scores(*_moved((u, i, j), 1e-4))) + 1e-12


def test_the_adversary_begins_after_its_share_of_the_epochs() -> None:
    plain = fit_baseline("mf-bpr", communities(), dim=4, rng=0, **QUICK)
    late = fit_baseline("apr", communities(), dim=4, rng=0, adversarial_from=1.0, **QUICK)
    early = fit_baseline("apr", communities(), dim=4, rng=0, adversarial_from=0.0, **QUICK)
    assert np.array_equal(plain.item_embeddings, late.item_embeddings)
    assert not np.array_equal(plain.item_embeddings, early.item_embeddings)
    with pytest.raises(ParameterError, match="adversarial_from must"):
        fit_baseline("apr", communities(), adversarial_from=1.5)
