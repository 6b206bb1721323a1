"""Tests from a folder of results written by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hand import USERS, put

from hashgnn.benchmarking.quality import differences, table_rows
from hashgnn.benchmarking.quality.cells import read_result
from hashgnn.errors import ArtifactDamagedError, ParameterError


def test_a_difference_is_that_of_a_paired_t_test_worked_by_hand(tmp_path: Path) -> None:
    results = [
        put(tmp_path, "ours", 0, {"hamming": [0.5, 0.4, 0.9, 0.3]}),
        put(tmp_path, "theirs", 0, {"hamming": [0.4, 0.2, 0.6, 0.3]}),
    ]
    (found,) = differences(results, "ours", "recall@20")
    # Differences .1 .2 .3 .0: mean .15, deviation .1291, so t = .15 / (.1291 / 2) = 2.3238 with 3 degrees of
    # freedom, whose two-sided tail is 0.1027.
    assert found.difference == pytest.approx(0.15, abs=1e-6)
    assert found.p_value == pytest.approx(0.1027, abs=1e-4)
    assert found.adjusted_p_value == found.p_value
    assert (found.kind, found.n_users, found.n_seeds) == ("codes", 4, 1)
    assert not found.is_significant()


def test_p_values_are_adjusted_for_all_comparisons_together(tmp_path: Path) -> None:
    results = [
        put(tmp_path, "ours", 0, {"hamming": [0.5, 0.4, 0.9, 0.3]}),
        put(tmp_path, "theirs", 0, {"hamming": [0.4, 0.2, 0.6, 0.3]}),
        put(tmp_path, "poor", 0, {"hamming": [0.1, 0.0, 0.49, 0.0]}),
    ]
    theirs, poor = differences(results, "ours", "recall@20")
    assert poor.p_value < theirs.p_value
    assert poor.adjusted_p_value == pytest.approx(2 * poor.p_value)
    assert theirs.adjusted_p_value == pytest.approx(theirs.p_value)


def test_a_users_value_is_its_mean_over_the_seeds_that_both_have(tmp_path: Path) -> None:
    results = [
        put(tmp_path, "ours", 0, {"hamming": [0.5, 0.4, 0.9, 0.3]}),
        put(tmp_path, "ours", 1, {"hamming": [0.7, 0.4, 0.9, 0.1]}),
        put(tmp_path, "ours", 2, {"hamming": [0.0, 0.0, 0.0, 0.0]}),
        put(tmp_path, "theirs", 0, {"hamming": [0.4, 0.2, 0.6, 0.3]}),
        put(tmp_path, "theirs", 1, {"hamming": [0.6, 0.2, 0.6, 0.1]}),
    ]
    (found,) = differences(results, "ours", "recall@20")
    assert found.n_seeds == 2
    assert found.p_value == pytest.approx(0.1027, abs=1e-4)


def test_codes_are_held_against_codes_with_the_bias_where_there_is_one(tmp_path: Path) -> None:
    values = [0.5, 0.4, 0.9, 0.3]
    results = [
        put(
            tmp_path,
            "ours",
            0,
            {"hamming": values, "biased": values, "hierarchical": values, "float": values},
        ),
        put(tmp_path, "theirs", 0, {"hamming": values, "hierarchical": values}),
        put(tmp_path, "floats", 0, {"float": values}, n_bits=None),
    ]
    found = [
        (one.kind, one.method, one.reference_search, one.search)
        for one in differences(results, "ours", "recall@20")
    ]
    assert found == [
        ("codes", "theirs", "biased", "hamming"),
        ("hamming", "theirs", "hamming", "hamming"),
        ("hierarchical", "theirs", "hierarchical", "hierarchical"),
        ("hierarchical", "floats", "hierarchical", "float"),
        ("float", "floats", "float", "float"),
    ]


def test_scaled_codes_of_a_rival_stand_for_codes(tmp_path: Path) -> None:
    ours = put(tmp_path, "ours", 0, {"hamming": [0.1, 0.2, 0.3, 0.5], "asymmetric": [0.2, 0.3, 0.4, 0.7]})
    rival = put(tmp_path, "rival", 0, {"scaled": [0.1, 0.1, 0.1, 0.2], "hamming": [0.0, 0.1, 0.0, 0.3]})
    found = {
        one.kind: (one.reference_search, one.search)
        for one in differences([ours, rival], "ours", "recall@20")
    }
    assert found == {"codes": ("hamming", "scaled"), "hamming": ("hamming", "hamming")}


def test_other_widths_are_not_compared(tmp_path: Path) -> None:
    values = [0.5, 0.4, 0.9, 0.3]
    results = [
        put(tmp_path, "ours", 0, {"hamming": values}),
        put(tmp_path, "theirs", 0, {"hamming": values}, n_bits=64),
    ]
    assert differences(results, "ours", "recall@20") == []


def test_a_row_is_mean_and_sample_deviation_over_seeds(tmp_path: Path) -> None:
    results = [
        put(tmp_path, "ours", 0, {"hamming": [0.5, 0.4, 0.9, 0.2]}),
        put(tmp_path, "ours", 1, {"hamming": [0.5, 0.4, 0.9, 0.6]}),
        put(tmp_path, "ours", 2, {"hamming": [0.5, 0.4, 0.9, 1.0]}),
    ]
    (row,) = table_rows(results)
    # The seeds' means are .5, .6 and .7.
    assert row.means["recall@20"] == pytest.approx(0.6)
    assert row.deviations["recall@20"] == pytest.approx(0.1)
    assert (row.n_seeds, row.processor_seconds) == (3, 2.0)


def test_values_of_users_come_back_as_they_were(tmp_path: Path) -> None:
    result = put(tmp_path, "ours", 0, {"hamming": [0.1, 1 / 3, 0.9, 0.0]})
    users, values = result.per_user("hamming", "recall@20")
    assert users.tolist() == USERS.tolist()
    assert values.tolist() == np.array([0.1, 1 / 3, 0.9, 0.0], np.float32).tolist()


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    result = put(tmp_path, "ours", 0, {"hamming": [0.1, 0.2, 0.3, 0.4]})
    path = tmp_path / f"{result.cell.file_name}.json"
    path.write_text(path.read_text()[:40])
    with pytest.raises(
        ArtifactDamagedError, match="not the result of a cell; remove it to measure the cell again"
    ):
        read_result(tmp_path, result.cell)


def test_an_unknown_reference_or_metric_is_refused(tmp_path: Path) -> None:
    results = [put(tmp_path, name, 0, {"hamming": [0.1, 0.2, 0.3, 0.4]}) for name in ("ours", "theirs")]
    with pytest.raises(ParameterError, match="reference must be among 'ours', 'theirs', got 'others'"):
        differences(results, "others", "recall@20")
    with pytest.raises(ParameterError, match="metric must be among 'recall@20', got 'ndcg@20'"):
        differences(results, "ours", "ndcg@20")
