"""The one training loop: batches, steps, validation, early stopping, checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from hashgnn import _rng
from hashgnn._progress import progress as progress_bar
from hashgnn.config import ModelConfig
from hashgnn.errors import TrainingError
from hashgnn.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from hashgnn.training.device import mixed_precision
from hashgnn.training.model import HashModel
from hashgnn.training.run_log import RunLog

_WARM_UP_EPOCHS = 0.3
_EPOCH_STREAM = 3  # the place of epochs among the streams derived from the seed


class Objective(Protocol):
    """What a run minimises: it makes the batches of an epoch and the loss of a batch.

    Attributes
    ----------
    facts : dict
        JSON values about what it was built with, kept with the fitted state.
    """

    facts: dict[str, Any]

    def n_steps(self) -> int:
        """Return the number of batches in an epoch."""
        ...

    def batches(self, rng: np.random.Generator) -> Iterator[Any]:
        """Yield the batches of one epoch in an order drawn from ``rng``."""
        ...

    def loss(self, model: HashModel, batch: Any, p: float, generator: torch.Generator) -> torch.Tensor:
        """Return the loss of a batch, a scalar, at the level ``p`` of the model's relaxation."""
        ...


@dataclass(frozen=True)
class RunOptions:
    """How a run is carried out; nothing here changes what is learned, ``seed`` aside."""

    seed: int
    device: torch.device
    progress: bool | None = None
    checkpoint_dir: Path | None = None
    resume: bool = False


def run(
    model: HashModel,
    objective: Objective,
    config: ModelConfig,
    options: RunOptions,
    *,
    identity: str,
    validate: Callable[[HashModel], dict[str, float]] | None,
    log: RunLog,
) -> Progress:
    """Train until the epochs are done or validation has stopped rising; leave the best state in ``model``.

    Parameters
    ----------
    model : HashModel
        Changed in place.
    objective : Objective
    config : ModelConfig
    options : RunOptions
    identity : str
        Digest of data, settings and seed; a checkpoint with another one is refused.
    validate : callable or None
        Returns the validation metric by its name, higher is better, and what else is worth keeping; ``None`` trains all epochs and keeps the last.
    log : RunLog

    Raises
    ------
    TrainingError
        If a loss or a gradient is NaN or infinite.
    """
    optimizer = make_optimizer(model, config)
    state = Progress()
    if options.checkpoint_dir is not None and options.resume:
        state = load_checkpoint(options.checkpoint_dir, model, optimizer, identity) or state
    total = config.epochs * objective.n_steps()
    with progress_bar("training", total, enabled=options.progress) as advance:
        advance(state.epoch * objective.n_steps())
        while state.epoch < config.epochs and not _is_over(state, config, validate is not None):
            started = time.perf_counter()
            loss = _run_epoch(model, objective, optimizer, config, options, state, advance)
            state.epoch += 1
            entry = {
                "epoch": float(state.epoch),
                "loss": loss,
                "train_seconds": time.perf_counter() - started,
            }
            last = state.epoch == config.epochs
            if validate is not None and (last or state.epoch % config.validate_every == 0):
                entry |= validate(model)
                value = entry[config.validation_metric]
                if value > state.best_value:
                    state.best_value, state.best_epoch = value, state.epoch
                    state.best_parameters = {name: x.clone() for name, x in model.state_dict().items()}
                advance(0, note=f"loss {loss:.4f}, {config.validation_metric} {value:.4f}")
            state.history.append(entry)
            log.write("epoch", **entry)
            if options.checkpoint_dir is not None:
                save_checkpoint(options.checkpoint_dir, model, optimizer, state, identity)
    if state.best_parameters:
        model.load_state_dict(state.best_parameters)
    else:
        state.best_epoch = state.epoch
    return state


def make_optimizer(model: HashModel, config: ModelConfig) -> torch.optim.Optimizer:
    """Return Adam over all parameters (fused: one pass over the tables instead of eight)."""
    assert all(x.is_contiguous() for x in model.parameters()), "fused Adam walks memory, not strides"
    sizes = {model.encoder.n_users, model.encoder.n_items}
    # The item bias is not among the tables: it has a good start, and where it runs ahead of the bits it takes
    # popularity off them, for nothing that a score would gain.
    own = [x for x in model.parameters() if x.ndim > 1 and x.shape[0] in sizes]
    shared = [x for x in model.parameters() if not (x.ndim > 1 and x.shape[0] in sizes)]
    groups = [
        {"params": own, "initial_lr": config.learning_rate},
        {"params": shared, "initial_lr": config.shared_learning_rate or config.learning_rate},
    ]
    return torch.optim.Adam(
        [group for group in groups if group["params"]],
        betas=(0.9, config.beta2),
        weight_decay=config.weight_decay,
        fused=True,
    )


def learning_rate_factor(config: ModelConfig, step: int, n_steps: int) -> float:
    """Return the factor on the learning rates at a step of all; ``n_steps`` is of one epoch."""
    if config.learning_rate_schedule == "constant":
        return 1.0
    warm_up = min(1.0, (step + 1) / (_WARM_UP_EPOCHS * n_steps + 1))
    return warm_up * (0.5 + 0.5 * math.cos(math.pi * step / (config.epochs * n_steps)))


def _is_over(state: Progress, config: ModelConfig, validates: bool) -> bool:
    return validates and state.best_epoch > 0 and state.epoch - state.best_epoch >= config.patience


def _run_epoch(
    model: HashModel,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    config: ModelConfig,
    options: RunOptions,
    state: Progress,
    advance: Callable[..., None],
) -> float:
    rng = _rng.derive(options.seed, _EPOCH_STREAM, state.epoch)
    generator = torch.Generator(device=options.device).manual_seed(int(rng.integers(2**63)))
    model.train()
    sum_of_losses, n_steps = 0.0, objective.n_steps()
    for step, batch in enumerate(objective.batches(rng)):
        p = model.relaxation.level(state.epoch, config.epochs, step, n_steps)
        factor = learning_rate_factor(config, state.epoch * n_steps + step, n_steps)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        optimizer.zero_grad(set_to_none=True)
        with mixed_precision(options.device):
            loss = objective.loss(model, batch, p, generator)
        loss.backward()  # type: ignore[no-untyped-call]
        value = float(loss.detach())
        norm = _guard(model, value, config, state.epoch, step)
        if config.gradient_clip > 0 and norm > config.gradient_clip:
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(config.gradient_clip / norm)
        optimizer.step()
        sum_of_losses += value
        advance(1, note=f"loss {value:.4f}")
    model.eval()
    return sum_of_losses / max(n_steps, 1)


def _guard(model: HashModel, loss: float, config: ModelConfig, epoch: int, step: int) -> float:
    """Return the norm of the gradient; a loss or gradient that is no number ends the run with its name."""
    where = f"in epoch {epoch + 1}, step {step + 1}"
    remedy = f"lower learning_rate (now {config.learning_rate:g}) or set gradient_clip"
    if not math.isfinite(loss):
        raise TrainingError(f"the loss became {loss} {where}; {remedy}")
    square = 0.0
    for name, parameter in model.named_parameters():
        if parameter.grad is None:
            continue
        part = float(torch.linalg.vector_norm(parameter.grad)) ** 2
        if not math.isfinite(part):
            raise TrainingError(f"the gradient of {name} is not finite {where}; {remedy}")
        square += part
    return math.sqrt(square)
