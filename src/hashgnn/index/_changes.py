"""What an addition or update of codes must fulfil, whatever the index."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ParameterError


def bias_penalty(
    codes: BinaryCodes, bias: ItemBias | None, *, n_bits: int, top: float | None
) -> Array | None:
    """Check codes that join an index, and return their penalties below its ``top``."""
    if codes.n_bits != n_bits:
        raise ParameterError(f"codes must have n_bits={n_bits} like the index, got {codes.n_bits}")
    if (bias is None) != (top is None):
        state, given = ("has one", "None") if bias is None else ("has none", "one")
        raise ParameterError(f"item_bias must be given exactly if the index has one; it {state}, got {given}")
    if bias is None or top is None:
        return None
    if len(bias) != len(codes):
        raise ParameterError(f"item_bias must have one value a code, {len(codes)}, got {len(bias)}")
    penalty = np.rint((top - bias.values()) / 2)
    if penalty.size and not 0 <= penalty.min() <= penalty.max() <= 255:
        raise ParameterError(
            f"item_bias must lie between {top - 510:g} and {top:g}, the range of this index, "
            f"got {bias.values().min():g} to {bias.values().max():g}; build a new index"
        )
    return penalty.astype(np.uint8)


def check_positions(positions: Any, n_codes: int, *, distinct_for: BinaryCodes | None = None) -> Array:
    """Return positions as int64; distinct and one a code where they are to get new codes."""
    rows = np.asarray(positions)
    if rows.size and (rows.ndim != 1 or rows.dtype.kind not in "iu"):
        raise ParameterError(f"positions must be a list of integers, got {rows.shape} {rows.dtype}")
    rows = rows.reshape(-1).astype(np.int64)
    outside = rows[(rows < 0) | (rows >= n_codes)]
    if outside.size:
        raise ParameterError(f"positions must be from 0 to {n_codes - 1}, got {int(outside[0])}")
    if distinct_for is not None:
        if len(rows) != len(distinct_for):
            raise ParameterError(f"codes must have one row a position, {len(rows)}, got {len(distinct_for)}")
        if repeated := len(rows) - len(np.unique(rows)):
            raise ParameterError(f"positions must be distinct, got {repeated} that repeat another")
    return rows
