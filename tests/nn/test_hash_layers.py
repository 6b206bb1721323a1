from __future__ import annotations

import numpy as np
import pytest
import torch

from hashgnn.errors import ParameterError
from hashgnn.fold_in import HashProjection
from hashgnn.nn import HashLayer


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


def test_both_sides_start_equal_and_train_separately() -> None:
    layer = HashLayer(8, 8, mode="per_side", rng=generator())
    assert torch.equal(layer.weights["user"], layer.weights["item"])
    layer(torch.ones(1, 8), "user").sum().backward()
    assert layer.weights["item"].grad is None


@pytest.mark.parametrize("threshold", [False, True])
@pytest.mark.parametrize("mode", ["shared", "per_side"])
def test_projection_in_numpy_equals_the_layer(mode, threshold) -> None:
    layer = HashLayer(12, 24, mode=mode, rng=generator(), threshold=threshold)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator(3)))
    projection = HashProjection(layer.export())
    u = torch.randn(40, 12, generator=generator(4))
    assert (projection.dim, projection.n_bits) == (12, 24)
    np.testing.assert_allclose(projection.users(u.numpy()), layer(u, "user").detach(), atol=1e-6)
    np.testing.assert_allclose(projection.items(u.numpy()), layer(u, "item").detach(), atol=1e-6)
    np.testing.assert_allclose(
        projection.users.activations(u.numpy()), layer.activations(u, "user").detach(), atol=1e-5
    )


def test_bad_settings_of_the_layer_raise() -> None:
    with pytest.raises(ParameterError, match="n_bits must be a positive multiple of 8, got 12"):
        HashLayer(4, 12, rng=generator())
    with pytest.raises(ParameterError, match="hash_layer must be one of 'shared', 'per_side', got 'both'"):
        HashLayer(4, 8, mode="both", rng=generator())
    with pytest.raises(ParameterError, match=r"rotation must have shape \(4, 8\), got \(8, 8\)"):
        HashLayer(4, 8, rng=generator(), rotation=np.eye(8, dtype=np.float32))
    with pytest.raises(ParameterError, match="side must be one of 'user', 'item', got 'shared'"):
        HashLayer(4, 8, rng=generator())(torch.zeros(1, 4), "shared")


def test_a_threshold_is_taken_from_the_relaxed_code_and_learns_without_tanh() -> None:
    plain, shifted = (HashLayer(6, 8, rng=generator(), threshold=threshold) for threshold in (False, True))
    u = torch.randn(5, 6, generator=generator(1))
    assert torch.equal(shifted(u, "user"), plain(u, "user"))
    with torch.no_grad():
        shifted.thresholds["shared"].copy_(torch.linspace(-0.5, 0.5, 8))
    torch.testing.assert_close(shifted(u, "item"), plain(u, "item") - torch.linspace(-0.5, 0.5, 8))
    assert torch.equal(shifted.project(u, "item"), plain.project(u, "item"))
    shifted(u, "user").sum().backward()
    assert torch.equal(shifted.thresholds["shared"].grad, torch.full((8,), -5.0))
    assert not plain.thresholds
