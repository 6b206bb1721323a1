"""The choice among all families by held-out interactions."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import hashgnn.graph.ridge.choice as ridge_choice
from hashgnn.data import generate_interactions
from hashgnn.errors import ParameterError
from hashgnn.graph import BipartiteGraph, ItemRidge, choose_filter, choose_teacher
from hashgnn.graph.held_out import HeldOut
from hashgnn.graph.teachers import FilterCost


@pytest.fixture(scope="module")
def graph() -> BipartiteGraph:
    return BipartiteGraph(generate_interactions(300, 150, 5000, rng=0).csr)


@pytest.fixture(scope="module")
def chains() -> BipartiteGraph:
    """Pairs of items that go together, below a popular block: dependencies of full rank."""
    rng = np.random.default_rng(0)
    dense = np.zeros((600, 120), bool)
    for user in range(600):
        pairs = rng.choice(60, 6, replace=False)
        dense[user, np.concatenate([2 * pairs, 2 * pairs + 1])] = True
    return BipartiteGraph(sp.csr_matrix(dense.astype(np.float32)))


def measured(graph: BipartiteGraph, model_of, n_judged: int = 1000) -> tuple[float, float]:
    """Recall and NDCG at 20 of a model on the part that is held out with seed 0, written plainly."""
    held_out = HeldOut.draw(graph, n_judged, np.random.default_rng(0))
    model = model_of(held_out.graph)
    recalls, ndcgs = [], []
    for user, row in zip(held_out.users, held_out.answers, strict=True):
        scores = model.score(held_out.graph.user_item[[user]])[0]
        scores[held_out.graph.user_item[user].indices] = -np.inf
        hits = np.isin(np.argsort(-scores, kind="stable")[:20], row.indices)
        discounts = 1 / np.log2(np.arange(2, 22))
        recalls.append(hits.sum() / row.nnz)
        ndcgs.append((hits * discounts).sum() / discounts[: row.nnz].sum())
    return float(np.mean(recalls)), float(np.mean(ndcgs))


def test_what_is_reported_of_the_ridge_is_what_it_ranks(graph: BipartiteGraph) -> None:
    choice = choose_teacher(graph, rank=30, rng=0, filter_budget=0, n_neighbours=40)
    assert choice.family == "ridge"
    recall, ndcg = measured(graph, lambda left: ItemRidge.fit(left, **choice.settings))
    # Lists hold what scores above 0 only; below there is little to find.
    assert choice.recall == pytest.approx(recall, abs=0.01)
    assert choice.ndcg == pytest.approx(ndcg, abs=0.01)
    assert choice.tried == {"ridge": (choice.recall, choice.ndcg)}


def test_the_family_of_most_recall_and_ndcg_is_taken(graph: BipartiteGraph, chains: BipartiteGraph) -> None:
    for one in (graph, chains):
        choice = choose_teacher(one, rank=30, rng=0)
        assert len(choice.tried) == 2
        worth = {family: sum(values) for family, values in choice.tried.items()}
        assert choice.family == max(worth, key=worth.__getitem__)
    assert choice.family == "ridge"  # of pairs, no low pass knows one without the other
    assert isinstance(choice.model, ItemRidge)
    assert choice.model.graph is chains


def test_where_a_filter_is_best_it_is_the_one_that_choose_filter_takes(
    graph: BipartiteGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ridge_choice, "_FACTORS", (1e9,))
    choice = choose_teacher(graph, rank=30, rng=0)
    alone = choose_filter(graph, rank=30, rng=0)
    assert (choice.family, choice.settings, choice.recall) == (alone.family, alone.settings, alone.recall)
    np.testing.assert_array_equal(choice.model.top(5).positions, alone.filter.top(5).positions)


def test_filters_over_the_budget_are_left_out_and_it_is_said(graph: BipartiteGraph) -> None:
    cost = FilterCost.of(graph, 30)
    assert cost.over(1.01 * cost.products / 1e9) is None
    choice = choose_teacher(graph, rank=30, rng=0, filter_budget=0.99 * cost.products / 1e9)
    assert choice.family == "ridge"
    assert choice.left_out is not None
    assert choice.left_out.startswith("graph filters were left out: their lists would take about ")


def test_the_cost_of_filters_grows_with_items_times_interactions() -> None:
    def cost(n_users: int, n_items: int, n_edges: int) -> FilterCost:
        rng = np.random.default_rng(0)
        places = rng.choice(n_users * n_items, n_edges, replace=False)
        matrix = sp.csr_matrix(
            (np.ones(n_edges), np.divmod(places, n_items)), shape=(n_users, n_items), dtype=np.float32
        )
        return FilterCost.of(BipartiteGraph(matrix), 4)

    small, large = cost(4000, 1000, 40_000), cost(40_000, 10_000, 400_000)
    assert 80 < large.products / small.products < 101
    assert large.n_bytes == 10 * small.n_bytes
    assert "singular vectors" in str(FilterCost(0.0, 5e9).over(1.0))


def test_a_large_catalogue_is_judged_by_a_sample_of_its_items(
    graph: BipartiteGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ridge_choice, "_MAX_JUDGED_ITEMS", 60)
    choice = choose_teacher(graph, rank=30, rng=0)
    whole = choose_filter(graph, rank=30, rng=0)
    # Among fewer items more is found. Both families are measured among the same.
    assert choice.tried[whole.family][0] > whole.recall
    assert choice.tried["ridge"][0] > whole.recall
    assert choice.model.score(graph.user_item[:2]).shape == (2, 150)


def test_one_seed_gives_one_choice_whatever_the_threads(graph: BipartiteGraph) -> None:
    first = choose_teacher(graph, rank=30, rng=5, n_neighbours=40)
    second = choose_teacher(graph, rank=30, rng=5, n_neighbours=40, n_threads=3)
    assert (first.family, first.settings, first.tried) == (second.family, second.settings, second.tried)
    np.testing.assert_array_equal(first.model.top(9).positions, second.model.top(9).positions)


def test_without_anything_to_hold_out_the_filter_s_authors_settings_stand() -> None:
    choice = choose_teacher(BipartiteGraph(sp.csr_matrix(np.eye(6))), rank=4, rng=0)
    assert (choice.family, choice.recall, choice.ndcg) == ("chebyshev", None, None)
    alone = choose_teacher(BipartiteGraph(sp.csr_matrix(np.eye(6))), rank=4, rng=0, filter_budget=0)
    assert (alone.family, alone.recall) == ("ridge", None)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"filter_budget": -1}, "filter_budget must be"),
        ({"n_judged": 0}, "n_judged must be an integer >= 1, got 0"),
        ({"rank": 0}, "rank must be an integer >= 1, got 0"),
        ({"n_neighbours": 0}, "n_neighbours must be an integer >= 1, got 0"),
        ({"max_history": 1}, "max_history must be an integer >= 2, got 1"),
        ({"n_threads": -2}, "n_threads must be"),
    ],
)
def test_bad_arguments_are_named(graph: BipartiteGraph, settings: dict, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        choose_teacher(graph, **settings)


def test_neighbourhoods_that_would_not_fit_are_refused_before_any_work() -> None:
    graph = BipartiteGraph(sp.csr_matrix((np.ones(1), ([0], [0])), shape=(1, 30_000)))
    with pytest.raises(ParameterError, match=r"2,000 at most, or all other items, got 5,000 of 30,000"):
        choose_teacher(graph, n_neighbours=5000)
