"""What is searched in a measurement: embeddings, and the codes made of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hashgnn._rng import as_generator
from hashgnn.codes import BinaryCodes, ItemBias

Array = np.ndarray[Any, Any]

_BLOCK = 1 << 17
_ITEMS_A_CLUSTER = 1000
_SPREAD = 0.4


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Items and queries, as floats and as codes.

    Attributes
    ----------
    items, queries : ndarray of shape (n, width), float32
    item_codes, query_codes : BinaryCodes
    item_bias : ItemBias
    """

    items: Array
    queries: Array
    item_codes: BinaryCodes
    query_codes: BinaryCodes
    item_bias: ItemBias

    @cached_property
    def n_bits(self) -> int:
        """Width of the codes."""
        return self.item_codes.n_bits


def generated_catalogue(
    n_items: int, n_queries: int, n_bits: int, *, width: int = 128, rng: int | np.random.Generator = 0
) -> Catalogue:
    """Generate clustered embeddings of unit length, with codes that are signs of random projections.

    Items gather around one centre a thousand; queries come from the same clusters. Biases fall off as
    popularities do: a few items near the top, most around twenty bits below.
    """
    generator = as_generator(rng)
    centres = _unit(generator.standard_normal((max(1, n_items // _ITEMS_A_CLUSTER), width), np.float32))
    projection = generator.standard_normal((width, n_bits), np.float32)
    items, item_codes = _around(centres, n_items, projection, generator)
    queries, query_codes = _around(centres, n_queries, projection, generator)
    values = -np.minimum(generator.gamma(6.0, 3.5, n_items), 120.0)
    return Catalogue(items, queries, item_codes, query_codes, ItemBias.from_values(values))


def _around(centres: Array, n: int, projection: Array, rng: np.random.Generator) -> tuple[Array, BinaryCodes]:
    rows = np.empty((n, centres.shape[1]), np.float32)
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
