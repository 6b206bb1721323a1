"""Training of any torch module as a baseline, by the loop that trains hash models too."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Generic, Self, TypeVar

import torch
from torch import nn

from hashgnn import _rng
from hashgnn._checks import check_float, check_int
from hashgnn.config.training import OptimizerConfig, ValidationConfig
from hashgnn.data import Interactions, split
from hashgnn.errors import ParameterError
from hashgnn.evaluation import Scorer
from hashgnn.graph import BipartiteGraph
from hashgnn.nn import GraphView
from hashgnn.runs import Run, RunOptions
from hashgnn.training.callbacks import fingerprint
from hashgnn.training.device import prepared
from hashgnn.training.loop import run_loop
from hashgnn.training.objectives.base import Objective
from hashgnn.training.train import check_data, graph_view
from hashgnn.training.validation import Validator

# The places of the stages among the streams derived from the seed.
_SPLIT_STREAM, _BUILD_STREAM, _EPOCH_STREAM = 0, 1, 2
_MAX_VALIDATED = 2000  # users: enough to distinguish epochs, in a fraction of a second

Module = TypeVar("Module", bound=nn.Module)
Outcome = TypeVar("Outcome")


@dataclass(frozen=True)
class Schedule:
    """How long and in which steps a baseline is trained.

    Attributes
    ----------
    epochs, patience : int
        At most so many epochs; stop after ``patience`` validations in a row without a new best value.
    validate_every : int
        Epochs from one validation to the next.
    batch_size : int
        Observed edges a step.
    learning_rate : float
        Adam's step.
    gradient_clip : float
        Norm that gradients are scaled down to; 0 leaves them as they are.
    """

    epochs: int = 60
    patience: int = 3
    validate_every: int = 3
    batch_size: int = 8192
    learning_rate: float = 0.01
    gradient_clip: float = 0.0

    def __post_init__(self) -> None:
        for name in ("epochs", "patience", "validate_every", "batch_size"):
            check_int(name, getattr(self, name), minimum=1)
        check_float("learning_rate", self.learning_rate, minimum=0, open_minimum=True)
        check_float("gradient_clip", self.gradient_clip, minimum=0)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Build from what replaces the defaults; an unknown name raises :class:`ParameterError`."""
        known = [entry.name for entry in fields(cls)]
        for name in settings:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {close[0]!r}?" if close else f"; they are {', '.join(known)}"
                raise ParameterError(f"{name} is not a setting of a trained baseline{hint}")
        return cls(**settings)

    def optimizer(self) -> OptimizerConfig:
        """Return the settings of the optimiser."""
        return OptimizerConfig(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            shared_learning_rate=None,
            schedule="constant",
            beta2=0.999,
            gradient_clip=self.gradient_clip,
        )

    def validation(self, n_items: int) -> ValidationConfig:
        """Return the settings of validation: Recall@50 on a tenth of each user's interactions."""
        metric = f"recall@{min(50, n_items)}"
        return ValidationConfig(share=0.1, metric=metric, every=self.validate_every, patience=self.patience)


@dataclass(frozen=True)
class Parts(Generic[Module, Outcome]):
    """The parts of a trained baseline: module, objective, scores and what comes out, each made by a function.

    Attributes
    ----------
    name : str
        Of the run.
    config : mapping
        JSON values; with data and seed they identify the run.
    width : int
        Floats of a row of the largest matrix of a step.
    schedule : Schedule
    build : callable
        Takes the graph and a generator of initial values.
    objective : callable
        Takes the graph and its view.
    scorer : callable
        Takes the module and a view; validation ranks by what it returns.
    finish : callable
        Takes the module with the parameters of its best epoch and a view of the whole graph.
    """

    name: str
    config: Mapping[str, Any]
    width: int
    schedule: Schedule
    build: Callable[[BipartiteGraph, torch.Generator], Module]
    objective: Callable[[BipartiteGraph, GraphView], Objective[Module]]
    scorer: Callable[[Module, GraphView], Scorer]
    finish: Callable[[Module, GraphView], Outcome]


def fit_module(
    parts: Parts[Module, Outcome],
    interactions: Interactions,
    *,
    valid: Interactions | None,
    options: RunOptions,
) -> Outcome:
    """Train a module and return what ``parts.finish`` makes of it over the graph of all interactions.

    Validation interactions choose the best epoch and then count again: ``finish`` has a view of the whole graph, as
    :func:`hashgnn.training.train` has.

    Parameters
    ----------
    parts : Parts
    interactions : Interactions
    valid : Interactions or None
        Held-out interactions over the same ids; ``None`` holds out a tenth of ``interactions``.
    options : RunOptions

    Raises
    ------
    DataError
        If there are fewer than two users or items with interactions.
    ParameterError
        If an option breaks its rule, or a checkpoint is of another run.
    TrainingError
        If a loss or gradient is NaN or infinite.
    """
    started = time.perf_counter()
    seed, schedule = options.seed, parts.schedule
    check_data(interactions, valid)
    fitted = interactions
    validation = schedule.validation(interactions.n_items)
    if valid is None:
        fitted, valid = split.random(interactions, validation.share, rng=_rng.derive(seed, _SPLIT_STREAM))
    step_floats = (interactions.n_users + interactions.n_items) * parts.width
    with prepared(options, step_floats) as (device, n_threads):
        graph = BipartiteGraph.from_interactions(fitted)
        view = graph_view(graph).to(device)
        start = torch.Generator().manual_seed(int(_rng.derive(seed, _BUILD_STREAM).integers(2**63)))
        module = parts.build(graph, start).to(device)
        validator: Validator[Module] | None = None
        if len(valid):
            validator = Validator(
                fitted,
                valid,
                validation.metric,
                lambda trained: parts.scorer(trained, view),
                max_users=_MAX_VALIDATED,
            )
        run = Run(
            name=f"training {parts.name}",
            config=dict(parts.config),
            seed=seed,
            device=str(device),
            n_threads=n_threads,
            started=started,
        )
        described = {"config": run.config, "seed": seed, "device": device.type}
        run_loop(
            module,
            parts.objective(graph, view),
            run,
            optimizer=schedule.optimizer(),
            validation=validation,
            options=options,
            identity=fingerprint(fitted, valid, described),
            epoch_rng=lambda epoch: _rng.derive(seed, _EPOCH_STREAM, epoch + 1),
            validate=validator,
        )
        if fitted is not interactions:
            view = graph_view(BipartiteGraph.from_interactions(interactions)).to(device)
        return parts.finish(module, view)
