"""Golden vectors: one code in every form that another engine takes."""

from __future__ import annotations

import numpy as np
import pytest

from hashgnn.codes import BinaryCodes, code_form
from hashgnn.errors import ParameterError

# Signs of a code of 16 bits: the first positive, then six negative ones, and so on.
_SIGNS = np.array([[1, -1, -1, -1, -1, -1, 1, 1, -1, -1, -1, -1, -1, -1, -1, 1]])
_CODE = BinaryCodes.from_signs(_SIGNS)


@pytest.mark.parametrize(
    ("bit_order", "ones", "uint8", "int8", "text", "bits"),
    [
        ("big", "positive", [131, 1], [-125, 1], "8301", "1000001100000001"),
        ("little", "positive", [193, 128], [-63, -128], "c180", "1100000110000000"),
        ("big", "negative", [124, 254], [124, -2], "7cfe", "0111110011111110"),
        ("little", "negative", [62, 127], [62, 127], "3e7f", "0011111001111111"),
    ],
)
def test_golden_vectors(
    bit_order: str, ones: str, uint8: list[int], int8: list[int], text: str, bits: str
) -> None:
    options = {"bit_order": bit_order, "ones": ones}
    assert code_form(_CODE, **options).tolist() == [uint8]
    signed = code_form(_CODE, "int8", **options)
    assert signed.dtype == np.int8
    assert signed.tolist() == [int8]
    assert code_form(_CODE, "hex", **options) == [text]
    assert code_form(_CODE, "bits", **options) == [bits]


def test_distances_are_the_same_in_every_form() -> None:
    codes = BinaryCodes(np.random.default_rng(0).integers(0, 256, (20, 5), np.uint8))
    distances = codes.distances(codes)
    for bit_order in ("big", "little"):
        for ones in ("positive", "negative"):
            other = BinaryCodes(code_form(codes, bit_order=bit_order, ones=ones))
            np.testing.assert_array_equal(other.distances(other), distances)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(
        ParameterError, match="form must be one of 'uint8', 'int8', 'hex', 'bits', got 'int4'"
    ):
        code_form(_CODE, "int4")
    with pytest.raises(ParameterError, match="bit_order must be one of 'big', 'little', got 'middle'"):
        code_form(_CODE, bit_order="middle")
    with pytest.raises(ParameterError, match="ones must be one of 'positive', 'negative', got 'zero'"):
        code_form(_CODE, ones="zero")
