"""Every binariser passes the same tests."""

from __future__ import annotations

import numpy as np
import pytest

from hashgnn.codes.binarisers import BINARISERS, fit_binariser
from hashgnn.errors import ParameterError

N_ROWS, DIM, N_BITS = 300, 16, 16


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(N_ROWS, DIM)) * np.linspace(2, 0.3, DIM)).astype(np.float32)


each = pytest.mark.parametrize("name", sorted(BINARISERS))


@each
def test_bits_are_the_signs_of_the_projection(name, rows) -> None:
    binariser = fit_binariser(name, rows, n_bits=N_BITS, rng=0)
    assert (binariser.dim, binariser.n_bits) == (DIM, N_BITS)
    projected = binariser.project(rows)
    assert projected.dtype == np.float32
    np.testing.assert_array_equal(binariser.encode(rows).signs(), np.where(projected >= 0, 1, -1))


@each
def test_one_seed_gives_one_binariser_and_fitting_changes_no_input(name, rows) -> None:
    before = rows.copy()
    one, other = (fit_binariser(name, rows, n_bits=N_BITS, rng=3) for _ in range(2))
    assert one.encode(rows) == other.encode(rows)
    np.testing.assert_array_equal(rows, before)


@each
def test_row_has_one_code_alone_and_among_others(name, rows) -> None:
    binariser = fit_binariser(name, rows, n_bits=N_BITS, rng=0)
    together = binariser.encode(rows[:20])
    for row in range(20):
        assert binariser.encode(rows[row : row + 1]) == together[row : row + 1]
    assert len(binariser.encode(rows[:0])) == 0


@each
def test_near_rows_get_nearer_codes_than_far_ones(name, rows) -> None:
    binariser = fit_binariser(name, rows, n_bits=N_BITS, rng=0)
    noise = np.random.default_rng(1).normal(scale=0.05, size=rows.shape).astype(np.float32)
    codes, near = binariser.encode(rows), binariser.encode(rows + noise)
    distances = codes.distances(near)
    assert np.diagonal(distances).mean() < 0.3 * distances.mean()


@each
def test_wrong_input_raises(name, rows) -> None:
    with pytest.raises(ParameterError, match="n_bits must be a positive multiple of 8, got 12"):
        fit_binariser(name, rows, n_bits=12)
    with pytest.raises(ParameterError, match="embeddings must be finite, got 1 NaN or infinity"):
        fit_binariser(name, np.array([[np.nan, *range(15)]]), n_bits=N_BITS)
    with pytest.raises(ParameterError, match="embeddings must have at least one row and one column"):
        fit_binariser(name, rows[:0], n_bits=N_BITS)
    binariser = fit_binariser(name, rows, n_bits=N_BITS, rng=0)
    with pytest.raises(ParameterError, match=r"embeddings must have shape \(n, 16\), got \(300, 8\)"):
        binariser.encode(rows[:, :8])


def test_unknown_name_raises() -> None:
    with pytest.raises(ParameterError, match="binariser must be one of .*'itq'.*, got 'minhash'"):
        fit_binariser("minhash", np.ones((4, 8)), n_bits=8)
