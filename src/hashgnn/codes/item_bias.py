"""The item bias, in bits, and its encoding as extra bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashgnn._checks import check_float, check_int
from hashgnn._types import Array
from hashgnn.codes.binary_codes import BinaryCodes
from hashgnn.errors import ParameterError

_STEP = 2.0  # one differing bit costs two points of score
_MAX_PENALTY = 255  # one byte per item
MAX_TOP = 2.0**20  # far beyond the width of any code, and exact enough in float32


class ItemBias:
    """A bias ``b_i = top - 2 * penalty_i`` for each item, one byte per item.

    A search scores ``(n_bits - 2 * distance) + b_i``; in steps of two the bias is a small integer
    added to the distance: ``n_bits + top - 2 * (distance + penalty_i)``.

    Parameters
    ----------
    penalty : ndarray of shape (n_items,), uint8
        Bits added to each item's distance. Zero is the largest bias.
    top : float
        The bias of an item whose penalty is zero, at most 2**20 either way. It shifts all scores equally and
        changes no order.
    """

    __slots__ = ("penalty", "top")

    penalty: np.ndarray[Any, np.dtype[np.uint8]]
    top: float

    def __init__(self, penalty: Array, top: float) -> None:
        array = np.asarray(penalty)
        if array.dtype != np.uint8 or array.ndim != 1:
            raise ParameterError(
                f"penalty must have shape (n_items,) and dtype uint8, got {array.shape} {array.dtype}"
            )
        view = np.ascontiguousarray(array).view()
        view.flags.writeable = False
        value = check_float("top", top, minimum=-MAX_TOP, maximum=MAX_TOP)
        object.__setattr__(self, "penalty", view)
        object.__setattr__(self, "top", value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"ItemBias is immutable; {name} cannot be set")

    def __reduce__(self) -> tuple[Any, ...]:
        """Send penalties and top by value, also those of a mapped file; the copy is read-only too."""
        return ItemBias, (np.asarray(self.penalty), self.top)

    @classmethod
    def from_values(cls, values: Array) -> ItemBias:
        """Round real biases (in bits) to steps of two below the largest.

        A bias more than 510 below the largest is raised to that floor: such an item is out of reach
        of any query whose code is shorter than 256 bits, and nearly so of longer ones.

        Examples
        --------
        >>> import numpy as np
        >>> ItemBias.from_values(np.array([3.0, 1.2, -4.9])).values()
        array([ 3.,  1., -5.], dtype=float32)
        """
        array = np.asarray(values, np.float64)
        if array.ndim != 1 or not np.isfinite(array).all():
            raise ParameterError(f"values must be finite and of shape (n_items,), got shape {array.shape}")
        top = float(array.max(initial=-np.inf)) if array.size else 0.0
        steps = np.rint((top - array) / _STEP)
        return cls(np.minimum(steps, _MAX_PENALTY).astype(np.uint8), top)

    def values(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return the biases in bits, shape (n_items,), float32."""
        return (self.top - _STEP * self.penalty.astype(np.float32)).astype(np.float32)

    def __len__(self) -> int:
        return int(self.penalty.shape[0])

    def __getitem__(self, rows: slice | Array) -> ItemBias:
        return ItemBias(self.penalty[rows], self.top)

    def __repr__(self) -> str:
        largest = int(self.penalty.max(initial=0))
        return f"ItemBias(n={len(self)}, from {self.top - _STEP * largest:g} to {self.top:g} bits)"


def widen_items(codes: BinaryCodes, bias: ItemBias, n_extra: int | None = None) -> BinaryCodes:
    """Write an item bias as extra bits, for engines that know Hamming distance only.

    An item gets ``n_extra - penalty`` ones, then zeros; a query gets ones only
    (:func:`widen_queries`). Plain Hamming distance over the widened codes is then
    ``distance + penalty``, so the order equals that of the biased score.

    Parameters
    ----------
    codes : BinaryCodes of shape (n_items, n_bits)
    bias : ItemBias of length n_items
    n_extra : int or None, default=None
        Extra bits, a multiple of 8 and at least the largest penalty. ``None`` takes the smallest.

    Returns
    -------
    BinaryCodes of shape (n_items, n_bits + n_extra)

    Examples
    --------
    >>> import numpy as np
    >>> items = BinaryCodes(np.array([[0b11110000]], np.uint8))
    >>> wide = widen_items(items, ItemBias(np.array([3], np.uint8), top=0.0))
    >>> int(widen_queries(items, 8).distances(wide)[0, 0])
    3
    """
    if len(bias) != len(codes):
        raise ParameterError(f"bias must have one value per item, {len(codes)}, got {len(bias)}")
    largest = int(bias.penalty.max(initial=0))
    smallest = max(8, -(-largest // 8) * 8)
    extra = check_int("n_extra", smallest if n_extra is None else n_extra, minimum=8, multiple_of=8)
    if extra < largest:
        raise ParameterError(f"n_extra must be at least the largest penalty, {largest}, got {extra}")
    return BinaryCodes(widened_rows(codes.packed, bias.penalty, extra))


def widened_rows(packed: Array, penalty: Array, n_extra: int) -> Array:
    """Return packed codes of any width with penalties as ``n_extra`` more bits, a multiple of 8; uint8."""
    ones = np.arange(n_extra)[None, :] < (n_extra - penalty.astype(np.int64))[:, None]
    return np.hstack([packed, np.packbits(ones, axis=1, bitorder="big")])


def widen_queries(codes: BinaryCodes, n_extra: int) -> BinaryCodes:
    """Append ``n_extra`` ones to each query code; the counterpart of :func:`widen_items`."""
    extra = check_int("n_extra", n_extra, minimum=8, multiple_of=8)
    return BinaryCodes(np.hstack([codes.packed, np.full((len(codes), extra // 8), 255, np.uint8)]))
