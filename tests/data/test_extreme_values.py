"""Values at the far ends: numbers with thousands of digits, tuples in tuples, columns that Arrow has no type for."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from hashgnn.data import IdMap, Interactions, read_interactions
from hashgnn.data.weighting import Weighting
from hashgnn.errors import DataError, DataWarning, HashGNNError
from hashgnn.recommender import HashGNN
from hashgnn.serving.wire.json_ids import IdReader
from hashgnn.testing.states import random_state

LONG = 10**5000  # Python refuses to write it out
WEIGHTS = {"view": 1, "buy": 5}


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = (value,)
    return value


@pytest.mark.parametrize(
    "value", [LONG, -LONG, Decimal("1e999999"), Decimal("-1e999999")], ids=["long", "-long", "wide", "-wide"]
)
def test_a_number_of_thousands_of_digits_is_one_sentence_at_once(value: Any) -> None:
    with pytest.raises(DataError, match=r"^users must .* in row 1$"):
        Interactions.from_arrays([value, 1], [1, 2])
    for ids in ([1, 2], ["a", "b"]):
        model = HashGNN.from_state(random_state(ids, ids, rng=1))
        with pytest.raises(HashGNNError, match="user ids .*, got|not in the training data"):
            model.recommend([value], k=1)
        with pytest.raises(HashGNNError, match="item ids .*, got|not in the training data"):
            model.recommend([ids[0]], k=1, allow=[value])
    if isinstance(value, int):
        with pytest.raises(HashGNNError, match="half_life must be a finite number"):
            Weighting(half_life=value)
        with pytest.raises(DataError, match="must be integers of 64 bits"):
            IdMap([("a", value), ("b", 1)]).check_kept()


def test_tuples_nest_no_deeper_than_they_can_be_saved() -> None:
    ids = IdMap([nested(16), nested(15)])
    ids.check_kept()
    assert IdMap.from_arrow(ids.to_arrow()) == ids
    for depth in (17, 40, 900, 3000):
        with pytest.raises(DataError, match="^users must nest at most 16 tuples, got .* in row 1$"):
            Interactions.from_arrays([nested(depth)], [1])
        with pytest.raises(DataError, match="must nest at most 16 tuples"):
            IdMap([nested(depth), (1,)]).check_kept()
        with pytest.raises(HashGNNError, match="ids of this data are tuples"):
            ids.index_of([nested(depth)])


@pytest.mark.parametrize(
    "text",
    ["[" * n + "]" * n for n in (18, 300, 900, 5000)]
    + ['["a",{"x":1}]', '["a",NaN]', '["a",1e999]', '["\\ud800",1]', f'["a",{2**70}]'],
)
def test_text_that_is_no_tuple_is_a_refused_id_of_the_service(text: str) -> None:
    reader = IdReader(IdMap([("a", 1), ("b", 2)]), "user")
    with pytest.raises(HashGNNError, match="^user ids of this model are tuples"):
        reader.positions([text])
    assert reader.positions([text], strict=False).tolist() == [-1]
    assert reader.printed([text]) == [text]


@pytest.mark.parametrize("kind", [pl.Object, pl.Int128])
def test_columns_that_arrow_has_no_type_for_are_weights_and_times(kind: Any) -> None:
    frame = pl.DataFrame({"user_id": ["a", "b"], "item_id": [1, 2], "n": pl.Series([3, 4], dtype=kind)})
    rows = Interactions.from_frame(frame, weight="n")
    assert rows.weight is not None
    assert rows.weight.tolist() == [3, 4]
    rows = Interactions.from_frame(frame, timestamp="n")
    assert rows.timestamp is not None
    assert rows.timestamp.tolist() == [3, 4]
    rows = Interactions.from_arrays([1, 2], [1, 2], weight=frame["n"], timestamp=frame["n"])
    assert rows.weight is not None
    assert rows.weight.tolist() == [3, 4]
    large = pl.DataFrame({"user_id": ["a"], "item_id": [1], "n": pl.Series([2**100], dtype=kind)})
    rows = Interactions.from_frame(large, weight="n")
    assert rows.weight is not None
    assert rows.weight.tolist() == [np.float32(2**100)]
    with pytest.raises(DataError, match="^n must be a number below"):
        Interactions.from_frame(large, timestamp="n")


def test_events_of_a_column_of_objects_are_read() -> None:
    frame = pl.DataFrame(
        {"user": ["a", "b"], "item": [1, 2], "event": pl.Series(["buy", "view"], dtype=pl.Object)}
    )
    rows = Interactions.from_frame(frame, event_weights=WEIGHTS)
    assert rows.weight is not None
    assert rows.weight.tolist() == [5, 1]


@pytest.mark.parametrize(
    "event", ["vb", {"view", "buy"}, {"view": 1, "buy": 2}, np.array([["view"], ["buy"]])]
)
def test_what_is_no_list_of_events_is_named(event: Any) -> None:
    with pytest.raises(DataError, match="^event must be a list"):
        Interactions.from_arrays(["a", "b"], [1, 2], event=event, event_weights=WEIGHTS)


def test_an_event_that_is_no_text_is_one_sentence() -> None:
    with pytest.raises(DataError, match="^event must be text"):
        Interactions.from_arrays(["a", "b"], [1, 2], event=[2**70, 1], event_weights=WEIGHTS)


def test_a_type_of_event_has_one_weight() -> None:
    with pytest.raises(HashGNNError, match="^a type of event must come once, got 'view' twice$"):
        Weighting({"view": 1, " view ": 2})


def test_no_time_as_the_reference_is_one_sentence() -> None:
    with pytest.raises(HashGNNError, match="^reference_time must be"):
        Interactions.from_arrays(
            [1, 2], [1, 2], timestamp=[1, 2], half_life="1d", reference_time=np.datetime64("NaT")
        )


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            '{"user_id":1,"user_id":2,"item_id":3}',
            "line 2: a column name must come once, got 'user_id' twice",
        ),
        (
            '{"user_id":' + "[" * 900 + "]" * 900 + ',"item_id":3}',
            "line 2: user_id must nest at most 16 lists",
        ),
        (
            '{"user_id":[18446744073709551616,1],"item_id":3}\n{"user_id":[1,"a"],"item_id":3}',
            "line 3: user_id must be of one kind",
        ),
    ],
)
def test_a_json_line_that_breaks_a_rule_is_named(tmp_path: Path, line: str, sentence: str) -> None:
    path = tmp_path / "e.jsonl"
    path.write_text("\n" + line)
    with pytest.raises(DataError, match=sentence):
        read_interactions(path)


@pytest.mark.parametrize("zero", ["-0", "-0.0"])
def test_a_zero_that_makes_a_column_text_is_named(tmp_path: Path, zero: str) -> None:
    path = tmp_path / "e.csv"
    path.write_text(f"user_id,item_id\n{zero},1\n0,2\n3,3\n")
    with pytest.warns(DataWarning, match=f"line 2: user_id is '{zero}', so the whole column is text"):
        read_interactions(path)


@pytest.mark.parametrize("delimiter", [5, b",", [","]])
def test_a_delimiter_that_is_no_text_is_one_sentence(tmp_path: Path, delimiter: Any) -> None:
    (tmp_path / "e.csv").write_text("user_id,item_id\n1,2\n")
    with pytest.raises(HashGNNError, match="^delimiter must be one ASCII character"):
        read_interactions(tmp_path / "e.csv", delimiter=delimiter)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "inter"])
def test_a_file_of_blank_lines_is_refused_at_its_start(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"e.{suffix}"
    path.write_bytes(b"\n" * 20_000 + b"user_id,item_id\n1,2\n")
    with pytest.raises(DataError, match="the file holds no rows in its first 10000 lines$"):
        read_interactions(path)


@pytest.mark.parametrize("part", [float("inf"), float("-inf"), float("nan")])
def test_a_tuple_that_cannot_be_saved_is_refused_before_the_training(part: float) -> None:
    with pytest.raises(DataError, match="cannot be saved and served"):
        IdMap([("a", part), ("b", 1.5)]).check_kept()


@pytest.mark.parametrize("choice", [{3: 0.5}, {1: [1], 3: None}])
def test_a_mapping_from_items_to_scores_blocks_not_nothing_in_silence(choice: Any) -> None:
    model = HashGNN.from_state(random_state([1, 2], [1, 2, 3], rng=1))
    with pytest.raises(HashGNNError, match="^each of block must be a list, got"):
        model.recommend([1], k=1, block=choice)
