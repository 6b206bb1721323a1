"""Objective ``users`` with losses of the K best items: what it trains, keeps, resumes, shares and refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.training.quick import quick, run_options, same_group_share
from tests.training.together import together

from hashgnn.config import ModelConfig
from hashgnn.data import Interactions, generate_interactions
from hashgnn.errors import ParameterError
from hashgnn.graph import BipartiteGraph
from hashgnn.nn import SoftmaxWorkspace, Targets, TopK, full_softmax
from hashgnn.nn.losses.parted_softmax import PartedItems, PartedScores, parted_softmax
from hashgnn.runs import Callback, Run
from hashgnn.training import train
from hashgnn.training.build import build_model
from hashgnn.training.objectives import StepPosition, UserObjective
from hashgnn.training.train import graph_view
from hashgnn.training.workers.group import Group

KINDS: list[dict[str, object]] = [
    {"objective.top_k": 5, "objective.top_k_loss": "slatk", "objective.top_k_threshold": "scores"},
    {"objective.top_k": 500, "objective.top_k_loss": "slatk", "objective.top_k_threshold": "scores"},
    {"objective.top_k": 5, "objective.top_k_threshold": "scores"},
    {"objective.top_k": 5, "objective.top_k_loss": "slatk", "objective.top_k_threshold": "regression"},
    {"objective.top_k": 5, "objective.top_k_threshold": "regression"},
]


class WideWorkspace(SoftmaxWorkspace):
    """Has columns without an item, as a sample that is rounded up."""

    def n_columns(self, n_items: int) -> int:
        return n_items + 3


def settings(**more: object) -> ModelConfig:
    return quick("default", **{"objective.min_steps": 4, "optimizer.epochs": 25, **more})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: " ".join(map(str, kind.values())))
@pytest.mark.parametrize("item_share", [1.0, 0.3])
def test_groups_are_learned(kind: dict[str, object], item_share: float, blocks: Interactions) -> None:
    config = settings(**{"objective.item_share": item_share}, **kind)
    assert same_group_share(train(blocks, config, options=run_options(0))) >= 0.95


@pytest.mark.parametrize("item_share", [1.0, 0.3])
def test_a_step_is_the_sum_of_all_kinds_of_scores_each_with_its_own_thresholds(item_share: float) -> None:
    """Against the loss of the scores written out, with the sample that the step draws."""
    data = generate_interactions(40, 30, 400, rng=0)
    graph = BipartiteGraph.from_interactions(data)
    view = graph_view(graph)
    config = settings(
        **{
            "objective.top_k": 4,
            "objective.top_k_loss": "slatk",
            "objective.top_k_threshold": "scores",
            "objective.top_k_temperature": 1.5,
            "objective.item_share": item_share,
            "objective.observed_target": "all",
            "objective.float_query_weight": 0.7,
            "teacher": "none",
            "relaxation": "none",
        }
    )
    model = build_model(graph, view, config, np.random.default_rng(1))
    users = UserObjective(graph, view, config, np.random.default_rng(0), False)
    users._workspace = None
    batch = np.arange(12)
    loss = users.loss(model, batch, StepPosition(0, 1, 0, 1), torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    rows = graph.user_item[batch]
    targets = Targets.from_lists(
        torch.from_numpy(rows.indices.astype(np.int64)),
        torch.from_numpy(np.diff(rows.indptr).astype(np.int64)),
    )
    sample = users._sample(targets, generator)
    items = torch.arange(30) if sample is None else sample.items
    log_counts = torch.zeros(30) if sample is None else sample.correction
    columns = targets.columns if sample is None else sample.place[targets.columns]
    nodes = torch.cat([torch.from_numpy(batch), items + graph.n_users])
    u = model.encoder(view, nodes, generator=generator)
    h = torch.cat([model.hash_layer(u[:12], "user"), model.hash_layer(u[12:], "item")])
    queries = model.hash_layer.project(u[:12], "user")
    queries = queries * (model.hash_layer.n_bits**0.5 / queries.norm(dim=1, keepdim=True))
    assert model.item_bias is not None
    expected = 0.0
    for weight, s in (
        (config.objective.code_weight, model.scale * h[:12] @ h[12:].T + model.item_bias[items]),  # type: ignore[attr-defined]
        (config.objective.float_weight, model.float_scale * u[:12] @ u[12:].T),  # type: ignore[attr-defined]
        (0.7, model.scale * queries @ h[12:].T + model.item_bias[items]),
    ):
        for row in range(12):
            order = torch.argsort(s[row], descending=True)
            reached = log_counts.exp()[order].cumsum(0) >= 4 - 1e-4
            level = s[row, order[int(reached.nonzero()[0])]]
            logs = s[row] - torch.logsumexp(s[row] + log_counts, dim=0)
            for entry in torch.nonzero(targets.rows == row)[:, 0]:
                share = torch.sigmoid((s[row, columns[entry]] - level) / 1.5)
                expected -= weight * (targets.weights[entry] * share * logs[columns[entry]]).item() / 12
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_kept_thresholds_are_resumed_to_the_bit(blocks: Interactions, tmp_path: Path) -> None:
    class StopAtTwo(Callback):
        def on_epoch_end(self, run: Run) -> None:
            if run.epoch == 2:
                raise KeyboardInterrupt

    config = settings(
        **{
            "objective.top_k": 5,
            "objective.top_k_loss": "talos",
            "objective.top_k_threshold": "regression",
            "optimizer.epochs": 4,
        }
    )
    whole = train(blocks, config, options=run_options(0))
    with pytest.raises(KeyboardInterrupt):
        train(blocks, config, options=run_options(0, checkpoint_dir=tmp_path, callbacks=[StopAtTwo()]))
    resumed = train(blocks, config, options=run_options(0, checkpoint_dir=tmp_path, resume=True))
    np.testing.assert_array_equal(whole.items.embeddings, resumed.items.embeddings)


def test_thresholds_are_kept_where_asked_for_and_moved_for_the_users_of_a_step_only(
    blocks: Interactions,
) -> None:
    graph = BipartiteGraph.from_interactions(blocks)
    view = graph_view(graph)
    assert build_model(graph, view, settings(**KINDS[0]), np.random.default_rng(0)).thresholds is None
    config = settings(**KINDS[3])
    model = build_model(graph, view, config, np.random.default_rng(0))
    users = UserObjective(graph, view, config, np.random.default_rng(0), False)
    assert model.thresholds is not None
    assert model.thresholds.isnan().all()
    users.loss(model, np.array([1, 3]), StepPosition(0, 1, 0, 1), torch.Generator().manual_seed(0))
    found = ~model.thresholds.isnan()
    assert found[:, [1, 3]].all()
    assert int(found.sum()) == 6


def whole_and_parts(
    size: int, k: int, loss: Any, dtype: torch.dtype, *, half: bool = False, keeps: bool = False
) -> list[list[torch.Tensor]]:
    """Return loss and gradients of one process and of a group; the third row has no target, and nothing is in it."""
    torch.manual_seed(0)
    queries, items = torch.randn(6, 5, dtype=dtype), torch.randn(17, 5, dtype=dtype)
    bias, log_counts = (
        torch.randn(17, dtype=dtype),
        torch.where(torch.arange(17) % 3 == 2, 1.5, 0.0).to(dtype),
    )
    rows, columns = torch.tensor([0, 0, 1, 3, 3, 3, 4, 5]), torch.tensor([1, 4, 0, 6, 3, 9, 16, 7])
    weights = torch.rand(8, dtype=dtype) + 0.1
    out = torch.cat([torch.full((17,), 2), torch.tensor([3, 3, 5])])
    places = torch.cat([torch.arange(17), torch.tensor([5, 2, 0])])

    # The second row has none yet.
    first = torch.tensor([0.5, torch.nan, 0.0, -1.0, 2.0, 0.1], dtype=dtype) if keeps else None

    def part(group: Group) -> tuple[torch.Tensor, ...]:
        own_kept = [None if first is None else first.clone() for _ in range(2)]
        mine, kept = columns % size == group.rank, (places % size == group.rank) & (out != 2)
        own = Targets(6, rows[mine], columns[mine] // size, weights[mine])
        leaves = [
            x.clone().requires_grad_() for x in (queries, items[group.rank :: size], bias[group.rank :: size])
        ]
        totals = torch.zeros(6, dtype=dtype).index_add(0, rows, weights)
        own_loss, other = parted_softmax(
            [PartedScores(*leaves), PartedScores(2 * queries, items[group.rank :: size])],
            own,
            PartedItems(group, totals, -(-17 // size)),
            excluded=(out[kept], places[kept] // size),
            workspace=WideWorkspace() if half else None,
            top_k=[
                TopK(k, 0.7, loss, log_counts=log_counts[group.rank :: size], thresholds=thresholds)
                for thresholds in own_kept
            ],
        )
        own_loss.backward()
        moved = [x for x in own_kept if x is not None]
        return (own_loss.detach(), other.detach(), *(x.grad for x in leaves if x.grad is not None), *moved)

    leaves = [x.clone().requires_grad_() for x in (queries, items, bias)]
    kept = [None if first is None else first.clone() for _ in range(2)]
    rules = [TopK(k, 0.7, loss, log_counts=log_counts, thresholds=one) for one in kept]
    targets = Targets(6, rows, columns, weights)
    options: dict[str, Any] = {"excluded": (out, places)}
    whole = full_softmax(leaves[0], leaves[1], targets, bias=leaves[2], top_k=rules[0], **options)
    whole.backward()
    other = full_softmax(2 * queries, items, targets, top_k=rules[1], **options)
    parts = together(size, part)
    found = [torch.stack([p[n] for p in parts]).sum(dim=0) for n in range(3)]
    for n, like in ((3, items), (4, bias)):
        gathered = torch.empty_like(like)
        for rank in range(size):
            gathered[rank::size] = parts[rank][n]
        found.append(gathered)
    expected = [whole.detach(), other, *(x.grad for x in leaves if x.grad is not None)]
    for n, one in enumerate(kept):
        if one is not None:
            expected += [one] * size
            found += [p[5 + n] for p in parts]
    return [expected, found]


@pytest.mark.parametrize("size", [1, 2, 3, 20])
@pytest.mark.parametrize("k", [1, 4, 40])
@pytest.mark.parametrize("loss", ["slatk", "talos"])
@pytest.mark.parametrize("keeps", [False, True], ids=["scores", "regression"])
def test_parts_add_up_to_what_one_process_computes(size: int, k: int, loss: str, keeps: bool) -> None:
    for one, found in zip(*whole_and_parts(size, k, loss, torch.float64, keeps=keeps), strict=True):
        torch.testing.assert_close(found, one, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("loss", ["slatk", "talos"])
def test_bfloat16_parts_are_as_near_as_bfloat16_is(loss: str) -> None:
    for one, found in zip(*whole_and_parts(2, 4, loss, torch.float32, half=True), strict=True):
        assert (found - one).norm() < 0.03 * one.norm()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"top_k": 0}, "objective.top_k must be greater than or equal to 1, got 0"),
        ({"top_k": 5, "top_k_temperature": 0}, "objective.top_k_temperature must be greater than 0, got 0"),
        ({"top_k": 5, "top_k_loss": "psl"}, "objective.top_k_loss must be 'slatk' or 'talos', got 'psl'"),
        (
            {"top_k": None, "top_k_loss": "slatk"},
            "top_k_loss is a setting for top_k, which is none; set top_k, got 'slatk'",
        ),
        ({"top_k": None, "top_k_rate": 0.5}, "top_k_rate is a setting for top_k, which is none"),
        (
            {"top_k": 5, "top_k_threshold": "scores", "top_k_rate": 0.5},
            "top_k_rate is a setting for top_k_threshold 'regression', got 0.5",
        ),
        (
            {"top_k": 5, "bilateral_ratio": 2.0},
            "bilateral_ratio must be none with top_k, got 2 with 5; set one of them to none",
        ),
    ],
)
def test_settings_that_have_no_effect_or_break_a_rule_raise(given: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        settings(**{f"objective.{name}": value for name, value in given.items()})
