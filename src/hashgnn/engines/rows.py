"""``ItemRows``: items of a model as rows for an engine, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hashgnn._types import Array
from hashgnn.codes import BinaryCodes
from hashgnn.codes.item_bias import widened_rows
from hashgnn.engines.attributes import Attributes
from hashgnn.errors import ParameterError
from hashgnn.state import ModelState

BLOCK = 16384  # rows made at a time
_LARGEST_HALF = 65504.0


@dataclass(frozen=True, eq=False)
class ItemRows:
    """Some items as rows.

    Attributes
    ----------
    positions : ndarray of shape (n,), int64
        In the model.
    ids : list of n str
        External ids, as printed.
    codes : BinaryCodes of shape (n, n_bits)
    biased : ndarray of shape (n, (n_bits + n_extra) / 8), uint8, or None
        Packed codes with the item bias as extra bits.
    floats : ndarray of shape (n, dim), float16, or None
    attributes : Attributes of n rows, or None
    """

    positions: Array
    ids: list[str]
    codes: BinaryCodes
    biased: Array | None
    floats: Array | None
    attributes: Attributes | None

    def __len__(self) -> int:
        return len(self.positions)


def item_rows(
    state: ModelState,
    *,
    n_extra: int,
    floats: bool,
    attributes: Attributes | None,
    positions: Array | None = None,
    block: int = BLOCK,
) -> Iterator[ItemRows]:
    """Yield the items of a model at some positions, ``None`` all, as rows.

    Raises
    ------
    ParameterError
        If an embedding is too large for float16.
    """
    items = state.items
    chosen = np.arange(len(items)) if positions is None else positions
    for start in range(0, len(chosen), block):
        rows = chosen[start : start + block]
        codes = items.codes[rows]
        bias = items.bias
        biased = None if bias is None else widened_rows(codes.packed, bias.penalty[rows], n_extra)
        yield ItemRows(
            positions=rows,
            ids=items.ids.printed(rows),
            codes=codes,
            biased=biased,
            floats=_halves(items.embeddings[rows]) if floats else None,
            attributes=None if attributes is None else attributes.at(rows),
        )


def _halves(table: Array) -> Array:
    largest = float(np.abs(table).max(initial=0.0))
    if largest > _LARGEST_HALF:
        raise ParameterError(
            f"embeddings must be at most {_LARGEST_HALF:g} to be kept as float16, got {largest:g}; "
            'pass floats="none"'
        )
    return table.astype(np.float16)
