"""Fold-in: every rule and the projection reject wrong input."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp

from hashgnn.errors import ParameterError
from hashgnn.fold_in import HashProjection, build_fold_in, kind_of
from hashgnn.nn import ENCODERS
from hashgnn.testing.encoders import DIM, N_ITEMS, N_USERS, EncoderCase


def exported(name: str, features: bool = True):
    case = EncoderCase(name, features=features)
    return case.encoder().export_fold_in(case.view())


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_every_encoder_has_a_rule_of_its_own_name(name) -> None:
    assert kind_of(build_fold_in(*exported(name))) == name


def test_fold_in_does_not_import_torch() -> None:
    code = "import hashgnn.fold_in, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_wrong_shapes_and_weights_raise(name) -> None:
    rule = build_fold_in(*exported(name))
    with pytest.raises(ParameterError, match=f"history must have {N_ITEMS} columns, got {N_ITEMS - 1}"):
        rule.users(sp.csr_matrix((2, N_ITEMS - 1)))
    with pytest.raises(ParameterError, match=f"audience must have {N_USERS} columns, got {N_ITEMS}"):
        rule.items(sp.csr_matrix((2, N_ITEMS)))
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(ParameterError, match="history must hold finite weights >= 0"):
            rule.users(sp.csr_matrix(([bad], ([0], [1])), shape=(1, N_ITEMS)))
    with pytest.raises(ParameterError, match=r"user features must have shape \(2, 3\), got \(2, 5\)"):
        rule.users(sp.csr_matrix((2, N_ITEMS)), np.zeros((2, 5)))


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_features_of_a_model_without_any_raise(name) -> None:
    rule = build_fold_in(*exported(name, features=False))
    with pytest.raises(
        ParameterError, match="item features must be None, the model was trained without them"
    ):
        rule.items(sp.csr_matrix((2, N_USERS)), np.zeros((2, 4)))


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_missing_array_or_parameter_raises(name) -> None:
    kind, arrays, params = exported(name, features=False)
    for missing in arrays:
        with pytest.raises(ParameterError, match=missing):
            build_fold_in(kind, {key: x for key, x in arrays.items() if key != missing}, params)
    for missing in params:
        with pytest.raises(ParameterError, match=missing):
            build_fold_in(kind, arrays, {key: x for key, x in params.items() if key != missing})


def test_unknown_kind_raises() -> None:
    with pytest.raises(ParameterError, match=r"encoder must be one of .*'mf', .*, got 'ease'"):
        build_fold_in("ease", {}, {})


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_duplicates_add_up_zeros_count_for_nothing_and_the_input_stays(name) -> None:
    rule = build_fold_in(*exported(name))
    plain = sp.csr_matrix(([2.0, 1.0], ([0, 0], [3, 8])), shape=(1, N_ITEMS))
    indices, weights = np.array([8, 3, 5, 3]), np.array([1.0, 1.5, 0.0, 0.5], np.float32)
    untidy = sp.csr_matrix((weights, indices, np.array([0, 4])), shape=(1, N_ITEMS))
    np.testing.assert_allclose(rule.users(untidy), rule.users(plain), rtol=1e-6)
    assert untidy.indices.tolist() == [8, 3, 5, 3]
    assert untidy.data.tolist() == [1.0, 1.5, 0.0, 0.5]


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_no_rows_in_no_rows_out(name) -> None:
    rule = build_fold_in(*exported(name))
    assert rule.users(sp.csr_matrix((0, N_ITEMS))).shape == (0, DIM)
    assert rule.items(sp.csr_matrix((0, N_USERS))).shape == (0, DIM)


def test_projection_with_wrong_arrays_raises() -> None:
    weight, bias = np.zeros((4, 8), np.float32), np.zeros(8, np.float32)
    with pytest.raises(ParameterError, match="the hash layer needs the array item_weight, got user_weight"):
        HashProjection({"user_weight": weight, "user_bias": bias})
    with pytest.raises(ParameterError, match=r"shared_bias must have shape \(8,\), got \(4,\)"):
        HashProjection({"shared_weight": weight, "shared_bias": bias[:4]})
    with pytest.raises(ParameterError, match=r"embeddings must have shape \(n, 4\), got \(2, 5\)"):
        HashProjection({"shared_weight": weight, "shared_bias": bias}).users(np.zeros((2, 5), np.float32))
