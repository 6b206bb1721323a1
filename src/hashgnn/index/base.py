"""The contract that every index over codes keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ParameterError
from hashgnn.ranking import CandidateFilter, Matches


class CandidateIndex(ABC):
    """Finds the codes that fit a query best.

    Searches may run from many threads at once, also while the index changes: each sees the index as it
    was at one moment.

    Attributes
    ----------
    lacks : frozenset of {"item bias", "float queries", "filters", "changes", "saving"}
        What this kind of index does not have; asking for it raises.
    """

    lacks: ClassVar[frozenset[str]] = frozenset()

    @property
    @abstractmethod
    def n_bits(self) -> int:
        """Width of the stored codes."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of positions, those of removed codes included."""

    @abstractmethod
    def search(
        self,
        queries: BinaryCodes | Array,
        k: int,
        *,
        candidates: CandidateFilter | None = None,
        biased: bool = True,
        n_threads: int = 1,
    ) -> Matches:
        """Find the ``k`` best codes for each query.

        Parameters
        ----------
        queries : BinaryCodes of shape (n_queries, n_bits), or ndarray of the same shape, float32
            Codes are compared bit by bit. Floats are compared with the signs that the codes stand for
            (asymmetric search).
        k : int
            Results a query, ``1 <= k <= len(self)``.
        candidates : CandidateFilter or None, default=None
            Which codes each query may get.
        biased : bool, default=True
            Add the item bias, where the index has one.
        n_threads : int, default=1
            Threads that share the work, the calling one included. It changes no result.

        Returns
        -------
        Matches

        Raises
        ------
        ParameterError
            If the width of the queries, ``k``, ``n_threads`` or the filter does not fit the index.
        """

    def add(self, codes: BinaryCodes, item_bias: ItemBias | None = None) -> Array:
        """Append codes and return their positions, shape (len(codes),), int64."""
        self._refuse("be changed; build a new one")

    def update(self, positions: Any, codes: BinaryCodes, item_bias: ItemBias | None = None) -> None:
        """Replace the codes at ``positions``, which must be distinct. A removed position stays removed."""
        self._refuse("be changed; build a new one")

    def remove(self, positions: Any) -> None:
        """Never return these positions again. Removing one twice changes nothing."""
        self._refuse("be changed; build a new one")

    def save(self, path: str | Path) -> None:
        """Write the index to one file, atomically; the format is described in docs/index-format.md."""
        self._refuse("be saved; save the codes and build it again")

    def _refuse(self, what: str) -> NoReturn:
        raise ParameterError(f"a {type(self).__name__} cannot {what}")
