"""``Recent``: what was looked up lately, so many entries."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")
_MOST = 256


class Recent(Generic[K, V]):
    """The newest entries by their keys; many threads may use it.

    Parameters
    ----------
    most : int, default=256

    Examples
    --------
    >>> kept = Recent(most=2)
    >>> [kept.get(key, lambda: key * 10) for key in (1, 2, 3, 1)]
    [10, 20, 30, 10]
    >>> len(kept)
    2
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most, self._kept, self._lock = most, OrderedDict[K, V](), threading.Lock()

    def get(self, key: K, make: Callable[[], V]) -> V:
        """Return the entry of a key, made where it is new; two threads may make the same one."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return made

    def __len__(self) -> int:
        return len(self._kept)
