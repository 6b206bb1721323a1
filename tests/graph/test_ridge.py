"""The item ridge against dense solutions, in blocks and threads, and what it holds."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import hashgnn.graph.ridge.co_occurrence as co
from hashgnn._native import LargestTable
from hashgnn.baselines import fit_baseline
from hashgnn.data import Interactions, generate_interactions
from hashgnn.errors import ParameterError
from hashgnn.graph import BipartiteGraph, ItemRidge
from hashgnn.graph.ridge.co_occurrence import CoOccurrences, largest
from hashgnn.graph.ridge.lists import best_of_dense, best_of_sparse

SETTINGS = {"regularisation": 9.0, "user_exponent": 0.5, "item_exponent": 0.5}


@pytest.fixture(scope="module")
def graph() -> BipartiteGraph:
    return BipartiteGraph(generate_interactions(250, 90, 3000, rng=0).csr)


@pytest.fixture
def sparse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the way of large catalogues."""
    monkeypatch.setattr(co, "DENSE_ITEMS", 0)


def count(graph: BipartiteGraph, k: int, exponent: float = 0.0, **options) -> CoOccurrences:
    options = {"max_history": 1000, "rng": np.random.default_rng(0), **options}
    return CoOccurrences.count(graph, k, user_exponent=exponent, **options)


def dense_solution(graph: BipartiteGraph, neighbours: np.ndarray) -> np.ndarray:
    """B of SETTINGS by least squares on augmented rows, item by item."""
    x = np.sqrt(graph.user_item.toarray().astype(np.float64))
    strengths = (x**2).sum(axis=1)
    weights = strengths**-0.5
    weights *= strengths.sum() / (weights * strengths).sum()
    x *= np.sqrt(weights)[:, None]
    popularity = (x**2).sum(axis=0) ** 0.5
    penalty = 9.0 * popularity / popularity.mean()
    result = np.zeros((graph.n_items, graph.n_items))
    for item, near in enumerate(neighbours):
        near = near[near >= 0]
        rows = np.vstack([x[:, near], np.diag(np.sqrt(penalty[near]))])
        target = np.concatenate([x[:, item], np.zeros(len(near))])
        result[near, item] = np.linalg.lstsq(rows, target, rcond=None)[0]
    return result


def test_each_column_is_the_ridge_regression_on_the_neighbours(graph: BipartiteGraph) -> None:
    expected = dense_solution(graph, count(graph, 12, 0.5).neighbours)
    fitted = ItemRidge.fit(graph, n_neighbours=12, **SETTINGS)
    np.testing.assert_allclose(fitted.weights.toarray(), expected, atol=1e-5)
    np.testing.assert_allclose(fitted.score(graph.user_item[:3]), graph.user_item[:3] @ expected, atol=1e-4)


def test_large_catalogues_take_another_way_to_the_same_weights(graph: BipartiteGraph, sparse: None) -> None:
    expected = dense_solution(graph, count(graph, 12, 0.5).neighbours)
    fitted = ItemRidge.fit(graph, n_neighbours=12, **SETTINGS)
    np.testing.assert_allclose(fitted.weights.toarray(), expected, atol=1e-5)


@pytest.mark.parametrize("n_neighbours", [89, 500])
def test_with_all_other_items_as_neighbours_it_is_ease(graph: BipartiteGraph, n_neighbours: int) -> None:
    train = Interactions.from_csr(graph.user_item)
    ease = fit_baseline("ease", train, regularisation=25.0)
    options = {"regularisation": 25.0, "user_exponent": 0.0, "item_exponent": 0.0}
    ridge = fit_baseline("ridge", train, n_neighbours=n_neighbours, **options)
    np.testing.assert_allclose(ridge.weights, ease.weights, atol=1e-6)


def test_one_inverse_and_a_system_for_each_item_agree(graph: BipartiteGraph) -> None:
    every = np.array([np.delete(np.arange(90), item) for item in range(90)])
    fitted = ItemRidge.fit(graph, n_neighbours=89, **SETTINGS)
    np.testing.assert_allclose(fitted.weights, dense_solution(graph, every), atol=1e-5)


def test_neighbours_share_the_most_users_for_how_popular_they_are(graph: BipartiteGraph) -> None:
    dense = graph.user_item.toarray().astype(np.float64)
    gram = dense.T @ dense
    nearness = (gram / np.diag(gram) ** 0.25).astype(np.float32)
    np.fill_diagonal(nearness, 0)
    counted = count(graph, 7)
    for item, row in enumerate(nearness):
        wanted = [other for other in np.lexsort((np.arange(90), -row))[:7] if row[other] > 0]
        found = counted.neighbours[item]
        np.testing.assert_allclose(row[found[found >= 0]], row[wanted], rtol=1e-6)
        np.testing.assert_array_equal(counted.shared[item][: len(wanted)], gram[item, found[found >= 0]])
    np.testing.assert_allclose(counted.diagonal, np.diag(gram))


@pytest.mark.parametrize("way", ["dense", "sparse"])
def test_blocks_and_threads_change_nothing(
    graph: BipartiteGraph, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(co, "DENSE_ITEMS", 6000 if way == "dense" else 0)
    whole = ItemRidge.fit(graph, n_neighbours=20, **SETTINGS).weights
    monkeypatch.setattr(co, "_BLOCK_ENTRIES", 500)
    monkeypatch.setattr("hashgnn.graph.ridge.solving._ITEMS", 7)
    for n_threads in (1, 3):
        again = ItemRidge.fit(graph, n_neighbours=20, n_threads=n_threads, **SETTINGS).weights
        assert (whole != again).nnz == 0


def test_entries_that_were_not_kept_count_as_none_and_systems_stay_solvable(
    graph: BipartiteGraph, sparse: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(co, "_FEWEST_KEPT", 20)
    monkeypatch.setattr(co, "_KEPT_PER_NEIGHBOUR", 1)
    fitted = ItemRidge.fit(graph, n_neighbours=20, regularisation=1e-3, item_exponent=0.0)
    assert np.isfinite(fitted.weights.data).all()
    # Hubs are kept in the rows of the others.
    counted = count(graph, 20)
    gram = counted.exactly_among(np.arange(90))
    found = counted.among(np.arange(90))
    kept = found > 0
    np.testing.assert_allclose(found[kept], gram[kept])
    for row, mask in zip(gram, kept, strict=True):
        assert row[~mask].max(initial=0) <= np.sort(row)[-20]


def test_a_system_that_lost_its_definiteness_is_solved_from_the_histories(
    graph: BipartiteGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = ItemRidge.fit(graph, n_neighbours=10, **SETTINGS).weights
    monkeypatch.setattr(CoOccurrences, "among", lambda self, near, room: -np.eye(len(near)) * 1e6)
    found = ItemRidge.fit(graph, n_neighbours=10, **SETTINGS).weights
    np.testing.assert_allclose(found.toarray(), expected.toarray(), atol=1e-6)


def test_entries_among_some_items_are_those_that_either_row_holds(
    graph: BipartiteGraph, sparse: None
) -> None:
    counted = count(graph, 10)
    assert counted.columns is not None
    assert counted.values is not None
    whole = np.zeros((graph.n_items, graph.n_items + 1))
    np.put_along_axis(whole, counted.columns, counted.values, axis=1)
    whole = np.maximum(whole[:, :-1], whole[:, :-1].T)
    near = np.random.default_rng(0).permutation(graph.n_items)[:17].astype(np.int32)
    room = np.full((17, 17), np.nan)
    assert counted.among(near, room) is room
    np.testing.assert_array_equal(room, whole[np.ix_(near, near)])
    np.testing.assert_array_equal(counted.among(near[:1]), whole[near[:1], near[:1]].reshape(1, 1))


@pytest.mark.parametrize(
    ("items", "size", "rule"),
    [([0, 10], 2, "items must be in"), ([-1], 1, "items must be in"), ([0, 1], 1, "gram must have one row")],
)
def test_a_gram_matrix_is_gathered_within_bounds(items: list[int], size: int, rule: str) -> None:
    table = LargestTable(np.full((10, 3), 10, np.int32), np.zeros((10, 3), np.float32))
    places = np.full(11, -1, np.int16)
    with pytest.raises(ParameterError, match=rule):
        table.gather(np.array(items, np.int32), places, np.zeros((size, size)))
    left_behind, gram = np.full(11, 32767, np.int16), np.full((2, 2), np.nan)
    table.gather(np.array([3, 7], np.int32), left_behind, gram)
    assert not gram.any()
    with pytest.raises(ParameterError, match="columns must be in"):
        LargestTable(np.full((10, 3), 11, np.int32), np.zeros((10, 3), np.float32))


def test_memory_is_linear_in_the_items(sparse: None) -> None:
    held = []
    for factor in (1, 2, 4):
        matrix = generate_interactions(300 * factor, 1000 * factor, 6000 * factor, rng=0).csr
        counted = count(BipartiteGraph(matrix), 30)
        assert counted.n_stored == 1000 * factor * (512 + 30)
        held.append(ItemRidge.fit(BipartiteGraph(matrix), n_neighbours=30).weights.nnz)
        assert held[-1] <= 1000 * factor * 30
    assert held[2] < 4.5 * held[0]


def test_long_histories_are_sampled_and_counted_as_such(graph: BipartiteGraph) -> None:
    fitted = ItemRidge.fit(graph, n_neighbours=20, max_history=8, rng=0)
    long = int((graph.user_degrees > 8).sum())
    assert fitted.n_shortened == long > 0
    assert ItemRidge.fit(graph, n_neighbours=20, rng=0).n_shortened == 0
    again = ItemRidge.fit(graph, n_neighbours=20, max_history=8, rng=0)
    assert (fitted.weights != again.weights).nnz == 0
    rows = count(graph, 20, max_history=8).rows
    assert np.diff(rows.indptr).max() == 8
    # What is drawn weighs more: the sum over all items stays.
    strengths = np.asarray(rows.multiply(rows).sum(axis=1)).ravel()
    np.testing.assert_allclose(strengths, graph.user_strengths, rtol=1e-5)


def test_lists_hold_the_best_unseen_items_that_score_above_0(graph: BipartiteGraph) -> None:
    fitted = ItemRidge.fit(graph, n_neighbours=20, **SETTINGS)
    scores = fitted.score(graph.user_item)
    scores[graph.user_item.nonzero()] = -1
    found = fitted.top(6)
    for user, row in enumerate(scores):
        wanted = [item for item in np.lexsort((np.arange(90), -row))[:6] if row[item] > 0]
        count = found.counts[user]
        assert count == len(wanted)
        np.testing.assert_allclose(row[found.positions[user, :count]], row[wanted], rtol=1e-4)
    seen = fitted.top(90, graph.user_item[:5], filter_seen=False)
    assert (seen.counts >= fitted.top(90, graph.user_item[:5]).counts).all()


def test_sparse_and_dense_scores_give_the_same_lists() -> None:
    rng = np.random.default_rng(0)
    dense = rng.integers(-2, 4, (30, 40)).astype(np.float32) * (rng.random((30, 40)) < 0.5)
    scores = sp.csr_matrix(dense)
    shuffled = scores.copy()
    for start, stop in zip(scores.indptr[:-1], scores.indptr[1:], strict=True):
        order = start + rng.permutation(stop - start)
        shuffled.indices[start:stop], shuffled.data[start:stop] = scores.indices[order], scores.data[order]
    for k in (1, 5, 40):
        first, second = best_of_sparse(shuffled, k), best_of_dense(scores, k)
        np.testing.assert_array_equal(first.positions, second.positions)
        np.testing.assert_array_equal(first.scores, second.scores)
        np.testing.assert_array_equal(first.counts, second.counts)


def test_the_largest_of_equal_values_have_the_smaller_labels() -> None:
    values, labels = np.array([1.0, 2, 2, 2, 3]), np.array([4, 9, 1, 5, 7])
    assert sorted(labels[largest(values, labels, 3)].tolist()) == [1, 5, 7]
    assert len(largest(values, labels, 9)) == 5


def test_the_factors_of_full_rank_give_the_weights_back(graph: BipartiteGraph) -> None:
    fitted = ItemRidge.fit(graph, n_neighbours=20, **SETTINGS)
    sources, targets = fitted.factors(90, rng=0)
    np.testing.assert_allclose(sources @ targets.T, fitted.weights.toarray(), atol=1e-3)
    np.testing.assert_array_equal(fitted.factors(8, rng=3)[0], fitted.factors(8, rng=3)[0])


def test_weights_of_edges_count_as_so_many_edges() -> None:
    """The diagonal is the items' strengths."""
    graph = BipartiteGraph(sp.csr_matrix(np.array([[2.0, 1, 0], [0.5, 0, 4], [1, 1, 1]])))
    np.testing.assert_allclose(count(graph, 2).diagonal, graph.item_strengths, rtol=1e-6)
    np.testing.assert_allclose(count(graph, 2, 0.5).diagonal.sum(), graph.item_strengths.sum(), rtol=1e-6)


@pytest.mark.parametrize("matrix", [np.eye(5), np.zeros((4, 3)), np.ones((1, 1)), np.ones((3, 2))])
def test_graphs_with_next_to_nothing_in_them(matrix: np.ndarray) -> None:
    graph = BipartiteGraph(sp.csr_matrix(matrix))
    for n_neighbours in (1, 7):
        fitted = ItemRidge.fit(graph, n_neighbours=n_neighbours)
        assert np.isfinite(fitted.score(graph.user_item)).all()
        assert (fitted.top(1).positions == -1).all()


def test_extreme_weights_give_finite_scores() -> None:
    rng = np.random.default_rng(0)
    matrix = sp.random(40, 20, 0.4, random_state=rng, format="csr", dtype=np.float32)
    matrix.data = (10.0 ** rng.uniform(-30, 15, matrix.nnz)).astype(np.float32)
    graph = BipartiteGraph(matrix)
    fitted = ItemRidge.fit(graph, n_neighbours=5)
    assert np.isfinite(fitted.weights.data).all()
    found = fitted.top(5)
    for user in range(40):
        assert not set(found.positions[user].tolist()) & set(graph.user_item[user].indices.tolist())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_neighbours": 0}, "n_neighbours must be an integer >= 1, got 0"),
        ({"n_neighbours": 2.5}, "n_neighbours must be"),
        ({"regularisation": 0}, "regularisation must be"),
        ({"regularisation": float("nan")}, "regularisation must be"),
        ({"user_exponent": 1.5}, "user_exponent must be"),
        ({"item_exponent": -0.1}, "item_exponent must be"),
        ({"max_history": 1}, "max_history must be an integer >= 2, got 1"),
        ({"n_threads": 0}, "n_threads must be"),
    ],
)
def test_a_setting_that_is_wrong_is_named(graph: BipartiteGraph, settings: dict, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        ItemRidge.fit(graph, **settings)


def test_neighbourhoods_that_would_not_fit_are_refused_before_any_work() -> None:
    graph = BipartiteGraph(sp.csr_matrix((np.ones(1), ([0], [0])), shape=(1, 30_000)))
    with pytest.raises(ParameterError, match=r"2,000 at most, or all other items, got 5,000 of 30,000"):
        ItemRidge.fit(graph, n_neighbours=5000)
    with pytest.raises(
        ParameterError, match=r"2,000 at most for more than 20,000 items, got 40,000 of 30,000"
    ):
        ItemRidge.fit(graph, n_neighbours=40_000)


def test_a_regularisation_that_float64_cannot_see_is_refused() -> None:
    twins = BipartiteGraph(sp.csr_matrix(np.ones((4, 5), np.float32)))
    for n_neighbours in (2, 4):
        with pytest.raises(ParameterError, match="regularisation must be larger"):
            ItemRidge.fit(twins, n_neighbours=n_neighbours, regularisation=1e-300)


def test_histories_of_another_catalogue_are_refused(graph: BipartiteGraph) -> None:
    with pytest.raises(ParameterError, match=r"histories must have shape \(n, 90\), got \(2, 3\)"):
        ItemRidge.fit(graph, n_neighbours=3).score(sp.csr_matrix(np.ones((2, 3))))


def test_lists_of_the_strongest_weights_are_those_of_a_model_without_the_others(
    graph: BipartiteGraph, sparse: None
) -> None:
    fitted = ItemRidge.fit(graph, n_neighbours=20, **SETTINGS)
    whole = fitted.top(6)
    for n_threads in (1, 3):
        again = fitted.top(6, kept=90, n_threads=n_threads)
        np.testing.assert_array_equal(again.positions, whole.positions)
    dense = fitted.weights.toarray()
    for row in dense:
        row[np.argsort(-np.abs(row), kind="stable")[4:]] = 0
    scores = graph.user_item @ dense
    scores[graph.user_item.nonzero()] = 0
    found = fitted.top(6, kept=4)
    for user, row in enumerate(scores):
        positions = found.positions[user, : found.counts[user]]
        np.testing.assert_allclose(row[positions], np.sort(row[row > 0])[::-1][:6], rtol=1e-4)
    with pytest.raises(ParameterError, match="kept must be"):
        fitted.top(6, kept=0)
