from __future__ import annotations

import numpy as np
import pytest

from hashgnn.codes.binarisers import ProductQuantizer
from hashgnn.errors import ParameterError

pytest.importorskip("faiss")


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).normal(size=(600, 10)).astype(np.float32)


@pytest.fixture(scope="module")
def quantizer(rows):
    return ProductQuantizer.fit(rows, n_bits=32, rng=0)


def test_each_byte_names_the_nearest_centre_of_its_part(rows, quantizer) -> None:
    codes = quantizer.encode(rows)
    assert (codes.shape, codes.dtype) == ((600, 4), np.uint8)
    padded = np.pad(rows, ((0, 0), (0, 2))).reshape(600, 4, 3)
    for part in range(4):
        distances = ((padded[:, part, None] - quantizer.centres[part][None]) ** 2).sum(axis=2)
        chosen = np.take_along_axis(distances, codes[:, part : part + 1].astype(int), axis=1)[:, 0]
        np.testing.assert_allclose(chosen, distances.min(axis=1), atol=1e-5)


def test_decoded_rows_are_made_of_centres_and_scores_are_their_inner_products(rows, quantizer) -> None:
    codes = quantizer.encode(rows[:20])
    decoded = quantizer.decode(codes)
    for row, code in zip(decoded, codes, strict=True):
        expected = np.concatenate([quantizer.centres[part, code[part]] for part in range(4)])[:10]
        np.testing.assert_array_equal(row, expected)
    np.testing.assert_allclose(quantizer.scores(rows[:3], codes), rows[:3] @ decoded.T, rtol=1e-6)


def test_more_bytes_lose_less_and_one_seed_gives_one_quantizer(rows) -> None:
    losses = []
    for n_bits in (8, 16, 40, 80):
        quantizer = ProductQuantizer.fit(rows, n_bits=n_bits, rng=1)
        losses.append(((quantizer.decode(quantizer.encode(rows)) - rows) ** 2).mean())
    assert (np.diff(losses) < 0).all()
    again = ProductQuantizer.fit(rows, n_bits=80, rng=1)
    np.testing.assert_array_equal(again.encode(rows), quantizer.encode(rows))


def test_wrong_input_raises(rows, quantizer) -> None:
    with pytest.raises(ParameterError, match="embeddings must have at least 256 rows, got 255"):
        ProductQuantizer.fit(rows[:255], n_bits=16)
    with pytest.raises(
        ParameterError, match="n_bits must be at most 8 for each of the 10 columns .*, got 88"
    ):
        ProductQuantizer.fit(rows, n_bits=88)
    with pytest.raises(ParameterError, match=r"embeddings must have shape \(n, 10\), got \(600, 9\)"):
        quantizer.encode(rows[:, :9])
