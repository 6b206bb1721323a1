from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from hashgnn.errors import ParameterError
from hashgnn.evaluation.significance import compare, holm, paired_test


def pairs(seed=0, n=200, shift=0.03):
    rng = np.random.default_rng(seed)
    first = rng.random(n)
    return first + rng.normal(shift, 0.1, n), first


def test_the_t_test_is_students():
    first, second = pairs()
    found = paired_test(first, second)
    assert found.p_value == pytest.approx(stats.ttest_rel(first, second).pvalue, rel=1e-12)
    assert found.difference == pytest.approx((first - second).mean())
    assert (found.test, found.n_users) == ("t", 200)


def test_wilcoxon_equals_counting_all_signs_of_ranks():
    differences = np.array([1.0, -2.0, 3.0, 4.0, 5.0, -6.0])
    ranks = np.arange(1, 7)
    statistic = abs((np.sign(differences) * ranks).sum())
    sums = [abs(np.dot(signs, ranks)) for signs in product([-1, 1], repeat=6)]
    exact = np.mean(np.array(sums) >= statistic)
    assert paired_test(differences, np.zeros(6), test="wilcoxon").p_value == pytest.approx(exact)


def test_the_bootstrap_agrees_with_the_t_test_for_many_users():
    first, second = pairs(n=2000, shift=0.004)
    exact = paired_test(first, second).p_value
    assert 0.01 < exact < 0.9
    drawn = paired_test(first, second, test="bootstrap", n_resamples=4000, rng=0).p_value
    assert drawn == pytest.approx(exact, abs=0.03)


def test_the_bootstrap_never_claims_more_than_its_resamples_can_show():
    found = paired_test(np.arange(50) + 10.0, np.arange(50), test="bootstrap", n_resamples=99, rng=0)
    assert found.p_value == 1 / 100


@pytest.mark.parametrize("test", ["t", "wilcoxon", "bootstrap"])
def test_tests_are_two_sided_and_see_no_difference_where_there_is_none(test):
    first, second = pairs()
    one = paired_test(first, second, test=test, n_resamples=2000, rng=0)
    other = paired_test(second, first, test=test, n_resamples=2000, rng=0)
    assert one.p_value == pytest.approx(other.p_value, abs=1e-3)
    assert one.difference == -other.difference
    assert one.p_value < 0.01
    assert paired_test(first, first, test=test).p_value == 1


def test_a_constant_difference_is_certain():
    assert paired_test(np.array([0.5, 0.25, 0.75]), np.array([0.25, 0.0, 0.5])).p_value == 0


def test_false_alarms_come_at_the_level_of_the_test():
    rng = np.random.default_rng(1)
    p_values = [paired_test(rng.random(30), rng.random(30)).p_value for _ in range(1000)]
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.02)


def test_holms_correction_of_his_kind_of_example():
    assert holm([0.005, 0.011, 0.02, 0.04, 0.13]).tolist() == pytest.approx([0.025, 0.044, 0.06, 0.08, 0.13])
    assert holm([0.04, 0.01]).tolist() == pytest.approx([0.04, 0.02])
    assert holm([0.9, 0.8]).tolist() == [1, 1]
    assert holm([]).tolist() == []


def test_comparisons_are_corrected_together():
    rng = np.random.default_rng(0)
    base = rng.random(300)
    methods = {
        "base": base,
        "better": base + rng.normal(0.05, 0.1, 300),
        "same": base + rng.normal(0, 0.1, 300),
        "other base": base - 0.2 + rng.normal(0, 0.1, 300),
    }
    rows = compare(methods, ["base", "other base"])
    assert [(row.method, row.baseline) for row in rows] == [
        ("better", "base"),
        ("same", "base"),
        ("better", "other base"),
        ("same", "other base"),
    ]
    plain = [paired_test(methods[row.method], methods[row.baseline]).p_value for row in rows]
    assert [row.p_value for row in rows] == plain
    assert [row.adjusted_p_value for row in rows] == holm(plain).tolist()
    assert [row.is_significant() for row in rows] == [True, False, True, True]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: paired_test([1, 2], [1, 2], test="z"), "test must be one of 't', 'wilcoxon', 'bootstrap'"),
        (lambda: paired_test([1, 2, 3], [1, 2]), "must be of the same users, got 3 and 2 values"),
        (
            lambda: paired_test([1], [1]),
            r"first must be finite numbers of two users or more, got shape \(1,\)",
        ),
        (lambda: paired_test([1, np.nan], [1, 2]), "first must be finite numbers"),
        (lambda: holm([0.5, 1.5]), r"p_values must be a list of numbers in \[0, 1\]"),
        (lambda: compare({"a": [1, 2]}, "b"), "baseline must be among 'a', got 'b'"),
        (lambda: compare({"a": [1, 2]}, "a"), "methods must hold one that is no baseline"),
    ],
)
def test_bad_arguments_are_named(call, said):
    with pytest.raises(ParameterError, match=said):
        call()
