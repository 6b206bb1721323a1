from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from tests.baselines.blocks import N_USERS, communities, held_out

from hashgnn.baselines import fit_baseline
from hashgnn.data import Interactions
from hashgnn.errors import ParameterError

pytest.importorskip("implicit")


def test_the_tables_solve_the_weighted_least_squares_of_their_other_side():
    """Hu et al., eq. 4 and 5: after the last half step the items are the solution for the users as they are."""
    dense = (np.random.default_rng(0).random((40, 25)) < 0.2).astype(np.float64)
    dense[:25] = np.maximum(dense[:25], np.eye(25))
    train = Interactions.from_csr(sp.csr_matrix(dense))
    confidence, regularisation = 4.0, 0.5
    model = fit_baseline(
        "als", train, dim=6, rng=0, confidence=confidence, regularisation=regularisation, n_iterations=60
    )
    users, items = (table.astype(np.float64) for table in (model.user_embeddings, model.item_embeddings))
    for item in range(25):
        weights = np.where(dense[:, item] > 0, confidence, 1.0)
        matrix = users.T @ (weights[:, None] * users) + regularisation * np.eye(6)
        expected = np.linalg.solve(matrix, users.T @ (weights * dense[:, item]))
        np.testing.assert_allclose(items[item], expected, atol=2e-3)


def test_one_seed_gives_one_model_and_finds_what_was_held_out():
    train, users = communities(), np.arange(N_USERS)
    first, again, other = (fit_baseline("als", train, dim=2, rng=seed) for seed in (0, 0, 1))
    assert np.array_equal(first.item_embeddings, again.item_embeddings)
    assert not np.array_equal(first.item_embeddings, other.item_embeddings)
    found = first.search_block(users, "float", 1, oversampling=1).positions.ravel()
    assert np.array_equal(found, held_out(users))


def test_settings_that_break_their_rule_are_named():
    with pytest.raises(ParameterError, match="confidence must be"):
        fit_baseline("als", communities(), confidence=0)
