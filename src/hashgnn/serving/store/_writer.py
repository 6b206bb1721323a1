"""``Writer``: one write to a store, whatever it is kept in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from hashgnn.serving.store._answers import Receipt, RepeatKey
from hashgnn.serving.store._attributes import AttributeRow
from hashgnn.serving.store._items import NewItem
from hashgnn.serving.store._rows import Row, check_kind, kind_of


class Writer(ABC):
    """A transaction that is open and that no other writer of the store shares.

    Attributes
    ----------
    kinds : dict
        The types of ids that the store keeps, as far as it has seen some.
    """

    kinds: dict[str, str]

    def check_kinds(self, named: Mapping[str, int | str]) -> None:
        """Compare the types of ids with those of the store, which keeps the first that it sees.

        Raises
        ------
        ParameterError
            If one differs.
        """
        for name in sorted(named.keys() & self.kinds.keys()):
            check_kind(name, self.kinds[name], named[name])
        for name in sorted(named.keys() - self.kinds.keys()):
            self.kinds[name] = kind_of(named[name])
            self.keep_kind(name, self.kinds[name])

    @abstractmethod
    def keep_kind(self, name: str, kind: str) -> None:
        """Keep the type of the ids of users or items."""

    @property
    @abstractmethod
    def stored(self) -> int:
        """How many interactions the store holds, with those of this write."""

    @abstractmethod
    def insert(self, rows: Sequence[Row]) -> None:
        """Keep interactions."""

    @abstractmethod
    def insert_attributes(self, rows: Sequence[AttributeRow]) -> None:
        """Keep values; the last of several for one column of an item counts."""

    @abstractmethod
    def forget_attributes(self, items: Sequence[int | str]) -> None:
        """Forget the values of items."""

    @abstractmethod
    def first_answer(self, key: RepeatKey) -> Receipt | None:
        """Return the answer that a key has got before, None where it is new.

        Raises
        ------
        ParameterError
            If the key came with other content.
        """

    @abstractmethod
    def keep_answer(self, key: RepeatKey, receipt: Receipt) -> None:
        """Keep the answer to a key, and forget what is too old or too much."""

    @abstractmethod
    def delete(self, user: int | str, item: int | str | None) -> int:
        """Remove what a user did, or did with one item, and mark the deletion; return how many rows there were.

        The mark replaces earlier ones that say less, so that repeating a deletion takes no more room.
        """

    @abstractmethod
    def clear(self, upto: int, at_once: int) -> tuple[int, int]:
        """Remove the first interactions up to a number, about ``at_once``; return how many, and up to which number."""

    @abstractmethod
    def known_items(self, items: Sequence[int | str]) -> set[int | str]:
        """Return the ids of those new items that the store has already."""

    @abstractmethod
    def insert_items(self, items: Sequence[NewItem]) -> None:
        """Keep new items, and that their users interacted with them where the store does not have it already."""

    @abstractmethod
    def remove_items(self, items: Sequence[int | str]) -> list[int | str]:
        """Remove new items; return those that there were. Interactions with them stay."""

    @abstractmethod
    def count_items(self) -> int:
        """Return how many new items there are."""

    @abstractmethod
    def probe(self) -> None:
        """Write something small that means nothing."""
