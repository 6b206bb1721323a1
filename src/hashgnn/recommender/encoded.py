"""What a search is asked with: codes and embeddings of users or items, trained or folded in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.state import ModelState


@dataclass(frozen=True, eq=False)
class Encoded:
    """Codes and embeddings of some users or items.

    Attributes
    ----------
    codes : BinaryCodes of shape (n, n_bits)
    embeddings : ndarray of shape (n, d), float32
        What float search and re-ranking multiply.
    bias : ItemBias of length n, or None
        Of items, where the model has an item bias. That of a folded-in item is read from its number of users.
    """

    codes: BinaryCodes
    embeddings: Array
    bias: ItemBias | None = None

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: slice | Array) -> Encoded:
        bias = None if self.bias is None else self.bias[rows]
        return Encoded(self.codes[rows], self.embeddings[rows], bias)


def trained(state: ModelState, side: str, index: Array) -> Encoded:
    """Return what training gave to users or items, by their index."""
    codes: BinaryCodes = getattr(state, f"{side}_codes")
    embeddings: Array = getattr(state, f"{side}_embeddings")
    bias = None if side == "user" or state.item_bias is None else state.item_bias[index]
    return Encoded(codes[index], np.ascontiguousarray(embeddings[index]), bias)


def folded_in(state: ModelState, side: str, output: Array, bias: ItemBias | None = None) -> Encoded:
    """Return codes and embeddings of new users or items from the encoder's output for them."""
    relax = state.projection.users if side == "user" else state.projection.items
    relaxed = relax(output)
    is_relaxed = state.config.float_embedding == "relaxed"
    return Encoded(BinaryCodes.from_signs(relaxed), relaxed if is_relaxed else output, bias)
