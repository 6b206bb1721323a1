"""The data of a measurement: embeddings, and the codes made from them."""

from __future__ import annotations

from dataclasses import dataclass
from tempfile import TemporaryFile

import numpy as np

from hashgnn._printing import ShortRepr
from hashgnn._rng import as_generator
from hashgnn._types import Array
from hashgnn.answering.queries import EncodedEntities
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.data import Interactions
from hashgnn.evaluation.held_out import HeldOut, held_out
from hashgnn.index.scores import to_code_length
from hashgnn.recommender import HashGNN
from hashgnn.state.float_queries import FloatQueries

_BLOCK = 1 << 17
_ITEMS_A_CLUSTER = 1000
_SPREAD = 0.4
_MOST_IN_MEMORY = 4 << 30  # bytes


@dataclass(frozen=True, eq=False, repr=False)
class Workload(ShortRepr):
    """Items and queries, as floats and as codes.

    Attributes
    ----------
    items, queries : ndarray of shape (n, width), float32
    item_codes, query_codes : BinaryCodes
    float_queries : ndarray of shape (n, n_bits), float32
        Queries of asymmetric search, with the norm of a code.
    item_bias : ItemBias or None
    learned_bias : bool
        Whether the bias belongs to the scores, so that every search of ours uses it. A generated one only
        shows what a bias costs.
    held_out : HeldOut or None
        Seen and held-out items of each query, where queries are users of a real data set.
    """

    items: Array
    queries: Array
    item_codes: BinaryCodes
    query_codes: BinaryCodes
    float_queries: Array
    item_bias: ItemBias | None
    learned_bias: bool = False
    held_out: HeldOut | None = None

    @property
    def n_bits(self) -> int:
        """Width of the codes."""
        return self.item_codes.n_bits

    @property
    def scored_bias(self) -> ItemBias | None:
        """The bias, if it belongs to the scores."""
        return self.item_bias if self.learned_bias else None


def generated_workload(
    n_items: int, n_queries: int, n_bits: int, *, width: int = 128, rng: int | np.random.Generator = 0
) -> Workload:
    """Generate clustered embeddings of unit length, with codes that are signs of random projections.

    Items gather around one centre a thousand; queries come from the same clusters. Biases fall off as
    popularities do: a few items near the top, most around twenty bits below.
    """
    generator = as_generator(rng)
    centres = _unit(generator.standard_normal((max(1, n_items // _ITEMS_A_CLUSTER), width), np.float32))
    projection = generator.standard_normal((width, n_bits), np.float32)
    items, item_codes = _around(centres, n_items, projection, generator)
    queries, query_codes = _around(centres, n_queries, projection, generator)
    bias = ItemBias.from_values(-np.minimum(generator.gamma(6.0, 3.5, n_items), 120.0))
    return Workload(items, queries, item_codes, query_codes, to_code_length(queries @ projection), bias)


def model_workload(model: HashGNN, test: Interactions, *, rng: int | np.random.Generator = 0) -> Workload:
    """Take the items of a fitted model, with every user who has held-out items as a query, in random order.

    Parameters
    ----------
    model : HashGNN
    test : Interactions
        Held out, with the users and items of the model.
    rng : int or numpy Generator, default=0
    """
    state = model.state_
    judged = held_out(state.seen, test)
    order = as_generator(rng).permutation(len(judged.users))
    users = judged.users[order]
    queries = EncodedEntities.of(state.users, users)
    return Workload(
        np.ascontiguousarray(state.items.embeddings),
        queries.embeddings,
        state.items.codes,
        queries.codes,
        FloatQueries.of_users(state)(queries.embeddings),
        state.items.bias,
        learned_bias=state.items.bias is not None,
        held_out=HeldOut(users, judged.seen[order], judged.relevant[order]),
    )


def empty_items(n_items: int, width: int) -> Array:
    """Return float32 rows to fill, shape (n_items, width).

    Those of more than 4 GiB are mapped from a temporary file, so that indexes have the memory. It goes with the array.
    """
    if n_items * width * 4 <= _MOST_IN_MEMORY:
        return np.empty((n_items, width), np.float32)
    with TemporaryFile(prefix="hashgnn-benchmark-") as file:
        return np.memmap(file, np.float32, "w+", shape=(n_items, width))


def _around(centres: Array, n: int, projection: Array, rng: np.random.Generator) -> tuple[Array, BinaryCodes]:
    rows = empty_items(n, centres.shape[1])
    packed = np.empty((n, projection.shape[1] // 8), np.uint8)
    scale = np.float32(_SPREAD / np.sqrt(centres.shape[1]))
    for start in range(0, n, _BLOCK):
        block = rows[start : start + _BLOCK]
        noise = rng.standard_normal(block.shape, np.float32)
        block[:] = _unit(centres[rng.integers(0, len(centres), len(block))] + scale * noise)
        packed[start : start + _BLOCK] = np.packbits(block @ projection >= 0, axis=1)
    return rows, BinaryCodes(packed)


def _unit(rows: Array) -> Array:
    result: Array = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return result
