"""Codes in the forms that other engines take: bit order, sign and bytes by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashgnn._checks import check_choice
from hashgnn._types import Array
from hashgnn.codes.binary_codes import BinaryCodes

BIT_ORDERS = ("big", "little")
ONES = ("positive", "negative")
CODE_FORMS = ("uint8", "int8", "hex", "bits")


def code_form(
    codes: BinaryCodes | Array, form: str = "uint8", *, bit_order: str = "big", ones: str = "positive"
) -> Any:
    """Return codes as another engine takes them.

    A Hamming distance is the same in every form, if items and queries have the same one.

    Parameters
    ----------
    codes : BinaryCodes of shape (n, n_bits), or their packed rows
    form : {"uint8", "int8", "hex", "bits"}, default="uint8"
        Bytes from 0 to 255; the same bytes read as signed, from -128 to 127 (Elasticsearch, OpenSearch and
        Vespa); two hexadecimal digits a byte; or a digit 0 or 1 for each bit (PostgreSQL).
    bit_order : {"big", "little"}, default="big"
        Whether bit 0 of a code is the most or the least significant bit of its first byte.
    ones : {"positive", "negative"}, default="positive"
        Which sign a bit 1 stands for.

    Returns
    -------
    ndarray of shape (n, n_bits / 8), uint8 or int8, or list of n str
        Of ``"hex"``, lower-case text; of ``"bits"``, text in the order of the bits.

    Raises
    ------
    ParameterError
        If a name is none of these.

    Examples
    --------
    >>> codes = BinaryCodes(np.array([[0b10000011, 0b00000001]], np.uint8))
    >>> code_form(codes, "int8").tolist(), code_form(codes, "hex"), code_form(codes, "bits")
    ([[-125, 1]], ['8301'], ['1000001100000001'])
    >>> code_form(codes, bit_order="little").tolist(), code_form(codes, ones="negative").tolist()
    ([[193, 128]], [[124, 254]])
    """
    check_choice("form", form, CODE_FORMS)
    check_choice("bit_order", bit_order, BIT_ORDERS)
    check_choice("ones", ones, ONES)
    packed: Array = np.ascontiguousarray(codes.packed if isinstance(codes, BinaryCodes) else codes)
    if ones == "negative":
        packed = ~packed
    if bit_order == "little":
        packed = np.packbits(np.unpackbits(packed, axis=1), axis=1, bitorder="little")
    if form == "uint8":
        return packed
    if form == "int8":
        return packed.view(np.int8)
    if form == "hex":
        return [row.tobytes().hex() for row in packed]
    digits = (np.unpackbits(packed, axis=1) + np.uint8(ord("0"))).astype(np.uint8)
    return [row.tobytes().decode("ascii") for row in digits]
