"""Fitting the method of a cell: the model to evaluate, and the cost of its training."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn._extras import require
from hashgnn._tensors import read_tensors, write_tensors
from hashgnn._types import Array
from hashgnn.baselines import fit_baseline
from hashgnn.benchmarking.quality._coded_model import CodedModel
from hashgnn.benchmarking.quality.data_sets import DataSet
from hashgnn.benchmarking.quality.methods import QUANTISER, SEPARATE, Method, Source, separate_recipe
from hashgnn.codes.binarisers import ProductQuantizer, cosine_form, fit_binariser
from hashgnn.config import load_recipe
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
        Float embeddings that several cells code are kept here.
    n_threads : int
    """

    folder: Path
    n_threads: int = 1


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
        model = _baseline(method.source, data, _FLOAT_WIDTH, seed, options)
        return FittedMethod(model, time.process_time() - started)
    assert n_bits is not None
    users, items, seconds, training = _floats(method.source, data, n_bits, seed, options)
    started = time.process_time()
    model: Scorer
    if method.coder == SEPARATE:
        model, training = _separate(method, data, users, items, n_bits, seed, options)
    else:
        model = _coded(method, data, users, items, n_bits, seed)
    return FittedMethod(model, seconds + time.process_time() - started, training)


def _of_recipe(source: Source, data: DataSet, n_bits: int, seed: int, options: FitOptions) -> FittedMethod:
    started = time.process_time()
    model = HashGNN(n_bits, source.name, **source.settings)
    model.fit(data.train, rng=seed, n_threads=options.n_threads, progress=False)
    return FittedMethod(model, time.process_time() - started, _training(model))


def _baseline(source: Source, data: DataSet, width: int, seed: int, options: FitOptions) -> Any:
    settings = {"dim": width, **source.settings}
    return fit_baseline(
        source.name, data.train, rng=seed, n_threads=options.n_threads, progress=False, **settings
    )


def _floats(
    source: Source, data: DataSet, n_bits: int, seed: int, options: FitOptions
) -> tuple[Array, Array, float, dict[str, Any]]:
    """Return the embeddings of users and items, the seconds and the epochs they took, fitted once for all cells.

    Those of a recipe whose floats are its relaxed codes are as wide as the codes that are made of them.
    """
    of_codes = source.is_recipe and load_recipe(source.name, **source.settings).float_embedding == "relaxed"
    own = {"n_bits": n_bits} if of_codes else {}
    width = n_bits if of_codes else max(_FLOAT_WIDTH, n_bits)
    identity = {
        "source": source.describe(own.get("n_bits")),
        "width": width,
        "seed": seed,
        "data": data.fingerprint,
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    path = options.folder / f"{source.name.split('/')[-1]}.{digest}.safetensors"
    if not path.exists():
        started = time.process_time()
        training: dict[str, Any] = {}
        if source.is_recipe:
            fitted = HashGNN(recipe=source.name, **own, **source.settings)
            fitted.fit(data.train, rng=seed, n_threads=options.n_threads, progress=False)
            tables = {"users": fitted.state_.users.embeddings, "items": fitted.state_.items.embeddings}
            training = _training(fitted)
        else:
            model = _baseline(source, data, width, seed, options)
            tables = {"users": model.user_embeddings, "items": model.item_embeddings}
        spent = {"seconds": repr(time.process_time() - started), "training": json.dumps(training)}
        write_tensors(path, tables, spent)
    tables, metadata = read_tensors(path, mmap=False)
    training = json.loads(metadata.get("training", "{}"))
    return tables["users"], tables["items"], float(metadata["seconds"]), training


def _coded(method: Method, data: DataSet, users: Array, items: Array, n_bits: int, seed: int) -> CodedModel:
    settings = dict(method.settings)
    u, v = cosine_form(users, items) if settings.pop("form", None) else (users, items)
    if method.coder == QUANTISER:
        quantiser = ProductQuantizer.fit(v, n_bits=n_bits, rng=seed)
        decoded = quantiser.decode(quantiser.encode(v))
        return CodedModel(data.train.csr, users, items, u, n_bits, decoded=decoded)
    assert method.coder is not None
    binariser = fit_binariser(method.coder, np.concatenate([u, v]), n_bits=n_bits, rng=seed, **settings)
    return CodedModel(
        data.train.csr,
        users,
        items,
        binariser.project(u),
        n_bits,
        user_codes=binariser.encode(u),
        item_codes=binariser.encode(v),
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
