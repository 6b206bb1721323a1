"""What several processes share: parts that add up to what one process computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tests.training.quick import quick
from tests.training.together import together

from hashgnn._launched import Launched
from hashgnn.config import ModelConfig
from hashgnn.data import Interactions, generate_interactions, split
from hashgnn.graph import BipartiteGraph, choose_filter, smooth_item_vectors
from hashgnn.nn import SoftmaxWorkspace, Targets, bilateral_full_softmax, full_softmax
from hashgnn.nn.losses.parted_softmax import (
    PartedItems,
    PartedScores,
    parted_bilateral_softmax,
    parted_softmax,
)
from hashgnn.nn.row_gradients import row_gradients, with_rows
from hashgnn.training.build import build_model
from hashgnn.training.hash_model import HashModel
from hashgnn.training.loop import make_optimizer
from hashgnn.training.objectives import EdgeObjective, StepPosition, build_objective
from hashgnn.training.objectives.base import Preparing
from hashgnn.training.objectives.teacher import build_teacher
from hashgnn.training.torch_backend import ProcessorBackend
from hashgnn.training.train import graph_view
from hashgnn.training.validation import Validator, code_scorer
from hashgnn.training.workers import gradients
from hashgnn.training.workers.group import ALONE, Group
from hashgnn.training.workers.row_shards import RowShards
from hashgnn.training.workers.sharding import sharded_parameters

SIZES = (1, 2, 3)
STEP = StepPosition(0, 3, 1, 4)


@pytest.fixture(scope="module")
def skewed() -> Interactions:
    return generate_interactions(90, 40, 900, rng=0)


def scores_and_targets(dtype: torch.dtype, n_items: int = 17) -> dict[str, Any]:
    """Six rows: the third has no target, and everything is left out in it."""
    torch.manual_seed(0)
    rows = torch.tensor([0, 0, 1, 3, 3, 3, 4, 5])
    columns = torch.tensor([1, 4, 0, 2, 2, 9, 16, 8])
    excluded = torch.cat([torch.full((n_items,), 2), torch.tensor([3, 3, 5])])
    places = torch.cat([torch.arange(n_items), torch.tensor([5, 6, 0])])
    return {
        "queries": torch.randn(6, 5, dtype=dtype),
        "items": torch.randn(n_items, 5, dtype=dtype),
        "bias": torch.randn(n_items, dtype=dtype),
        "targets": Targets(6, rows, columns, torch.rand(8, dtype=dtype) + 0.1),
        "excluded": (excluded, places),
    }


def in_parts(
    size: int, given: dict[str, Any], *, half: bool = False, **options: Any
) -> tuple[tuple[float, float], list[torch.Tensor]]:
    """Return the losses of two kinds of scores and the gradients of one, put together from the parts of a group.

    The gradients are of queries, items and bias; the other kind has doubled queries and no bias.
    """
    targets, (rows, places) = given["targets"], given["excluded"]
    weights = torch.zeros(6, dtype=targets.weights.dtype).index_add(0, targets.rows, targets.weights)
    function = parted_bilateral_softmax if "ratio" in options else parted_softmax

    def part(group: Group) -> tuple[tuple[float, float], torch.Tensor, torch.Tensor, torch.Tensor]:
        mine = targets.columns % size == group.rank
        own = Targets(6, targets.rows[mine], targets.columns[mine] // size, targets.weights[mine])
        kept = (places % size == group.rank) & (weights[rows] > 0)
        queries = given["queries"].clone().requires_grad_()
        items = given["items"][group.rank :: size].clone().requires_grad_()
        bias = given["bias"][group.rank :: size].clone().requires_grad_()
        parted = PartedItems(group, weights, -(-len(given["items"]) // size))
        excluded = rows[kept], places[kept] // size
        both = [PartedScores(queries, items, bias), PartedScores(2 * queries.detach(), items.detach())]
        workspace = SoftmaxWorkspace(rounds_up=True) if half else None
        loss, of_other = function(both, own, parted, excluded=excluded, workspace=workspace, **options)
        (loss + of_other).backward()
        gradients = (x.grad for x in (queries, items, bias) if x.grad is not None)
        return ((loss.item(), of_other.item()), *gradients)

    parts = together(size, part)
    of_items, of_bias = torch.empty_like(given["items"]), torch.empty_like(given["bias"])
    for rank, (_, _, items, bias) in enumerate(parts):
        of_items[rank::size], of_bias[rank::size] = items, bias
    losses = sum(both[0] for both, *_ in parts), sum(both[1] for both, *_ in parts)
    return losses, [torch.stack([p[1] for p in parts]).sum(dim=0), of_items, of_bias]


@pytest.mark.parametrize("size", [*SIZES, 20])
@pytest.mark.parametrize("ratio", [None, 1.5])
@pytest.mark.parametrize("times", [1, 90], ids=["small scores", "scores whose exponentials overflow"])
def test_parts_of_the_softmax_add_up(size: int, ratio: float | None, times: float) -> None:
    given = scores_and_targets(torch.float64)
    given["queries"] *= times
    leaves = [given[name].clone().requires_grad_() for name in ("queries", "items", "bias")]
    options: dict[str, Any] = {} if ratio is None else {"ratio": ratio}
    function: Callable[..., torch.Tensor] = full_softmax if ratio is None else bilateral_full_softmax
    whole = function(*leaves[:2], given["targets"], bias=leaves[2], excluded=given["excluded"], **options)
    whole.backward()
    other = function(
        2 * given["queries"], given["items"], given["targets"], excluded=given["excluded"], **options
    )
    losses, found = in_parts(size, given, **options)
    assert losses == pytest.approx((whole.item(), other.item()), rel=1e-10)
    for leaf, gradient in zip(leaves, found, strict=True):
        torch.testing.assert_close(gradient, leaf.grad, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("n_items", [17, 403])
@pytest.mark.parametrize("times", [1, 30])
def test_bfloat16_parts_are_as_near_as_bfloat16_is(n_items: int, times: float) -> None:
    given = scores_and_targets(torch.float32, n_items)
    given["queries"] *= times
    exact_losses, exact = in_parts(1, given)
    losses, found = in_parts(2, given, half=True)
    assert losses == pytest.approx(exact_losses, rel=0.02)
    for gradient, truth in zip(found, exact, strict=True):
        assert (gradient - truth).norm() < 0.02 * truth.norm()


@pytest.mark.parametrize("touched", [3, 1500])
@pytest.mark.parametrize("by_rows", [set[int](), {1}, {0, 1, 2}], ids=["whole", "one by rows", "all by rows"])
def test_gradients_of_tables_are_added_where_any_process_has_some(
    touched: int, by_rows: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradients, "SMALLEST_TABLE", 100)
    rows = [np.random.default_rng(rank).choice(2000, touched, replace=False) for rank in range(3)]

    def add(group: Group) -> tuple[torch.Tensor, torch.Tensor]:
        table = torch.nn.Parameter(torch.zeros(2000, 4))
        weight = torch.nn.Parameter(torch.zeros(()))
        table.grad, weight.grad = torch.zeros(2000, 4), torch.tensor(1.0 + group.rank)
        table.grad[rows[group.rank]] = 1.0 + group.rank
        if group.rank in by_rows:
            own = torch.from_numpy(np.sort(rows[group.rank]))
            table.grad = with_rows(table.grad, own, table.grad[own])
        gradients.add_gradients(group, [table, weight])
        return table.grad.to_dense(), weight.grad

    expected = torch.zeros(2000, 4)
    for rank, own in enumerate(rows):
        expected[own] += 1.0 + rank
    for table, weight in together(3, add):
        assert torch.equal(table, expected)
        assert weight.item() == 6


@pytest.mark.parametrize("size", SIZES)
def test_rows_that_are_cut_and_joined_are_those_that_were(size: int) -> None:
    torch.manual_seed(0)
    start, gradient = torch.randn(11, 3), torch.randn(11, 3)

    def work(group: Group) -> tuple[int, torch.Tensor, torch.Tensor, torch.Tensor, int, torch.Tensor]:
        table = torch.nn.Parameter(start.clone())
        adam = torch.optim.Adam([table], fused=True)
        table.grad = gradient.clone()
        adam.step()
        shards = RowShards(group, {"table": table}, adam)
        shards.cut()
        n_own = len(table)
        table.grad = gradient[group.rank :: group.size].clone()
        adam.step()
        with shards.whole(everywhere=True, moments=True):
            whole, moment = table.detach().clone(), adam.state[table]["exp_avg"].clone()
        again = len(table)
        shards.join()
        return n_own, whole, moment, table.detach(), again, adam.state[table]["step"]

    alone = together(1, work)[0]
    found = together(size, work)
    for rank, (n_own, whole, moment, _, again, step) in enumerate(found):
        assert n_own == again == len(range(rank, 11, size))
        assert torch.equal(whole, alone[1])
        assert rank > 0 or torch.equal(moment, alone[2])
        assert step == 2
    assert torch.equal(found[0][3], alone[3])


def gradients_of_users(
    interactions: Interactions, config: ModelConfig, size: int, shard_from: int
) -> tuple[float, dict[str, torch.Tensor]]:
    """Return loss and gradients of one step, put together from those of a group."""

    def step(group: Group) -> tuple[float, dict[str, torch.Tensor], list[str]]:
        graph = BipartiteGraph.from_interactions(interactions)
        view = graph_view(graph)
        model = build_model(graph, view, config, np.random.default_rng(0), group)
        sharded = sharded_parameters(model, config, group, shard_from)
        objective = build_objective(
            graph, view, config, np.random.default_rng(1), False, group, sharded=bool(sharded)
        )
        adam = make_optimizer(model, config.optimizer, model.tables())
        parameters = dict(model.named_parameters())
        if sharded:
            RowShards(group, {name: parameters[name] for name in sharded}, adam).cut()
        model.train()
        batch = next(iter(objective.batches(np.random.default_rng(2))))
        generator = torch.Generator().manual_seed(3)
        if isinstance(objective, Preparing):
            objective.prepare(model, batch, STEP, generator)
        with row_gradients():
            loss = objective.loss(model, batch, STEP, generator)
        loss.backward()
        found = {}
        for name, x in parameters.items():
            gradient = torch.zeros_like(x) if x.grad is None else x.grad.to_dense()
            found[name] = gradient if name in sharded else group.sum_(gradient)
        return float(group.sum_(loss.detach().double())), found, sharded

    parts = together(size, step)
    found = dict(parts[0][1])
    for name in parts[0][2]:
        whole = torch.zeros(sum(len(part[name]) for _, part, _ in parts), *found[name].shape[1:])
        for rank, (_, part, _) in enumerate(parts):
            whole[rank::size] = part[name]
        found[name] = whole
    return parts[0][0], found


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("shard_from", [1, 10_000])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"objective.item_share": 1.0, "objective.bilateral_ratio": 1.5, "objective.top_k": None},
        {"objective.top_k": 5, "objective.top_k_loss": "slatk", "objective.top_k_threshold": "scores"},
        {"objective.top_k": 5, "objective.top_k_threshold": "scores"},
        {"objective.top_k": 5, "objective.top_k_threshold": "regression"},
        {"objective.code_weight": 0.0},
        {"objective.balance_weight": 0.5, "objective.decorrelation_weight": 0.5},
        {"encoder": "mf", "objective.observed_target": "all"},
        {"encoder": {"name": "lightgcn", "n_layers": 1}},
    ],
    ids=["default", "bilateral", "slatk", "talos", "regression", "no codes", "penalties", "mf", "lightgcn"],
)
def test_the_step_of_a_group_is_that_of_one_process(
    size: int,
    shard_from: int,
    settings: dict[str, Any],
    skewed: Interactions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Without bfloat16, and with codes for which nothing is drawn, only sums are rounded otherwise.
    monkeypatch.setattr("hashgnn.training.objectives.users.has_fast_bfloat16", lambda device: False)
    monkeypatch.setattr("hashgnn.nn.row_gradients.SMALLEST_TABLE", 1)
    config = quick("default", relaxation="ste", teacher={"name": "none"}, **settings)
    loss, expected = gradients_of_users(skewed, config, 1, shard_from)
    found_loss, found = gradients_of_users(skewed, config, size, shard_from)
    assert found_loss == pytest.approx(loss, rel=1e-5)
    for name, gradient in expected.items():
        scale = float(gradient.abs().max()) + 1e-6
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-3 * scale, msg=name)


@pytest.mark.parametrize("negatives", ["uniform", "in_batch"])
def test_edges_are_parted_by_users_and_their_losses_weigh_alike(negatives: str, skewed: Interactions) -> None:
    config = quick(
        "paper",
        relaxation="ste",
        **{
            "objective.negatives": negatives,
            "objective.balance_weight": 1.0,
            "objective.reconstruction_weight": 0.0,
            "objective.ranking_weight": 0.0,
            "optimizer.batch_size": 300,
        },
    )

    def epoch(group: Group) -> tuple[list[set[tuple[int, int]]], list[float]]:
        graph = BipartiteGraph.from_interactions(skewed)
        view = graph_view(graph)
        objective = build_objective(graph, view, config, np.random.default_rng(1), False, group)
        assert isinstance(objective, EdgeObjective)
        model = build_model(graph, view, config, np.random.default_rng(0), group)
        edges, losses = [], []
        for batch in objective.batches(np.random.default_rng(2)):
            users = batch.distinct_users[batch.users].tolist()
            edges.append(set(zip(users, batch.distinct_items[batch.items].tolist(), strict=True)))
            loss = objective.loss(model, batch, STEP, torch.Generator().manual_seed(0))
            losses.append(float(group.sum_(loss.detach().double())))
        return edges, losses

    ((whole, _),) = together(1, epoch)
    parts = together(3, epoch)
    for number, batch in enumerate(whole):
        own = [edges[number] for edges, _ in parts]
        assert set.union(*own) == batch
        assert sum(map(len, own)) == len(batch)
        assert all(user % 3 == rank for rank, edges in enumerate(own) for user, _ in edges)
    assert parts[0][1] == parts[1][1] == parts[2][1]
    assert all(0 < loss < 1 for loss in parts[0][1])


def test_spectrum_lists_and_choice_are_shared_without_a_difference(skewed: Interactions) -> None:
    graph = BipartiteGraph.from_interactions(skewed)
    config = quick("default", **{"teacher.rank": 8, "teacher.k": 5})
    calls: list[int] = []

    class Counting(ProcessorBackend):
        def best(self, scores: Any, seen: Any, k: int) -> Any:
            calls.append(len(scores))
            return super().best(scores, seen, k)

    def teach(group: Group) -> tuple[np.ndarray[Any, Any], Any, np.ndarray[Any, Any]]:
        backend = Counting(group)
        teacher = build_teacher(graph, config.teacher, np.random.default_rng(0), False, backend)
        assert teacher is not None
        choice = choose_filter(graph, rank=8, rng=0, backend=backend)
        kept = choice.filter.top(5, kept=10, backend=backend).positions
        return teacher.lists, teacher.facts, kept

    ((lists, facts, kept),) = together(1, teach)
    alone = sum(calls)
    calls.clear()
    for found, found_facts, found_kept in together(3, teach):
        assert (found == lists).mean() > 0.99
        assert found_facts["family"] == facts["family"]
        assert (found_kept == kept).mean() > 0.99
    assert sum(calls) == alone  # each user was ranked once, by one of the three


def test_the_spectrum_in_blocks_is_shared(skewed: Interactions) -> None:
    graph = BipartiteGraph.from_interactions(skewed)

    def vectors(group: Group) -> np.ndarray[Any, Any]:
        backend = ProcessorBackend(group)
        return smooth_item_vectors(graph, 4, rng=0, users_per_block=20, backend=backend)

    (alone,) = together(1, vectors)
    for found in together(3, vectors):
        np.testing.assert_allclose(found, alone, atol=1e-4)


@pytest.mark.parametrize("teacher", ["ridge", "spectral"])
def test_lists_of_every_family_are_shared(teacher: str, skewed: Interactions) -> None:
    graph = BipartiteGraph.from_interactions(skewed)
    config = quick("default", teacher={"name": teacher, "k": 5})

    def lists(group: Group) -> np.ndarray[Any, Any]:
        found = build_teacher(graph, config.teacher, np.random.default_rng(0), False, ProcessorBackend(group))
        assert found is not None
        return found.lists

    (alone,) = together(1, lists)
    for found in together(3, lists):
        assert (found == alone).mean() > 0.99


def test_validation_is_shared_and_its_mean_is_that_of_all_users(skewed: Interactions) -> None:
    train, valid = split.random(skewed, 0.3, rng=0)
    config = quick("default", teacher={"name": "none"})

    def measured(group: Group) -> dict[str, float]:
        graph = BipartiteGraph.from_interactions(train)
        view = graph_view(graph)
        model = build_model(graph, view, config, np.random.default_rng(0), ALONE)
        validator: Validator[HashModel] = Validator(
            train, valid, "recall@5", lambda m: code_scorer(m, view), max_users=50, group=group
        )
        return validator(model)

    (alone,) = together(1, measured)
    for found in together(3, measured):
        assert found == pytest.approx(alone, rel=1e-6)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "h", "MASTER_PORT": "1"}, None),
        ({"RANK": "1", "WORLD_SIZE": "2"}, None),
        (
            {
                "RANK": "3",
                "WORLD_SIZE": "4",
                "MASTER_ADDR": "h",
                "MASTER_PORT": "1",
                "LOCAL_RANK": "1",
                "LOCAL_WORLD_SIZE": "2",
                "TORCHELASTIC_RESTART_COUNT": "2",
            },
            Launched(3, 4, 1, 2, 2),
        ),
    ],
)
def test_the_place_of_a_process_is_read_from_its_environment(
    environment: dict[str, str], expected: Launched | None
) -> None:
    assert Launched.from_environment(environment) == expected
