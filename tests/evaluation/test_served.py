"""What is served can be measured: lists as the model returns them, losses of its index included."""

from __future__ import annotations

import numpy as np
import pytest
from table_model import TableModel, matrix

from hashgnn.errors import DataError, ParameterError
from hashgnn.evaluation import Retriever, Scorer, evaluate
from hashgnn.ranking import CandidateFilter, IndexLists, Matches, top_k

# Unmasked, item 0 leads; both users have one training item and two held-out items.
TRAIN = matrix([[0], [0]], 6)
TEST = matrix([[1, 2], [3, 5]], 6)
TABLE = np.array([[9, 5, 4, 3, 2, 1], [9, 5, 4, 3, 2, 1]], np.float32)
NAMES = ["recall@3", "ndcg@3", "coverage@3"]


class Indexed(TableModel):
    """Returns its unseen best, without the items that its index has lost."""

    def __init__(self, lost: list[int]) -> None:
        super().__init__({"float": TABLE})
        self.lost = lost

    def found(self, user_index, search, k):
        scores = self.tables[search][user_index].copy()
        CandidateFilter(block_per_query=IndexLists.from_matrix(TRAIN)[user_index]).mask(scores)
        scores[:, self.lost] = -np.inf
        return top_k(scores, k)


class OnlyScores:
    search_ways = ("float",)

    def score_block(self, user_index, search, k, *, oversampling):
        return TABLE[user_index].copy()

    def bytes_per_item(self, search):
        return 4.0


class OnlyLists:
    search_ways = ("float",)

    def search_block(self, user_index, search, k, *, oversampling):
        return Indexed([]).found(user_index, search, k)


def measured(model, **settings):
    return evaluate(model, TRAIN, TEST, metrics=NAMES, n_bootstrap=0, rng=0, **settings)


def test_a_complete_index_serves_what_an_exact_ranking_finds():
    exact, served = measured(Indexed([])), measured(Indexed([]), served=True)
    assert served.metrics == exact.metrics
    assert (served.per_user["float"]["ndcg@3"] == exact.per_user["float"]["ndcg@3"]).all()
    assert (exact.served, served.served) == (False, True)


def test_what_an_index_loses_is_missed_only_where_served_is_measured():
    # Item 2 is lost: user 0 is served 1 3 4 and finds 1 of 2, user 1 still finds 3.
    lossy = Indexed([2])
    assert measured(lossy).metrics["float"]["recall@3"] == pytest.approx((1 + 1 / 2) / 2)
    assert measured(lossy, served=True).metrics["float"] == pytest.approx(
        {
            "recall@3": (1 / 2 + 1 / 2) / 2,
            "ndcg@3": (1 + 1 / np.log2(3)) / 2 / (1 + 1 / np.log2(3)),
            "coverage@3": 3 / 6,
        }
    )


def test_short_lists_are_measured_as_they_are():
    served = measured(Indexed([1, 2, 4]), served=True)
    assert served.per_user["float"]["recall@3"].tolist() == [0, 1]


def test_ties_stand_as_the_index_breaks_them():
    model = Indexed([])
    model.found = lambda users, search, k: Matches(
        np.tile([5, 3, 4], (len(users), 1)), np.ones((len(users), 3), np.float32), np.full(len(users), 3)
    )
    served = evaluate(model, TRAIN, TEST, metrics=["mrr@3"], served=True, n_bootstrap=0, rng=0)
    assert served.per_user["float"]["mrr@3"].tolist() == [0, 1]


def test_expected_values_are_absent_where_only_lists_are_known():
    assert measured(Indexed([])).expected["float"].keys() == {"recall@3", "ndcg@3"}
    assert measured(Indexed([]), served=True).expected == {"float": {}}


def test_a_scorer_is_measured_without_times():
    assert isinstance(OnlyScores(), Scorer)
    assert not isinstance(OnlyScores(), Retriever)
    result = measured(OnlyScores())
    assert result.metrics == measured(Indexed([])).metrics
    assert result.milliseconds_per_query == {}
    for settings, purpose in (({"n_timed": 1}, "n_timed >= 1"), ({"served": True}, "served=True")):
        with pytest.raises(
            ParameterError, match=f"{purpose} needs a model with search_block, got OnlyScores"
        ):
            measured(OnlyScores(), **settings)


def test_a_retriever_is_measured_as_served():
    result = measured(OnlyLists(), served=True, n_timed=1)
    assert result.metrics == measured(Indexed([])).metrics
    assert result.bytes_per_item == {}
    assert result.milliseconds_per_query["float"] > 0
    with pytest.raises(
        ParameterError, match=r"needs a model with score_block .* got OnlyLists; pass served=True"
    ):
        measured(OnlyLists())


@pytest.mark.parametrize(
    ("positions", "counts", "said"),
    [
        (
            np.zeros((2, 2), np.int64),
            [2, 2],
            r"must return positions of shape \(2, 3\) for 'float', got int64",
        ),
        (np.zeros((2, 3)), [3, 3], "got float64"),
        (
            np.full((2, 3), 6),
            [3, 3],
            r"must return positions in \[0, 6\) for 'float', and -1 beyond each count",
        ),
        (np.zeros((2, 3), np.int64), [3, 2], "and -1 beyond each count, got others"),
    ],
)
def test_lists_of_the_wrong_form_are_refused(positions, counts, said):
    model = Indexed([])
    model.found = lambda users, search, k: Matches(positions, positions.astype(np.float32), np.array(counts))
    with pytest.raises(DataError, match=said):
        measured(model, served=True, n_timed=0)
