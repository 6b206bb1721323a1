"""Losses of the K best items against a plain transcription of the papers, and what they do at the ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from hashgnn.errors import ParameterError
from hashgnn.nn import SoftmaxWorkspace, Targets, TopK, full_softmax

N_ROWS, N_ITEMS, DIM = 4, 11, 3
ROWS, COLUMNS = [0, 0, 1, 3, 3, 3], [1, 4, 0, 2, 9, 10]  # the third row has no targets
EXCLUDED = torch.tensor([0, 2, 3]), torch.tensor([0, 3, 5])


@pytest.fixture
def given() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    draw = {"generator": generator, "dtype": torch.float64}
    return {
        "queries": torch.randn(N_ROWS, DIM, **draw).requires_grad_(),
        "items": torch.randn(N_ITEMS, DIM, **draw).requires_grad_(),
        "bias": torch.randn(N_ITEMS, **draw).requires_grad_(),
        "weights": torch.rand(len(ROWS), **draw) + 0.1,
    }


def targets(weights: torch.Tensor) -> Targets:
    return Targets(N_ROWS, torch.tensor(ROWS), torch.tensor(COLUMNS), weights)


def loss_of(given: dict[str, torch.Tensor], rule: TopK, **options: Any) -> torch.Tensor:
    return full_softmax(
        given["queries"],
        given["items"],
        targets(given["weights"]),
        bias=given["bias"],
        excluded=EXCLUDED,
        top_k=rule,
        **options,
    )


def scores_of(given: dict[str, torch.Tensor]) -> np.ndarray:
    s = given["queries"].detach().numpy() @ given["items"].detach().numpy().T + given["bias"].detach().numpy()
    for row, column in zip(*(x.tolist() for x in EXCLUDED), strict=True):
        if row in ROWS:
            s[row, column] = -np.inf
    return s


def threshold_in_numpy(scores: np.ndarray, k: int, counts: np.ndarray) -> float:
    """The largest score that K items reach, each item with its count; of fewer items the lowest score."""
    level = np.inf
    total = 0.0
    for j in np.argsort(-scores):
        if np.isinf(scores[j]) or total >= k:
            break
        level, total = scores[j], total + counts[j]
    return float(level)


def slatk_in_numpy(
    s: np.ndarray, weights: np.ndarray, levels: list[float], t: float, counts: np.ndarray
) -> float:
    """SL@K: a positive's softmax loss, the log of a sum over pairs, times σ((f_ui - β_u) / τ_w)."""
    total = 0.0
    for u, i, w in zip(ROWS, COLUMNS, weights, strict=True):
        pairs = sum(counts[j] * np.exp(s[u, j] - s[u, i]) for j in range(N_ITEMS))
        total += w / (1 + np.exp(-(s[u, i] - levels[u]) / t)) * np.log(pairs)
    return total / N_ROWS


def talos_in_numpy(
    s: np.ndarray, weights: np.ndarray, levels: list[float], t: float, counts: np.ndarray
) -> float:
    """Talos, with f = s · τ and τ = 1/t: log σ(f - β) / τ of a positive against all items."""
    tau, total = 1 / t, 0.0
    for u, i, w in zip(ROWS, COLUMNS, weights, strict=True):
        f, beta = s[u] * tau, levels[u] * tau
        inside = 1 / (1 + np.exp(-(f - beta)))
        total += w * (np.log((counts * inside ** (1 / tau)).sum()) - np.log(inside[i] ** (1 / tau)))
    return total / N_ROWS


def assert_gradients_are_differences(
    given: dict[str, torch.Tensor], formula: Callable[[np.ndarray], float]
) -> None:
    """Compare the gradients with finite differences of a formula of the scores."""

    def moved(name: str, place: tuple[int, ...], by: float) -> float:
        changed = given[name].detach().clone()
        changed[place] += by
        return formula(scores_of({**given, name: changed}))

    for name in ("queries", "items", "bias"):
        gradient = given[name].grad
        assert gradient is not None
        for place in np.ndindex(*gradient.shape):
            expected = (moved(name, place, 1e-5) - moved(name, place, -1e-5)) / 2e-5
            assert gradient[place].item() == pytest.approx(expected, rel=1e-5, abs=1e-8)


FORMULAS = {"slatk": slatk_in_numpy, "talos": talos_in_numpy}
COUNTS = torch.tensor([1.0, 1, 1, 4, 1, 4, 4, 4, 4, 1, 1], dtype=torch.float64)


@pytest.mark.parametrize("loss", FORMULAS)
@pytest.mark.parametrize("k", [1, 3, 8, N_ITEMS, 50])
@pytest.mark.parametrize("counts", [None, COUNTS], ids=["all items", "a sample"])
@pytest.mark.parametrize("chunk", [1, 512])
def test_loss_equals_the_papers_formula(
    loss: Any, k: int, counts: torch.Tensor | None, chunk: int, given: dict[str, torch.Tensor]
) -> None:
    rule = TopK(k, 1.7, loss, log_counts=None if counts is None else counts.log())
    s = scores_of(given)
    plain = np.ones(N_ITEMS) if counts is None else counts.numpy()
    levels = [threshold_in_numpy(row, k, plain) for row in s]
    expected = FORMULAS[loss](s, given["weights"].numpy(), levels, 1.7, plain)
    assert loss_of(given, rule, chunk=chunk).item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("counts", [None, COUNTS], ids=["all items", "a sample"])
def test_gradient_of_talos_is_right_where_the_threshold_is_a_constant(
    counts: torch.Tensor | None, given: dict[str, torch.Tensor]
) -> None:
    kept = torch.tensor([0.3, -0.2, 0.0, 1.1], dtype=torch.float64)
    log_counts = None if counts is None else counts.log()

    def function(queries: torch.Tensor, items: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        # A copy each time: the rule moves the thresholds that it is given.
        rule = TopK(3, 0.8, "talos", log_counts=log_counts, thresholds=kept.clone())
        return loss_of({**given, "queries": queries, "items": items, "bias": bias}, rule)

    assert torch.autograd.gradcheck(function, (given["queries"], given["items"], given["bias"]))


@pytest.mark.parametrize("counts", [None, COUNTS], ids=["all items", "a sample"])
@pytest.mark.parametrize("chunk", [1, 512])
def test_gradient_of_talos_passes_through_thresholds_that_come_from_the_scores(
    counts: torch.Tensor | None, chunk: int, given: dict[str, torch.Tensor]
) -> None:
    """By finite differences of the transcription, whose thresholds move with the scores near them."""
    plain, t = np.ones(N_ITEMS) if counts is None else counts.numpy(), 0.8
    s = scores_of(given)
    levels = np.array([threshold_in_numpy(row, 3, plain) for row in s])
    inside = 1 / (1 + np.exp(-(s - levels[:, None]) / t))
    near = plain * inside * (1 - inside)
    near /= near.sum(axis=1, keepdims=True)

    def formula(scores: np.ndarray) -> float:
        known = np.isfinite(s)
        change = np.where(known, scores, 0) - np.where(known, s, 0)
        return talos_in_numpy(
            scores, given["weights"].numpy(), list(levels + (near * change).sum(axis=1)), t, plain
        )

    rule = TopK(3, t, "talos", log_counts=None if counts is None else counts.log())
    loss_of(given, rule, chunk=chunk).backward()
    assert_gradients_are_differences(given, formula)
    # To raise all scores together changes nothing.
    assert given["bias"].grad is not None
    assert given["bias"].grad.sum().item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("counts", [None, COUNTS], ids=["all items", "a sample"])
def test_gradient_of_slatk_is_that_of_the_formula_with_constant_weights(
    counts: torch.Tensor | None, given: dict[str, torch.Tensor]
) -> None:
    """By finite differences of the transcription, its weights and thresholds taken where the gradient is."""
    plain = np.ones(N_ITEMS) if counts is None else counts.numpy()
    s = scores_of(given)
    levels = np.array([threshold_in_numpy(row, 3, plain) for row in s])
    shares = [1 / (1 + np.exp(-(s[u, i] - levels[u]) / 0.8)) for u, i in zip(ROWS, COLUMNS, strict=True)]
    weights = given["weights"].numpy() * np.array(shares)

    def formula(scores: np.ndarray) -> float:
        return slatk_in_numpy(scores, weights, [-np.inf] * N_ROWS, 1.0, plain)  # each share is 1

    loss_of(given, TopK(3, 0.8, log_counts=None if counts is None else counts.log())).backward()
    assert_gradients_are_differences(given, formula)


@pytest.mark.parametrize("loss", FORMULAS)
def test_bfloat16_is_as_near_as_bfloat16_is(loss: Any, given: dict[str, torch.Tensor]) -> None:
    single = {name: x.detach().float().requires_grad_(x.requires_grad) for name, x in given.items()}
    log_counts = COUNTS.float().log()
    found = []
    for workspace in (None, SoftmaxWorkspace()):
        value = loss_of(single, TopK(3, 2.0, loss, log_counts=log_counts), workspace=workspace)
        gradients = torch.autograd.grad(value, [single["queries"], single["items"], single["bias"]])
        found.append((value.item(), gradients))
    assert found[1][0] == pytest.approx(found[0][0], rel=0.02)
    for half, exact in zip(found[1][1], found[0][1], strict=True):
        assert (half - exact).norm() < 0.03 * exact.norm()


def test_a_target_far_above_the_threshold_keeps_its_weight_and_one_far_below_loses_it() -> None:
    scores = torch.tensor([[9.0, 8.0, 0.0, -40.0]], dtype=torch.float64)
    items = torch.eye(4, dtype=torch.float64)

    def value(column: int, **options: Any) -> float:
        one = Targets(1, torch.tensor([0]), torch.tensor([column]), torch.ones(1, dtype=torch.float64))
        return full_softmax(scores, items, one, **options).item()

    rule = TopK(2, 0.1)
    assert value(0, top_k=rule) == pytest.approx(value(0), rel=1e-4)
    assert value(1, top_k=rule) == pytest.approx(value(1) / 2)  # the K-th item itself: half
    assert value(3, top_k=rule) == pytest.approx(0, abs=1e-100)


def test_a_wide_temperature_is_half_the_plain_softmax(given: dict[str, torch.Tensor]) -> None:
    plain = full_softmax(
        given["queries"], given["items"], targets(given["weights"]), bias=given["bias"], excluded=EXCLUDED
    )
    assert loss_of(given, TopK(3, 1e9)).item() == pytest.approx(plain.item() / 2, rel=1e-6)


def test_talos_gives_nothing_for_a_score_that_is_far_above_the_threshold() -> None:
    queries = torch.tensor([[50.0, 50.0, 0.0, -3.0]], dtype=torch.float64, requires_grad=True)
    one = Targets(1, torch.tensor([0]), torch.tensor([0]), torch.ones(1, dtype=torch.float64))
    rule = TopK(3, 1.0, "talos", thresholds=torch.zeros(1, dtype=torch.float64))
    full_softmax(queries, torch.eye(4, dtype=torch.float64), one, top_k=rule).backward()
    assert queries.grad is not None
    assert queries.grad[0, :2].abs().max() < 1e-12
    assert queries.grad[0, 2] > 0.05


@pytest.mark.parametrize("loss", FORMULAS)
def test_without_any_target_loss_and_gradient_are_zero(loss: Any, given: dict[str, torch.Tensor]) -> None:
    nothing = Targets(N_ROWS, torch.empty(0).long(), torch.empty(0).long(), torch.empty(0).double())
    everything = torch.zeros(N_ITEMS).long(), torch.arange(N_ITEMS)
    value = full_softmax(
        given["queries"], given["items"], nothing, excluded=everything, top_k=TopK(2, 1.0, loss)
    )
    value.backward()
    assert value.item() == 0
    assert given["queries"].grad is not None
    assert not given["queries"].grad.any()


@pytest.mark.parametrize("workspace", [None, SoftmaxWorkspace()], ids=["exact", "bfloat16"])
@pytest.mark.parametrize("with_rule", [False, True], ids=["plain", "top_k"])
def test_a_sample_without_items_has_no_loss_and_gives_no_threshold(
    with_rule: bool, workspace: SoftmaxWorkspace | None, given: dict[str, torch.Tensor]
) -> None:
    nothing = Targets(N_ROWS, torch.empty(0).long(), torch.empty(0).long(), torch.empty(0).double())
    kept = torch.full((N_ROWS,), torch.nan, dtype=torch.float64)
    rule = TopK(2, 1.0, "talos", thresholds=kept) if with_rule else None
    value = full_softmax(given["queries"], given["items"][:0], nothing, workspace=workspace, top_k=rule)
    value.backward()
    assert value.item() == 0
    assert given["queries"].grad is not None
    assert not given["queries"].grad.any()
    assert torch.isnan(kept).all()


def test_a_row_without_a_score_has_no_threshold() -> None:
    scores = torch.tensor([[1.0, 3.0, 2.0], [-torch.inf] * 3])
    rule = TopK(2, 1.0, "talos", thresholds=torch.full((2,), torch.nan))
    levels = rule.levels(scores, slice(0, 2))
    assert levels[0] == 2
    assert torch.isnan(levels[1])
    weights, n_above = rule.apply(scores, levels, (torch.tensor([0]), torch.tensor([1])), torch.ones(1))
    assert weights.item() == 1
    assert n_above is not None
    rule.move(slice(0, 2), levels, n_above)
    assert rule.thresholds is not None
    assert torch.isnan(rule.thresholds).tolist() == [False, True]
    assert not torch.isnan(scores).any()


@pytest.mark.parametrize("counts", [None, COUNTS], ids=["all items", "a sample"])
def test_kept_thresholds_begin_at_the_scores_and_come_to_their_quantile(
    counts: torch.Tensor | None, given: dict[str, torch.Tensor]
) -> None:
    s = scores_of(given)
    plain = np.ones(N_ITEMS) if counts is None else counts.numpy()
    levels = [threshold_in_numpy(row, 4, plain) for row in s]
    kept = torch.full((N_ROWS,), torch.nan, dtype=torch.float64)
    options: dict[str, Any] = {"log_counts": None if counts is None else counts.log(), "rate": 0.01}
    loss = loss_of(given, TopK(4, 1.0, thresholds=kept, **options))
    assert loss.item() == pytest.approx(
        slatk_in_numpy(s, given["weights"].numpy(), levels, 1.0, plain), rel=1e-10
    )
    np.testing.assert_allclose(kept.numpy(), levels, atol=0.011)
    kept += torch.tensor([1.0, -1.0, 2.0, -2.0])
    for _ in range(1000):
        loss_of(given, TopK(4, 1.0, thresholds=kept, **options))
    for row, level in zip(s, kept.numpy(), strict=True):
        # It rests where K items score at least as much, and not more than K score above.
        assert plain[row >= level - 0.02].sum() >= 4 >= plain[row > level + 0.02].sum()


def test_wrong_numbers_raise() -> None:
    with pytest.raises(ParameterError, match="k must be an integer >= 1, got 0"):
        TopK(0, 1.0)
    with pytest.raises(ParameterError, match="temperature must be a finite number > 0, got 0"):
        TopK(1, 0.0)
    with pytest.raises(ParameterError, match="rate must be a finite number > 0, got 0"):
        TopK(1, 1.0, rate=0.0)
    with pytest.raises(ParameterError, match=r"loss must be .*slatk.*talos.*, got 'best'"):
        TopK(1, 1.0, "best")  # type: ignore[arg-type]
