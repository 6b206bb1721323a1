"""``CodedBaseline``: learned codes of several layers, packed, with the scales that their score needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hashgnn._checks import MAX_BITS, check_choice, check_int, check_matrix
from hashgnn._types import Array
from hashgnn.baselines.base import FittedBaseline
from hashgnn.codes import BinaryCodes
from hashgnn.data import Interactions
from hashgnn.errors import ParameterError

#: The search ways of codes with scales: the method's own score, and the Hamming distance of whole codes.
WAYS = ("scaled", "hamming")


class CodedBaseline(FittedBaseline):
    """Codes, most of them in parts, one a layer of a graph encoder, with one float scale for each part of each code.

    By ``scaled``, the score is ``Σ_l s_u^l s_i^l (b_u^l · b_i^l)``: scales and signs of a user and an item in part l.
    By ``hamming`` it is ``b_u · b_i`` of the whole codes, which any Hamming engine ranks by.

    Parameters
    ----------
    interactions : Interactions
        The training interactions.
    user_codes, item_codes : BinaryCodes of shape (n_users, n_bits) and (n_items, n_bits)
    user_scales, item_scales : ndarray of shape (n_users, n_parts) and (n_items, n_parts), or None
        Finite. Codes without scales are searched by ``hamming`` alone.
    widths : sequence of int or None
        Bits of each part; their sum is ``n_bits``. ``None`` is one part.

    Raises
    ------
    ParameterError
        If lengths or widths do not fit together.
    """

    def __init__(
        self,
        interactions: Interactions,
        user_codes: BinaryCodes,
        item_codes: BinaryCodes,
        user_scales: Array | None = None,
        item_scales: Array | None = None,
        widths: Sequence[int] | None = None,
    ) -> None:
        super().__init__(interactions)
        self.widths = tuple(int(width) for width in widths or (item_codes.n_bits,))
        self.n_bits = sum(self.widths)
        for name, codes, n in (
            ("user_codes", user_codes, self.n_users),
            ("item_codes", item_codes, self.n_items),
        ):
            if (len(codes), codes.n_bits) != (n, self.n_bits):
                got = f"({len(codes)}, {codes.n_bits})"
                raise ParameterError(f"{name} must have shape ({n}, {self.n_bits}), got {got}")
        self.user_codes, self.item_codes = user_codes, item_codes
        if (user_scales is None) != (item_scales is None):
            raise ParameterError("user_scales and item_scales must be given together, got one of them")
        self.user_scales = _scales("user_scales", user_scales, self.n_users, len(self.widths))
        self.item_scales = _scales("item_scales", item_scales, self.n_items, len(self.widths))

    @property
    def search_ways(self) -> tuple[str, ...]:
        """``scaled``, the method's own score, where there are scales, and ``hamming``."""
        return WAYS if self.item_scales is not None else WAYS[1:]

    def score(self, user_index: Array) -> Array:
        """Return the method's own score, that of its first search way, (n, n_items) float32."""
        return self.score_block(user_index, self.search_ways[0], self.n_items, oversampling=1)

    def score_block(self, user_index: Array, search: str, k: int, *, oversampling: int) -> Array:
        """Return a score of every item for some users, (n, n_items) float32."""
        check_choice("search", search, self.search_ways)
        users = self.user_codes[user_index].signs().astype(np.float32)
        items = self.item_codes.signs().astype(np.float32)
        if search == "scaled" and self.user_scales is not None and self.item_scales is not None:
            users *= np.repeat(self.user_scales[user_index], self.widths, axis=1)
            items *= np.repeat(self.item_scales, self.widths, axis=1)
        scores: Array = users @ items.T
        return scores

    def bytes_per_item(self, search: str) -> float:
        """Return the bytes of an item's code, and of its scales where the search reads them."""
        check_choice("search", search, self.search_ways)
        scales = 4 * len(self.widths) if search == "scaled" else 0
        return self.n_bits / 8 + scales


def layer_widths(n_bits: int, n_parts: int) -> tuple[int, ...]:
    """Return the bits of each part of a code: as equal as they can be, the first ones larger.

    Parameters
    ----------
    n_bits : int
        A multiple of 8; messages name it ``dim``, as :func:`hashgnn.baselines.fit_baseline` does.
    n_parts : int

    Examples
    --------
    >>> layer_widths(128, 3)
    (43, 43, 42)
    """
    check_int("dim", n_bits, minimum=8, maximum=MAX_BITS, multiple_of=8)
    if n_bits < n_parts:
        raise ParameterError(
            f"dim must be at least {n_parts} bits, one for each layer and the tables, got {n_bits}"
        )
    small, larger = divmod(n_bits, n_parts)
    return tuple(small + (part < larger) for part in range(n_parts))


def _scales(name: str, values: Array | None, n_rows: int, n_parts: int) -> Array | None:
    if values is None:
        return None
    return check_matrix(name, values, dtype=np.float32, n_rows=n_rows, n_columns=n_parts)
