from __future__ import annotations

import numpy as np
import pytest
import torch

from hashgnn.errors import ParameterError
from hashgnn.fold_in import HashProjection
from hashgnn.nn import HashLayer, guided, sign_ste


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_hash_layer_is_tanh_of_an_affine_map_of_each_side() -> None:
    layer = HashLayer(5, 8, mode="per_side", rng=generator())
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator(1)))
        layer.weights["item"].mul_(2)
    u = torch.randn(3, 5, generator=generator(2))
    for side in ("user", "item"):
        weight, bias = (p[side].detach().double().numpy() for p in (layer.weights, layer.biases))
        expected = np.tanh(u.double().numpy() @ weight + bias)
        np.testing.assert_allclose(layer(u, side).detach().numpy(), expected, atol=1e-6)
    assert not torch.allclose(layer(u, "user"), layer(u, "item"))


@pytest.mark.parametrize(("dim", "n_bits"), [(16, 8), (8, 8), (8, 32)])
def test_start_is_orthonormal_along_its_shorter_side(dim, n_bits) -> None:
    weight = HashLayer(dim, n_bits, rng=generator()).weights["shared"].detach()
    gram = weight.T @ weight if n_bits <= dim else weight @ weight.T
    torch.testing.assert_close(gram, torch.eye(min(dim, n_bits)), atol=1e-6, rtol=0)


def test_start_follows_the_generator_and_a_given_rotation() -> None:
    first, second, third = (HashLayer(8, 16, rng=generator(s)).weights["shared"] for s in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)
    rotation = np.arange(64, dtype=np.float32).reshape(8, 8)
    layer = HashLayer(8, 8, mode="per_side", rng=generator(), rotation=rotation, gain=2.0)
    np.testing.assert_array_equal(layer.weights["item"].detach(), 2 * rotation)


def test_both_sides_start_equal_and_train_apart() -> None:
    layer = HashLayer(8, 8, mode="per_side", rng=generator())
    assert torch.equal(layer.weights["user"], layer.weights["item"])
    layer(torch.ones(1, 8), "user").sum().backward()
    assert layer.weights["item"].grad is None


@pytest.mark.parametrize("mode", ["shared", "per_side"])
def test_projection_in_numpy_equals_the_layer(mode) -> None:
    layer = HashLayer(12, 24, mode=mode, rng=generator())
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator(3)))
    projection = HashProjection(layer.export())
    u = torch.randn(40, 12, generator=generator(4))
    assert (projection.dim, projection.n_bits) == (12, 24)
    np.testing.assert_allclose(projection.users(u.numpy()), layer(u, "user").detach(), atol=1e-6)
    np.testing.assert_allclose(projection.items(u.numpy()), layer(u, "item").detach(), atol=1e-6)


def test_bad_settings_of_the_layer_raise() -> None:
    with pytest.raises(ParameterError, match="n_bits must be a positive multiple of 8, got 12"):
        HashLayer(4, 12, rng=generator())
    with pytest.raises(ParameterError, match="hash_layer must be one of 'shared', 'per_side', got 'both'"):
        HashLayer(4, 8, mode="both", rng=generator())
    with pytest.raises(ParameterError, match=r"rotation must have shape \(4, 8\), got \(8, 8\)"):
        HashLayer(4, 8, rng=generator(), rotation=np.eye(8, dtype=np.float32))
    with pytest.raises(ParameterError, match="side must be one of 'user', 'item', got 'shared'"):
        HashLayer(4, 8, rng=generator())(torch.zeros(1, 4), "shared")


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
    with pytest.raises(ParameterError, match="p must be a finite number >= 0 and <= 1, got 1.2"):
        guided(z, 1.2, generator=generator())
    with pytest.raises(ParameterError, match="granularity must be one of 'bit', 'row', got 'edge'"):
        guided(z, 0.5, granularity="edge", generator=generator())
    with pytest.raises(ParameterError, match=r"groups must have shape \(2,\), got \(3,\)"):
        guided(z, 0.5, generator=generator(), groups=torch.zeros(3, dtype=torch.long))
