"""Discrete factorisation: what a bit is set to, what never rises, and what it finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from hashgnn.benchmarking.quality.data_sets import load_data_set
from hashgnn.benchmarking.quality.discrete_factorisation import DiscreteFactorisation
from hashgnn.benchmarking.quality.methods import parse_method
from hashgnn.benchmarking.quality.run import Plan, compare_quality
from hashgnn.errors import ParameterError

RNG = np.random.default_rng(0)
SEEN = RNG.random((30, 20)) < 0.25
USERS, ITEMS = (np.where(RNG.random((n, 8)) < 0.5, -1.0, 1.0) for n in (30, 20))


def loss(users: np.ndarray, items: np.ndarray, weight: float) -> float:
    squares = (8 * SEEN - users @ items.T) ** 2
    return float(np.where(SEEN, squares, weight * squares).sum())


@pytest.mark.parametrize("weight", [0.0, 0.2, 1.0])
def test_the_loss_is_that_of_all_pairs_and_never_rises(weight: float) -> None:
    found = DiscreteFactorisation.fit(
        sparse.csr_matrix(SEEN), USERS, ITEMS, unobserved_weight=weight, balance=0, n_sweeps=6
    )
    assert found.losses[0] == pytest.approx(loss(USERS, ITEMS, weight))
    assert found.losses[-1] == pytest.approx(loss(found.users, found.items, weight))
    assert all(after <= before for before, after in zip(found.losses, found.losses[1:], strict=False))
    assert found.losses[-1] < found.losses[0]


def test_no_single_bit_can_be_turned_to_gain_in_the_end() -> None:
    found = DiscreteFactorisation.fit(
        sparse.csr_matrix(SEEN), USERS, ITEMS, unobserved_weight=0.2, balance=0, n_sweeps=50
    )
    least = loss(found.users, found.items, 0.2)
    for turned in (found.users, found.items):
        for row, bit in np.ndindex(turned.shape):
            turned[row, bit] *= -1
            assert loss(found.users, found.items, 0.2) >= least - 1e-6
            turned[row, bit] *= -1


def test_balance_brings_bits_nearer_to_halves() -> None:
    def lean(balance: float) -> float:
        found = DiscreteFactorisation.fit(sparse.csr_matrix(SEEN), USERS, ITEMS, balance=balance)
        return float(np.abs(found.users.mean(axis=0)).mean())

    assert lean(5.0) < lean(0.0)


def test_a_weight_outside_its_range_is_named() -> None:
    with pytest.raises(ParameterError, match="unobserved_weight must"):
        DiscreteFactorisation.fit(sparse.csr_matrix(SEEN), USERS, ITEMS, unobserved_weight=2)
    with pytest.raises(ParameterError, match="bits is not a setting of dcf; its settings: balance"):
        parse_method("dcf+bits=2:spectral")


def test_it_is_a_method_of_comparisons_and_learns_the_groups(files: Path, tmp_path: Path) -> None:
    data = load_data_set("groups", files.parent)
    plan = Plan([parse_method("dcf")], bits=[16], seeds=[0], metrics=["recall@5"])
    (result,) = compare_quality(tmp_path, plan, [data], progress=False)
    assert result.search_ways == ("hamming", "asymmetric", "hierarchical", "float")
    assert result.values["metrics"]["hamming"]["recall@5"] > 0.6
    assert result.values["bytes_per_item"]["hamming"] == 2
