"""Refinement of item codes: what a round does, and what it is worth to the queries of a fitted model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hashgnn import _native
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes
from hashgnn.config import ModelConfig, load_recipe
from hashgnn.data import Interactions, generate_interactions
from hashgnn.errors import ParameterError
from hashgnn.index import HammingIndex
from hashgnn.ranking import CandidateFilter, IndexLists
from hashgnn.recommender import HashGNN
from hashgnn.state import ModelState
from hashgnn.state.float_queries import FloatQueries
from hashgnn.training import refinement
from hashgnn.training.refinement import refine_item_codes, refines_codes

SMALL = {"n_bits": 32, "optimizer.epochs": 4, "embedding_dim": 32, "teacher.rank": 8, "teacher.k": 10}


@pytest.fixture(scope="module")
def interactions() -> Interactions:
    return generate_interactions(500, 400, 9000, rng=0)


def fitted(interactions: Interactions, **settings: object) -> HashGNN:
    return HashGNN(**SMALL | settings).fit(interactions, device="cpu", n_threads=1, rng=0, progress=False)


@pytest.fixture(scope="module")
def unrefined(interactions: Interactions) -> ModelState:
    state = fitted(interactions, **{"objective.refinement_rounds": 0}).state_
    return replace(state, config=state.config.replace(**{"objective.refinement_rounds": 3}))


def refined(state: ModelState, seed: int = 0, n_threads: int = 1) -> ModelState:
    return refine_item_codes(state, np.random.default_rng(seed), n_threads=n_threads, progress=False)


def share_of_float_best(state: ModelState, *, by_floats: bool, k: int = 20) -> float:
    """Return how many of the k best by floats, without seen items, are among the k best by code."""
    users = state.users
    scores = users.embeddings @ state.items.embeddings.T
    scores[state.seen.nonzero()] = -np.inf
    best = np.argsort(-scores, axis=1)[:, :k]
    queries = FloatQueries.of_users(state)(users.embeddings) if by_floats else users.codes
    unseen = CandidateFilter(block_per_query=IndexLists.from_matrix(state.seen))
    found = HammingIndex(state.items.codes, state.items.bias).search(queries, k, candidates=unseen).positions
    return float(np.mean([len(np.intersect1d(a, b)) for a, b in zip(best, found, strict=True)])) / k


def test_refined_codes_rank_more_as_floats_do(unrefined: ModelState) -> None:
    after = refined(unrefined)
    for by_floats in (True, False):
        before = share_of_float_best(unrefined, by_floats=by_floats)
        assert share_of_float_best(after, by_floats=by_floats) > before + 0.02


def test_only_item_codes_change_and_few_of_their_bits(unrefined: ModelState) -> None:
    after = refined(unrefined)
    turned = (after.items.codes.signs() != unrefined.items.codes.signs()).mean()
    assert 0 < turned < 0.25
    assert after.users is unrefined.users
    assert after.items.bias is unrefined.items.bias
    assert after.items.embeddings is unrefined.items.embeddings
    assert after.projection is unrefined.projection


def test_threads_change_nothing_and_a_seed_gives_one_result(
    unrefined: ModelState, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refined(unrefined, n_threads=3).items.codes == refined(unrefined).items.codes
    monkeypatch.setattr(refinement, "_MAX_PAIRS", 20_000)  # a sample of users a round
    monkeypatch.setattr(refinement, "_PAIRS_AN_ITEM", 1)
    sampled = refined(unrefined)
    assert sampled.items.codes == refined(unrefined, n_threads=2).items.codes
    assert sampled.items.codes != refined(unrefined, seed=1).items.codes
    assert share_of_float_best(sampled, by_floats=True) > share_of_float_best(unrefined, by_floats=True)


def test_a_fit_refines_unless_rounds_are_0(interactions: Interactions, unrefined: ModelState) -> None:
    state = fitted(interactions).state_
    assert (
        state.items.codes
        == refine_item_codes(
            replace(unrefined, config=state.config), _stream(0), n_threads=1, progress=False
        ).items.codes
    )
    assert state.users.codes == unrefined.users.codes
    made = BinaryCodes.from_signs(state.projection.items.activations(np.asarray(state.items.embeddings)))
    assert made == unrefined.items.codes
    assert made != state.items.codes


def _stream(seed: int) -> np.random.Generator:
    from hashgnn import _rng
    from hashgnn.training.train import _REFINEMENT_STREAM

    return _rng.derive(seed, _REFINEMENT_STREAM)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, True),
        ({"objective.refinement_rounds": 0}, False),
        (
            {"objective.float_weight": 0},
            False,
        ),  # floats are not trained, so nothing is to be learned from them
        ({"objective.code_weight": 0}, True),
        ({"objective.code_weight": 0, "objective.float_query_weight": 0}, False),
    ],
)
def test_codes_are_refined_where_floats_and_queries_are_trained(
    settings: dict[str, object], expected: bool
) -> None:
    assert refines_codes(ModelConfig(**settings)) is expected


@pytest.mark.parametrize("recipe", ["paper", "authors"])
def test_the_papers_codes_are_not_refined(recipe: str) -> None:
    assert not refines_codes(load_recipe(recipe))


@pytest.mark.parametrize("settings", [{"item_bias": False}, {"float_embedding": "relaxed"}])
def test_models_without_bias_and_with_relaxed_floats_are_refined(
    interactions: Interactions, settings: dict[str, object]
) -> None:
    config = {"objective.refinement_rounds": 0} | settings
    state = fitted(interactions, **config).state_
    after = refined(replace(state, config=state.config.replace(**{"objective.refinement_rounds": 2})))
    assert share_of_float_best(after, by_floats=True) > share_of_float_best(state, by_floats=True)


def test_a_catalogue_that_users_have_seen_whole_stays_as_it_is() -> None:
    everything = Interactions.from_arrays(np.repeat(np.arange(6), 5), np.tile(np.arange(5), 6))
    before, after = (
        fitted(everything, **{"objective.refinement_rounds": rounds}).state_ for rounds in (0, 2)
    )
    assert after.items.codes == before.items.codes


def test_fewer_items_than_are_searched_for_are_refined() -> None:
    few = generate_interactions(60, 12, 240, rng=1)
    assert fitted(few).state_.n_items == 12


# One round against plain loops.


def plain_round(
    queries: Array,
    items: Array,
    wanted: Array,
    weights: Array,
    bias: Array,
    k: int,
    temperature: float,
    least: float,
    signs: Array,
) -> Array:
    n_items, dim = signs.shape
    gradient, curvature = np.zeros((n_items, dim)), np.zeros((n_items, dim, dim))
    for query, row, shares, weight in zip(queries, items, wanted, weights, strict=True):
        kept = row >= 0
        scores = signs[row[kept]] @ query + bias[row[kept]]
        level = np.sort(scores)[::-1][min(k, kept.sum()) - 1]
        p = 1 / (1 + np.exp(-(scores - level) / temperature))
        for item, g, h in zip(row[kept], p - shares[kept], np.maximum(p * (1 - p), least), strict=True):
            gradient[item] += weight * g / temperature * query
            curvature[item] += weight * h / temperature**2 * np.outer(query, query)
    after = signs.astype(float)
    for item in range(n_items):
        g, h, code = gradient[item].copy(), curvature[item], after[item]
        for _ in range(dim):
            changes = 2 * (np.diag(h) - code * g)
            best = int(changes.argmin())
            if changes[best] >= -1e-4:
                break
            g -= 2 * code[best] * h[best]
            code[best] *= -1
    return after.astype(np.int8)


@pytest.mark.parametrize("seed", range(5))
def test_a_round_turns_the_bits_that_plain_loops_turn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    queries = rng.standard_normal((40, 16)).astype(np.float32)
    items = np.array([rng.permutation(30)[:12] for _ in range(40)], np.int32)
    items[rng.random(items.shape) < 0.1] = -1
    wanted = rng.random(items.shape).astype(np.float32)
    weights = rng.random(40).astype(np.float32)
    bias = rng.standard_normal(30).astype(np.float32)
    signs = rng.choice(np.array([-1, 1], np.int8), (30, 16))
    expected = plain_round(queries, items, wanted, weights, bias, 4, 1.5, 0.1, signs)
    found = signs.copy()
    loss, n_turned = _native.refine_codes(queries, items, wanted, weights, bias, 4, 1.5, 0.1, found, 2)
    assert (found == expected).all()
    assert n_turned >= (found != signs).sum() > 0
    assert loss > 0


def test_repeats_go_and_pairs_are_scored() -> None:
    items = np.array([[3, 1, 3, -1], [1, 1, 1, 0]], np.int32)
    _native.drop_repeats(items, 4, 1)
    assert items.tolist() == [[3, 1, -1, -1], [1, -1, -1, 0]]
    rng = np.random.default_rng(0)
    queries, table = (
        rng.standard_normal((2, 5)).astype(np.float32),
        rng.standard_normal((4, 5)).astype(np.float32),
    )
    scores = np.empty(items.shape, np.float32)
    _native.score_pairs(queries, table, items, scores, 2)
    expected = np.where(items < 0, 0, np.take_along_axis(queries @ table.T, np.maximum(items, 0), 1))
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"items": np.full((2, 3), 4, np.int32)}, "items must be below n_items"),
        ({"queries": np.zeros((2, 9), np.float32)}, "queries must be as wide"),
        ({"queries": np.zeros((3, 8), np.float32)}, "one length"),
        ({"wanted": np.zeros((2, 2), np.float32)}, "wanted and items"),
        ({"weights": np.zeros(1, np.float32)}, "weights must"),
        ({"bias": np.zeros(3, np.float32)}, "bias must"),
        ({"k": 0}, "k must"),
        ({"temperature": 0.0}, "temperature must"),
        ({"n_threads": 0}, "n_threads must"),
    ],
)
def test_the_kernel_reads_nothing_out_of_bounds(change: dict[str, object], named: str) -> None:
    arguments: dict[str, object] = {
        "queries": np.zeros((2, 8), np.float32),
        "items": np.zeros((2, 3), np.int32),
        "wanted": np.zeros((2, 3), np.float32),
        "weights": np.ones(2, np.float32),
        "bias": np.zeros(4, np.float32),
        "k": 2,
        "temperature": 1.0,
        "least_curvature": 0.1,
        "signs": np.ones((4, 8), np.int8),
        "n_threads": 1,
    }
    with pytest.raises(ParameterError, match=named):
        _native.refine_codes(*(arguments | change).values())
