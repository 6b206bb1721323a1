"""What the objectives make of a batch: expected counts, a teacher's edges, penalties on codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.training.quick import quick, run_options, same_group_share

from hashgnn.data import Interactions, generate_interactions
from hashgnn.graph import Backend, BipartiteGraph, SpectralFilter
from hashgnn.nn import GraphView, Targets, full_softmax
from hashgnn.state import load_state, save_state
from hashgnn.training import train
from hashgnn.training.build import build_model
from hashgnn.training.hash_model import HashModel
from hashgnn.training.objectives import EdgeObjective, StepPosition, UserObjective
from hashgnn.training.objectives.teacher import build_teacher
from hashgnn.training.objectives.users import ItemSample


def objective(graph: BipartiteGraph, **settings: object) -> EdgeObjective:
    config = quick("paper", **{"optimizer.batch_size": 100000}, **settings)
    view = GraphView.from_scipy(graph.user_item, adjacency=graph.adjacency)
    return EdgeObjective(graph, view, config, np.random.default_rng(0), False)


@pytest.fixture(scope="module")
def skewed() -> Interactions:
    """Items of falling popularity; user 0 has seen all but two."""
    rng = np.random.default_rng(0)
    matrix = rng.random((60, 12)) < np.linspace(0.9, 0.1, 12)
    matrix[0] = np.arange(12) < 10
    return Interactions.from_arrays(*np.nonzero(matrix))


@pytest.mark.parametrize("negatives", ["uniform", "popularity", "in_batch"])
def test_negatives_come_as_often_as_their_expected_count_says(negatives: str, skewed: Interactions) -> None:
    graph = BipartiteGraph.from_interactions(skewed)
    edges = objective(graph, **{"objective.negatives": negatives, "objective.n_negatives": 4})
    drawn, expected = np.zeros((60, 12)), np.zeros((60, 12))
    rng = np.random.default_rng(1)
    rounds = 120
    for _ in range(rounds):
        batch = next(iter(edges.batches(rng)))
        users = batch.distinct_users[batch.users].numpy()
        items = batch.distinct_items[batch.negatives].numpy()
        np.add.at(drawn, (users[:, None], items), 1)
        expected[users[:, None], items] = batch.log_expected.exp().numpy()
    drawn /= rounds * np.diff(graph.user_item.indptr)[:, None]
    seen = graph.user_item.toarray() > 0
    assert drawn[seen].sum() == 0
    np.testing.assert_allclose(expected.sum(axis=1), 4, rtol=1e-5)
    assert np.abs(drawn - expected)[~seen].mean() < 0.03
    np.testing.assert_allclose(drawn[:, 8:].sum(axis=0), expected[:, 8:].sum(axis=0), rtol=0.1)


@pytest.mark.parametrize("sampled", [{"fan_outs": [99, 99]}, {"fan_outs": [99, 99], "item_fan_outs": [99]}])
def test_samples_of_all_neighbours_have_the_loss_and_gradient_of_the_whole_graph(
    sampled: dict[str, object], skewed: Interactions
) -> None:
    """Users and items are computed together where both draw alike, and apart where items have fewer layers."""
    graph = BipartiteGraph.from_interactions(skewed)
    view = GraphView.from_scipy(graph.user_item, adjacency=graph.adjacency)
    found = []
    for given in (sampled, {}):
        layers = {"item_layers": 1} if "item_fan_outs" in sampled else {}
        config = quick("paper", encoder={"name": "graphsage", **layers, **given}, relaxation="none")
        made = EdgeObjective(graph, view, config, np.random.default_rng(0), False)
        model = build_model(graph, view, config, np.random.default_rng(1))
        # The draws of neighbours come last, so that both see the same edges and negatives.
        batch = next(iter(made.batches(np.random.default_rng(2))))
        assert len(batch.sampled) == (0 if not given else 1 + ("item_fan_outs" in given))
        loss = made.loss(model, batch, StepPosition(0, 1, 0, 1), torch.Generator().manual_seed(0))
        loss.backward()
        found.append([loss.detach(), *(x.grad for x in model.parameters() if x.grad is not None)])
    for one, whole in zip(*found, strict=True):
        torch.testing.assert_close(one, whole, rtol=1e-4, atol=1e-6)


def test_a_share_of_the_edges_leads_to_the_teacher_s_items_by_their_rank(blocks: Interactions) -> None:
    graph = BipartiteGraph.from_interactions(blocks)
    settings = {"teacher": "spectral", "teacher.k": 4, "teacher.decay": 2.0, "teacher.rank": 8}
    edges = objective(graph, **{"teacher.weight": 0.25}, **settings)
    lists = SpectralFilter.fit(graph, rank=8, alpha=0.3, rng=np.random.default_rng(0)).top(4).positions
    rng = np.random.default_rng(2)
    at_rank, n_edges = np.zeros(4), 0
    for _ in range(60):
        batch = next(iter(edges.batches(rng)))
        users, items = batch.distinct_users[batch.users].numpy(), batch.distinct_items[batch.items].numpy()
        known = graph.has_edges(users, items)
        assert (lists[users[~known]] == items[~known, None]).any(axis=1).all()
        at_rank += (lists[users[~known]] == items[~known, None]).sum(axis=0)
        n_edges += len(users)
    assert at_rank.sum() / n_edges == pytest.approx(0.25, abs=0.02)
    weights = np.exp(-np.arange(4) / 2.0)
    np.testing.assert_allclose(at_rank / at_rank.sum(), weights / weights.sum(), atol=0.03)


@pytest.mark.parametrize(
    "settings",
    [
        {"objective.ranking_loss": "bilateral_softmax", "objective.ranking_loss.ratio": 2.0},
        {"objective.ranking_loss": "sampled_softmax"},
        {"objective.ranking_loss": "psl", "objective.ranking_loss.temperature": 0.5},
        {
            "objective.ranking_loss": "sampled_softmax",
            "objective.negatives": "popularity",
            "objective.ranking_loss.popularity_correction": True,
        },
        {"objective.ranking_loss": "bpr", "teacher": "spectral", "teacher.k": 3, "teacher.rank": 8},
    ],
    ids=lambda settings: " ".join(settings),
)
def test_groups_are_learned_by_every_ranking_loss(settings: dict[str, object], blocks: Interactions) -> None:
    config = quick(
        "paper",
        **{
            "objective.reconstruction_weight": 0.0,
            "objective.score_scale": 0.25,
            "optimizer.batch_size": 64,
            "optimizer.epochs": 40,
        },
        **settings,
    )
    assert same_group_share(train(blocks, config, options=run_options(0))) >= 0.95


def test_groups_are_learned_by_the_bilateral_softmax_over_all_items(blocks: Interactions) -> None:
    config = quick(
        "default",
        **{
            "objective.bilateral_ratio": 1.5,
            "objective.top_k": None,
            "objective.min_steps": 4,
            "optimizer.epochs": 25,
        },
    )
    assert same_group_share(train(blocks, config, options=run_options(0))) >= 0.95


def test_a_sample_of_items_estimates_the_softmax_over_all() -> None:
    generator = torch.Generator().manual_seed(0)
    queries, items = (0.7 * torch.randn(n, 4, generator=generator) for n in (6, 400))
    targets = Targets.from_lists(torch.tensor([0, 3, 8, 2, 5, 7]), torch.ones(6, dtype=torch.long))
    seen = torch.tensor([0, 0, 5]), torch.tensor([11, 12, 13])
    whole = full_softmax(queries, items, targets, excluded=seen).item()
    found, sizes = [], []
    for _ in range(300):
        sample = ItemSample.draw(targets.columns, 400, 0.2, generator)
        inside, left_out = sample.places(targets, seen)
        chosen = full_softmax(queries, items[sample.items], inside, bias=sample.correction, excluded=left_out)
        found.append(chosen.item())
        sizes.append(len(sample.items))
    assert np.mean(sizes) == pytest.approx(6 + 0.2 * 394, rel=0.03)
    # The logarithm of an unbiased sum is a little low on average; without the correction it is 1.5 too low.
    assert np.mean(found) == pytest.approx(whole, abs=0.05)
    certain = ItemSample.draw(targets.columns, 400, 1.0, generator)
    assert certain.items.tolist() == list(range(400))
    assert certain.correction.abs().max() == 0


def test_targets_are_the_items_left_out_of_the_input_history(blocks: Interactions) -> None:
    graph = BipartiteGraph.from_interactions(blocks)
    config = quick(
        "default",
        **{
            "objective.observed_target": "left_out",
            "encoder.history_dropout": 0.4,
            "teacher.weight": 0.5,
            "teacher.k": 4,
        },
    )
    view = GraphView.from_scipy(graph.user_item)
    users = UserObjective(graph, view, config, np.random.default_rng(0), False)
    batch = np.arange(graph.n_users)
    shown_view, targets, shown = users._batch_targets(batch, torch.Generator().manual_seed(1))
    probability = np.zeros((graph.n_users, graph.n_items))
    np.add.at(probability, (targets.rows.numpy(), targets.columns.numpy()), targets.weights.numpy())
    was_shown = np.zeros(probability.shape, bool)
    was_shown[shown[0].numpy(), shown[1].numpy()] = True
    seen = graph.user_item.toarray() > 0
    assert not (was_shown & (probability > 0)).any()
    assert ((probability > 0) | was_shown)[seen].all()
    assert was_shown.sum() / seen.sum() == pytest.approx(0.6, abs=0.08)
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-6)
    left = (seen & ~was_shown).any(axis=1)
    np.testing.assert_allclose((probability * seen).sum(axis=1)[left], 0.5, atol=1e-6)
    assert shown_view.histories is not None
    assert shown_view.histories[0].tolist() == shown[1].tolist()


def test_the_teacher_counts_less_where_more_is_known(blocks: Interactions) -> None:
    graph = BipartiteGraph.from_interactions(blocks)
    config = quick("default", **{"objective.observed_target": "all", "teacher.count": 5.0, "teacher.k": 4})
    users = UserObjective(
        graph, GraphView.from_scipy(graph.user_item), config, np.random.default_rng(0), False
    )
    _, targets, _ = users._batch_targets(np.arange(graph.n_users), torch.Generator())
    probability = np.zeros((graph.n_users, graph.n_items))
    np.add.at(probability, (targets.rows.numpy(), targets.columns.numpy()), targets.weights.numpy())
    known = np.asarray((graph.user_item > 0).sum(axis=1)).ravel()
    share = (probability * (graph.user_item.toarray() == 0)).sum(axis=1)
    np.testing.assert_allclose(share, 5 / (5 + known), atol=1e-6)


def test_users_of_one_interaction_each_can_be_trained_on_and_saved(tmp_path: Path) -> None:
    interactions = Interactions.from_arrays(np.arange(12), np.arange(12) % 5)
    state = train(interactions, quick("default"), options=run_options(0))
    assert state.training["teacher"]["held_out_recall@20"] is None
    save_state(state, tmp_path / "model")
    assert load_state(tmp_path / "model").training["teacher"] == state.training["teacher"]


@pytest.mark.parametrize("teacher", ["none", "auto"])
def test_small_catalogues_train_on_a_sample_of_their_items(teacher: str, blocks: Interactions) -> None:
    config = quick(
        "default",
        teacher={"name": teacher, **({} if teacher == "none" else {"k": 3, "rank": 8})},
        **{"encoder.history_dropout": 0.1, "optimizer.epochs": 6},
    )
    losses = [entry["loss"] for entry in train(blocks, config, options=run_options(0)).training["history"]]
    assert np.isfinite(losses).all()


@pytest.mark.parametrize(
    "settings",
    [
        {"objective.item_share": 0.3},
        {"objective.observed_target": "left_out", "encoder.history_dropout": 0.3},
        {
            "objective.observed_target": "left_out",
            "objective.item_share": 0.3,
            "item_bias": False,
            "teacher": {"name": "chebyshev", "k": 3, "rank": 8},
        },
    ],
    ids=str,
)
def test_groups_are_learned_by_a_user_objective(settings: dict[str, object], blocks: Interactions) -> None:
    config = quick("default", **{"objective.min_steps": 4, "optimizer.epochs": 25}, **settings)
    assert same_group_share(train(blocks, config, options=run_options(0))) >= 0.95


def test_popularity_correction_leaves_popular_items_higher(skewed: Interactions) -> None:
    def slope(corrected: bool) -> float:
        config = quick(
            "paper",
            **{
                "objective.ranking_loss": "sampled_softmax",
                "objective.negatives": "popularity",
                "objective.negatives.exponent": 1.0,
                "objective.ranking_loss.popularity_correction": corrected,
                "objective.reconstruction_weight": 0.0,
                "objective.ranking_weight": 1.0,
                "objective.score_scale": 0.25,
            },
            item_bias=True,
            **{"optimizer.batch_size": 128, "optimizer.epochs": 60, "optimizer.learning_rate": 0.03},
        )
        state = train(skewed, config, options=run_options(0))
        assert state.items.bias is not None
        bits = (
            state.users.codes.signs().astype(float) @ state.items.codes.signs().T + state.items.bias.values()
        )
        return float(np.polyfit(np.log(state.seen.sum(axis=0).A1), bits.mean(axis=0), 1)[0])

    assert slope(True) > slope(False) + 0.5


@pytest.mark.parametrize("recipe", ["default", "paper"])
def test_penalties_even_out_and_part_the_bits(recipe: str, blocks: Interactions) -> None:
    def imbalance_and_correlation(**weights: float) -> tuple[float, float]:
        config = quick(
            recipe,
            **{"optimizer.batch_size": 64},
            **{"relaxation.schedule": "constant"},
            float_embedding="relaxed",
            item_bias=False,
            **({"objective.min_steps": 4} if recipe == "default" else {}),
            **{"optimizer.epochs": 30},
            **weights,
        )
        state = train(blocks, config, options=run_options(0))
        z = state.items.embeddings.astype(float)
        products = z.T @ z / len(z)
        return float((z.mean(axis=0) ** 2).mean()), float(np.mean(products[~np.eye(16, dtype=bool)] ** 2))

    plain = imbalance_and_correlation()
    assert imbalance_and_correlation(**{"objective.balance_weight": 100.0})[0] < 0.5 * plain[0]
    assert imbalance_and_correlation(**{"objective.decorrelation_weight": 100.0})[1] < 0.5 * plain[1]


@pytest.mark.parametrize(("relaxation", "strengths"), [("guided", [0.75, 0.25]), ("gumbel", [0.25, 0.25])])
def test_users_entries_stay_relaxed_down_to_their_floor(
    relaxation: str, strengths: list[float], blocks: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = BipartiteGraph.from_interactions(blocks)
    view = GraphView.from_scipy(graph.user_item, adjacency=graph.adjacency)
    floor = {"user_floor": 0.75} if relaxation == "guided" else {}
    config = quick("default", relaxation={"name": relaxation, **floor}, teacher="none")
    model = build_model(graph, view, config, np.random.default_rng(0))
    users = UserObjective(graph, view, config, np.random.default_rng(0), False)
    seen: list[float] = []
    codes = HashModel.codes

    def watched(self, x, strength, *arguments, **options):
        seen.append(strength)
        return codes(self, x, strength, *arguments, **options)

    monkeypatch.setattr(HashModel, "codes", watched)
    monkeypatch.setattr(type(model.relaxation), "strength", lambda *_: 0.25)
    batch = next(users.batches(np.random.default_rng(0)))
    assert torch.isfinite(
        users.loss(model, batch, StepPosition(0, 1, 0, 1), torch.Generator().manual_seed(0))
    )
    assert seen == strengths


def test_where_users_crowd_the_teacher_filters_items() -> None:
    requested: list[int | None] = []

    class Watched(Backend):
        def strongest(self, scores, k):
            requested.append(k)
            return super().strongest(scores, k)

    config = quick("default", teacher={"name": "spectral", "k": 3})
    for n_users in (100, 20):
        graph = BipartiteGraph(generate_interactions(n_users, 15, 4 * n_users, rng=0).csr)
        teacher = build_teacher(graph, config.teacher, np.random.default_rng(0), False, Watched())
        assert teacher is not None
        assert teacher.lists.shape == (n_users, 3)
    assert requested == [15]  # of the hundred users, each item once
