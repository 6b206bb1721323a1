"""The one answering path, in internal indices: who gets what from where."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from hashgnn.answering import EncodedEntities, FittedModel, Queries
from hashgnn.codes import BinaryCodes
from hashgnn.errors import ParameterError, UnknownIdError
from hashgnn.ranking import CandidateFilter, IndexLists
from hashgnn.testing.states import random_state

SEEN = np.array([[0, 1, 0, 1, 0], [0, 1, 0, 1, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0]], np.float32)


@pytest.fixture(scope="module")
def fitted() -> FittedModel:
    return FittedModel(random_state(4, 5, seen=sparse.csr_matrix(SEEN)))


@pytest.mark.parametrize(
    ("on_unknown", "sources", "places"),
    [
        ("skip", ["history", "model"], [0, 2]),
        ("popular", ["history", "popular", "model", "popular"], [0, 1, 2, 3]),
        ("fold_in", ["history", "history", "model", "popular"], [0, 1, 2, 3]),
    ],
)
def test_each_row_says_where_it_comes_from(fitted: FittedModel, on_unknown, sources, places) -> None:
    index = np.array([0, -1, 2, -1])
    since = IndexLists.from_rows([[4], [1, 2], [], []])
    queries = fitted.queries_of_users(index, since_training=since, on_unknown=on_unknown)
    assert queries.source_names == sources
    assert queries.places.tolist() == places
    assert queries.n_requested == 4
    seen = {0: [1, 3, 4], 1: [1, 2], 2: [1, 2], 3: []}
    rows = np.split(queries.seen.indices, queries.seen.indptr[1:-1])
    assert [row.tolist() for row in rows] == [seen[place] for place in places]
    own = EncodedEntities.of(fitted.state.users, np.array([2]))
    assert queries.entities.codes[[len(queries.entities) - 1]] == own.codes  # rows keep their order


def test_an_unknown_user_is_an_error_where_that_is_wanted(fitted: FittedModel) -> None:
    with pytest.raises(UnknownIdError, match="1 of 2 users are not in the training data"):
        fitted.queries_of_users(np.array([0, -1]))
    with pytest.raises(
        ParameterError, match="on_unknown must be one of 'error', 'skip', 'popular', 'fold_in'"
    ):
        fitted.queries_of_users(np.array([0]), on_unknown="guess")  # type: ignore[arg-type]


def test_where_all_users_are_skipped_nobody_is_answered(fitted: FittedModel) -> None:
    since = IndexLists.from_rows([[1, 2], []])
    queries = fitted.queries_of_users(np.array([-1, -1]), since_training=since, on_unknown="skip")
    assert len(queries) == len(queries.seen) == 0
    options = fitted.items_for_users.options(3, "hierarchical")
    candidates = queries.candidates(5, block=IndexLists.from_rows([[0], [1]]))
    assert fitted.recommend(queries, options, candidates).lists() == []


def test_popular_items_obey_every_filter(fitted: FittedModel) -> None:
    # Items 1, 3, 2 have 3, 2 and 1 users; 0 and 4 have none.
    queries = fitted.queries_of_users(np.array([-1, -1]), on_unknown="popular")
    options = fitted.items_for_users.options(3, "biased")

    def found(**lists: object) -> list[list[int]]:
        candidates = queries.candidates(5, **lists)  # type: ignore[arg-type]
        return fitted.recommend(queries, options, candidates).lists()

    assert found() == [[1, 3, 2]] * 2
    assert found(allow=np.array([0, 2, 4])) == [[2, 0, 4]] * 2
    assert found(block=np.array([1])) == [[3, 2, 0]] * 2
    assert found(allow=IndexLists.from_rows([[4, 3], []])) == [[3, 4], []]
    assert found(block=IndexLists.from_rows([[1, 3], [2]])) == [[2, 0, 4], [1, 3, 0]]
    scores = fitted.recommend(queries, options, queries.candidates(5)).scores
    assert scores.tolist() == [[3.0, 2.0, 1.0]] * 2


def test_a_check_that_raises_ends_the_search_between_blocks() -> None:
    fitted = FittedModel(random_state(200, 30))
    queries = fitted.queries_of_users(np.arange(200))
    options, candidates = fitted.items_for_users.options(5, "biased"), CandidateFilter()
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        fitted.recommend(queries, options, candidates, check)
    calls = -1000
    checked = fitted.recommend(queries, options, candidates, check)
    whole = fitted.recommend(queries, options, candidates)
    np.testing.assert_array_equal(checked.positions, whole.positions)
    np.testing.assert_array_equal(checked.scores, whole.scores)
    assert calls == -1000 + 1 + 4  # before the first block and after each


def test_codes_and_embeddings_of_any_origin_are_queries(fitted: FittedModel) -> None:
    users = EncodedEntities.of(fitted.state.users, np.array([3, 0]))
    options = fitted.items_for_users.options(5, "hierarchical", 5)
    found = fitted.recommend(Queries.of_entities(users), options, CandidateFilter())
    known = fitted.queries_of_users(np.array([3, 0]))
    expected = fitted.recommend(known, options, CandidateFilter())
    np.testing.assert_array_equal(found.positions, expected.positions)
    with pytest.raises(ParameterError, match=r"shape \(1, width\)"):
        EncodedEntities(BinaryCodes(np.zeros((1, 4), np.uint8)), np.zeros((2, 6), np.float32))
