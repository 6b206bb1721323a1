"""``OverCodes``: a state of an index that keeps its codes in another store, and more that is made from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic, Self, TypeVar

from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.index.stores.code_store import CodeStore
from hashgnn.index.stores.list_store import ListStore

Store = TypeVar("Store", CodeStore, ListStore, CodeStore | ListStore)


@dataclass(frozen=True, eq=False)
class OverCodes(Generic[Store]):
    """The answers of such states by their codes alone.

    Attributes
    ----------
    store : CodeStore or ListStore
    """

    store: Store

    @property
    def n_bits(self) -> int:
        """Width of the codes."""
        return self.store.n_bits

    @property
    def top(self) -> float | None:
        """Bias of an item without penalty; None: the codes have no bias."""
        return self.store.top

    def __len__(self) -> int:
        return len(self.store)

    def removed(self, positions: Array) -> Self:
        """Return the state without the codes at ``positions``, which are in range."""
        return replace(self, store=self.store.removed(positions))

    def alive_mask(self) -> Array:
        """Return which positions hold a code, shape (len(self),), bool; a copy."""
        return self.store.alive_mask()

    def codes(self, positions: Array | None = None) -> BinaryCodes:
        """Return the codes of some positions, or of all, as packed rows; a copy."""
        return self.store.codes(positions)

    def bias(self, positions: Array | None = None) -> ItemBias | None:
        """Return the item bias of some positions, or of all; a copy."""
        return self.store.bias(positions)
