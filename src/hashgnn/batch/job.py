"""``PartJob``: work that is cut into numbered parts, each of which is one table."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import pyarrow as pa


@dataclass(frozen=True, eq=False)
class Answered:
    """The table of a part.

    Attributes
    ----------
    table : pyarrow.Table
    n_rows : int
        Users or items that were answered.
    n_empty : int
        Those of them for whom the table has no row.
    """

    table: pa.Table
    n_rows: int
    n_empty: int = 0


class PartJob(ABC):
    """Work in numbered parts. The table of a part depends on the job and the number, and on nothing else.

    So a part may be made by any process, again after its process was killed, and in any order.
    """

    @property
    @abstractmethod
    def n_parts(self) -> int:
        """Number of parts; they are numbered from 0."""

    @property
    @abstractmethod
    def n_rows(self) -> int:
        """Users or items of all parts."""

    @abstractmethod
    def rows_of(self, number: int) -> int:
        """Return the users or items of a part."""

    @property
    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """JSON values on which the tables depend, and no others: two jobs with the same make the same files."""

    @abstractmethod
    def document(self) -> dict[str, Any]:
        """Return JSON values from which :meth:`from_document` makes the same job in another process."""

    @classmethod
    @abstractmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Return the job of a document."""

    @abstractmethod
    def part(self, number: int) -> Answered:
        """Return the table of a part."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the identity, hex digits."""
        return hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()
