"""Log-sigmoids of scores: the native pass and torch's functions agree, and both with the formula in double precision."""

from __future__ import annotations

import pytest
import torch

from hashgnn.nn.losses import _log_sigmoids
from hashgnn.nn.losses._log_sigmoids import derivatives_, log_sigmoids_, times_derivatives_

N_ROWS, N_ITEMS, TEMPERATURE = 5, 1003, 4.0
ERROR = {torch.float32: 3e-7, torch.bfloat16: 2**-8}
DTYPES = pytest.mark.parametrize("dtype", ERROR, ids=str)
COUNTED = pytest.mark.parametrize("counted", [False, True], ids=["all items", "a sample"])


@pytest.fixture
def levels() -> torch.Tensor:
    return torch.tensor([0.0, 14.3, -3.7, 80.0, -60.0])


def scores_of(dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    scores = 9 * torch.randn(N_ROWS, N_ITEMS, generator=generator)
    scores[1, 17] = scores[4, -1] = -torch.inf
    return scores.to(dtype)


def log_counts_of(counted: bool) -> torch.Tensor | None:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(N_ITEMS, generator=generator) * 2 if counted else None


def in_double(scores: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
    x = (scores.double() - levels.double().unsqueeze(1)) / TEMPERATURE
    return TEMPERATURE * torch.nn.functional.logsigmoid(x)


@DTYPES
@COUNTED
def test_scores_are_turned_as_the_formula_says(
    dtype: torch.dtype, counted: bool, levels: torch.Tensor
) -> None:
    scores, log_counts = scores_of(dtype), log_counts_of(counted)
    expected = in_double(scores, levels)
    counts = torch.ones(N_ITEMS, dtype=torch.float64)
    if log_counts is not None:
        expected += log_counts.double()
        counts = log_counts.double().exp()
    n_expected = (scores.double() > levels.double().unsqueeze(1)).double() @ counts
    n_above = log_sigmoids_(scores, levels, TEMPERATURE, log_counts)
    assert torch.isneginf(scores[1, 17])
    assert torch.isneginf(scores[4, -1])
    finite = ~torch.isneginf(expected)
    error = (scores.double() - expected).abs() / (1 + expected.abs())
    assert error[finite].max() < ERROR[dtype]
    assert torch.allclose(n_above.double(), n_expected, rtol=1e-5)


@DTYPES
@COUNTED
def test_values_are_multiplied_by_the_derivatives(
    dtype: torch.dtype, counted: bool, levels: torch.Tensor
) -> None:
    scores, log_counts = scores_of(dtype), log_counts_of(counted)
    log_sigmoids_(scores, levels, TEMPERATURE, log_counts)
    values = torch.randn(N_ROWS, N_ITEMS, generator=torch.Generator().manual_seed(2)).to(dtype)
    before, turned = values.clone(), scores.clone()
    y = scores.double() if log_counts is None else scores.double() - log_counts.double()
    expected = before.double() * -torch.expm1(y.clamp_max(0) / TEMPERATURE)
    assert times_derivatives_(values, scores, TEMPERATURE, log_counts) is values
    assert torch.equal(scores, turned)
    assert (values.double() - expected).abs().max() < 4 * ERROR[dtype]


@COUNTED
def test_a_small_derivative_is_exact(counted: bool) -> None:
    """Far above a threshold the derivative is ``exp(-x)``, which is lost when it is 1 less something near 1."""
    x = torch.tensor([[4.0, 6.0, 9.0, 12.0]])
    turned, values = TEMPERATURE * torch.nn.functional.logsigmoid(x), torch.ones(1, 4)
    log_counts = torch.zeros(4) if counted else None
    times_derivatives_(values, turned, TEMPERATURE, log_counts)
    assert torch.allclose(values, torch.sigmoid(-x), rtol=1e-5, atol=0)


@DTYPES
def test_torch_and_the_native_pass_agree(
    dtype: torch.dtype, levels: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_counts = log_counts_of(True)
    assert log_counts is not None
    scores, values = scores_of(dtype), torch.ones(N_ROWS, N_ITEMS, dtype=dtype)
    others, ones = scores.clone(), values.clone()
    n_above = log_sigmoids_(scores, levels, TEMPERATURE, log_counts)
    times_derivatives_(values, scores, TEMPERATURE, log_counts)
    monkeypatch.setattr(_log_sigmoids, "_NATIVE", ())
    n_others = log_sigmoids_(others, levels, TEMPERATURE, log_counts)
    times_derivatives_(ones, scores, TEMPERATURE, log_counts)
    # bfloat16 holds the thresholds no better than the scores: which of two equal ones is above may differ.
    assert torch.allclose(n_above, n_others.float(), atol=8 if dtype == torch.bfloat16 else 1e-3)
    finite = ~torch.isneginf(scores)
    gap = ((scores - others).float().abs() / (1 + scores.float().abs()))[finite]
    assert gap.max() < 8 * ERROR[dtype]
    assert (values - ones).float().abs().max() < 8 * ERROR[dtype]


@pytest.mark.parametrize("n_items", [1, 15, 16, 17, 33])
@DTYPES
def test_any_number_of_items_and_none_beside_them(dtype: torch.dtype, n_items: int) -> None:
    memory = torch.full((3, n_items), 2.0).to(dtype)
    rows = memory[:2]
    log_sigmoids_(rows, torch.zeros(2), 1.0, None)
    times_derivatives_(rows, rows.clone(), 1.0, None)
    assert (memory[2] == 2).all()
    assert (rows < 0).all()


@DTYPES
def test_a_score_that_is_no_number_stays_one(dtype: torch.dtype) -> None:
    """So that a fit that has diverged is seen."""
    scores = torch.zeros(1, 20, dtype=dtype)
    scores[0, 3] = torch.nan
    log_sigmoids_(scores, torch.zeros(1), 1.0, None)
    assert torch.isnan(scores).sum() == 1
    values = torch.ones(1, 20, dtype=dtype)
    times_derivatives_(values, scores, 1.0, None)
    assert torch.isnan(values).nonzero().tolist() == [[0, 3]]


def test_threads_change_nothing(levels: torch.Tensor) -> None:
    before = torch.get_num_threads()
    found = []
    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            scores = scores_of(torch.bfloat16).repeat(40, 1)
            n_above = log_sigmoids_(scores, levels.repeat(40), TEMPERATURE, None)
            found.append((scores, n_above))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


def test_rows_that_do_not_lie_one_after_another_are_turned_too(levels: torch.Tensor) -> None:
    scores = scores_of(torch.float32)
    across = scores.T.contiguous().T
    assert not across.is_contiguous()
    log_sigmoids_(scores, levels, TEMPERATURE, None)
    log_sigmoids_(across, levels, TEMPERATURE, None)
    assert torch.allclose(scores, across, rtol=1e-5)


def test_derivatives_are_those_of_the_score(levels: torch.Tensor) -> None:
    scores = scores_of(torch.float64).clamp_min(-50)
    turned = scores.clone()
    log_sigmoids_(turned, levels.double(), TEMPERATURE, None)
    expected = torch.sigmoid(-(scores - levels.double().unsqueeze(1)) / TEMPERATURE)
    assert torch.allclose(derivatives_(turned, TEMPERATURE, None), expected, rtol=1e-9)
