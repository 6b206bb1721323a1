"""Data frames of the library that a caller has installed."""

from __future__ import annotations

from typing import Any, Literal

import narwhals as nw
import pyarrow as pa

from hashgnn._checks import check_choice

FrameLibrary = Literal["pandas", "polars", "pyarrow"]
FRAMES: tuple[FrameLibrary, ...] = ("pandas", "polars", "pyarrow")


def to_frame(table: pa.Table, backend: FrameLibrary) -> Any:
    """Return a table as a data frame of ``"pandas"``, ``"polars"`` or ``"pyarrow"``."""
    check_choice("backend", backend, FRAMES)
    return nw.from_arrow(nw.from_native(table), backend=backend).to_native()
