"""Fitting the method of a cell: the model to evaluate, and the cost of its training."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn._extras import require
from hashgnn._tensors import read_tensors, write_tensors
from hashgnn._types import Array
from hashgnn.baselines import fit_baseline
from hashgnn.benchmarking.quality._coded_model import CodedModel
from hashgnn.benchmarking.quality._resuming import fit_resumed
from hashgnn.benchmarking.quality.data_sets import DataSet
from hashgnn.benchmarking.quality.discrete_factorisation import DiscreteFactorisation
from hashgnn.benchmarking.quality.methods import DISCRETE, SEPARATE, Method, Source, separate_recipe
from hashgnn.benchmarking.quality.quantisers import QUANTISERS, quantise
from hashgnn.codes import BinaryCodes
from hashgnn.codes.binarisers import cosine_form, fit_binariser
from hashgnn.evaluation import Scorer
from hashgnn.recommender import HashGNN
from hashgnn.runs import RunOptions

_FLOAT_WIDTH = 64  # of a float model, unless the code is wider
_FROZEN = 1e-12  # Adam's step for tables that are to stay: too small to change a float32


@dataclass(frozen=True)
class FittedMethod:
    """A fitted method.

    Attributes
    ----------
    model : Scorer
    processor_seconds : float
        CPU time of all threads; floats that were fitted for another cell count here too.
    training : dict
        Epochs, best epoch and history of what was trained, as far as it says.
    """

    model: Scorer
    processor_seconds: float
    training: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FitOptions:
    """How cells are fitted.

    Attributes
    ----------
    folder : Path
        Float embeddings that several cells code are kept here; fits that have not ended, next to it in ``fits``.
    n_threads : int
    coded : sequence of Source
        Whose embeddings other methods code: a cell that fits one of them keeps its embeddings.
    """

    folder: Path
    n_threads: int = 1
    coded: Sequence[Source] = ()


def fit_method(
    method: Method, data: DataSet, n_bits: int | None, seed: int, options: FitOptions
) -> FittedMethod:
    """Fit a method on the training part of a data set.

    Epochs are chosen as the recipe or baseline says, on a part of the training interactions or not at all;
    the test part is not looked at.
    """
    if method.coder is None and method.source.is_recipe:
        assert n_bits is not None
        return _of_recipe(method.source, data, n_bits, seed, options)
    if method.coder is None:
        started = time.process_time()
        width = n_bits if method.source.learns_codes and n_bits is not None else _FLOAT_WIDTH
        model = _baseline(method.source, data, width, seed, options)
        return FittedMethod(model, time.process_time() - started)
    assert n_bits is not None
    users, items, seconds, training = _floats(method.source, data, n_bits, seed, options)
    started = time.process_time()
    coded: Scorer
    if method.coder == SEPARATE:
        coded, training = _separate(method, data, users, items, n_bits, seed, options)
    else:
        coded = _coded(method, data, users, items, n_bits, seed)
    return FittedMethod(coded, seconds + time.process_time() - started, training)


def _of_recipe(source: Source, data: DataSet, n_bits: int, seed: int, options: FitOptions) -> FittedMethod:
    model = HashGNN(n_bits, source.name, **source.settings)
    name = _floats_path(source, data, n_bits, seed, options).stem
    seconds = fit_resumed(
        model, data.train, options.folder.parent / "fits" / name, rng=seed, n_threads=options.n_threads
    )
    if source in options.coded:
        tables = {"users": model.state_.users.embeddings, "items": model.state_.items.embeddings}
        _keep(_floats_path(source, data, n_bits, seed, options), tables, seconds, _training(model))
    return FittedMethod(model, seconds, _training(model))


def _baseline(source: Source, data: DataSet, width: int, seed: int, options: FitOptions) -> Any:
    settings = {"dim": width, **source.settings}
    return fit_baseline(
        source.name, data.train, rng=seed, n_threads=options.n_threads, progress=False, **settings
    )


def _floats(
    source: Source, data: DataSet, n_bits: int, seed: int, options: FitOptions
) -> tuple[Array, Array, float, dict[str, Any]]:
    """Return the embeddings of users and items, seconds and epochs of their training; fitted once for all cells."""
    path = _floats_path(source, data, n_bits, seed, options)
    if not path.exists():
        if source.is_recipe:
            _of_recipe(source, data, n_bits, seed, replace(options, coded=[source]))
        else:
            started = time.process_time()
            model = _baseline(source, data, max(_FLOAT_WIDTH, n_bits), seed, options)
            tables = {"users": model.user_embeddings, "items": model.item_embeddings}
            _keep(path, tables, time.process_time() - started, {})
    tables, metadata = read_tensors(path, mmap=False)
    training = json.loads(metadata.get("training", "{}"))
    return tables["users"], tables["items"], float(metadata["seconds"]), training


def _floats_path(source: Source, data: DataSet, n_bits: int, seed: int, options: FitOptions) -> Path:
    """Return the file of embeddings; those of a recipe depend on the width of its codes."""
    own = {} if source.is_recipe else {"width": max(_FLOAT_WIDTH, n_bits)}
    identity = {"source": source.describe(n_bits), "seed": seed, "data": data.fingerprint, **own}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    return options.folder / f"{source.name.split('/')[-1]}.{digest}.safetensors"


def _keep(path: Path, tables: dict[str, Array], seconds: float, training: dict[str, Any]) -> None:
    write_tensors(path, tables, {"seconds": repr(seconds), "training": json.dumps(training)})


def _coded(method: Method, data: DataSet, users: Array, items: Array, n_bits: int, seed: int) -> CodedModel:
    settings = dict(method.settings)
    u, v = cosine_form(users, items) if settings.pop("form", None) else (users, items)
    assert method.coder is not None
    if method.coder in QUANTISERS:
        quantised = quantise(method.coder, v, n_bits=n_bits, seed=seed, **settings)
        return CodedModel(data.train.csr, users, items, u, quantised.bytes_per_item, quantised=quantised)
    if method.coder == DISCRETE:
        return _discrete(data, users, items, n_bits, seed, u, v, settings)
    binariser = fit_binariser(method.coder, np.concatenate([u, v]), n_bits=n_bits, rng=seed, **settings)
    return CodedModel(
        data.train.csr,
        users,
        items,
        binariser.project(u),
        n_bits / 8,
        user_codes=binariser.encode(u),
        item_codes=binariser.encode(v),
    )


def _discrete(
    data: DataSet,
    users: Array,
    items: Array,
    n_bits: int,
    seed: int,
    u: Array,
    v: Array,
    settings: dict[str, Any],
) -> CodedModel:
    """Find codes bit by bit from the ITQ codes of the floats on."""
    start = fit_binariser("itq", np.concatenate([u, v]), n_bits=n_bits, rng=seed)
    found = DiscreteFactorisation.fit(data.train.csr, start.project(u), start.project(v), **settings)
    return CodedModel(
        data.train.csr,
        users,
        items,
        found.leanings,
        n_bits / 8,
        user_codes=BinaryCodes.from_signs(found.users),
        item_codes=BinaryCodes.from_signs(found.items),
    )


def _separate(
    method: Method, data: DataSet, users: Array, items: Array, n_bits: int, seed: int, options: FitOptions
) -> tuple[HashGNN, dict[str, Any]]:
    """Train a hash layer over embeddings that stay as they are: tables of ``mf`` with a step of nearly 0."""
    require("torch", extra="train", purpose="a hash layer")
    from hashgnn.training import train
    from hashgnn.training.initial_parameters import InitialParameters

    optimizer = separate_recipe(method, n_bits).optimizer
    step = optimizer.shared_learning_rate or optimizer.learning_rate
    config = separate_recipe(
        method,
        n_bits,
        encoder="mf",
        embedding_dim=users.shape[1],
        float_embedding="encoder",
        optimizer={"learning_rate": _FROZEN, "shared_learning_rate": step},
    )
    tables = {"encoder.user_input.table": users, "encoder.item_input.table": items}
    state = train(
        data.train,
        config,
        options=RunOptions(seed=seed, n_threads=options.n_threads, progress=False),
        initial=InitialParameters(tables, config, {}),
    )
    model = HashGNN.from_state(state)
    return model, _training(model)


def _training(model: HashGNN) -> dict[str, Any]:
    training = model.state_.training
    return {name: training[name] for name in ("epochs", "best_epoch", "history") if name in training}
