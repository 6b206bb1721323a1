"""``Registry``: choices by name. Encoders, losses, baselines and indexes have one each."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import ItemsView, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from hashgnn.errors import ParameterError

Row = TypeVar("Row")


class Registry(Generic[Row]):
    """Names of one kind, and a row for each.

    A row says where the thing lives, as ``"package.module:name"``; :func:`imported` fetches it. So a
    registry can be read, and a name be checked, without importing the thing itself or torch.

    Parameters
    ----------
    kind : str
        The word that messages use, ``"encoder"`` for instance.
    rows : mapping of str to Row

    Examples
    --------
    >>> shapes = Registry("shape", {"circle": "math:pi", "square": "math:sqrt"})
    >>> list(shapes), "circle" in shapes
    (['circle', 'square'], True)
    >>> round(imported(shapes["circle"]), 2)
    3.14
    """

    def __init__(self, kind: str, rows: Mapping[str, Row]) -> None:
        self.kind = kind
        self._rows = dict(rows)

    def __getitem__(self, name: str) -> Row:
        """Return the row of a name.

        Raises
        ------
        ParameterError
            If there is no such name; the message lists the names, and the closest one.
        """
        if name not in self:
            close = difflib.get_close_matches(str(name), self._rows, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            known = ", ".join(repr(one) for one in self._rows)
            raise ParameterError(f"{self.kind} must be one of {known}, got {name!r}{hint}")
        return self._rows[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"Registry({self.kind!r}, {list(self._rows)})"

    def items(self) -> ItemsView[str, Row]:
        """Return names with their rows."""
        return self._rows.items()


@dataclass(frozen=True)
class Component:
    """The row of a part that a config chooses, by dotted names.

    Attributes
    ----------
    settings : str
        The class of its settings, in ``hashgnn.config``.
    implementation : str
        The class or function that does the work; empty for a choice without any.
    fold_in : str
        Of an encoder: its rule for users and items unseen in training.
    """

    settings: str
    implementation: str = ""
    fold_in: str = ""


def imported(dotted: str) -> Any:
    """Return the object at ``"package.module:name"``."""
    module, _, name = dotted.partition(":")
    return getattr(importlib.import_module(module), name)
