"""``Reasons``: why a model scores items for a user as it does, in internal indices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse

from hashgnn._types import Array
from hashgnn.answering.fitted_model import FittedModel
from hashgnn.answering.queries import HISTORY, POPULAR, EncodedEntities, Queries
from hashgnn.fold_in import kind_of
from hashgnn.index.scores import inverse_lengths

ReasonKind = Literal["sum", "similarity", "popularity"]

_BY_CODE = ("hamming", "biased")


@dataclass(frozen=True, eq=False)
class Reasons:
    """Why some items have their scores, for one user.

    Attributes
    ----------
    kind : {"sum", "similarity", "popularity"}
        ``sum``: the values are parts of the score, one for each item of the history, and ``rest`` is what does not
        depend on the history. ``similarity``: the score is no such sum; the values say how similar each item of
        the history is to the item, from -1 to 1. ``popularity``: nothing is known of the user.
    items : ndarray of shape (n,), int64
    scores : ndarray of shape (n,), float64
        By the search way; of popular items the number of their users.
    history : ndarray of shape (h,), int64
        Items of the user's history, ascending.
    values : ndarray of shape (n, h), float64
    rest : ndarray of shape (n,), float64
        ``scores - values.sum(axis=1)`` of a sum, else 0.
    """

    kind: ReasonKind
    items: Array
    scores: Array
    history: Array
    values: Array
    rest: Array

    def largest(self, n: int) -> Array:
        """Return the places in ``history`` of the ``n`` largest values of each item, (n_items, at most n).

        Parts are compared by their absolute value, similarities as they are. Ties go to the smaller item.
        """
        size = np.abs(self.values) if self.kind == "sum" else self.values
        order: Array = np.argsort(-size, axis=1, kind="stable")[:, :n]
        return order

    def shares(self) -> Array:
        """Return each part over the sum of the absolute parts of its item, (n, h), in [-1, 1]; 0 where all are 0."""
        totals = np.abs(self.values).sum(axis=1, keepdims=True)
        shares: Array = np.divide(self.values, totals, out=np.zeros_like(self.values), where=totals > 0)
        return shares


def reasons_of(
    fitted: FittedModel, queries: Queries, row: int, items: Array, search: str, *, user_index: int = -1
) -> Reasons:
    """Explain the scores of some items for one row of queries.

    Where the embedding of the row is a sum over its history, so is the score: each item of the history has a part,
    at the length of this history and this state of the hash layer.

    - ``float`` and ``hierarchical``: the part's inner product with the item. Where floats are relaxed codes, each
      dimension is scaled as the relaxation scales it here.
    - ``asymmetric``: the part of the float query, before it is rounded, times the signs of the item's code.
    - ``hamming`` and ``biased``: each bit counts +1 where the two codes agree and -1 where they differ. It is
      shared among the items that pulled the user's bit the way it went, by how strongly they pulled.

    Parameters
    ----------
    fitted : FittedModel
    queries : Queries
    row : int
    items : ndarray of shape (n,), int64
    search : str
        A search way of ``items_for_users``.
    user_index : int, default=-1
        The user of a row that has the trained code. The weights of the training interactions count for it.

    Raises
    ------
    ParameterError
        If the search way needs an item bias and there is none.
    """
    fitted.items_for_users.options(1, search)
    positions = np.asarray(items, np.int64)
    if queries.source[row] == POPULAR:
        nothing = np.zeros((len(positions), 0))
        scores = fitted.popularity[positions].astype(np.float64)
        return Reasons(
            "popularity", positions, scores, np.zeros(0, np.int64), nothing, np.zeros(len(positions))
        )
    place = int((queries.source[:row] != POPULAR).sum())
    entity = queries.entities[place : place + 1]
    history = _history(fitted, queries, row, user_index)
    scores = fitted.items_for_users.scores_of(entity, positions, search)[0]
    is_folded = queries.source[row] == HISTORY
    rule = fitted.state.fold_in
    parts = rule.user_parts(history) if is_folded or rule.trained_users_fold_in else None
    known = history.indices.astype(np.int64)
    if parts is None:
        values = _similarities(fitted, positions, known, search)
        return Reasons("similarity", positions, scores, known, values, np.zeros(len(positions)))
    values = _score_parts(fitted, entity, parts, positions, search)
    return Reasons("sum", positions, scores, known, values, scores - values.sum(axis=1))


def note_of(fitted: FittedModel, reasons: Reasons) -> str:
    """Return what the numbers of an explanation are, in one sentence."""
    if reasons.kind == "sum":
        return "the parts of all items of the history and the rest add up to the score"
    if reasons.kind == "popularity":
        return "nothing is known of the user, so items are ranked by the number of their users"
    name = kind_of(fitted.state.fold_in)
    of_whom = "a trained user" if name in ("mf", "lightgcn") else "a user"
    return (
        f"by the encoder {name} the score of {of_whom} is no sum over the user's items; these are the items of the "
        "history most similar to the item"
    )


def _history(fitted: FittedModel, queries: Queries, row: int, user_index: int) -> sparse.csr_matrix:
    """Return the history that the row's embedding was made from, (1, n_items), weights as it was made with."""
    if queries.source[row] == HISTORY and queries.histories is not None:
        return queries.histories[int((queries.source[:row] == HISTORY).sum())]
    if user_index < 0:
        return queries.seen[np.array([row])].matrix(fitted.state.n_items)
    trained = sparse.csr_matrix(fitted.state.seen[user_index], dtype=np.float32)
    added = fitted.state.training.get("n_added_items", 0)
    if isinstance(added, int) and added:  # the user's embedding is older than these items
        is_trained = trained.indices < fitted.state.n_items - added
        places, weights = trained.indices[is_trained], trained.data[is_trained]
        trained = sparse.csr_matrix((weights, places, np.array([0, len(places)])), shape=trained.shape)
    trained.data = np.maximum(trained.data / np.float32(fitted.mean_weight), np.finfo(np.float32).tiny)
    return trained


def _score_parts(
    fitted: FittedModel, entity: EncodedEntities, parts: Array, items: Array, search: str
) -> Array:
    """Return the part of each item of the history in each score, (n, h), float64."""
    state = fitted.state
    is_relaxed = state.config.float_embedding == "relaxed"
    if search in ("float", "hierarchical") and not is_relaxed:
        return np.asarray(state.items.embeddings[items].astype(np.float64) @ parts.T)
    pulls = state.projection.users.pulls(parts)
    if search == "asymmetric":
        signs = state.items.codes[items].signs().astype(np.float64)
        return np.asarray(signs @ fitted.items_for_users.query_parts(entity, pulls).T)
    activations = _activations(fitted, entity, parts)
    if search in _BY_CODE:
        return _bit_parts(entity, pulls, activations - pulls.sum(axis=0), state.items.codes[items].signs())
    slope = np.divide(
        entity.embeddings[0], activations, out=np.ones_like(activations), where=activations != 0
    )
    return np.asarray(state.items.embeddings[items].astype(np.float64) @ (pulls * slope).T)


def _activations(fitted: FittedModel, entity: EncodedEntities, parts: Array) -> Array:
    """Return the activations of the row's embedding, (n_bits,), float64."""
    state, layer = fitted.state, fitted.state.projection.users
    if state.config.float_embedding != "relaxed":
        found = layer.activations(entity.embeddings)
    elif "user_projection" in state.fold_in.arrays:
        found = layer.activations_of_relaxed(entity.embeddings)
    else:  # relaxed codes are rounded where they are near 1, and the sum is not
        found = layer.activations(parts.sum(axis=0, keepdims=True).astype(np.float32))
    return np.asarray(found[0], np.float64)


def _bit_parts(entity: EncodedEntities, pulls: Array, constant: Array, signs: Array) -> Array:
    """Return the share of each item of the history in the score between codes, (n, h), float64."""
    own = entity.codes.signs()[0].astype(np.float64)
    towards = np.maximum(pulls * own, 0)
    total = towards.sum(axis=0) + np.maximum(constant * own, 0)
    shares = np.divide(towards, total, out=np.zeros_like(towards), where=total > 0)
    return np.asarray(signs.astype(np.float64) @ (shares * own).T)


def _similarities(fitted: FittedModel, items: Array, history: Array, search: str) -> Array:
    """Return how similar items are to those of a history, (n, h): cosines, or by the bits of two codes."""
    side = fitted.state.items
    if search in _BY_CODE:
        distances = side.codes[items].distances(side.codes[history])
        return np.asarray(1.0 - 2.0 * distances / side.codes.n_bits)
    mine, theirs = side.embeddings[items], side.embeddings[history]
    lengths = np.outer(inverse_lengths(mine), inverse_lengths(theirs))
    return np.asarray((mine @ theirs.T) * lengths, np.float64)
