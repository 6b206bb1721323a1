"""``ShortRepr``: dataclasses whose arrays print as dtype and shape."""

from __future__ import annotations

import dataclasses
from typing import Any

_LONGEST = 100  # characters of a field


class ShortRepr:
    """Base of a dataclass that is declared with ``repr=False``: a line without the values of arrays.

    Examples
    --------
    >>> import numpy as np
    >>> @dataclasses.dataclass(repr=False)
    ... class Table(ShortRepr):
    ...     name: str
    ...     values: object
    >>> Table("a", np.zeros((3, 2), np.float32))
    Table(name='a', values=float32 (3, 2))
    """

    def __repr__(self) -> str:
        fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(self)  # type: ignore[arg-type]
        shown = ", ".join(f"{field.name}={_short(getattr(self, field.name))}" for field in fields)
        return f"{type(self).__name__}({shown})"


def _short(value: Any) -> str:
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{value.dtype} {tuple(value.shape)}" if value.shape else repr(value.item())
    text = repr(value)
    if len(text) <= _LONGEST and "\n" not in text:
        return text
    return f"{type(value).__name__} of {len(value)}" if hasattr(value, "__len__") else type(value).__name__
