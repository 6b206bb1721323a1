"""``update``: a fitted model and new interactions in, a model that knows both out.

Ids are added behind the known ones, so known users and items keep their places. Their parameters are read
back from the fitted state; those of new users and items come from their neighbours. Then training goes on over
all interactions, for fewer epochs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse

from hashgnn._checks import check_int
from hashgnn._types import Array, SideName
from hashgnn.config.encoders import History
from hashgnn.data import Deletions, FeatureVocabulary, Interactions, SideFeatures, add_interactions
from hashgnn.data.feature_merging import in_known_columns, weights_of
from hashgnn.errors import ParameterError
from hashgnn.fold_in.base import normalised_sum
from hashgnn.graph import BipartiteGraph
from hashgnn.nn import GraphView
from hashgnn.nn.encoders._fitted_map import MAP_EXPONENT, fitted_table
from hashgnn.runs import RunOptions
from hashgnn.state import ModelState
from hashgnn.state.without import without_deleted
from hashgnn.training.initial_parameters import InitialParameters
from hashgnn.training.train import train

_SHARE_OF_EPOCHS = 1 / 3
_ENCODERS = ("history", "mf")


def update(
    state: ModelState,
    new: Interactions | None,
    *,
    deleted: Deletions | None = None,
    epochs: int | None = None,
    valid: Interactions | None = None,
    user_features: SideFeatures | None = None,
    item_features: SideFeatures | None = None,
    lineage: Mapping[str, Any] | None = None,
    options: RunOptions | None = None,
) -> ModelState:
    """Train on from a fitted state with new interactions, users and items.

    Parameters
    ----------
    state : ModelState
        Left as it is.
    new : Interactions or None
        Its ids may be known or new. Where either has weights, those of a pair are added. It has the half-life
        of ``state``, whose own interactions are as much older as the newest ones are later. ``None`` is nothing
        new, where something was deleted.
    deleted : Deletions or None, default=None
        What of the state's own training data is left out; ``new`` is taken as it is.
    epochs : int or None, default=None
        ``None`` is a third of the model's own, rounded up.
    valid : Interactions or None, default=None
        Held-out interactions that choose the best epoch; rows of users and items that neither ``state`` nor
        ``new`` has are left out, with a warning.
    user_features, item_features : SideFeatures or None, default=None
        Exactly where the state has some, of the same columns: of the known users and items and of the new ones.
        Numbers are scaled as they were in training, and new categories join the known ones. Who is not in the
        table keeps what was learned.
    lineage : mapping, optional
        JSON values for the new state's ``training["lineage"]``, which also has the parent's checksum and what
        was added.
    options : RunOptions or None, default=None
        As for :func:`train`; the same seed gives the same result.

    Returns
    -------
    ModelState
        Its config is that of ``state``.

    Raises
    ------
    DataError
        If the interactions are not usable.
    ParameterError
        If nothing is new or deleted, ids are of another type, the events or ages of ``new`` weigh other than
        those of ``state``, or the state cannot be trained on.
    """
    check_can_update(state)
    of_users = _known_columns("user", state.users.features, user_features)
    of_items = _known_columns("item", state.items.features, item_features)
    before = state
    if deleted:
        state = without_deleted(state, deleted)
    share = math.ceil(state.config.optimizer.epochs * _SHARE_OF_EPOCHS)
    epochs = share if epochs is None else check_int("epochs", epochs, minimum=1)
    merged = known_interactions(state)
    if new is not None:
        # Its map may name users whom the model knew, and who have nothing left: they are not to come back.
        merged = add_interactions(merged, new.compact() if deleted else new)
    if not deleted and len(merged) == state.seen.nnz and (new is None or merged.weight is None):
        raise ParameterError(
            f"interactions must hold something new, got {0 if new is None else len(new)} that the model was "
            "trained on"
        )
    if valid is not None:
        valid = Interactions.from_arrays(
            valid.user_ids.ids[valid.user_index],
            valid.item_ids.ids[valid.item_index],
            user_ids=merged.user_ids,
            item_ids=merged.item_ids,
            on_unknown="skip",
        )
    lineage = _lineage(before, state, merged) | dict(lineage or {})
    return train(
        merged,
        state.config.replace(optimizer={"epochs": epochs}),
        valid=valid,
        user_features=of_users,
        item_features=of_items,
        options=options,
        initial=InitialParameters(_parameters(state, merged, of_users, of_items), state.config, lineage),
    )


def check_can_update(state: ModelState) -> None:
    """Raise :class:`ParameterError` unless the parameters of a model can be read back from its state."""
    config = state.config
    remedy = "fit anew with all interactions"
    encoder = config.encoder
    if encoder.name not in _ENCODERS:
        raise ParameterError(
            f"encoder must be one of {', '.join(_ENCODERS)} to train on, got {encoder.name!r}; {remedy}"
        )
    keeps_items = isinstance(encoder, History) and not encoder.input_table
    if config.float_embedding == "relaxed" and not keeps_items:
        raise ParameterError(
            f"float_embedding must be 'encoder' to train on, got 'relaxed', which keeps no tables; {remedy}"
        )


def _known_columns(
    side: SideName, known: FeatureVocabulary | None, given: SideFeatures | None
) -> SideFeatures | None:
    """Return the features of a side in the columns of the model, which has some or none."""
    if known is None:
        if given is not None:
            raise ParameterError(f"{side}_features must be None, the model was trained without them")
        return None
    if given is None:
        names = ", ".join([*known.categories, *known.numbers])
        raise ParameterError(f"{side}_features must be given, the model was trained with {names}")
    return in_known_columns(known, given, side)


def known_interactions(state: ModelState) -> Interactions:
    """Return the training data of a state, without times."""
    users = np.repeat(np.arange(state.n_users, dtype=np.int32), np.diff(state.seen.indptr))
    weights = np.asarray(state.seen.data)
    plain = bool((weights == 1).all())
    return Interactions(
        state.users.ids,
        state.items.ids,
        users,
        state.seen.indices,
        None if plain else weights,
        weighting=state.weighting,
    )


def _lineage(parent: ModelState, state: ModelState, merged: Interactions) -> dict[str, Any]:
    """Return where a model comes from; ``state`` is the parent without what was deleted."""
    before = parent.training.get("lineage")
    generation = (
        before.get("generation") if isinstance(before, Mapping) else None
    )  # its file may be a stranger's
    n_deleted = int(parent.seen.nnz - state.seen.nnz)
    return {
        "parent": parent.checksum,
        "generation": (generation if type(generation) is int else 0) + 1,
        "n_new_users": merged.n_users - state.n_users,
        "n_new_items": merged.n_items - state.n_items,
        "n_new_interactions": len(merged) - int(state.seen.nnz),
        **({"n_deleted_interactions": n_deleted} if n_deleted else {}),
    }


def _parameters(
    state: ModelState,
    merged: Interactions,
    user_features: SideFeatures | None = None,
    item_features: SideFeatures | None = None,
) -> dict[str, Array]:
    """Return the parameters that a fitted state holds, with rows for new users and items."""
    arrays = state.fold_in.arrays
    history = BipartiteGraph.from_interactions(merged, weighted=True).user_item
    users = state.fold_in.users(history[:, : state.n_items])
    encoder = state.config.encoder
    found: dict[str, Array] = {}
    # A table of ids holds what is left of an embedding when the part of the features is taken away.
    of_users: Array = np.zeros((), np.float32)
    of_items: Array = np.zeros((), np.float32)
    if user_features is not None and state.users.features is not None:
        weights = weights_of(arrays["user_projection"], state.users.features, user_features.vocabulary)
        found[
            f"encoder.{'user_features' if isinstance(encoder, History) else 'user_input.features'}.weight"
        ] = weights
        of_users = np.asarray(user_features.design_matrix(merged.user_ids) @ weights)
    if item_features is not None and state.items.features is not None:
        weights = weights_of(arrays["item_projection"], state.items.features, item_features.vocabulary)
        found["encoder.item_input.features.weight"] = weights
        of_items = np.asarray(item_features.design_matrix(merged.item_ids)[: state.n_items] @ weights)
    if not isinstance(encoder, History):
        table = users.copy()
        of_known = of_users if of_users.ndim == 0 else of_users[: state.n_users]
        table[: state.n_users] = state.users.embeddings - of_known
        found["encoder.user_input.table"] = table
        users = table + of_users
        items = state.items.embeddings - of_items
    else:
        users = users + of_users
        items = (state.items.embeddings if encoder.input_table else arrays["item_table"]) - of_items
        if encoder.input_table:
            source = np.asarray(arrays["item_table"]) - of_items
            found["encoder.source"] = _with_new_items(source, users, history)
        if "linear" in arrays:
            found["encoder.linear"] = arrays["linear"]
    found["encoder.item_input.table"] = _with_new_items(items, users, history)
    for name, values in state.projection.arrays.items():
        side, _, part = name.partition("_")
        group = {"weight": "weights", "bias": "biases", "threshold": "thresholds"}[part]
        found[f"hash_layer.{group}.{side}"] = values
    scales = state.training.get("scales", {})
    code_scale, float_scale = state.config.objective.scales
    code_scale, float_scale = float(scales.get("code", code_scale)), float(scales.get("float", float_scale))
    found["log_scale"] = np.array(math.log(code_scale), np.float32)
    found["log_float_scale"] = np.array(math.log(float_scale), np.float32)
    if state.items.bias is not None:
        found["item_bias"] = _grown_bias(state.items.bias.values() * code_scale, history)
    return found


def _with_new_items(table: Array, users: Array, history: sparse.csr_matrix) -> Array:
    """Return an item table with rows for new items: from their audience, as the known ones from theirs."""
    n_known = len(table)
    known = GraphView.from_scipy(history[:, :n_known]).item_user
    learned = fitted_table(known, users, np.asarray(table))
    rows = normalised_sum(sparse.csr_matrix(history[:, n_known:].T), learned, MAP_EXPONENT)
    rows[~rows.any(axis=1)] = table.mean(axis=0)  # an audience of which nothing is known either
    return np.concatenate([table, rows])


def _grown_bias(bias: Array, history: sparse.csr_matrix) -> Array:
    """Return the item bias in log-odds; new items have what known ones of their popularity have."""
    degrees = np.log(np.maximum(np.asarray(history.sum(axis=0), np.float64).ravel(), 1))
    n_known = len(bias)
    spread = np.ptp(degrees[:n_known]) > 0
    line = np.polyfit(degrees[:n_known], bias, 1) if spread else np.array([bias.mean()])
    return np.concatenate([bias, np.polyval(line, degrees[n_known:])]).astype(np.float32)
