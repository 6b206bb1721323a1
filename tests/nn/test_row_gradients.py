"""Gradients of rows: what they save must not change what is learned."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from tests.training.quick import quick, run_options

import hashgnn.nn.row_gradients as module
from hashgnn.data import Interactions, generate_interactions
from hashgnn.nn import _sparse
from hashgnn.nn.row_gradients import WholeGradients, distinct_rows, row_gradients, values_of
from hashgnn.training import train


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SMALLEST_TABLE", 1)


@pytest.fixture
def table() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.randn(9, 4, generator=torch.Generator().manual_seed(0)))


def looked_up(table: torch.nn.Parameter) -> torch.Tensor:
    """Rows by themselves, one of them twice, and bags that share rows; the third bag is empty."""
    columns, values = torch.tensor([7, 1, 1, 3]), torch.tensor([0.5, 2.0, 1.0, -1.0])
    bags = _sparse.bag_sum(columns, values, torch.tensor([2, 2, 0]), table)
    rows = _sparse.take(table, torch.tensor([1, 5, 1]))
    return (bags.sin().sum() + (rows**3).sum()) / 3


@pytest.mark.usefixtures("small")
def test_rows_have_the_gradient_of_the_whole_table(table: torch.nn.Parameter) -> None:
    (expected,) = torch.autograd.grad(looked_up(table), table)
    with row_gradients():
        loss = looked_up(table)
    loss.backward()
    assert table.grad is not None
    assert table.grad.is_sparse
    gradient = distinct_rows(table.grad)
    assert gradient.indices()[0].tolist() == [1, 3, 5, 7]
    torch.testing.assert_close(gradient.to_dense(), expected)
    assert values_of(gradient).norm().item() == pytest.approx(expected.norm().item())


def test_small_tables_and_those_outside_the_block_have_whole_gradients(
    table: torch.nn.Parameter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with row_gradients():
        looked_up(table).backward()
    assert table.grad is not None
    assert not table.grad.is_sparse
    monkeypatch.setattr(module, "SMALLEST_TABLE", 1)
    with row_gradients():
        product = table * 2  # not a parameter: what it came from needs the whole
        _sparse.take(product, torch.tensor([1])).sum().backward()
    looked_up(table).backward()
    assert not table.grad.is_sparse


def test_an_optimiser_steps_as_with_whole_gradients(table: torch.nn.Parameter) -> None:
    other = copy.deepcopy(table)
    adams = [torch.optim.Adam([x], lr=0.1, fused=True) for x in (table, other)]
    whole = WholeGradients()
    for rows in ([0, 3], [3, 8], [1]):
        values = torch.full((len(rows), 4), 1.0 + rows[0])
        other.grad = torch.zeros(9, 4)
        other.grad[rows] = values
        table.grad = module.with_rows(other.grad, torch.tensor(rows), values.clone())
        with whole.of([table]):
            adams[0].step()
        adams[1].step()
        assert table.grad is None
        assert torch.equal(table, other)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"encoder.input_table": False},
        {"encoder": "mf", "objective.observed_target": "all"},
        {"optimizer.gradient_clip": 0.01},
        {"optimizer.weight_decay": 0.01},
    ],
    ids=["default", "one table", "mf", "clip", "decay"],
)
def test_a_fit_learns_the_same_by_rows(settings: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    events: Interactions = generate_interactions(120, 60, 1500, rng=0)
    config = quick("default", teacher={"name": "none"}, **settings)
    whole = train(events, config, options=run_options(3))
    monkeypatch.setattr(module, "SMALLEST_TABLE", 1)
    by_rows = train(events, config, options=run_options(3))
    for ours, theirs in zip(by_rows.training["history"], whole.training["history"], strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-4)
    np.testing.assert_allclose(by_rows.items.embeddings, whole.items.embeddings, atol=2e-3)
