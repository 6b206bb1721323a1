"""Names for the types that many signatures share."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Literal, Protocol, TypeAlias, get_args

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]

Id: TypeAlias = Hashable
"""An external id: a whole number, text, or any other hashable object."""

Ids: TypeAlias = Iterable[Id]
"""External ids: a list, an array or a column of a data frame."""

IdLists: TypeAlias = Iterable[Ids]
"""Lists of external ids, one per row."""

SideName: TypeAlias = Literal["user", "item"]
"""The side of the graph that a node is on."""

OnUnknown: TypeAlias = Literal["error", "skip", "popular", "fold_in"]
"""Treatment of an id that is not in the training data."""

ON_UNKNOWN: tuple[str, ...] = get_args(OnUnknown)


class Frame(Protocol):
    """A data frame of pandas, polars or pyarrow."""

    @property
    def columns(self) -> Any:
        """The columns, or their names."""


class ArrowStream(Protocol):
    """A table of any library that hands out its columns through Arrow's C stream interface."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return a capsule that holds the stream."""
