"""Types of events and ages: what each row weighs, by hand."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from hashgnn.data import Interactions, Weighting, add_interactions, read_interactions
from hashgnn.data.weighting import SMALLEST_FACTOR
from hashgnn.errors import DataError, DataWarning, ParameterError

WEIGHTS = {"view": 1, "cart": 3, "purchase": 5}
DAY = 86_400
NEWEST = 1_700_000_000


def rows(**columns: Any) -> pa.Table:
    return pa.table({"user_id": ["a", "a", "b", "c"], "item_id": [1, 1, 2, 3], **columns})


EVENTS = rows(event=["view", "purchase", "cart", "view"])


@pytest.mark.parametrize("library", ["pyarrow", "pandas", "polars", "categories"])
def test_the_weights_of_a_pairs_events_are_added(library: str) -> None:
    frame: Any = EVENTS
    if library == "pandas":
        frame = EVENTS.to_pandas()
    elif library == "polars":
        frame = pl.from_arrow(EVENTS)
    elif library == "categories":
        frame = EVENTS.to_pandas().astype({"event": "category"})
    found = Interactions.from_frame(frame, event_weights=WEIGHTS)
    assert found.weight is not None
    assert (found.weight.tolist(), found.n_merged) == ([6, 3, 1], 1)
    assert found.weighting == Weighting(WEIGHTS)


def test_events_multiply_a_column_of_weights() -> None:
    found = Interactions.from_frame(EVENTS.append_column("weight", [[2, 1, 0.5, 1]]), event_weights=WEIGHTS)
    assert found.weight is not None
    assert found.weight.tolist() == [2 * 1 + 1 * 5, 1.5, 1]


def test_a_weight_of_0_leaves_rows_out_and_whom_only_they_name() -> None:
    found = Interactions.from_frame(EVENTS, event_weights={**WEIGHTS, "cart": 0})
    assert (found.user_ids.ids.tolist(), found.item_ids.ids.tolist()) == (["a", "c"], [1, 3])
    with pytest.raises(DataError, match="all 4 rows are events of weight 0"):
        Interactions.from_frame(rows(event=["x"] * 4), event_weights={"x": 0, "y": 1})


def test_unknown_types_are_an_error_that_counts_them() -> None:
    with pytest.raises(DataError) as caught:
        Interactions.from_frame(rows(event=["view", "skip", "View", "skip"]), event_weights=WEIGHTS)
    assert str(caught.value) == (
        "event must be one of 'view', 'cart', 'purchase', got 'skip' in 2 rows, 'View' in 1 row; "
        "give each type a weight, 0 leaves its rows out"
    )


@pytest.mark.parametrize("event", [["view", None, "", " "], pd.array(["view", pd.NA, None, " "])])
def test_rows_without_an_event_count_1_and_are_counted(event: Any) -> None:
    frame = rows().to_pandas().assign(event=event)
    with pytest.warns(DataWarning, match="event is empty in 3 of 4 rows; they count as an event of weight 1"):
        found = Interactions.from_frame(frame, event_weights={"view": 4})
    assert found.weight is not None
    assert found.weight.tolist() == [5, 1, 1]


def test_arrays_take_events_and_ages_too() -> None:
    found = Interactions.from_arrays(
        ["a", "b"],
        [1, 2],
        event=np.array(["view", "purchase"]),
        event_weights=WEIGHTS,
        timestamp=[NEWEST, NEWEST - DAY],
        half_life="1d",
    )
    assert found.weight is not None
    assert found.weight.tolist() == [1, 2.5]
    with pytest.raises(DataError, match="event must be given with event_weights"):
        Interactions.from_arrays(["a"], [1], event_weights=WEIGHTS)
    with pytest.raises(DataError, match="event must be as long as users, 1, got 2"):
        Interactions.from_arrays(["a"], [1], event=["view"] * 2, event_weights=WEIGHTS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"event_column": "what", "event_weights": WEIGHTS}, "column 'what' is missing, .* event_column="),
        ({"event_column": "event"}, "event_weights must be given with a column of events"),
        ({"event_weights": {}}, "event_weights must name at least one type of event, got none"),
        ({"event_weights": {"view": -1}}, "weight of event 'view' must be a finite number >= 0"),
        ({"event_weights": {"view": float("nan")}}, "weight of event 'view' must be a finite number"),
        ({"event_weights": {"view": "5"}}, "weight of event 'view' must be a finite number"),
        ({"event_weights": {"view": 0}}, "a type of event must weigh more than 0, got 0 for 'view'"),
        ({"event_weights": {"": 1}}, "a type of event must be text of 1 to 200 characters, got ''"),
        ({"event_weights": {3: 1}}, "a type of event must be text of 1 to 200 characters, got 3"),
        ({"event_weights": ["view"]}, "event_weights must be a mapping"),
        ({"half_life": "90 years"}, "half_life must be a number and one of s, m, h, d, w, as 90d"),
        ({"half_life": "90"}, "half_life must be a number and one of s, m, h, d, w"),
        ({"half_life": 0}, "half_life must be a finite number > 0"),
        ({"half_life": dt.timedelta(-1)}, "half_life must be a finite number > 0"),
        ({"half_life": "1d"}, "half_life needs the time of each interaction, got none"),
        ({"reference_time": 5}, "half_life must be given with reference_time"),
        ({"weighting": WEIGHTS}, "weighting must be a Weighting or None, got dict"),
    ],
)
def test_wrong_requests_are_one_sentence(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((DataError, ParameterError), match=message):
        Interactions.from_frame(EVENTS, **arguments)


def test_weights_without_a_column_of_events_are_an_error() -> None:
    with pytest.raises(DataError, match="column 'event' is missing"):
        Interactions.from_frame(rows(), event_weights=WEIGHTS)


@pytest.mark.parametrize(
    "half_life",
    ["2d", "48h", "2880m", "172800s", " 2 d ", dt.timedelta(days=2), 172_800, np.float64(172_800)],
)
def test_each_half_life_of_age_halves_a_weight(half_life: Any) -> None:
    times = [NEWEST, NEWEST - 2 * DAY, NEWEST - 4 * DAY, NEWEST - DAY]
    found = Interactions.from_frame(rows(timestamp=times), half_life=half_life)
    np.testing.assert_allclose(found.weight, [1.5, 0.25, 0.5**0.5], rtol=1e-6)
    assert found.weighting == Weighting(half_life=172_800, reference_time=NEWEST * 1e6)


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000, 1_000_000_000, "datetime", "text"])
def test_the_unit_of_the_times_does_not_matter(unit: Any) -> None:
    seconds = [NEWEST - 7 * DAY, NEWEST - 7 * DAY, NEWEST, NEWEST - 14 * DAY]
    moments = [dt.datetime.fromtimestamp(second, dt.UTC) for second in seconds]
    if unit == "datetime":
        times: Any = moments
    elif unit == "text":
        times = [moment.isoformat() for moment in moments]
    else:
        times = [second * unit for second in seconds]
    found = Interactions.from_frame(rows(timestamp=times), half_life="1w")
    np.testing.assert_allclose(found.weight, [1, 1, 0.25], rtol=1e-6)


@pytest.mark.parametrize(
    "reference",
    [
        NEWEST + DAY,
        (NEWEST + DAY) / 1,
        dt.datetime.fromtimestamp(NEWEST + DAY, dt.UTC),
        "2023-11-15T22:13:20Z",
    ],
)
def test_the_reference_may_be_given_in_any_form(reference: Any) -> None:
    found = Interactions.from_frame(rows(timestamp=[NEWEST] * 4), half_life="1d", reference_time=reference)
    np.testing.assert_allclose(found.weight, [1, 0.5, 0.5], rtol=1e-6)


def test_what_is_newer_than_the_reference_has_no_age() -> None:
    times = [NEWEST, NEWEST, NEWEST + 9 * DAY, NEWEST - DAY]
    found = Interactions.from_frame(rows(timestamp=times), half_life="1d", reference_time=NEWEST)
    np.testing.assert_allclose(found.weight, [2, 1, 0.5], rtol=1e-6)


def test_no_age_leaves_less_than_the_smallest_share() -> None:
    found = Interactions.from_frame(rows(timestamp=[NEWEST, NEWEST, NEWEST, 1]), half_life="1s")
    assert found.weight is not None
    assert found.weight.tolist() == [2, 1, SMALLEST_FACTOR]


def test_times_that_a_half_life_needs_must_be_complete() -> None:
    with pytest.raises(DataError, match="timestamp is empty in row 3"):
        Interactions.from_frame(rows(timestamp=[1, 2, None, 4]), half_life="1d")


def test_a_file_gives_what_its_frame_gives(tmp_path: Path) -> None:
    text = "user_id,item_id,action,timestamp\na,1,view,2024-05-01\na,1,purchase,2024-05-03\nb,2,cart,2024-05-02\n"
    (tmp_path / "e.csv").write_text(text)
    found = read_interactions(
        tmp_path / "e.csv", event_column="action", event_weights=WEIGHTS, half_life=dt.timedelta(days=1)
    )
    np.testing.assert_allclose(found.weight, [5.25, 1.5], rtol=1e-6)
    with pytest.raises(
        DataError, match=r"e\.csv: action must be one of 'view', got 'purchase' in 1 row, 'cart'"
    ):
        read_interactions(tmp_path / "e.csv", event_column="action", event_weights={"view": 1})
    with pytest.raises(
        DataError, match=r"e\.csv: column 'event' is missing, found 'user_id', 'item_id', 'action'"
    ):
        read_interactions(tmp_path / "e.csv", event_weights=WEIGHTS)


def test_a_subset_keeps_how_it_was_weighed() -> None:
    found = Interactions.from_frame(EVENTS, event_weights=WEIGHTS)
    assert found.subset(np.array([True, False, True])).compact().weighting == found.weighting
    assert found.k_core(1).weighting == found.weighting


def test_the_weighting_of_others_is_taken_as_far_as_the_columns_go() -> None:
    known = Weighting(WEIGHTS)
    assert Interactions.from_frame(EVENTS, weighting=known).weight.tolist() == [6, 3, 1]  # type: ignore[union-attr]
    assert Interactions.from_frame(rows(), weighting=known).weight.tolist() == [2, 1, 1]  # type: ignore[union-attr]
    more = Interactions.from_frame(rows(event=["new"] * 4), weighting=known, event_weights={"new": 2})
    assert more.weighting == Weighting({**WEIGHTS, "new": 2})
    with pytest.raises(
        ParameterError, match="event 'view' must weigh 1, as in the known interactions, got 2"
    ):
        Interactions.from_frame(EVENTS, weighting=known, event_weights={"view": 2})
    with pytest.raises(
        ParameterError, match="half_life must be none, as in the known interactions, got 86400"
    ):
        Interactions.from_frame(EVENTS, weighting=known, half_life="1d")


def test_older_interactions_age_on_when_newer_ones_are_added() -> None:
    old = Interactions.from_arrays(["a", "b"], [1, 2], timestamp=[NEWEST, NEWEST - DAY], half_life="1d")
    new = Interactions.from_arrays(["a", "c"], [1, 2], timestamp=[NEWEST + DAY, NEWEST], half_life="1d")
    both = add_interactions(old, new)
    np.testing.assert_allclose(both.weight, [1.5, 0.25, 0.5], rtol=1e-6)
    assert both.weighting == new.weighting
    late = add_interactions(new, old)  # the earlier ones come in later
    assert sorted(late.weight.tolist()) == sorted(both.weight.tolist())  # type: ignore[union-attr]


def test_interactions_that_are_weighed_otherwise_cannot_be_added() -> None:
    old = Interactions.from_arrays(["a", "b"], [1, 2], timestamp=[NEWEST, NEWEST], half_life="1d")
    plain = Interactions.from_arrays(["a"], [1])
    for first, second in ((old, plain), (plain, old)):
        with pytest.raises(ParameterError, match="half_life must be"):
            add_interactions(first, second)
    views = Interactions.from_arrays(["a"], [1], event=["view"], event_weights={"view": 1})
    heavier = Interactions.from_arrays(["a"], [1], event=["view"], event_weights={"view": 2})
    with pytest.raises(ParameterError, match="event 'view' must weigh 1"):
        add_interactions(views, heavier)
    assert add_interactions(plain, views).weight.tolist() == [2]  # type: ignore[union-attr]


def test_weights_that_no_float32_holds_are_an_error() -> None:
    with pytest.raises(
        DataError, match=r"the weights of a user and an item must add up to at most 3.4e38, got 6e\+38"
    ):
        Interactions.from_arrays([1, 1], [1, 1], weight=[3e38, 3e38])
    with pytest.raises(
        DataError, match=r"weights must be at most 1e\+38 with those of their events, got 1.5e\+39"
    ):
        Interactions.from_arrays([1], [1], weight=[3e38], event=["a"], event_weights={"a": 5})
