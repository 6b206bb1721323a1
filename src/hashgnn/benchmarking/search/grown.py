"""A catalogue grown from a fitted model: as many items as one likes, distributed as a recommender's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hashgnn._checks import check_float, check_int
from hashgnn._rng import as_generator
from hashgnn._types import Array
from hashgnn.answering.queries import EncodedEntities
from hashgnn.benchmarking.search.workload import Workload, empty_items
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ParameterError
from hashgnn.recommender import HashGNN
from hashgnn.state import ModelState
from hashgnn.state.float_queries import FloatQueries

#: Users who ask, at most.
N_USERS = 6000

_NEIGHBOURS = 16
_FURTHEST = 0.5  # of the way to the neighbour
_NOISE = 0.15  # of the distance to it
_PARENTS = 1 << 15  # items that new ones are grown from, at most
_ROWS = 256
_BLOCK = 1 << 16
_FITTED_USERS = 256
_BEST = 100


def grown_workload(
    model: HashGNN,
    n_items: int,
    *,
    length_spread: float = 0.0,
    rng: int | np.random.Generator = 0,
) -> Workload:
    """Grow a catalogue from the items of a fitted model; its users ask.

    The items of the model come first. Each further one lies between an item and one of its 16 nearest, at most
    half way, plus Gaussian noise of .15 of their distance. Its code is made by the model's hash layer, and its
    bias lies between those of the two in the same proportion.

    Parameters
    ----------
    model : HashGNN
    n_items : int
        At least as many as the model has.
    length_spread : float, default=0.0
        Items are multiplied by lognormal lengths, whose logarithm has this standard deviation and mean 0. Lengths
        differ as much where scores are plain inner products: graphs then find less. The bias of an item grows with
        its length by what the code scores of the best items say (:func:`bias_of_length`), as training would make it.
    rng : int or numpy Generator, default=0

    Returns
    -------
    Workload
        With at most 6,000 users as queries, in random order.

    Raises
    ------
    ParameterError
        If an argument breaks its rule.
    """
    state, generator = model.state_, as_generator(rng)
    n = check_int("n_items", n_items, minimum=1)
    if n < state.n_items:
        raise ParameterError(
            f"n_items must be at least {state.n_items}, the items of the model, got {n_items}"
        )
    spread = check_float("length_spread", length_spread, minimum=0.0)
    users = generator.permutation(state.n_users)[:N_USERS]
    queries = EncodedEntities.of(state.users, users)
    items, parents, shares = _grown(state, n, generator)
    codes = _codes(state, items)
    bits = _bits(state, parents, shares)
    if spread:
        lengths = np.exp(spread * generator.standard_normal(n)).astype(np.float32)
        slope = bias_of_length(state.n_bits, queries, items[: state.n_items], codes[: state.n_items])
        bits = slope * (lengths - 1) + (0 if bits is None else bits)
        for start in range(0, n, _BLOCK):
            items[start : start + _BLOCK] *= lengths[start : start + _BLOCK, None]
    return Workload(
        items,
        queries.embeddings,
        codes,
        queries.codes,
        FloatQueries.of_users(state)(queries.embeddings),
        None if bits is None else ItemBias.from_values(bits),
        learned_bias=bits is not None,
    )


def bias_of_length(n_bits: int, queries: EncodedEntities, items: Array, codes: BinaryCodes) -> float:
    """Return how many bits of bias an item of twice the length of the others is worth.

    An item of length ``l`` scores ``l`` times as much, ``(l - 1) m`` more where ``m`` is the score of the items that
    a user gets. A line from float scores to code scores turns that into bits.
    """
    requested = queries[: min(_FITTED_USERS, len(queries.codes))]
    scores = requested.embeddings @ items.T
    best = np.argpartition(-scores, min(_BEST, len(items)) - 1, axis=1)[:, :_BEST]
    floats = np.take_along_axis(scores, best, 1)
    by_code = (n_bits - 2 * requested.codes.distances(codes)).astype(np.float32)
    every, bits = scores - scores.mean(), by_code - by_code.mean()
    slope = float((every * bits).sum() / max(float((every * every).sum()), 1e-30))
    return slope * float(floats.mean())


def _grown(state: ModelState, n: int, generator: np.random.Generator) -> tuple[Array, Array, Array]:
    """Return the items, and of those that are not the model's their two parents and the share of the second."""
    own = state.items.embeddings
    n_own, width = own.shape
    items = empty_items(n, width)
    items[:n_own] = own
    first = np.sort(generator.permutation(n_own)[:_PARENTS])
    near = _nearest(np.asarray(own), first)
    parents = np.empty((n - n_own, 2), np.int64)
    shares = generator.uniform(0.0, _FURTHEST, n - n_own).astype(np.float32)
    for start in range(0, n - n_own, _BLOCK):
        rows = slice(start, min(start + _BLOCK, n - n_own))
        size = rows.stop - rows.start
        one = generator.integers(0, len(first), size)
        parents[rows, 0] = first[one]
        parents[rows, 1] = near[one, generator.integers(0, near.shape[1], size)]
        way = own[parents[rows, 1]] - own[parents[rows, 0]]
        distance = np.linalg.norm(way, axis=1, keepdims=True)
        block = items[n_own + start : n_own + rows.stop]
        generator.standard_normal(dtype=np.float32, out=block)
        block *= distance * np.float32(_NOISE / np.sqrt(width))
        way *= shares[rows, None]
        block += way
        block += own[parents[rows, 0]]
    return items, parents, shares


def _nearest(items: Array, rows: Array) -> Array:
    """Return the nearest other items of some, by distance, shape (n_rows, at most 16)."""
    squares = np.einsum("ij,ij->i", items, items)
    count = min(_NEIGHBOURS, len(items) - 1)
    if count < 1:
        return rows[:, None]
    near = np.empty((len(rows), count), np.int64)
    for start in range(0, len(rows), _ROWS):
        chosen = rows[start : start + _ROWS]
        distances = items[chosen] @ items.T
        distances *= -2
        distances += squares
        distances[np.arange(len(chosen)), chosen] = np.inf
        near[start : start + _ROWS] = np.argpartition(distances, count - 1, axis=1)[:, :count]
    return near


def _codes(state: ModelState, items: Array) -> BinaryCodes:
    """Return the model's own codes, and those of the further items by its hash layer."""
    packed = np.empty((len(items), state.n_bits // 8), np.uint8)
    packed[: state.n_items] = state.items.codes.packed
    layer, relaxed = state.projection.items, state.config.float_embedding == "relaxed"
    activations = layer.activations_of_relaxed if relaxed else layer.activations
    for start in range(state.n_items, len(items), _BLOCK):
        rows = items[start : start + _BLOCK]
        packed[start : start + _BLOCK] = BinaryCodes.from_signs(activations(rows)).packed
    return BinaryCodes(packed)


def _bits(state: ModelState, parents: Array, shares: Array) -> Array | None:
    if state.items.bias is None:
        return None
    own = state.items.bias.values()
    between = own[parents[:, 0]] * (1 - shares) + own[parents[:, 1]] * shares
    return np.concatenate([own, between])


def first_users(data: Workload, n: int = N_USERS) -> Workload:
    """Return a workload with its first users only, so that judging all of them stays short."""
    rows = slice(0, n)
    held: Any = data.held_out
    if held is not None:
        held = replace(held, users=held.users[rows], seen=held.seen[rows], relevant=held.relevant[rows])
    return replace(
        data,
        queries=data.queries[rows],
        query_codes=data.query_codes[rows],
        float_queries=data.float_queries[rows],
        held_out=held,
    )
