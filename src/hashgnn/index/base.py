"""The contract that every index over codes keeps, and what all indexes that change have in common."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, NoReturn, Protocol, Self, TypeVar

import numpy as np

from hashgnn._addresses import path_of
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ParameterError
from hashgnn.index._arguments import check_positions
from hashgnn.index.stores.embedded_codes import EmbeddedCodes
from hashgnn.index.stores.index_file import Contents, SavedIndex, reading_index, write_index
from hashgnn.ranking import CandidateFilter, Matches


class CandidateIndex(ABC):
    """Finds the codes that fit a query best.

    Searches may run from many threads at once, also while the index changes: each sees the index as it
    was at one moment.

    Attributes
    ----------
    unsupported : frozenset of {"item bias", "float queries", "filters", "changes", "saving", "sending"}
        What this kind of index cannot do; a call that needs it raises. "sending" is to be copied or
        pickled.
    """

    unsupported: ClassVar[frozenset[str]] = frozenset()

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
        queries: BinaryCodes | EmbeddedCodes | Array,
        k: int,
        *,
        candidates: CandidateFilter | None = None,
        biased: bool = True,
        n_threads: int = 1,
    ) -> Matches:
        """Find the ``k`` best codes for each query.

        Parameters
        ----------
        queries : BinaryCodes, EmbeddedCodes, or ndarray of shape (n_queries, n_bits), float32
            Codes are compared bit by bit. Floats are compared with the signs that the codes stand for
            (asymmetric search). A :class:`HierarchicalIndex` takes EmbeddedCodes, the others do not.
        k : int
            Results a query, ``1 <= k <= len(self)``.
        candidates : CandidateFilter or None, default=None
            Which codes each query may return.
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

    def add(self, codes: BinaryCodes | EmbeddedCodes, item_bias: ItemBias | None = None) -> Array:
        """Append codes and return their positions, shape (len(codes),), int64."""
        self._refuse("be changed; build a new one")

    def update(
        self, positions: Any, codes: BinaryCodes | EmbeddedCodes, item_bias: ItemBias | None = None
    ) -> None:
        """Replace the codes at ``positions``, which must be distinct. A removed position stays removed."""
        self._refuse("be changed; build a new one")

    def remove(self, positions: Any) -> None:
        """Never return these positions again. Removing one twice changes nothing."""
        self._refuse("be changed; build a new one")

    def save(self, path: str | Path) -> None:
        """Write the index to one file, atomically; the format is described in docs/reference/index-format.md."""
        self._refuse("be saved; save the codes and build it again")

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Return what pickle, copies and other processes get; raises where the index cannot be sent."""
        if "sending" in self.unsupported:
            self._refuse("be copied or sent to another process; send the codes and build it there")
        return super().__reduce_ex__(protocol)

    def _refuse(self, what: str) -> NoReturn:
        name = type(self).__name__
        raise ParameterError(f"{'an' if name[0] in 'AEIO' else 'a'} {name} cannot {what}")


class IndexState(Protocol):
    """One state of an index that changes: immutable, a change returns another state."""

    @property
    def n_bits(self) -> int:
        """Width of the codes."""

    @property
    def top(self) -> float | None:
        """Bias of an item without penalty; None: the codes have no bias."""

    def __len__(self) -> int:
        """Return the number of positions, those of removed codes included."""

    def added(self, codes: Any, bias: ItemBias | None) -> Self:
        """Return the state with more codes at the end."""

    def updated(self, positions: Array, codes: Any, bias: ItemBias | None) -> Self:
        """Return the state with other codes at ``positions``, which are distinct and in range."""

    def removed(self, positions: Array) -> Self:
        """Return the state without the codes at ``positions``, which are in range."""

    def alive_mask(self) -> Array:
        """Return which positions hold a code, shape (len(self),), bool; a copy."""

    def codes(self, positions: Array | None = None) -> BinaryCodes:
        """Return the codes of some positions, or of all."""

    def bias(self, positions: Array | None = None) -> ItemBias | None:
        """Return the item bias of some positions, or of all."""

    def nbytes(self) -> int:
        """Return the bytes that searches read."""

    def contents(self) -> Contents:
        """Return the sections of a file for the state."""


State = TypeVar("State", bound=IndexState)


class MutableIndex(CandidateIndex, Generic[State]):
    """An index that can change and be saved.

    Positions are stable: codes that are added get the next positions, and a removed position is never
    used again. A change makes a new state and then puts it in place of the old one. A search at the same
    time sees one of the two. Changes wait for one another.

    A concrete index calls :meth:`_begin` with its first state and implements ``search``,
    :meth:`_settings` and :meth:`_restore`.

    Attributes
    ----------
    kind : str
        Name of this kind of index in the header of a saved file.
    """

    kind: ClassVar[str]
    _state: State

    def _begin(self, state: State) -> None:
        self._state = state
        self._changing = threading.Lock()

    @abstractmethod
    def _settings(self) -> Mapping[str, int]:
        """Return the sections of a saved file besides the state."""

    @abstractmethod
    def _restore(self, saved: SavedIndex) -> None:
        """Begin with the state and the settings of a file; what does not fit is reported as damage."""

    def __getstate__(self) -> dict[str, Any]:
        """Send the index by value, as it is now, also one of a mapped file; the lock is left behind.

        The codes go as they lie in memory, so a copy packs, clusters and tunes nothing. Only the hash
        tables of :class:`MultiIndexHashing` are made anew.
        """
        return {name: value for name, value in self.__dict__.items() if name != "_changing"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin(self._state)

    @property
    def n_bits(self) -> int:
        """Width of the stored codes."""
        return self._state.n_bits

    @property
    def has_bias(self) -> bool:
        """Whether the codes have an item bias."""
        return self._state.top is not None

    @property
    def nbytes(self) -> int:
        """Bytes that searches read: in memory, or mapped from a file."""
        return self._state.nbytes()

    @property
    def n_probe(self) -> int | None:
        """Lists that a query scans; None: the codes are not in lists."""
        return None

    def __len__(self) -> int:
        return len(self._state)

    def snapshot(self) -> State:
        """Return the present state, which later changes of the index leave as it is."""
        return self._state

    def alive(self) -> Array:
        """Return which positions hold a code, shape (len(self),), bool; a copy."""
        return self._state.alive_mask()

    def codes(self, positions: Any = None) -> BinaryCodes:
        """Return codes as packed rows; a copy.

        Parameters
        ----------
        positions : array-like of int, or None, default=None
            Only these are unpacked. ``None`` returns all positions. The row of a removed position means
            nothing.
        """
        state = self._state
        return state.codes(None if positions is None else check_positions(positions, len(state)))

    def item_bias(self, positions: Any = None) -> ItemBias | None:
        """Return the item bias of some positions, or of all; a copy. None where the codes have none."""
        state = self._state
        return state.bias(None if positions is None else check_positions(positions, len(state)))

    def add(self, codes: BinaryCodes | EmbeddedCodes, item_bias: ItemBias | None = None) -> Array:
        """Append codes and return their positions, shape (len(codes),), int64."""
        with self._changing:
            first = len(self._state)
            self._state = self._state.added(codes, item_bias)
        return np.arange(first, first + len(codes))

    def with_added(self, codes: BinaryCodes | EmbeddedCodes, item_bias: ItemBias | None = None) -> Self:
        """Return another index with more codes at the end; this one stays as it is, and shares its codes."""
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__getstate__())
        other._begin(self._state.added(codes, item_bias))
        return other

    def update(
        self, positions: Any, codes: BinaryCodes | EmbeddedCodes, item_bias: ItemBias | None = None
    ) -> None:
        """Replace the codes at ``positions``, which must be distinct. A removed position stays removed."""
        with self._changing:
            rows = check_positions(positions, len(self._state), distinct_for=len(codes))
            self._state = self._state.updated(rows, codes, item_bias)

    def remove(self, positions: Any) -> None:
        """Never return these positions again. Removing one twice changes nothing."""
        with self._changing:
            self._state = self._state.removed(check_positions(positions, len(self._state)))

    def save(self, path: str | Path) -> None:
        """Write the index to one file, atomically; the format is described in docs/reference/index-format.md."""
        write_index(path_of(path), self.kind, self._state.contents(), self._settings())

    @classmethod
    def load(cls, path: str | Path, *, verify: bool = False) -> Self:
        """Open a saved index, memory-mapped: no code is copied, and processes share the pages.

        Parameters
        ----------
        path : str or Path
        verify : bool, default=False
            Compare the checksums of all sections, which reads the whole file. The checksum of the header
            is always compared.

        Raises
        ------
        ArtifactError, ArtifactVersionError, ArtifactDamagedError
            If the file is foreign, of another kind or format version, truncated or edited.
        """
        index = cls.__new__(cls)
        with reading_index(path_of(path), cls.kind, verify=verify) as saved:
            index._restore(saved)
        return index
