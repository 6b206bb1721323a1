"""What is no id, or no list of ids, is one sentence of ours; what other programs write for a missing value is empty."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp

from hashgnn.data import IdMap, Interactions, add_interactions, read_interactions, read_table
from hashgnn.errors import DataError, DataWarning, HashGNNError, ParameterError
from hashgnn.recommender import HashGNN
from hashgnn.testing.states import random_state

FRAME = pd.DataFrame({"user_id": [1, 2], "item_id": [3, 4]})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ("ab", "must be a list, got 'ab'"),
        (b"ab", "must be a list, got b'ab'"),
        (bytearray(b"ab"), "must be a list, got bytearray"),
        (5, "must be a list, got 5"),
        (None, "must be a list, got None"),
        ({1: 2, 3: 4}, "must be a list, got {1: 2, 3: 4}"),
        ({1, 2}, "must be a list, got a set, which has no order"),
        (frozenset([1, 2]), "must be a list, got a frozenset, which has no order"),
        (FRAME, r"must be a list or one column, got a DataFrame of shape \(2, 2\)"),
        (pl.DataFrame(FRAME), "must be a list or one column, got a DataFrame"),
        (pa.table({"a": [1, 2]}), "must be a list or one column, got a Table"),
        (np.ones((2, 2), int), r"must be a list or one column, got a ndarray of shape \(2, 2\)"),
        (np.ones((2, 2)), r"must be a list or one column, got a ndarray of shape \(2, 2\)"),
        (np.array(5), r"must be a list or one column, got a ndarray of shape \(\)"),
        (sp.csr_matrix(np.eye(2)), r"must be a list or one column, got a csr_matrix of shape \(2, 2\)"),
    ],
)
def test_what_is_no_list_of_ids_is_named(values: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=f"^users {sentence}"):
        Interactions.from_arrays(values, [1, 2])
    with pytest.raises(DataError, match=f"^items {sentence}"):
        Interactions.from_arrays([1, 2], values)
    model = HashGNN.from_state(random_state([1, 2], [1, 2]))
    if not isinstance(values, set | frozenset):
        with pytest.raises(DataError, match=f"^ids {sentence}"):
            IdMap(values)
        with pytest.raises(ParameterError, match=f"^user_ids {sentence}"):
            model.recommend(values, k=1)
        if values is not None and getattr(values, "ndim", 1) != 2:
            with pytest.raises(ParameterError, match="^(each of )?block must be a list"):
                model.recommend([1], k=1, block=values)


@pytest.mark.parametrize("histories", [{1: [2]}, "ab", 5, [1, 2], [{1: 2}], ["ab"], FRAME, [FRAME]])
def test_what_are_no_lists_of_ids_is_named(histories: Any) -> None:
    model = HashGNN.from_state(random_state([1, 2], [1, 2]))
    with pytest.raises(ParameterError, match="^(each of )?(histories|audiences) must be a list"):
        model.recommend_for_history(histories, k=1)
    with pytest.raises(ParameterError, match="^(each of )?(histories|audiences) must be a list"):
        model.fold_in_items(audiences=histories)


def test_lists_of_users_may_be_a_mapping() -> None:
    model = HashGNN.from_state(random_state([1, 2, 3], [10, 20, 30, 40], density=0))
    found = model.recommend([2, 1], k=4, allow={1: [30], 2: [10, 20], 3: [40]}, block={2: [20], 9: [10]})
    assert found.lists() == [[10], [30]]
    with pytest.raises(ParameterError, match=r"^allow must have a list for every user, got none for 2$"):
        model.recommend([2, 1], k=4, allow={1: [300]})
    with pytest.raises(ParameterError, match=r"^each of allow must be a list, got 30$"):
        model.recommend([1], k=4, allow={1: 30})
    with pytest.raises(ParameterError, match="^allow must be a list, got {1: "):
        model.recommend_for_history([[10]], k=2, allow={1: [30]})  # type: ignore[arg-type]
    frame = [pd.Series([10, 20]), pa.array([30])]
    assert model.recommend([2, 1], k=4, allow=frame).lists()[1] == [30]
    assert model.recommend([2, 1], k=4, allow=np.array([[10, 10], [30, 30]])).lists() == [[10], [30]]


@pytest.mark.parametrize(
    "missing",
    [
        None,
        "",
        b"",
        float("nan"),
        np.float32("nan"),
        Decimal("nan"),
        pd.NA,
        pd.NaT,
        np.datetime64("NaT"),
        np.datetime64("NaT", "ns"),
        np.ma.masked,
        pa.scalar(None),
        pa.scalar(None, pa.int64()),
    ],
)
def test_a_missing_value_of_any_library_is_empty(missing: Any) -> None:
    with pytest.raises(DataError, match="^users is empty in row 2$"):
        Interactions.from_arrays([1, missing], [1, 2])
    for series in (pd.Series([1, missing], dtype=object), pl.Series([1, missing], dtype=pl.Object)):
        with pytest.raises(DataError, match="^users is empty in row 2$"):
            Interactions.from_arrays(series, [1, 2])
    model = HashGNN.from_state(random_state([1, 2], [1, 2]))
    with pytest.raises(ParameterError, match="^user ids of this data are integers, got "):
        model.recommend([1, missing], k=1, on_unknown="skip")


@pytest.mark.parametrize(
    "column",
    [
        np.ma.array([1, 2], mask=[False, True]),
        np.ma.array([1.0, 2.0], mask=[False, True]),
        np.array(["2024-01-01", "NaT"], "datetime64[ns]"),
        pa.DictionaryArray.from_arrays([0, None], ["a", "b"]),
        pa.DictionaryArray.from_arrays([0, 1], ["a", None]),
        pl.Series(["a", None], dtype=pl.Categorical),
        pd.Series(["a", None], dtype="category"),
        pd.Series([1, None], dtype="Int64"),
    ],
)
def test_a_missing_entry_of_a_column_is_empty(column: Any) -> None:
    with pytest.raises(DataError, match="^users is empty in row 2$"):
        Interactions.from_arrays(column, [1, 2])


@pytest.mark.parametrize(
    "text", ["NULL", "null", "NaN", "nan", "NA", "N/A", "<NA>", "None", "NaT", "\\N", "", " "]
)
def test_a_missing_value_of_a_text_file_is_empty_on_its_line(tmp_path: Path, text: str) -> None:
    for name, mark in (("e.csv", ","), ("e.tsv", "\t")):
        for others in (("1", "2"), ("u1", "u2")):
            lines = [f"{others[0]}{mark}1", f"{text}{mark}2", f"{others[1]}{mark}3"]
            (tmp_path / name).write_text("\n".join([f"user_id{mark}item_id", *lines]))
            with pytest.raises(DataError, match=rf"{name}, line 3: user_id is empty"):
                read_interactions(tmp_path / name)
            known = IdMap(others if others[0] == "u1" else [1, 2])
            with pytest.raises(DataError, match=rf"{name}, line 3: user_id is empty"):
                read_interactions(tmp_path / name, user_ids=known, on_unknown="skip")


def test_a_known_id_that_reads_like_a_missing_value_is_the_id(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("user_id,item_id\nNA,1\nDE,2\n")
    assert len(read_interactions(tmp_path / "e.csv", user_ids=["NA", "DE"])) == 2
    (tmp_path / "e.csv").write_text("user_id,item_id\nNA,1\nNULL,2\n")
    with pytest.raises(DataError, match="line 3: user_id is empty, got 'NULL'$"):
        read_interactions(tmp_path / "e.csv", user_ids=["NA", "DE"], on_unknown="skip")


def test_a_missing_number_of_a_table_of_features_is_missing(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,year,name\na,1999,NA\nb,NULL,x\nc,,y\n")
    assert read_table(tmp_path / "t.csv").to_pydict() == {
        "id": ["a", "b", "c"],
        "year": [1999, None, None],
        "name": ["NA", "x", "y"],
    }


@pytest.mark.parametrize(
    ("fields", "line", "text"),
    [
        (["1", "2", "oops", "4"], 4, "'oops'"),
        (["007", "8", "9"], 2, "'007'"),
        (["1", "2.5", "3"], 3, "'2.5'"),
    ],
)
def test_the_line_that_makes_a_column_of_numbers_text_is_named(
    tmp_path: Path, fields: list[str], line: int, text: str
) -> None:
    (tmp_path / "e.csv").write_text("user_id,item_id\n" + "".join(f"{field},1\n" for field in fields))
    with pytest.warns(
        DataWarning, match=f"e.csv, line {line}: user_id is {text}, so the whole column is text"
    ):
        found = read_interactions(tmp_path / "e.csv")
    assert found.user_ids.ids.tolist() == sorted(fields)


def test_names_and_numbers_of_more_than_64_bits_are_text_without_a_word(tmp_path: Path) -> None:
    for fields in (["u1", "u2", "7"], [str(2**64), "7", "8"], ["a", "1"]):
        (tmp_path / "e.csv").write_text("user_id,item_id\n" + "".join(f"{field},1\n" for field in fields))
        assert read_interactions(tmp_path / "e.csv").user_ids.ids.tolist() == sorted(fields)


@pytest.mark.parametrize(
    "values",
    [
        [2**64, 7],
        [Decimal(2**64), 7.0],
        np.array([2**64 - 1, 7], np.uint64),
        pa.array([2**64 - 1, 7], pa.uint64()),
        pl.Series([2**64 - 1, 7], dtype=pl.UInt64),
        pd.Series([2**64, 7]),
        pa.array([Decimal(2**64), Decimal(7)], pa.decimal128(38, 0)),
    ],
)
def test_a_column_with_a_number_of_more_than_64_bits_is_text(values: Any) -> None:
    assert Interactions.from_arrays(values, [1, 2]).user_ids.kind == "str"
    frame = pd.DataFrame({"user_id": pd.Series(list(values)), "item_id": [1, 2]})
    if not isinstance(values, pa.Array):
        assert Interactions.from_frame(frame).user_ids.ids.tolist()[1] == "7"


SUM = "^the weights of a user and an item must add up to at most 3.4e38, got 6e\\+38$"


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Interactions.from_arrays([1, 1], [2, 2], weight=[3e38, 3e38]), SUM),
        (
            lambda: add_interactions(
                Interactions.from_arrays([1], [2], weight=[3e38]),
                Interactions.from_arrays([1], [2], weight=[3e38]),
            ),
            SUM,
        ),
        (
            lambda: Interactions.from_csr(
                sp.csr_matrix((np.array([3e38, 3e38]), [0, 0], [0, 2]), shape=(1, 1), dtype=np.float64)
            ),
            "^an entry of the matrix must be finite and > 0, got 6e",
        ),
        (lambda: Interactions.from_arrays([1], ["\ud800"]), "^items must be text that UTF-8 can hold"),
        (lambda: Interactions.from_arrays([1], [2], weight=5), "^weight must be a list, got 5$"),
        (lambda: Interactions.from_arrays([1], [2], weight=[None]), "^weight is empty in row 1$"),
        (lambda: Interactions.from_arrays([1], [2], timestamp=5), "^timestamp must be a list, got 5$"),
        (
            lambda: Interactions.from_arrays([1], [2], weight=[10**400]),
            "^weight must be finite and > 0, got inf",
        ),
        (
            lambda: Interactions.from_arrays([1], [2], weight=np.ones((1, 1))),
            "^weight must be a list or one column",
        ),
        (lambda: Interactions.from_arrays([1], [2], weight={1: 2}), "^weight must be a list, got {1: 2}$"),
        (lambda: Interactions.from_arrays([1], [2], timestamp="a"), "^timestamp must be a list, got 'a'$"),
        (
            lambda: Interactions.from_arrays([1], [2], timestamp=[2**70]),
            "^timestamp must be a number below 2",
        ),
        (lambda: Interactions.from_arrays([1], [2], timestamp=[pd.NaT]), "^timestamp is empty in row 1$"),
        (
            lambda: Interactions.from_arrays([1], [2], timestamp=np.ones((1, 1))),
            "^timestamp must be a list or one",
        ),
        (
            lambda: Interactions.from_arrays([1, 2], [2, 3], timestamp=np.ma.array([1, 2], mask=[0, 1])),
            "^timestamp is empty in row 2$",
        ),
        (lambda: Interactions.from_frame(FRAME, user=1), "^user must be the name of a column, got 1$"),
        (lambda: Interactions.from_frame(FRAME, item=["a"]), "^item must be the name of a column, got "),
        (
            lambda: Interactions.from_frame(pd.DataFrame([[1, 2]], columns=["user_id", "user_id"])),
            "^a column name must come once, got 'user_id' twice$",
        ),
        (lambda: read_interactions(None), "^path must be text, a path or a file"),  # type: ignore[arg-type]
        (lambda: Interactions.from_arrays([{}], [1]), "^users must be hashable, got a dict in row 1$"),
        (
            lambda: Interactions.from_arrays(pa.array([{"a": 1}]), [1]),
            "^users must be hashable, got a dict in row 1$",
        ),
    ],
)
def test_no_exception_of_another_library_comes_out(call: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(HashGNNError, match=sentence):
        call()


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.array([1, 2], np.float16), "int"),
        (pl.Series([1, 2], dtype=pl.Int128), "int"),
        (pl.Series([1, 2], dtype=pl.Decimal(38, 0)), "int"),
        (pd.Index([1.0, 2.0]), "int"),
        (range(2), "int"),
        (np.array([b"a", b"b"]), "bytes"),
        (pa.array([b"a", b"b"], pa.binary(1)), "bytes"),
        (np.array(["2024-01-01", "2024-01-02"], "datetime64[ns]"), "datetime"),
        (np.array(["2024-01-01", "2024-01-02"], "datetime64[D]"), "date"),
        (pd.MultiIndex.from_tuples([("a", 1), ("b", 2)]), "tuple"),
        (pl.Series([["a"], ["b"]]), "tuple"),
        (np.array([True, False]), "bool"),
        (np.array([1, 2], "timedelta64[ns]"), "other"),
        (pl.Series([1, 2]).cast(pl.Duration), "other"),
        (pa.array([1, 2], pa.time64("ns")), "other"),
        (pa.array([1, 2], pa.timestamp("ns")), "other"),
    ],
)
def test_columns_of_any_library_have_a_kind_and_are_never_numbers_by_accident(values: Any, kind: str) -> None:
    found = Interactions.from_arrays(values, [1, 2]).user_ids
    assert found.kind == kind
    if kind == "other":
        with pytest.raises(DataError, match="^user ids cannot be saved and served, got "):
            found.check_kept("user ids")
    else:
        found.check_kept("user ids")


def test_weights_may_be_decimals_and_known_ids_a_list() -> None:
    found = Interactions.from_arrays([1], [2], weight=[Decimal("1.5")], user_ids=[3, 1], item_ids=[2])
    assert found.weight is not None
    assert (found.weight.tolist(), found.user_index.tolist(), found.n_users) == ([1.5], [1], 2)


def test_numbers_of_more_than_64_bits_come_back_from_a_query_and_fit_no_table() -> None:
    model = HashGNN.from_state(random_state([1, 2], [1, 2]))
    found = model.recommend([2**70, 1], k=1, on_unknown="popular", filter_seen=False)
    assert found.query_ids.tolist() == [2**70, 1]
    with pytest.raises(
        DataError, match="user_id holds ids that no table column can hold together; use lists"
    ):
        found.to_frame()


def test_unknown_text_that_utf_8_cannot_hold_is_unknown(tmp_path: Path) -> None:
    model = HashGNN.from_state(random_state(["a", "b"], ["c", "d"]))
    model.save(tmp_path / "v1")
    known = HashGNN.load(tmp_path / "v1").state_.users.ids
    assert set(known.index_of(["\ud800"] * 5000 + ["b"], on_unknown="skip").tolist()) == {-1, 1}


def test_unknown_ids_are_added_behind_the_known_ones() -> None:
    known = IdMap(["b", "d"])
    found = Interactions.from_arrays(
        ["d", "a", "c"], [7, 7, 8], user_ids=known, item_ids=IdMap([8]), on_unknown="add"
    )
    assert found.user_ids.ids.tolist() == ["b", "d", "a", "c"]
    assert found.item_ids.ids.tolist() == [8, 7]
    assert found.csr.toarray().tolist() == [[0, 0], [0, 1], [0, 1], [1, 0]]


def test_an_id_of_another_kind_is_named_with_its_line_or_row(tmp_path: Path) -> None:
    days = IdMap([datetime.date(2024, 5, 1), datetime.date(2024, 5, 2)])
    (tmp_path / "e.csv").write_text("user_id,item_id\n7,2024-05-01\n8,2024-05-02\n007,yesterday\n")
    with pytest.raises(DataError, match="line 4: user ids of this data are integers, got '007' of type str$"):
        read_interactions(tmp_path / "e.csv", user_ids=[7, 8], on_unknown="skip")
    with pytest.raises(DataError, match=r"line 4: item ids of this data are dates \(.*\), got 'yesterday'"):
        read_interactions(tmp_path / "e.csv", user_ids=["7", "8"], item_ids=days, on_unknown="add")
    frame = pd.DataFrame({"user_id": [7, 8], "item_id": ["2024-05-01", "x"]})
    with pytest.raises(
        DataError, match=r"^item ids of this data are dates \(.*\), got 'x' of type str in row 2$"
    ):
        Interactions.from_frame(frame, item_ids=days)
