"""``train``: interactions and a config in, a fitted ``ModelState`` out."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy
import torch

from hashgnn import _rng
from hashgnn.config import ModelConfig
from hashgnn.data import Interactions, SideFeatures, split
from hashgnn.errors import DataError, ParameterError
from hashgnn.graph import BipartiteGraph
from hashgnn.nn import GraphView
from hashgnn.state import ModelState
from hashgnn.training.build import build_model
from hashgnn.training.checkpoint import fingerprint
from hashgnn.training.device import repeatable, resolve_device, reused_memory, threads
from hashgnn.training.export import Provenance, export_state
from hashgnn.training.loop import RunOptions, run
from hashgnn.training.objectives import build_objective
from hashgnn.training.run_log import RunLog
from hashgnn.training.start import Start
from hashgnn.training.validation import Validator

# The places of the stages among the streams derived from the seed; epochs have their own in the loop.
_SPLIT_STREAM, _BUILD_STREAM, _OBJECTIVE_STREAM = 0, 1, 2


def train(
    interactions: Interactions,
    config: ModelConfig,
    *,
    valid: Interactions | None = None,
    user_features: SideFeatures | None = None,
    item_features: SideFeatures | None = None,
    device: str = "auto",
    n_threads: int | None = None,
    rng: _rng.RngLike = None,
    progress: bool | None = None,
    checkpoint_dir: str | Path | None = None,
    resume: bool = False,
    log_path: str | Path | None = None,
    start: Start | None = None,
) -> ModelState:
    """Fit a model.

    Where the config has a ``validation_share`` and no ``valid`` is given, that share of each user's
    interactions is held back to choose the best epoch. They count again at the end: embeddings and codes
    are made from all interactions, with the weights of the best epoch.

    Parameters
    ----------
    interactions : Interactions
        The training data. What it holds is what recommending leaves out as seen.
    config : ModelConfig
    valid : Interactions or None, default=None
        Held-out interactions over the same ids, for early stopping.
    user_features, item_features : SideFeatures or None, default=None
    device : str, default="auto"
        ``"auto"``, ``"cpu"`` or ``"cuda[:n]"``.
    n_threads : int or None, default=None
        Threads of torch on the CPU; ``None`` takes the processors this process may use.
    rng : int, numpy.random.Generator or None, default=None
        One seed gives one result on one machine with one thread count. On a GPU torch's deterministic
        operations are asked for.
    progress : bool or None, default=None
        ``None`` shows a bar on a terminal.
    checkpoint_dir : str, Path or None, default=None
        Folder that gets a checkpoint after every epoch.
    resume : bool, default=False
        Go on from the checkpoint in ``checkpoint_dir``, if there is one.
    log_path : str, Path or None, default=None
        JSONL file that the run's events are appended to.
    start : Start or None, default=None
        A fitted model's parameters to go on from; see :func:`~hashgnn.training.update`.

    Returns
    -------
    ModelState

    Raises
    ------
    DataError
        If there are fewer than two users or items.
    ParameterError
        If an argument breaks its rule, or a checkpoint is of another run.
    TrainingError
        If a loss or gradient is NaN or infinite.
    """
    started = time.perf_counter()
    _check_data(interactions, valid)
    if resume and checkpoint_dir is None:
        raise ParameterError("checkpoint_dir must be given with resume=True, got None")
    target = resolve_device(device)
    seed = _rng.as_seed(rng)
    fitted = interactions
    if valid is None and config.validation_share > 0:
        fitted, valid = split.random(
            interactions, test_size=config.validation_share, rng=_rng.derive(seed, _SPLIT_STREAM)
        )
    columns = [
        None if features is None else features.design_matrix(ids)
        for features, ids in ((user_features, interactions.user_ids), (item_features, interactions.item_ids))
    ]
    log = RunLog(None if log_path is None else Path(log_path))
    with threads(n_threads) as count, reused_memory(), repeatable(target):
        graph = BipartiteGraph.from_interactions(fitted)
        view = _view(graph, columns).to(target)
        built = config if start is None else config.replace(warm_start=False)
        model = build_model(graph, view, built, _rng.derive(seed, _BUILD_STREAM)).to(target)
        if start is not None:
            start.apply(model)
        objective = build_objective(graph, view, config, _rng.derive(seed, _OBJECTIVE_STREAM), progress)
        validate = Validator(fitted, valid, view, config) if valid is not None and len(valid) else None
        options = RunOptions(
            seed, target, progress, None if checkpoint_dir is None else Path(checkpoint_dir), resume
        )
        described = {"device": target.type, "n_threads": count}
        described |= {} if start is None else {"lineage": dict(start.lineage)}
        identity = fingerprint(fitted.csr, config, seed, described)
        log.write("start", config=config.to_dict(), seed=seed, device=str(target), n_threads=count)
        if objective.facts:
            log.write("objective", **objective.facts)
        outcome = run(model, objective, config, options, identity=identity, validate=validate, log=log)
        if fitted is not interactions:
            view = _view(BipartiteGraph.from_interactions(interactions), columns).to(target)
        metrics = {} if validate is None else {config.validation_metric: outcome.best_value}
        training = {
            "seconds": time.perf_counter() - started,
            "epochs": outcome.epoch,
            "best_epoch": outcome.best_epoch,
            "history": outcome.history,
            "seed": seed,
            "device": str(target),
            "n_threads": count,
            **objective.facts,
            "scales": {"code": model.scale.item(), "float": model.float_scale.item()},
            **({} if start is None else {"lineage": dict(start.lineage)}),
            "versions": {
                "python": platform.python_version(),
                "numpy": np.__version__,
                "scipy": scipy.__version__,
                "torch": torch.__version__,
            },
        }
        state = export_state(
            model,
            view,
            interactions,
            config if start is None else start.config,
            Provenance(interactions.statistics(), metrics, training),
            user_features=None if user_features is None else user_features.vocabulary,
            item_features=None if item_features is None else item_features.vocabulary,
        )
    log.write("end", epochs=outcome.epoch, best_epoch=outcome.best_epoch, metrics=metrics)
    log.close()
    return state


def _view(graph: BipartiteGraph, columns: Sequence[object]) -> GraphView:
    return GraphView.from_scipy(
        graph.user_item, adjacency=graph.adjacency, user_features=columns[0], item_features=columns[1]
    )


def _check_data(interactions: Interactions, valid: Interactions | None) -> None:
    for side, index in (("users", interactions.user_index), ("items", interactions.item_index)):
        present = len(np.unique(index))
        if present < 2:
            raise DataError(f"training needs at least 2 {side} with interactions, got {present}")
    if valid is not None and (valid.n_users, valid.n_items) != (interactions.n_users, interactions.n_items):
        raise ParameterError(
            f"valid must have the id maps of the training data ({interactions.n_users} users, "
            f"{interactions.n_items} items), got {valid.n_users} users and {valid.n_items} items"
        )
