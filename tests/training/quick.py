"""Recipes cut down to a second, and what they must learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashgnn.config import ModelConfig, load_recipe
from hashgnn.runs import Callback, Run, RunOptions
from hashgnn.state import ModelState

QUICK = {
    "n_bits": 16,
    "embedding_dim": 16,
    "optimizer.epochs": 3,
    "optimizer.batch_size": 16,
    "validation.share": 0.0,
}


def quick(recipe: str, **settings: object) -> ModelConfig:
    """A recipe cut down to a second."""
    small: dict[str, object] = dict(QUICK)
    if recipe == "default":
        small |= {"teacher.rank": 8, "teacher.k": 3, "objective.min_steps": 4}
    if recipe == "paper":  # the equations alone, over whole neighbourhoods
        small |= {
            "hash_layer": "shared",
            "encoder.aggregator": "mean",
            "encoder.fan_outs": [],
            "relaxation.schedule": {"name": "linear", "end": 0.0, "after": 0.0, "until": 1.0},
            "objective.n_negatives": 5,
            "objective.score_scale": 1.0,
            "optimizer.schedule": "constant",
        }
    if recipe == "authors":
        small |= {
            "encoder.input_dim": 12,
            "encoder.fan_outs": [3, 2],
            "encoder.item_fan_outs": [3],
            "objective.n_negatives": 2,
        }
    config = load_recipe(recipe, **small)
    return config.replace(**settings) if settings else config


def run_options(seed: int, **options: Any) -> RunOptions:
    """Options of a quiet run on one thread of the processor."""
    return RunOptions(**{"seed": seed, "device": "cpu", "n_threads": 1, "progress": False, **options})


class InterruptAfter(Callback):
    """Press Ctrl-C when an epoch has ended and its checkpoint is written."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch

    def on_epoch_end(self, run: Run) -> None:
        if run.epoch == self._epoch:
            raise KeyboardInterrupt


def same_group_share(state: ModelState) -> float:
    """Share of each user's nearest unseen item by code that lies in the user's own group."""
    scores = state.users.codes.signs().astype(int) @ state.items.codes.signs().astype(int).T
    if state.items.bias is not None:
        scores = scores + state.items.bias.values()
    scores = np.where(state.seen.toarray() > 0, -np.inf, scores)
    users, items = state.users.ids.ids // 20, state.items.ids.ids // 12
    return float((items[scores.argmax(axis=1)] == users).mean())
