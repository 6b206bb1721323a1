"""The straight-through estimator and its guidance."""

from __future__ import annotations

import pytest
import torch

from hashgnn.errors import ParameterError
from hashgnn.nn import guided, sign_ste
from hashgnn.nn.relaxations.guided import Guided
from hashgnn.nn.relaxations.hashnet import TanhContinuation


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_sign_of_zero_is_plus_one_and_its_gradient_the_identity() -> None:
    z = torch.tensor([[-2.0, -0.0, 0.0, 1e-30]], requires_grad=True)
    signs = sign_ste(z)
    assert signs.tolist() == [[-1, 1, 1, 1]]
    weights = torch.tensor([[3.0, -1.0, 0.5, 7.0]])
    (signs * weights).sum().backward()
    assert torch.equal(z.grad, weights)


def test_guidance_of_one_is_relaxed_and_of_zero_is_the_sign() -> None:
    z = torch.rand(50, 16, generator=generator()) * 2 - 1
    for granularity in ("bit", "row"):
        assert torch.equal(guided(z, 1.0, granularity=granularity, generator=generator()), z)
        assert torch.equal(guided(z, 0.0, granularity=granularity, generator=generator()), sign_ste(z))


@pytest.mark.parametrize("granularity", ["bit", "row"])
def test_guidance_mixes_with_probability_p_and_gradient_is_the_identity(granularity) -> None:
    n_rows, n_bits, p = 4000, 8, 0.3
    z = (torch.rand(n_rows, n_bits, generator=generator()) * 1.8 - 0.9).requires_grad_()
    mixed = guided(z, p, granularity=granularity, generator=generator(1))
    relaxed = mixed == z
    assert torch.equal(mixed[~relaxed], sign_ste(z)[~relaxed])
    n_draws = n_rows * (n_bits if granularity == "bit" else 1)
    assert abs(relaxed.double().mean().item() - p) < 4 * (p * (1 - p) / n_draws) ** 0.5
    rows_agree = (relaxed == relaxed[:, :1]).all(dim=1)
    assert bool(rows_agree.all()) == (granularity == "row")
    weights = torch.randn(n_rows, n_bits, generator=generator(2))
    (mixed * weights).sum().backward()
    assert torch.equal(z.grad, weights)


def test_rows_of_a_group_share_their_draw() -> None:
    z = torch.full((600, 8), 0.5)
    groups = torch.arange(300).repeat(2)
    for granularity in ("bit", "row"):
        relaxed = guided(z, 0.5, granularity=granularity, generator=generator(), groups=groups) == 0.5
        assert torch.equal(relaxed[:300], relaxed[300:])
        assert 0.4 < relaxed.double().mean() < 0.6


def test_guidance_with_bad_input_raises() -> None:
    z = torch.zeros(2, 8)
    with pytest.raises(ParameterError, match="strength must be a finite number >= 0 and <= 1, got 1.2"):
        guided(z, 1.2, generator=generator())
    with pytest.raises(ParameterError, match="granularity must be one of 'bit', 'row', got 'edge'"):
        guided(z, 0.5, granularity="edge", generator=generator())
    with pytest.raises(ParameterError, match=r"groups must have shape \(2,\), got \(3,\)"):
        guided(z, 0.5, generator=generator(), groups=torch.zeros(3, dtype=torch.long))


def test_groups_count_for_rows_only() -> None:
    z = torch.rand(40, 8, generator=generator()) * 2 - 1
    groups = torch.arange(20).repeat(2)
    for granularity in ("bit", "row"):
        found = Guided(granularity)(z, 0.5, generator=generator(3), groups=groups)
        shared = groups if granularity == "row" else None
        expected = guided(z, 0.5, granularity=granularity, generator=generator(3), groups=shared)
        assert torch.equal(found, expected)


def test_unknown_granularity_of_guidance_raises() -> None:
    with pytest.raises(ParameterError, match="granularity must be one of 'bit', 'row', got 'edge'"):
        Guided("edge")


def test_users_stay_relaxed_down_to_their_floor() -> None:
    assert [Guided(user_floor=0.7).user_strength(share) for share in (0.0, 0.7, 0.9)] == [0.7, 0.7, 0.9]
    assert Guided().user_strength(0.1) == 0.5
    assert TanhContinuation().user_strength(3.0) == 3.0
