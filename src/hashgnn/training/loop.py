"""The one training loop: batches, steps, validation, the best parameters, and the hooks of callbacks.

Nothing else in the package steps an optimiser.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from hashgnn.config.training import OptimizerConfig, ValidationConfig
from hashgnn.errors import TrainingError
from hashgnn.nn.row_gradients import WholeGradients, row_gradients, values_of
from hashgnn.runs import Callback, CallbackList, Run, RunOptions
from hashgnn.training.callbacks import Checkpoint, EarlyStopping, ProgressReport, RunLog
from hashgnn.training.device import mixed_precision, reused_memory
from hashgnn.training.objectives.base import Objective, Preparing, StepPosition
from hashgnn.training.workers.exchange import Exchange
from hashgnn.training.workers.group import ALONE, Group

_WARM_UP_EPOCHS = 0.3

Module = TypeVar("Module", bound=nn.Module)


def run_loop(
    model: Module,
    objective: Objective[Module],
    run: Run,
    *,
    optimizer: OptimizerConfig,
    validation: ValidationConfig,
    options: RunOptions,
    identity: str,
    epoch_rng: Callable[[int], np.random.Generator],
    validate: Callable[[Module], dict[str, float]] | None = None,
    tables: Sequence[nn.Parameter] = (),
    group: Group = ALONE,
    sharded: Sequence[str] = (),
) -> None:
    """Train until the epochs are done or a callback stops the run; leave the best parameters in ``model``.

    Parameters
    ----------
    model : Module
        Any torch module that the objective can train; changed in place.
    objective : Objective
    run : Run
        With name, settings, seed, device and facts. The loop fills in the rest; afterwards it holds the
        history and the best epoch.
    optimizer : OptimizerConfig
    validation : ValidationConfig
    options : RunOptions
        Its checkpoint, log, progress and callbacks; whoever calls has dealt with seed, device and threads.
    identity : str
        Digest of data, settings and seed; a checkpoint with another one is refused.
    epoch_rng : callable
        Returns the generator of an epoch, counted from 0: of the order of its batches and of every draw.
    validate : callable or None, default=None
        Returns ``validation.metric``, higher is better, and what else is worth keeping by its name.
        ``None`` trains all epochs and keeps the last.
    tables : sequence of Parameter, default=()
        Parameters of ``model`` that take ``learning_rate``; all others take ``shared_learning_rate``.
    group : Group, default=ALONE
        Processes that train this model together. Each calls this function with the same arguments, but for
        ``options``: only the first has callbacks, a log, a checkpoint and progress. Only there ``model`` is whole
        at the end.
    sharded : sequence of str, default=()
        Names of parameters of which each process keeps some rows, as ``objective`` expects.

    Raises
    ------
    TrainingError
        If a loss or a gradient is NaN or infinite.
    CallbackError
        If a callback fails.
    """
    adam = make_optimizer(model, optimizer, tables)
    exchange = Exchange(model, adam, group, sharded)
    best: dict[str, torch.Tensor] = {}
    run.n_epochs, run.n_steps = optimizer.epochs, objective.n_steps()
    run.metric = None if validate is None else validation.metric
    run.identity, run.is_resumed = identity, options.resume
    callbacks: list[Callback] = [] if validate is None else [EarlyStopping(validation.patience)]
    if options.log_path is not None:
        callbacks.append(RunLog(options.log_path))
    if options.checkpoint_dir is not None:
        checkpoint = Checkpoint(options.checkpoint_dir, identity, model, adam, best)
        if options.resume:
            checkpoint.restore(run)
        callbacks.append(checkpoint)
    if options.progress is not False:
        callbacks.append(ProgressReport())
    hooks = CallbackList([*callbacks, *options.callbacks])
    exchange.begin(run, is_resumed=run.epoch > 0, has_checkpoint=options.checkpoint_dir is not None)
    try:
        hooks.start(run)
        while run.epoch < run.n_epochs and not group.share(run.is_stopping):
            started = time.perf_counter()
            with reused_memory():
                loss = _run_epoch(
                    model, objective, exchange, adam, optimizer, run, epoch_rng(run.epoch), hooks
                )
            run.state.epoch, run.step = run.epoch + 1, 0
            run.is_stopping = group.share(run.is_stopping)
            entry = {
                "epoch": float(run.epoch),
                "loss": loss,
                "train_seconds": time.perf_counter() - started,
            }
            is_last = run.epoch == run.n_epochs or run.is_stopping
            validates = validate is not None and (is_last or run.epoch % validation.every == 0)
            with exchange.epoch_end(validates=validates):
                if validate is not None and validates:
                    entry |= validate(model)
                    if entry[validation.metric] > run.state.best_value:
                        run.state.best_value, run.state.best_epoch = entry[validation.metric], run.epoch
                        if group.is_first:
                            best.update({name: x.clone() for name, x in model.state_dict().items()})
                run.state.history.append(entry)
                hooks.epoch_end(run)
        exchange.end()
        if best:
            model.load_state_dict(best)
        hooks.end(run)
    except BaseException as error:
        hooks.error(run, error)
        raise


def make_optimizer(
    model: nn.Module, config: OptimizerConfig, tables: Sequence[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """Return Adam over all parameters (fused: one pass over the tables instead of eight)."""
    assert all(x.is_contiguous() for x in model.parameters()), "fused Adam walks memory, not strides"
    of_tables = {id(x) for x in tables}
    shared = [x for x in model.parameters() if id(x) not in of_tables]
    groups = [
        {"params": list(tables), "initial_lr": config.learning_rate},
        {"params": shared, "initial_lr": config.shared_learning_rate or config.learning_rate},
    ]
    return torch.optim.Adam(
        [group for group in groups if group["params"]],
        betas=(0.9, config.beta2),
        weight_decay=config.weight_decay,
        fused=True,
    )


def learning_rate_factor(config: OptimizerConfig, step: int, n_steps: int) -> float:
    """Return the factor on the learning rates at a step of all; ``n_steps`` is of one epoch."""
    if config.schedule == "constant":
        return 1.0
    warm_up = min(1.0, (step + 1) / (_WARM_UP_EPOCHS * n_steps + 1))
    return warm_up * (0.5 + 0.5 * math.cos(math.pi * step / (config.epochs * n_steps)))


def _run_epoch(
    model: Module,
    objective: Objective[Module],
    exchange: Exchange,
    optimizer: torch.optim.Optimizer,
    config: OptimizerConfig,
    run: Run,
    rng: np.random.Generator,
    hooks: CallbackList,
) -> float:
    """Step through the batches of one epoch; return the mean of their losses."""
    named = list(model.named_parameters())
    device = named[0][1].device
    generator = torch.Generator(device=device).manual_seed(int(rng.integers(2**63)))
    model.train()
    sum_of_losses, whole = 0.0, WholeGradients()
    batches = iter(objective.batches(rng))
    batch, step = next(batches, None), 0
    while batch is not None:
        factor = learning_rate_factor(config, run.global_step, run.n_steps)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        optimizer.zero_grad(set_to_none=True)
        position = StepPosition(run.epoch, run.n_epochs, step, run.n_steps)
        with mixed_precision(device, enabled=objective.mixed_precision), row_gradients():
            loss = objective.loss(model, batch, position, generator)
        loss.backward()  # type: ignore[no-untyped-call]
        totals = exchange.add_gradients(loss)
        run.loss, norm = _checked(totals, named, config, run)
        if config.gradient_clip > 0 and norm > config.gradient_clip:
            for parameter in model.parameters():
                if parameter.grad is not None:
                    values_of(parameter.grad).mul_(config.gradient_clip / norm)
        batch = next(batches, None)
        if batch is not None and isinstance(objective, Preparing):
            following = StepPosition(run.epoch, run.n_epochs, step + 1, run.n_steps)
            objective.prepare(model, batch, following, generator)
        with whole.of(list(model.parameters())):
            optimizer.step()
        sum_of_losses += run.loss
        run.step = step = step + 1
        hooks.step(run)
    model.eval()
    return sum_of_losses / max(run.step, 1)


def _checked(
    totals: torch.Tensor, named: Sequence[tuple[str, nn.Parameter]], config: OptimizerConfig, run: Run
) -> tuple[float, float]:
    """Return the loss and the norm of the gradient; one that is no number ends the run with its name."""
    names = [name for name, parameter in named if parameter.grad is not None]
    value, *parts = totals.tolist()  # one transfer from the device for all of them
    where = f"in epoch {run.epoch + 1}, step {run.step + 1}"
    remedy = f"lower learning_rate (now {config.learning_rate:g}) or set gradient_clip"
    if not math.isfinite(value):
        raise TrainingError(f"the loss became {value} {where}; {remedy}")
    for name, part in zip(names, parts, strict=True):
        if not math.isfinite(part):
            raise TrainingError(f"the gradient of {name} is not finite {where}; {remedy}")
    return value, math.sqrt(sum(part**2 for part in parts))
