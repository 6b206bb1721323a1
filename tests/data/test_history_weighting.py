"""Weights of a history, worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hashgnn.data import HistoryWeighting
from hashgnn.errors import ParameterError

ITEMS = np.array([5, 6, 7, 5, 8])
TIMES = np.array([0.0, 100.0, 130.0, 1000.0, 1010.0])


def weighed(weighting: HistoryWeighting, times: Any = None) -> dict[int, float]:
    items, weights = weighting.weigh(ITEMS, times)
    return dict(zip(items.tolist(), weights.tolist(), strict=True))


def test_the_newest_items_are_kept_each_once() -> None:
    assert weighed(HistoryWeighting(last_n=2)) == {8: 1.0, 5: 1.0}
    assert weighed(HistoryWeighting(last_n=3)) == {8: 1.0, 5: 1.0, 7: 1.0}
    assert weighed(HistoryWeighting(last_n=99)) == {8: 1.0, 5: 1.0, 7: 1.0, 6: 1.0}


def test_weights_halve_by_place_and_by_age() -> None:
    assert weighed(HistoryWeighting(position_half_life=1)) == {8: 1.0, 5: 0.5, 7: 0.25, 6: 0.125}
    found = weighed(HistoryWeighting(age_half_life="10s"), TIMES)
    assert (found[8], found[5]) == (1.0, 0.5)
    assert found[7] == pytest.approx(0.5**88)
    both = weighed(HistoryWeighting(position_half_life=1, age_half_life=10.0), TIMES)
    assert both[5] == 0.25


def test_a_pause_begins_a_session() -> None:
    assert weighed(HistoryWeighting(session="5m"), TIMES) == {8: 1.0, 5: 1.0}
    assert weighed(HistoryWeighting(session=5), TIMES) == {8: 1.0}
    assert set(weighed(HistoryWeighting(session="1h"), TIMES)) == {5, 6, 7, 8}
    assert weighed(HistoryWeighting(session="5m", last_n=1), TIMES) == {8: 1.0}


def test_times_say_the_order_and_equal_ones_keep_it() -> None:
    assert weighed(HistoryWeighting(last_n=1), TIMES[::-1].copy()) == {5: 1.0}
    assert weighed(HistoryWeighting(last_n=2), np.zeros(5)) == {8: 1.0, 5: 1.0}


def test_rows_of_a_matrix_are_the_histories_and_unknown_items_take_no_place() -> None:
    rows = [np.array([2, -1, 0, -1]), np.array([], np.int64)]
    matrix = HistoryWeighting(position_half_life=1).matrix(rows, None, 4)
    assert matrix.toarray().tolist() == [[1.0, 0.0, 0.5, 0.0], [0.0] * 4]


def test_what_is_very_old_still_counts_as_an_interaction() -> None:
    _, weights = HistoryWeighting(age_half_life=1.0).weigh(np.array([1, 2]), np.array([0.0, 1e12]))
    assert weights.min() > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {},
            "history_weighting must set one of last_n, position_half_life, age_half_life, session, got none",
        ),
        ({"last_n": 0}, "last_n must be"),
        ({"last_n": True}, "last_n must be"),
        ({"position_half_life": 0}, "position_half_life must be"),
        ({"position_half_life": float("nan")}, "position_half_life must be"),
        ({"session": "soon"}, "session must be a number and one of s, m, h, d, w, as 90d, got 'soon'"),
        ({"age_half_life": -1}, "age_half_life must be"),
    ],
)
def test_bad_values(options: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        HistoryWeighting(**options)


def test_mappings_are_taken_and_unknown_names_refused() -> None:
    assert HistoryWeighting.of({"last_n": 3}) == HistoryWeighting(last_n=3)
    assert HistoryWeighting.of(None) is None
    for wrong in ({"last": 3}, 20, "20"):
        with pytest.raises(
            ParameterError, match="history_weighting must be a HistoryWeighting or a mapping of"
        ):
            HistoryWeighting.of(wrong)  # type: ignore[arg-type]
    for weighting in (HistoryWeighting(session=3), HistoryWeighting(age_half_life=3)):
        with pytest.raises(ParameterError, match="needs the time of each item of a history, got none"):
            weighting.weigh(ITEMS)
