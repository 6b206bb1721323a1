"""The contract of a recommender: subclass it in a test module and say how to make one."""

from __future__ import annotations

import datetime
import uuid
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse

from hashgnn.data import IdMap, Interactions
from hashgnn.errors import ParameterError, ResultWarning, UnknownIdError
from hashgnn.recommender import Recommendations, Recommender

ID_KINDS = ("str", "int", "negative int", "uuid", "tuple", "date")


def ids_of(kind: str, n: int, *, salt: int) -> list[Any]:
    """Return ``n`` different external ids of a kind, in no particular order."""
    numbers = np.random.default_rng(salt).permutation(10 * n)[:n].tolist()
    if kind == "str":
        return [f"{number}é" for number in numbers]
    if kind == "uuid":
        return [uuid.UUID(int=number) for number in numbers]
    if kind == "tuple":
        return [("shop", number) for number in numbers]
    if kind == "date":
        return [datetime.date.fromordinal(number + 1) for number in numbers]
    return [number if kind == "int" else number - 5 * n for number in numbers]


def interactions_of(kind: str) -> Interactions:
    """Return what 15 users did with 24 items, all of them with ids of a kind; each has seen about a fifth."""
    users, items = ids_of(kind, 15, salt=1), ids_of(kind, 24, salt=2)
    user_index, item_index = np.nonzero(np.random.default_rng(3).random((15, 24)) < 0.2)
    return Interactions(IdMap(users), IdMap(items), user_index.astype(np.int32), item_index.astype(np.int32))


class RecommenderContract(ABC):
    """The contract of every recommender, by its public methods alone."""

    @abstractmethod
    def make(self, interactions: Interactions) -> Recommender:
        """Return a recommender that knows these users and items, and the seen items of each user."""

    def test_nothing_seen_is_recommended_and_all_else_is(self) -> None:
        interactions = interactions_of("str")
        model, seen = self.make(interactions), _seen(interactions)
        users = model.user_ids.tolist()
        everything = set(model.item_ids.tolist())
        for way in model.search_ways:
            recs = recommend_all(model, users, way)
            for user, found in zip(users, recs.lists(), strict=True):
                assert sorted(found) == sorted(everything - seen[user]), way

    def test_seen_items_are_ranked_with_the_others_on_request(self) -> None:
        model = self.make(interactions_of("str"))
        users = model.user_ids.tolist()
        for way in model.search_ways:
            recs = model.recommend(users, k=24, search=way, filter_seen=False)
            assert (recs.counts == 24).all()
            assert [len(set(found)) for found in recs.lists()] == [24] * len(users)

    def test_scores_descend_and_ties_keep_the_order_of_items(self) -> None:
        model = self.make(interactions_of("str"))
        for way in model.search_ways:
            found = model.search_block(np.arange(len(model.user_ids)), way, 10)
            for positions, scores, count in zip(found.positions, found.scores, found.counts, strict=True):
                pairs = list(zip(-scores[:count], positions[:count], strict=True))
                assert pairs == sorted(pairs), way

    def test_a_batch_equals_its_single_queries(self) -> None:
        model = self.make(interactions_of("str"))
        users = model.user_ids.tolist()
        for way in model.search_ways:
            batch = model.recommend(users, k=5, search=way)
            for row, user in enumerate(users):
                single = model.recommend([user], k=5, search=way)
                assert single.lists()[0] == batch.lists()[row], way
                np.testing.assert_allclose(single.scores[0], batch.scores[row], rtol=1e-5)

    def test_the_first_results_do_not_depend_on_k(self) -> None:
        model = self.make(interactions_of("str"))
        users = model.user_ids.tolist()
        for way in set(model.search_ways) - {"hierarchical"}:
            short, long = (model.recommend(users, k=k, search=way).lists() for k in (3, 12))
            assert short == [found[:3] for found in long], way

    def test_an_allow_list_of_everything_and_an_empty_block_list_change_nothing(self) -> None:
        model = self.make(interactions_of("str"))
        users, items = model.user_ids.tolist(), model.item_ids.tolist()
        for way in model.search_ways:
            plain = model.recommend(users, k=6, search=way).lists()
            assert model.recommend(users, k=6, search=way, allow=items).lists() == plain
            assert model.recommend(users, k=6, search=way, block=[]).lists() == plain
            assert model.recommend(users, k=6, search=way, allow=[items] * len(users)).lists() == plain
            assert model.recommend(users, k=6, search=way, block=[[]] * len(users)).lists() == plain

    def test_allow_and_block_lists_hold_and_keep_the_order(self) -> None:
        model = self.make(interactions_of("str"))
        users, items = model.user_ids.tolist(), model.item_ids.tolist()
        rng = np.random.default_rng(0)
        chosen = [set(rng.permutation(np.array(items, object))[:8].tolist()) for _ in users]
        for way in model.search_ways:
            plain = recommend_all(model, users, way, filter_seen=False).lists()
            for lists in ([chosen[0]] * len(users), chosen):
                one_list = lists is not chosen
                allow = list(lists[0]) if one_list else lists
                allowed = recommend_all(model, users, way, allow=allow, filter_seen=False).lists()
                blocked = recommend_all(model, users, way, block=allow, filter_seen=False).lists()
                for row, listed in enumerate(lists):
                    assert allowed[row] == [item for item in plain[row] if item in listed], way
                    assert blocked[row] == [item for item in plain[row] if item not in listed], way

    @pytest.mark.parametrize("kind", ID_KINDS)
    def test_ids_come_back_as_they_went_in(self, kind: str) -> None:
        model = self.make(interactions_of(kind))
        assert sorted(map(str, model.user_ids.tolist())) == sorted(map(str, ids_of(kind, 15, salt=1)))
        recs = model.recommend(model.user_ids.tolist()[:3], k=5)
        assert recs.query_ids.tolist() == model.user_ids.tolist()[:3]
        assert {item for found in recs.lists() for item in found} <= set(model.item_ids.tolist())

    def test_what_a_user_did_since_the_training_counts_as_seen(self) -> None:
        interactions = interactions_of("str")
        model, seen = self.make(interactions), _seen(interactions)
        user, items = model.user_ids.tolist()[0], model.item_ids.tolist()
        new = next(item for item in items if item not in seen[user])
        since = pa.table({"user_id": [user, "nobody"], "item_id": [new, new]})
        for way in model.search_ways:
            recs = recommend_all(model, [user], way, since_training=since)
            assert set(recs.lists()[0]) == set(items) - seen[user] - {new}, way

    def test_an_unknown_user_is_skipped_gets_popular_items_or_is_folded_in(self) -> None:
        model = self.make(interactions_of("str"))
        user, items = model.user_ids.tolist()[0], model.item_ids.tolist()
        requested = ["nobody", user, "no one"]
        assert model.recommend(requested, on_unknown="skip").query_ids.tolist() == [user]
        popular = model.recommend(requested, k=4, on_unknown="popular")
        assert popular.lists()[0] == popular.lists()[2]
        assert popular.lists()[1] == model.recommend([user], k=4).lists()[0]
        since = pa.table({"user_id": ["nobody"] * 3, "item_id": items[:3]})
        folded = model.recommend(requested, k=4, on_unknown="fold_in", since_training=since)
        assert folded.lists()[0] == model.recommend_for_history([items[:3]], k=4).lists()[0]
        assert folded.lists()[2] == popular.lists()[2]

    def test_unknown_items_are_an_error_in_allow_only_if_unknown_users_are(self) -> None:
        model = self.make(interactions_of("str"))
        user, items = model.user_ids.tolist()[0], model.item_ids.tolist()
        with pytest.raises(UnknownIdError, match="1 of 25 item ids are not in the training data: 'none'"):
            model.recommend([user], allow=[*items, "none"])
        plain = model.recommend([user], k=5).lists()
        for on_unknown in ("skip", "popular", "fold_in"):
            known: Any = on_unknown
            assert model.recommend([user], k=5, allow=[*items, "none"], on_unknown=known).lists() == plain
        assert model.recommend([user], k=5, block=["none"]).lists() == plain

    def test_an_item_is_not_similar_to_itself(self) -> None:
        model = self.make(interactions_of("str"))
        items = model.item_ids.tolist()
        for way in set(model.search_ways) - {"biased"}:
            for item, found in zip(items, model.similar_items(items, k=23, search=way).lists(), strict=True):
                assert item not in found
                assert way == "hierarchical" or len(found) == 23

    def test_what_a_new_user_has_is_not_recommended(self) -> None:
        model = self.make(interactions_of("str"))
        items = model.item_ids.tolist()
        for way in model.search_ways:
            recs = model.recommend_for_history([items[:4]], k=24, search=way, oversampling=24)
            assert set(recs.lists()[0]) == set(items[4:])

    def test_more_results_than_there_are_items_are_all_items_and_a_warning(self) -> None:
        model = self.make(interactions_of("str"))
        user = model.user_ids.tolist()[0]
        with pytest.warns(ResultWarning, match="k is 25, and there are 24 to choose from"):
            cut = model.recommend([user], k=25, filter_seen=False, search="float")
        assert cut.lists() == model.recommend([user], k=24, filter_seen=False, search="float").lists()
        assert cut.ids.shape == (1, 24)

    def test_bad_arguments_are_named(self) -> None:
        model = self.make(interactions_of("str"))
        user = model.user_ids.tolist()[0]
        for settings, said in (
            ({"k": 0}, "k must be an integer >= 1, got 0"),
            ({"search": "fast"}, "search must be one of 'hamming'"),
            (
                {"on_unknown": "guess"},
                "on_unknown must be one of 'error', 'skip', 'popular', 'fold_in', got 'guess'",
            ),
            ({"oversampling": 0}, "oversampling must be an integer >= 1, got 0"),
        ):
            arguments: dict[str, Any] = settings
            with pytest.raises(ParameterError, match=said):
                model.recommend([user], **arguments)
        with pytest.raises(ParameterError, match="user_ids must be a list, got 'u'"):
            model.recommend("u")
        with pytest.raises(UnknownIdError, match="1 of 2 user ids are not in the training data: 'nobody'"):
            model.recommend([user, "nobody"])

    def test_a_user_without_candidates_has_no_results_and_a_warning(self) -> None:
        model = self.make(interactions_of("str"))
        users = model.user_ids.tolist()[:2]
        items = model.item_ids.tolist()
        with pytest.warns(ResultWarning, match="1 of 2 users have no item left to recommend"):
            recs = model.recommend(users, k=3, block=[items, []])
        assert recs.counts.tolist() == [0, 3]
        assert recs.lists()[0] == []


class SavedRecommenderContract(RecommenderContract):
    """The contract of a recommender that can be saved."""

    @abstractmethod
    def save(self, model: Any, path: Path) -> None:
        """Write what ``make`` returned."""

    @abstractmethod
    def load(self, path: Path) -> Recommender:
        """Read it back."""

    @pytest.mark.parametrize("kind", ID_KINDS)
    def test_a_saved_model_answers_the_same_in_the_same_ids(self, tmp_path: Path, kind: str) -> None:
        model = self.make(interactions_of(kind))
        self.save(model, tmp_path / "v1")
        users, items = model.user_ids.tolist(), model.item_ids.tolist()
        assert set(users) == set(ids_of(kind, 15, salt=1))
        loaded = self.load(tmp_path / "v1")
        assert loaded.search_ways == model.search_ways
        for way in model.search_ways:
            assert_equal(loaded.recommend(users, k=7, search=way), model.recommend(users, k=7, search=way))
        assert_equal(loaded.similar_items(items, k=7), model.similar_items(items, k=7))
        histories = [items[:3], items[5:6]]
        assert_equal(loaded.recommend_for_history(histories), model.recommend_for_history(histories))


def recommend_all(model: Recommender, users: list[Any], way: str, **settings: Any) -> Recommendations:
    """Return the full ranking; hierarchical search re-ranks all candidates."""
    n_items = len(model.item_ids)
    return model.recommend(users, k=n_items, search=way, oversampling=n_items, **settings)


def seen_ids(user_ids: IdMap, item_ids: IdMap, seen: sparse.csr_matrix) -> dict[Any, set[Any]]:
    """Return the external ids of the seen items of each user."""
    items = item_ids.ids
    return {
        user: set(items[seen.indices[seen.indptr[row] : seen.indptr[row + 1]]].tolist())
        for row, user in enumerate(user_ids.ids.tolist())
    }


def _seen(interactions: Interactions) -> dict[Any, set[Any]]:
    return seen_ids(interactions.user_ids, interactions.item_ids, interactions.csr)


def assert_equal(one: Recommendations, other: Recommendations) -> None:
    """Fail unless two answers are the same, scores to the last bit."""
    assert one.query_ids.tolist() == other.query_ids.tolist()
    assert one.lists() == other.lists()
    assert one.ids.dtype == other.ids.dtype
    np.testing.assert_array_equal(one.scores, other.scores)
    np.testing.assert_array_equal(one.counts, other.counts)
