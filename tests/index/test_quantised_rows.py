"""Embeddings in rows of few bits: what a row stands for, what it errs, and what is kept of narrow rows."""

from __future__ import annotations

import numpy as np
import pytest

from hashgnn.codes import BinaryCodes
from hashgnn.errors import ParameterError
from hashgnn.index import EmbeddedCodes, HammingIndex, HierarchicalIndex, RowQuantiser
from hashgnn.index.row_choice import best_quantiser

RNG = np.random.default_rng(0)
DECAY = np.exp(-np.arange(40) / 8)
VECTORS = (RNG.standard_normal((600, 40)) * DECAY + 0.2).astype(np.float32)
QUERIES = (RNG.standard_normal((200, 40)) * DECAY).astype(np.float32)
CODES = BinaryCodes(np.zeros((600, 1), np.uint8))


def scores(rows: RowQuantiser, queries: np.ndarray = QUERIES) -> np.ndarray:
    """Return the score of each position for each query, by the kernels."""
    index = HierarchicalIndex(HammingIndex(CODES), VECTORS, dtype=None, rows=rows, oversampling=600)
    found = index.search(EmbeddedCodes(BinaryCodes(np.zeros((len(queries), 1), np.uint8)), queries), 600)
    placed = np.empty_like(found.scores)
    np.put_along_axis(placed, found.positions, found.scores, 1)
    return placed


def decoded(rows: RowQuantiser) -> np.ndarray:
    """Return the entries of each row as docs/reference/index-format.md describes them, float64."""
    packed = rows.quantise(VECTORS).astype(int)
    factor = rows.quantise(VECTORS)[:, -4:].copy().view("<f4").astype(float)
    entries = np.zeros((600, rows.n_entries))
    for j in range(rows.n_entries):
        if rows.bits == 3:
            third = rows.n_bytes // 3
            room = rows.n_bytes - third - 4
            upper = (packed[:, j % third] >> (j // third)) & 1
            lower = (packed[:, third + j % room] >> (2 * (j // room))) & 3
            entries[:, j] = 4 * upper + lower
        else:
            room = rows.n_bytes - 4
            entries[:, j] = (packed[:, j % room] >> (rows.bits * (j // room))) & (2**rows.bits - 1)
    return factor * (2.0 * entries - (2**rows.bits - 1))


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("n_bytes", [48, 96, None])
def test_scores_are_products_with_what_the_rows_stand_for(bits: int, n_bytes: int | None) -> None:
    rows = RowQuantiser.fit(VECTORS, bits=bits, n_bytes=n_bytes, queries=QUERIES)
    turned = (QUERIES.astype(float) @ rows.of_queries)[:, : rows.n_entries]
    expected = QUERIES.astype(float) @ rows.centre[:, None] + turned @ decoded(rows).T
    # A query is rounded to steps of its largest entry, by at most half a step an entry.
    steps = np.abs(turned).max(axis=1) / (127 if bits < 8 else 127 * 128)
    bound = steps[:, None] / 2 * np.abs(decoded(rows)).sum(axis=1) + 1e-4
    assert (np.abs(scores(rows) - expected) <= bound).all()


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_the_product_of_a_row_with_its_own_embedding_is_exact(bits: int) -> None:
    rows = RowQuantiser.fit(VECTORS, bits=bits)
    turned = (VECTORS.astype(float) - rows.centre) @ rows.of_items[:, : rows.n_entries]
    np.testing.assert_allclose((turned * decoded(rows)).sum(axis=1), (turned**2).sum(axis=1), rtol=1e-4)
    np.testing.assert_allclose(rows.decoded(rows.quantise(VECTORS)), decoded(rows), rtol=1e-5)


def test_more_bits_and_more_bytes_err_less() -> None:
    before = np.inf
    for bits, n_bytes in ((2, 16), (4, 16), (3, 48), (4, 32), (8, 48)):
        rows = RowQuantiser.fit(VECTORS, bits=bits, n_bytes=n_bytes, queries=QUERIES)
        error = float(np.square(scores(rows) - QUERIES @ VECTORS.T).mean())
        assert error < (before if bits != 3 else np.inf)
        before = error


def test_the_bits_that_find_most_are_chosen_for_a_number_of_bytes() -> None:
    exact = QUERIES @ VECTORS.T
    kth = np.sort(exact, axis=1)[:, -20][:, None]
    for n_bytes, options in ((16, (2, 4, 8)), (48, (2, 3, 4, 8)), (100, (2, 3, 4, 8))):
        best = best_quantiser(VECTORS, QUERIES, n_bytes, 20)
        assert best.n_bytes <= n_bytes
        found = {}
        for bits in options:
            size = n_bytes // (48 if bits == 3 else 16) * (48 if bits == 3 else 16)
            rows = RowQuantiser.fit(VECTORS, bits=bits, n_bytes=size, queries=QUERIES)
            first = np.argsort(-scores(rows), axis=1)[:, :20]
            found[bits] = float((np.take_along_axis(exact, first, 1) >= kth).mean())
        assert found[best.bits] >= max(found.values()) - 0.02  # judged on 32 of the 200 queries


def test_a_sample_of_queries_says_which_directions_count() -> None:
    asked = QUERIES * np.where(np.arange(40) < 20, 0.01, 1.0).astype(np.float32)  # the small directions alone
    exact = asked @ VECTORS.T
    errors = [
        np.square(scores(RowQuantiser.fit(VECTORS, bits=8, n_bytes=16, queries=sample), asked) - exact).mean()
        for sample in (None, asked)
    ]
    assert errors[1] < errors[0] / 2


def test_rows_have_room_for_their_entries_and_no_more_bytes_than_that() -> None:
    for bits, whole in ((2, 16), (3, 48), (4, 32), (8, 48)):
        assert RowQuantiser.fit(VECTORS, bits=bits).n_bytes == whole
        assert RowQuantiser.fit(VECTORS, bits=bits, n_bytes=48 * 20).n_bytes == whole
        assert RowQuantiser.fit(VECTORS, bits=bits).n_entries == 40
    narrow = RowQuantiser.fit(VECTORS, bits=8, n_bytes=16)
    assert (narrow.n_entries, narrow.n_bytes) == (12, 16)
    assert narrow.quantise(VECTORS).shape == (600, 16)
    assert narrow.quantise(VECTORS).ctypes.data % 64 == 0


@pytest.mark.parametrize("n_threads", [1, 3])
def test_rows_do_not_depend_on_the_batch_or_threads(n_threads: int) -> None:
    rows = RowQuantiser.fit(VECTORS, bits=4)
    whole = rows.quantise(np.repeat(VECTORS, 3, axis=0), n_threads)
    np.testing.assert_array_equal(whole, np.repeat(rows.quantise(VECTORS[:, :]), 3, axis=0))
    np.testing.assert_array_equal(whole[::3][5:6], rows.quantise(VECTORS[5:6]))


def test_embeddings_of_zeros_or_one_direction_have_rows() -> None:
    nothing = np.zeros((3, 5), np.float32)
    for vectors in (nothing, nothing + 7, np.eye(5, dtype=np.float32)[:1]):
        rows = RowQuantiser.fit(vectors, bits=2)
        codes = BinaryCodes(np.zeros((len(vectors), 1), np.uint8))
        index = HierarchicalIndex(HammingIndex(codes), vectors, dtype=None, rows=rows)
        found = index.search(EmbeddedCodes(codes[:1], np.ones((1, 5), np.float32)), len(vectors))
        np.testing.assert_allclose(found.scores[0], vectors.sum(axis=1), atol=1e-3)


@pytest.mark.parametrize(
    ("sentence", "options"),
    [
        ("bits must be 2, 3, 4 or 8, got 5", {"bits": 5}),
        ("n_bytes must be a multiple of 16 for 4 bits an entry, got 40", {"bits": 4, "n_bytes": 40}),
        ("n_bytes must be an integer >= 16, got 0", {"bits": 4, "n_bytes": 0}),
        ("must be finite, got NaN or infinity", {"bits": 4, "queries": np.full((2, 40), np.nan)}),
    ],
)
def test_what_cannot_be_is_one_sentence(sentence: str, options: dict[str, object]) -> None:
    with pytest.raises(ParameterError, match=sentence):
        RowQuantiser.fit(VECTORS, **options)  # type: ignore[arg-type]


def test_embeddings_that_do_not_fit_are_one_sentence() -> None:
    rows = RowQuantiser.fit(VECTORS, bits=4)
    for sentence, vectors in (
        (r"embeddings must have shape \(n, 40\), got \(600, 39\)", VECTORS[:, 1:]),
        ("embeddings must be finite, got 40 NaN", np.full((1, 40), np.nan, np.float32)),
        (r"embeddings must be at most 1e\+15 for rows of few bits, got 1e\+20", np.full((1, 40), 1e20)),
    ):
        with pytest.raises(ParameterError, match=sentence):
            rows.quantise(vectors)
    with pytest.raises(ParameterError, match="embeddings must hold at least one row"):
        RowQuantiser.fit(VECTORS[:0], bits=4)
