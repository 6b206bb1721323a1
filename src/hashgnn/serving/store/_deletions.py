"""``Deleted``: what a model must not use any more."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Deleted:
    """The part of a model's training data that must not be used any more.

    Attributes
    ----------
    everything : bool
        All that the user did.
    items : tuple of int or str
        Else these of the user's items.
    """

    everything: bool
    items: tuple[int | str, ...]

    def __bool__(self) -> bool:
        return self.everything or bool(self.items)
