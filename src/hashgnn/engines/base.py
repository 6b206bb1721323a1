"""The contract of an engine, and the version of a model that it keeps."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, NoReturn, Self

import numpy as np
from pydantic import Field

from hashgnn._declared import Count, Declared, Sha256, check_fields
from hashgnn._types import Array
from hashgnn.engines.address import EngineAddress
from hashgnn.engines.rows import ItemRows
from hashgnn.errors import EngineError, ParameterError

LAYOUT = 1  # raised when tables of an engine change so that an older reader would misread them
OPEN_END = 2**31 - 1  # ``until`` of a row that belongs to the newest version


class EngineVersion(Declared):
    """The entry of one version of a model in an engine; it is written last.

    Attributes
    ----------
    layout : int
        Of the tables.
    number : int
        Versions of one table count upwards.
    checksum : str
        Of the saved model.
    n_items, n_bits, dim : int
    n_extra : int
        Bits behind a code that hold its item bias; 0 where the model has none.
    top : float or None
        Bias of an item without penalty.
    index : {"exact", "hnsw", "ivf"}
        How codes are searched.
    floats : {"none", "half"}
        Whether embeddings are there, as float16.
    attributes : dict of str to str
        Columns of attributes and their types.
    """

    layout: Annotated[int, Field(ge=1)]
    number: Annotated[int, Field(ge=1, lt=OPEN_END)]
    checksum: Sha256
    n_items: Count
    n_bits: Annotated[int, Field(ge=8, le=1024, multiple_of=8)]
    n_extra: Annotated[int, Field(ge=0, le=256, multiple_of=8)]
    top: Annotated[float, Field(ge=-(2.0**20), le=2.0**20)] | None
    dim: Annotated[int, Field(ge=1, le=65536)]
    index: Annotated[str, Field(max_length=20)]
    floats: Annotated[str, Field(pattern="^(none|half)$")]
    attributes: dict[str, str] = Field(default_factory=dict, max_length=500)

    @property
    def short(self) -> str:
        """The first twelve digits of the checksum, for messages."""
        return self.checksum[:12]


@dataclass(frozen=True, eq=False)
class Limits:
    """Limits on the results of one query.

    Attributes
    ----------
    allow : ndarray of shape (m,), int64, or None
        The only positions, ascending; those of ``block`` are not among them.
    block : ndarray of shape (m,), int64, or None
        Positions to leave out, ascending. None where ``allow`` is given.
    where : str or None
        A condition on attributes, in the engine's own language.
    """

    allow: Array | None = None
    block: Array | None = None
    where: str | None = None

    def mask(self, n_items: int) -> Array | None:
        """Return which positions ``allow`` and ``block`` leave, shape (n_items,), bool; None if all."""
        if self.allow is None and self.block is None:
            return None
        mask = np.full(n_items, self.allow is None)
        mask[self.block if self.allow is None else self.allow] = self.allow is not None
        return mask

    def n_left(self, n_items: int) -> int:
        """Return how many positions ``allow`` and ``block`` leave of so many."""
        if self.allow is not None:
            return len(self.allow)
        return n_items - (0 if self.block is None else len(self.block))


Near = tuple[Array, Array]
"""Positions, int64, and distances with the penalty of the item bias, int64: by distance, then position."""


class Engine(ABC):
    """Keeps the items of a model, version by version, and finds those whose codes are nearest.

    A row is an item of one or several versions, at its position in the model. A reader names the version that it
    wants and sees the rows of that version alone, whatever is written meanwhile. The version before the newest
    stays until the next change, so that services can go over one by one.

    Attributes
    ----------
    name : str
        Of the engine, for messages.
    extra : str
        The extra of this package that installs its client.
    options : mapping of str to str
        Options of its URL, with a sentence about each.
    indexes : tuple of str
        Kinds of index that it has; the first is the default.
    keeps_floats : bool
        Whether it can keep embeddings, and re-rank by them.
    dialect : str
        Language of its conditions, one of :data:`hashgnn.rules.DIALECTS`.
    """

    name: ClassVar[str]
    extra: ClassVar[str]
    options: ClassVar[Mapping[str, str]]
    indexes: ClassVar[tuple[str, ...]] = ("exact",)
    keeps_floats: ClassVar[bool] = False
    dialect: ClassVar[str]

    def __init__(self, address: EngineAddress) -> None:
        self.address, self._process = address, os.getpid()

    @classmethod
    @abstractmethod
    def connect(cls, address: EngineAddress) -> Self:
        """Open a connection.

        Raises
        ------
        EngineError
            If it cannot be reached.
        MissingExtraError
            If its client is not installed.
        ParameterError
            If an option of the URL is unknown or breaks its rule.
        """

    @property
    def index(self) -> str:
        """The kind of index that an export makes, as the URL says."""
        return self.address.choice("index", self.indexes[0], self.indexes)

    @abstractmethod
    def versions(self) -> list[EngineVersion]:
        """Return the whole versions that are there, from the oldest to the newest; empty where there is no table."""

    @abstractmethod
    def create(self, version: EngineVersion, rows: Iterator[ItemRows], *, replace: bool) -> float:
        """Write a first version.

        Nothing is visible before all is there. With ``replace`` it takes the place of the versions that are there,
        in one step.

        Returns
        -------
        float
            Seconds that the engine's own index took.

        Raises
        ------
        EngineError
            If writing failed; nothing was changed.
        """

    @abstractmethod
    def change(self, old: EngineVersion, new: EngineVersion, gone: Array, rows: Iterator[ItemRows]) -> None:
        """Make another version out of the newest one.

        Parameters
        ----------
        old, new : EngineVersion
        gone : ndarray of shape (m,), int64
            Positions whose rows are in no later version: those that change, and those that the new version does
            not have.
        rows : iterator of ItemRows
            The new rows.

        Raises
        ------
        EngineError
            If writing failed; readers see what they saw.
        """

    @abstractmethod
    def attribute_digests(self, version: EngineVersion) -> Array:
        """Return the digest of each item's attributes, shape (n_items,), int64."""

    @abstractmethod
    def matching(self, version: EngineVersion, where: str) -> Array:
        """Return the positions of a version's items that meet a condition, int64, in any order.

        Raises
        ------
        ParameterError
            If it is no condition on the attributes.
        EngineError
            If the engine fails, or holds the version no longer.
        """

    @abstractmethod
    def search(
        self, version: EngineVersion, codes: Array, k: int, limits: Sequence[Limits], *, biased: bool
    ) -> list[Near]:
        """Find the nearest of a version's rows.

        Parameters
        ----------
        version : EngineVersion
        codes : ndarray of shape (n, n_bytes), uint8
            Packed codes, of ``n_bits``, or of ``n_bits + n_extra`` where ``biased``.
        k : int
        limits : sequence of n Limits
        biased : bool
            Search the codes that hold the item bias.

        Returns
        -------
        list of n pairs
            At most ``k`` positions, ascending by distance, then by position; exact where the index is.

        Raises
        ------
        EngineError
            If the engine fails, or holds the version no longer.
        """

    def rerank(
        self,
        version: EngineVersion,
        codes: Array,
        vectors: Array,
        k: int,
        n_candidates: int,
        limits: Sequence[Limits],
        *,
        biased: bool,
    ) -> list[Near]:
        """Find candidates as :meth:`search`, and return the best ``k`` of them by inner product, with float scores.

        Only of engines that keep floats.
        """
        raise ParameterError(f"{self.name} keeps no floats; use rerank=here")

    @abstractmethod
    def close(self) -> None:
        """Close the connections."""

    def read_entry(self, number: int, document: str) -> EngineVersion:
        """Return the entry of a version, checked.

        Raises
        ------
        EngineError
            If it is damaged, or of a later layout.
        """
        try:
            values = json.loads(document)
            if values.get("layout", 0) > LAYOUT:
                self.refuse("was written by a later version of hashgnn; update hashgnn to read it")
            return check_fields(EngineVersion, values)
        except (ValueError, AttributeError, RecursionError) as error:
            self.refuse(f"its entry of version {number} is damaged, {error}; export the model again")

    def check_process(self) -> None:
        """Raise :class:`EngineError` in a process that was forked, where the client's own threads are missing."""
        if self._process != os.getpid():
            self.refuse(f"{self.name} cannot be used in a forked process; start it by spawn or forkserver")

    def refuse(self, what: str, cause: BaseException | None = None) -> NoReturn:
        """Raise :class:`EngineError` with the address and a reason."""
        raise EngineError(f"{self.address}: {what}") from cause

    def refuse_missing(self, version: EngineVersion) -> NoReturn:
        """Raise :class:`EngineError` about a version that is no longer there."""
        self.refuse(f"version {version.short} of the model is no longer there; load the newer version")
