"""``train``: interactions and a config in, a fitted ``ModelState`` out."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence

import numpy as np
import scipy
import torch

from hashgnn import _rng
from hashgnn._counting import counts
from hashgnn.config import ModelConfig
from hashgnn.data import Interactions, SideFeatures, split
from hashgnn.errors import DataError, ParameterError
from hashgnn.graph import BipartiteGraph
from hashgnn.nn import GraphView
from hashgnn.runs import CallbackList, Run, RunOptions
from hashgnn.state import ModelState
from hashgnn.training.build import build_model
from hashgnn.training.callbacks import fingerprint
from hashgnn.training.device import prepared
from hashgnn.training.export import Provenance, export_state
from hashgnn.training.hash_model import HashModel
from hashgnn.training.initial_parameters import InitialParameters
from hashgnn.training.loop import run_loop
from hashgnn.training.objectives import build_objective
from hashgnn.training.refinement import refine_item_codes, refines_codes
from hashgnn.training.step_size import floats_of_step
from hashgnn.training.validation import Validator, code_scorer
from hashgnn.training.workers.group import Group, HelperDone
from hashgnn.training.workers.joining import training_group
from hashgnn.training.workers.sharding import sharded_parameters

# The places of the stages among the streams derived from the seed.
_SPLIT_STREAM, _BUILD_STREAM, _OBJECTIVE_STREAM, _EPOCH_STREAM, _REFINEMENT_STREAM = 0, 1, 2, 3, 4
_MAX_VALIDATED = 5000  # users: enough for a standard error of about .003 in recall, in a second or two


def train(
    interactions: Interactions,
    config: ModelConfig,
    *,
    valid: Interactions | None = None,
    user_features: SideFeatures | None = None,
    item_features: SideFeatures | None = None,
    options: RunOptions | None = None,
    initial: InitialParameters | None = None,
) -> ModelState:
    """Fit a model.

    Where the config has a ``validation.share`` and no ``valid`` is given, that share of each user's
    interactions is held out to choose the best epoch. They count again at the end: embeddings and codes
    are made from all interactions, with the parameters of the best epoch.

    Parameters
    ----------
    interactions : Interactions
        The training data. Its items are the seen items that recommending leaves out. Its weights are those
        of the edges of the graph, and positives are drawn or weighed in proportion to them.
    config : ModelConfig
    valid : Interactions or None, default=None
        Held-out interactions over the same ids, for early stopping.
    user_features, item_features : SideFeatures or None, default=None
    options : RunOptions or None, default=None
        Seed, device, threads, progress, checkpoint, log and callbacks; ``None`` takes the defaults.
    initial : InitialParameters or None, default=None
        A fitted model's parameters to continue from; see :func:`~hashgnn.training.update`.

    Returns
    -------
    ModelState

    Raises
    ------
    DataError
        If there are fewer than two users or items, or ids that cannot be saved and served.
    ParameterError
        If an argument breaks its rule, or a checkpoint is of another run.
    TrainingError
        If a loss or gradient is NaN or infinite.
    CallbackError
        If a callback fails.
    """
    options = RunOptions() if options is None else options
    check_data(interactions, valid)
    with training_group(options) as (group, own):
        state = _train(
            interactions,
            config,
            valid=valid,
            features=(user_features, item_features),
            options=own,
            initial=initial,
            group=group,
        )
        if not group.is_first and not group.shares_result:
            raise HelperDone
        found = group.share(state) if group.shares_result else state
        assert found is not None, "the first process has the state"
        return found


def _train(
    interactions: Interactions,
    config: ModelConfig,
    *,
    valid: Interactions | None,
    features: tuple[SideFeatures | None, SideFeatures | None],
    options: RunOptions,
    initial: InitialParameters | None,
    group: Group,
) -> ModelState | None:
    started = time.perf_counter()
    seed = options.seed
    fitted = interactions
    validation = config.validation
    if valid is None and validation.share > 0:
        fitted, valid = split.random(interactions, validation.share, rng=_rng.derive(seed, _SPLIT_STREAM))
    _check_group(group, interactions)
    user_features, item_features = features
    columns = [
        None if side is None else side.design_matrix(ids)
        for side, ids in ((user_features, interactions.user_ids), (item_features, interactions.item_ids))
    ]
    step_floats = floats_of_step(config, interactions.n_users, interactions.n_items) // group.size
    with prepared(options, step_floats, group.local_size) as (device, n_threads):
        graph = BipartiteGraph.from_interactions(fitted, weighted=True)
        view = graph_view(graph, columns).to(device)
        validator: Validator[HashModel] | None = None
        if valid is not None and len(valid):
            validator = Validator(
                fitted,
                valid,
                validation.metric,
                lambda m: code_scorer(m, view),
                max_users=_MAX_VALIDATED,
                group=group,
            )
        built = config if initial is None else config.replace(warm_start=False)
        model = build_model(graph, view, built, _rng.derive(seed, _BUILD_STREAM), group).to(device)
        lineage = {}
        if initial is not None:
            initial.apply(model)
            lineage = {"lineage": dict(initial.lineage)}
        objective_rng = _rng.derive(seed, _OBJECTIVE_STREAM)
        sharded = sharded_parameters(model, config, group, options.shard_from)
        objective = build_objective(
            graph, view, config, objective_rng, options.progress, group, sharded=bool(sharded)
        )
        run = Run(
            name="training",
            config=config.to_dict(),
            seed=seed,
            device=str(device),
            n_threads=n_threads,
            facts=objective.facts,
            started=started,
        )
        described = {"config": run.config, "seed": seed, "device": device.type}
        identity = fingerprint(fitted, valid, described | lineage)
        if group.sum(identity != group.share(identity)):
            raise ParameterError(
                f"all {group.size} processes must train with the same data and settings, got others in some of them"
            )
        run_loop(
            model,
            objective,
            run,
            optimizer=config.optimizer,
            validation=validation,
            options=options,
            identity=identity,
            epoch_rng=lambda epoch: _rng.derive(seed, _EPOCH_STREAM, epoch),
            validate=validator,
            tables=model.tables(),
            group=group,
            sharded=sharded,
        )
        if not group.is_first:
            return None
        if fitted is not interactions:
            graph = BipartiteGraph.from_interactions(interactions, weighted=True)
            view = graph_view(graph, columns).to(device)
        training = {
            "seconds": run.seconds,
            "epochs": run.epoch,
            "best_epoch": run.best_epoch,
            "history": run.history,
            "seed": seed,
            "device": run.device,
            "n_threads": n_threads,
            **({"n_workers": group.size} if group.size > 1 else {}),
            **objective.facts,
            "scales": {"code": model.scale.item(), "float": model.float_scale.item()},
            **lineage,
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
            config if initial is None else initial.config,
            Provenance(interactions.statistics(), run.best_metrics, training),
            user_features=None if user_features is None else user_features.vocabulary,
            item_features=None if item_features is None else item_features.vocabulary,
        )
        if refines_codes(state.config):
            refined = _rng.derive(seed, _REFINEMENT_STREAM)
            state = refine_item_codes(state, refined, n_threads=n_threads, progress=options.progress)
        CallbackList(options.callbacks).fitted(run, state)
        return state


def _check_group(group: Group, interactions: Interactions) -> None:
    n_users = np.count_nonzero(counts(interactions.user_index, interactions.n_users)) if group.size > 1 else 0
    if n_users < group.size and group.size > 1:
        raise ParameterError(
            f"n_workers must be at most the {n_users} users with interactions, got {group.size}"
        )


def graph_view(graph: BipartiteGraph, columns: Sequence[object] = (None, None)) -> GraphView:
    """Return the view that encoders take; ``columns`` are the side features of users and items."""
    return GraphView.from_scipy(
        graph.user_item, adjacency=lambda: graph.adjacency, user_features=columns[0], item_features=columns[1]
    )


def check_data(interactions: Interactions, valid: Interactions | None) -> None:
    """Raise :class:`DataError` or :class:`ParameterError` where nothing can be trained on the data."""
    for side, index, n in (
        ("users", interactions.user_index, interactions.n_users),
        ("items", interactions.item_index, interactions.n_items),
    ):
        present = int(np.count_nonzero(counts(index, n)))
        if present < 2:
            raise DataError(f"training needs at least 2 {side} with interactions, got {present}")
    interactions.user_ids.check_kept("user ids")
    interactions.item_ids.check_kept("item ids")
    if valid is not None and (valid.n_users, valid.n_items) != (interactions.n_users, interactions.n_items):
        raise ParameterError(
            f"valid must have the id maps of the training data ({interactions.n_users} users, "
            f"{interactions.n_items} items), got {valid.n_users} users and {valid.n_items} items"
        )
    for name in ("user_ids", "item_ids"):
        if valid is not None and getattr(valid, name) != getattr(interactions, name):
            raise ParameterError(
                f"valid must have the {name} of the training data, in the same order, got others"
            )
