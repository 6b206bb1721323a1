"""The contract of a recommender: subclass it in a test module and say how to make a model."""

from __future__ import annotations

import datetime
import uuid
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashgnn.errors import ParameterError, ResultWarning, UnknownIdError
from hashgnn.recommender import HashGNN, Recommendations

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


class RecommenderContract(ABC):
    """What every recommender must do, whatever it learned."""

    @abstractmethod
    def make(self, user_ids: list[Any], item_ids: list[Any]) -> HashGNN:
        """Return a fitted model that knows these ids."""

    def _model(self, kind: str = "str") -> HashGNN:
        return self.make(ids_of(kind, 15, salt=1), ids_of(kind, 24, salt=2))

    def test_nothing_seen_is_recommended_and_all_else_is(self) -> None:
        model = self._model()
        seen = seen_ids(model)
        users = model.state_.users.ids.ids.tolist()
        everything = set(model.state_.items.ids.ids.tolist())
        for way in model.search_ways:
            recs = recommend_all(model, users, way)
            for user, found in zip(users, recs.lists(), strict=True):
                assert sorted(found) == sorted(everything - seen[user]), way

    def test_seen_items_are_ranked_with_the_others_where_asked(self) -> None:
        model = self._model()
        users = model.state_.users.ids.ids.tolist()
        for way in model.search_ways:
            recs = model.recommend(users, k=24, search=way, filter_seen=False)
            assert (recs.counts == 24).all()
            assert [len(set(found)) for found in recs.lists()] == [24] * len(users)

    def test_scores_descend_and_ties_keep_the_order_of_items(self) -> None:
        model = self._model()
        for way in model.search_ways:
            found = model.search_block(np.arange(model.state_.n_users), way, 10)
            for positions, scores, count in zip(found.positions, found.scores, found.counts, strict=True):
                pairs = list(zip(-scores[:count], positions[:count], strict=True))
                assert pairs == sorted(pairs), way

    def test_a_batch_equals_its_single_queries(self) -> None:
        model = self._model()
        users = model.state_.users.ids.ids.tolist()
        for way in model.search_ways:
            batch = model.recommend(users, k=5, search=way)
            for row, user in enumerate(users):
                single = model.recommend([user], k=5, search=way)
                assert single.lists()[0] == batch.lists()[row], way
                np.testing.assert_allclose(single.scores[0], batch.scores[row], rtol=1e-5)

    def test_the_first_results_do_not_depend_on_k(self) -> None:
        model = self._model()
        users = model.state_.users.ids.ids.tolist()
        for way in set(model.search_ways) - {"hierarchical"}:
            short, long = (model.recommend(users, k=k, search=way).lists() for k in (3, 12))
            assert short == [found[:3] for found in long], way

    def test_an_allow_list_of_everything_and_an_empty_block_list_change_nothing(self) -> None:
        model = self._model()
        users, items = model.state_.users.ids.ids.tolist(), model.state_.items.ids.ids.tolist()
        for way in model.search_ways:
            plain = model.recommend(users, k=6, search=way).lists()
            assert model.recommend(users, k=6, search=way, allow=items).lists() == plain
            assert model.recommend(users, k=6, search=way, block=[]).lists() == plain
            assert model.recommend(users, k=6, search=way, allow=[items] * len(users)).lists() == plain
            assert model.recommend(users, k=6, search=way, block=[[]] * len(users)).lists() == plain

    def test_allow_and_block_lists_hold_and_keep_the_order(self) -> None:
        model = self._model()
        users, items = model.state_.users.ids.ids.tolist(), model.state_.items.ids.ids.tolist()
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
    def test_a_saved_model_answers_the_same_in_the_same_ids(self, tmp_path: Path, kind: str) -> None:
        model = self._model(kind)
        model.save(tmp_path / "v1")
        users, items = model.state_.users.ids.ids.tolist(), model.state_.items.ids.ids.tolist()
        assert set(users) == set(ids_of(kind, 15, salt=1))
        for mmap in (True, False):
            loaded = HashGNN.load(tmp_path / "v1", mmap=mmap)
            assert loaded.search_ways == model.search_ways
            assert loaded.config == model.config
            for way in model.search_ways:
                assert_equal(
                    loaded.recommend(users, k=7, search=way), model.recommend(users, k=7, search=way)
                )
            assert_equal(loaded.similar_items(items, k=7), model.similar_items(items, k=7))
            histories = [items[:3], items[5:6]]
            assert_equal(loaded.recommend_for_history(histories), model.recommend_for_history(histories))

    def test_an_item_is_not_similar_to_itself(self) -> None:
        model = self._model()
        items = model.state_.items.ids.ids.tolist()
        for way in set(model.search_ways) - {"biased"}:
            for item, found in zip(items, model.similar_items(items, k=23, search=way).lists(), strict=True):
                assert item not in found
                assert way == "hierarchical" or len(found) == 23

    def test_what_a_new_user_has_is_not_recommended(self) -> None:
        model = self._model()
        items = model.state_.items.ids.ids.tolist()
        for way in model.search_ways:
            recs = model.recommend_for_history([items[:4]], k=24, search=way, oversampling=24)
            assert set(recs.lists()[0]) == set(items[4:])

    def test_bad_arguments_are_named(self) -> None:
        model = self._model()
        user = model.state_.users.ids.ids.tolist()[0]
        for settings, said in (
            ({"k": 25}, "k must be at most 24"),
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

    def test_a_user_who_may_get_nothing_has_no_results_and_a_warning(self) -> None:
        model = self._model()
        users = model.state_.users.ids.ids.tolist()[:2]
        items = model.state_.items.ids.ids.tolist()
        with pytest.warns(ResultWarning, match="1 of 2 users have no item left to recommend"):
            recs = model.recommend(users, k=3, block=[items, []])
        assert recs.counts.tolist() == [0, 3]
        assert recs.lists()[0] == []


def recommend_all(model: HashGNN, users: list[Any], way: str, **settings: Any) -> Recommendations:
    """Return the full ranking; hierarchical search re-ranks all candidates."""
    n_items = model.state_.n_items
    return model.recommend(users, k=n_items, search=way, oversampling=n_items, **settings)


def seen_ids(model: HashGNN) -> dict[Any, set[Any]]:
    """Return the external ids of what each user has seen."""
    items, seen = model.state_.items.ids.ids, model.state_.seen
    return {
        user: set(items[seen.indices[seen.indptr[row] : seen.indptr[row + 1]]].tolist())
        for row, user in enumerate(model.state_.users.ids.ids.tolist())
    }


def assert_equal(one: Recommendations, other: Recommendations) -> None:
    """Fail unless two answers are the same, scores to the last bit."""
    assert one.query_ids.tolist() == other.query_ids.tolist()
    assert one.lists() == other.lists()
    assert one.ids.dtype == other.ids.dtype
    np.testing.assert_array_equal(one.scores, other.scores)
    np.testing.assert_array_equal(one.counts, other.counts)
