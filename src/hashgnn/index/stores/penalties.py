"""The item bias of codes that join a store, as the penalties that it keeps."""

from __future__ import annotations

import numpy as np

from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ParameterError


def check_bias_length(bias: ItemBias | None, n_codes: int) -> None:
    """Check that an item bias has a value for each code."""
    if bias is not None and len(bias) != n_codes:
        raise ParameterError(f"item_bias must have one value per code, {n_codes}, got {len(bias)}")


def new_penalties(
    codes: BinaryCodes, bias: ItemBias | None, *, n_bits: int, top: float | None
) -> Array | None:
    """Check codes that join an index, and return their penalties below its ``top``."""
    if not isinstance(codes, BinaryCodes):
        raise ParameterError(f"codes must be BinaryCodes, got {type(codes).__name__}")
    if codes.n_bits != n_bits:
        raise ParameterError(f"codes must have n_bits={n_bits} like the index, got {codes.n_bits}")
    if (bias is None) != (top is None):
        state, value = ("has one", "None") if bias is None else ("has none", "one")
        raise ParameterError(f"item_bias must be given exactly if the index has one; it {state}, got {value}")
    if bias is None or top is None:
        return None
    check_bias_length(bias, len(codes))
    penalty = np.rint((top - bias.values()) / 2)
    if penalty.size and not 0 <= penalty.min() <= penalty.max() <= 255:
        raise ParameterError(
            f"item_bias must lie between {top - 510:g} and {top:g}, the range of this index, "
            f"got {bias.values().min():g} to {bias.values().max():g}; build a new index"
        )
    return penalty.astype(np.uint8)
