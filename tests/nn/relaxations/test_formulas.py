"""Every relaxation, forward and backward, against its formula in NumPy, float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import erf

from hashgnn._registry import imported
from hashgnn.config import ModelConfig
from hashgnn.errors import ParameterError
from hashgnn.nn import RELAXATIONS, build_relaxation
from hashgnn.nn.relaxations.continuous import Continuous
from hashgnn.nn.relaxations.guidance_schedule import ConstantGuidance, StepGuidance
from hashgnn.nn.relaxations.guided import Guided
from hashgnn.nn.relaxations.gumbel import GumbelBits
from hashgnn.nn.relaxations.hashnet import TanhContinuation
from hashgnn.nn.relaxations.ste import LearnedThreshold, StraightThrough
from hashgnn.nn.relaxations.stochastic import StochasticBits
from hashgnn.nn.relaxations.surrogates import ClippedSign, FourierSign, GaussianSign

N_ROWS, N_BITS, SEED = 60, 16, 4


def generator(seed: int = SEED) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def x() -> torch.Tensor:
    values = torch.randn(N_ROWS, N_BITS, generator=generator(1), dtype=torch.float64) * 0.8
    values[0, 0] = 0.0
    return values.clamp(-0.99, 0.99).requires_grad_()


def uniform(shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> np.ndarray:
    return torch.rand(shape, generator=generator(), dtype=dtype).numpy()


def sign(x: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, 1.0, -1.0)


def numpy_guided(x: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    return np.where(uniform(x.shape, torch.float32) < strength, x, sign(x)), np.ones_like(x)


def numpy_gumbel(x: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """The softmax over +1 and -1, with the logistic draw that is the difference of their Gumbel draws."""
    draw = uniform(x.shape)
    plus = np.exp((2 * x + np.log(draw) - np.log(1 - draw)) / strength)
    soft = plus / (plus + 1) - 1 / (plus + 1)
    return soft, 4 / strength * plus / (plus + 1) ** 2


def numpy_gumbel_hard(x: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    soft, slope = numpy_gumbel(x, strength)
    return sign(soft), slope


def numpy_fourier(x: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    half = 2 * 0.7
    series = sum(4 / half * np.cos(odd * np.pi * x / half) for odd in (1, 3, 5))
    return sign(x), np.where(np.abs(x) <= 0.7, series, 0.0)


CASES = {
    "ste": (StraightThrough(), lambda x, strength: (sign(x), np.ones_like(x))),
    "learned_threshold": (LearnedThreshold(), lambda x, strength: (sign(x), np.ones_like(x))),
    "guided": (Guided("bit"), numpy_guided),
    "gumbel": (GumbelBits(), numpy_gumbel),
    "gumbel hard": (GumbelBits(hard=True), numpy_gumbel_hard),
    "hashnet": (
        TanhContinuation(),
        lambda x, strength: (np.tanh(strength * x), strength / np.cosh(strength * x) ** 2),
    ),
    "stochastic": (
        StochasticBits(),
        lambda x, strength: (sign((1 + x) / 2 - uniform(x.shape)), np.ones_like(x)),
    ),
    "clipped": (ClippedSign(0.7), lambda x, strength: (sign(x), (np.abs(x) <= 0.7) / 0.7)),
    "gaussian": (
        GaussianSign(0.7),
        lambda x, strength: (sign(x), 2 / np.sqrt(np.pi) / 0.7 * np.exp(-((x / 0.7) ** 2))),
    ),
    "fourier": (FourierSign(0.7, 3), numpy_fourier),
    "none": (Continuous(), lambda x, strength: (x, np.ones_like(x))),
}


def test_every_registered_relaxation_has_a_case() -> None:
    assert {type(relaxation) for relaxation, _ in CASES.values()} == {
        imported(row.implementation) for _, row in RELAXATIONS.items()
    }


@pytest.mark.parametrize(("relaxation", "formula"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("strength", [0.3, 0.9])
def test_forward_and_gradient_equal_the_formula(relaxation, formula, strength, x) -> None:
    weights = torch.randn(x.shape, generator=generator(2), dtype=torch.float64)
    result = relaxation(x, strength, generator=generator())
    (result * weights).sum().backward()
    values, slopes = formula(x.detach().numpy(), strength)
    np.testing.assert_allclose(result.detach().numpy(), values, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(x.grad.numpy(), slopes * weights.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("relaxation", [relaxation for relaxation, _ in CASES.values()], ids=CASES)
def test_draws_come_from_the_generator_alone(relaxation, x) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one, again = (relaxation(x, 0.5, generator=generator(7)) for _ in range(2))
    assert torch.equal(one, again)
    assert torch.equal(torch.get_rng_state(), before)


def test_gumbel_bits_are_plus_one_with_the_sigmoid_of_twice_the_input() -> None:
    a = torch.tensor([-1.0, -0.2, 0.0, 0.5, 1.5]).repeat(40000, 1)
    drawn = GumbelBits(hard=True)(a, 0.5, generator=generator())
    np.testing.assert_allclose(
        (drawn > 0).double().mean(dim=0), 1 / (1 + np.exp(-2 * a[0].numpy())), atol=0.01
    )


def test_gumbel_bits_of_any_input_are_finite() -> None:
    a = torch.tensor([[-1e30, -50.0, 0.0, 50.0, 1e30]]).repeat(1000, 1).requires_grad_()
    bits = GumbelBits()(a, 0.01, generator=generator())
    bits.sum().backward()
    assert torch.isfinite(bits).all()
    assert torch.isfinite(a.grad).all()


def test_mean_of_stochastic_bits_is_the_relaxed_code() -> None:
    z = torch.linspace(-1, 1, 9).repeat(40000, 1)
    drawn = StochasticBits()(z, 0.0, generator=generator())
    assert set(drawn.unique().tolist()) == {-1.0, 1.0}
    np.testing.assert_allclose(drawn.mean(dim=0), z[0], atol=0.02)
    assert (drawn[:, 0] == -1).all()
    assert (drawn[:, -1] == 1).all()


@pytest.mark.parametrize("width", [0.3, 2.0])
@pytest.mark.parametrize("kind", [ClippedSign, GaussianSign, FourierSign])
def test_slopes_integrate_to_the_jump_of_the_sign(kind, width) -> None:
    x = torch.linspace(-4, 4, 400001, dtype=torch.float64) * width
    integral = torch.trapezoid(kind(width).slope(x), x).item()
    # Four terms of 1 - 1/3 + 1/5 - 1/7 fall short of pi / 4.
    expected = 8 / np.pi * (1 - 1 / 3 + 1 / 5 - 1 / 7) if kind is FourierSign else 2.0
    assert integral == pytest.approx(expected, rel=1e-4)


def test_gaussian_slope_is_that_of_the_error_function() -> None:
    x = np.linspace(-2, 2, 401)
    step = 1e-5
    finite = (erf((x + step) / 0.6) - erf((x - step) / 0.6)) / (2 * step)
    np.testing.assert_allclose(GaussianSign(0.6).slope(torch.tensor(x)), finite, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("relaxation", "start", "end"),
    [(GumbelBits(2.0, 0.5), 2.0, 0.5), (TanhContinuation(1.0, 16.0), 1.0, 16.0)],
)
def test_strengths_go_from_start_to_end_by_equal_factors(relaxation, start, end) -> None:
    strengths = [relaxation.strength(epoch, 3, step, 5) for epoch in range(3) for step in range(5)]
    assert (strengths[0], strengths[-1]) == pytest.approx((start, end))
    factors = np.array(strengths[1:]) / np.array(strengths[:-1])
    np.testing.assert_allclose(factors, (end / start) ** (1 / 14))
    assert relaxation.strength(0, 1, 0, 1) == start


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"name": "clipped", "width": 0.25}, ClippedSign(0.25)),
        ({"name": "fourier", "width": 0.25, "terms": 7}, FourierSign(0.25, 7)),
        ({"name": "gaussian", "width": 0.25}, GaussianSign(0.25)),
        (
            {"name": "guided", "granularity": "row", "schedule": {"name": "step", "steps": 3}},
            Guided("row", StepGuidance(steps=3)),
        ),
        (
            {"name": "guided", "schedule": {"name": "constant", "share": 0.3}, "user_floor": 0.2},
            Guided("bit", ConstantGuidance(0.3), 0.2),
        ),
        ({"name": "gumbel", "start": 3.0, "end": 0.1, "hard": True}, GumbelBits(3.0, 0.1, True)),
        ({"name": "hashnet", "start": 2.0, "end": 4.0}, TanhContinuation(2.0, 4.0)),
        ({"name": "learned_threshold"}, LearnedThreshold()),
        ({"name": "ste"}, StraightThrough()),
        ({"name": "stochastic"}, StochasticBits()),
    ],
)
def test_a_config_gives_the_relaxation_with_its_options(settings, expected) -> None:
    chosen = ModelConfig(relaxation=settings).relaxation
    assert build_relaxation(chosen.name, **chosen.options()) == expected


def test_bad_options_raise() -> None:
    with pytest.raises(ParameterError, match="end must be a finite number > 0, got 0"):
        GumbelBits(1.0, 0.0)
    with pytest.raises(ParameterError, match="start must be a finite number > 0, got -1"):
        TanhContinuation(-1.0)
    with pytest.raises(ParameterError, match="width must be a finite number > 0, got 0"):
        GaussianSign(0.0)
    with pytest.raises(ParameterError, match="terms must be an integer >= 1, got 0"):
        FourierSign(1.0, 0)
    with pytest.raises(ParameterError, match="relaxation .*, got 'softsign'"):
        ModelConfig.from_dict({"relaxation": "softsign"})
