"""What an expression says, what is refused, and the same answer from SQLite."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashgnn.data import IdMap
from hashgnn.errors import ParameterError
from hashgnn.rules import ItemAttributes, columns_of, parse, to_sql, uses_now
from hashgnn.rules.expression import All, Column, Comparison, Literal, Moment, Not
from hashgnn.rules.expression import Any as Either
from hashgnn.rules.normal_form import normal_form

DAY = 86_400
ROWS: dict[str, list[Any]] = {
    "price": [1.5, None, 30.0, float("nan"), -2.0, 7.0],
    "stars": [1, 2, None, 2**53 + 1, -5, 0],
    "in_stock": [True, False, None, True, True, False],
    "brand": ["a", "b", None, "a'b", "é", ""],
    "tags": [["x"], [], None, ["x", "y"], ["y"], ["X"]],
    "published": [0, 10 * DAY, None, 40 * DAY, 41 * DAY, 20 * DAY],
}


def table() -> ItemAttributes:
    columns = {name: pa.array(values) for name, values in ROWS.items() if name != "published"}
    micros = [None if value is None else value * 10**6 for value in ROWS["published"]]
    columns["published"] = pa.array(micros, pa.timestamp("us"))
    return ItemAttributes(pa.table(columns), IdMap(list(range(6))))


ITEMS = table()


def holds(text: str, now: float = 42.0 * DAY) -> list[int]:
    return np.flatnonzero(ITEMS.filter(text, now=now).mask()).tolist()


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("in_stock", [0, 3, 4]),
        ("not in_stock", [1, 5]),
        ("in_stock = false", [1, 5]),
        ("price < 7", [0, 4]),
        ("not price < 7", [2, 5]),  # a missing price is neither
        ("price is null", [1, 3]),
        ("price is not null and not (price > 5)", [0, 4]),
        ("price between 1 and 7", [0, 5]),
        ("price not between 1 and 7", [2, 4]),
        ("7 <= price", [2, 5]),
        ("stars = 9007199254740993", [3]),
        ("stars = 9007199254740992", []),
        ("stars < 0.5", [4, 5]),
        ("stars <> 0.5", [0, 1, 3, 4, 5]),
        ("stars = 2.0", [1]),
        ("stars < 1e300", [0, 1, 3, 4, 5]),
        ("stars < price", [0, 4, 5]),
        ("brand = 'a''b'", [3]),
        ("brand in ('a', 'none', 'é')", [0, 4]),
        ("brand not in ('a')", [1, 3, 4, 5]),
        ("brand like 'a%'", [0, 3]),
        ("brand like '_'", [0, 1, 4]),
        ("brand not like '%''%'", [0, 1, 4, 5]),
        ("brand >= 'b'", [1, 4]),
        ("'x' in tags", [0, 3]),
        ("'x' not in tags", [1, 4, 5]),
        ("tags is null", [2]),
        ("published >= now - 30d", [3, 4, 5]),
        ("published < '1970-01-11T00:00:01Z'", [0, 1]),
        ("published = now - 1d or published = now() - 48h", [3, 4]),
        ("stars in (1, 2.0, 9007199254740993)", [0, 1, 3]),
        ("stars not in (1, 2)", [3, 4, 5]),
        ("price > 1 and in_stock or brand = 'b'", [0, 1]),
        ("price > 100 or (in_stock AND NOT \"brand\" = 'a')", [3, 4]),
        ("in_stock = in_stock", [0, 1, 3, 4, 5]),
    ],
)
def test_an_expression_holds_for_these_rows(text: str, rows: list[int]) -> None:
    assert holds(text) == rows


def test_the_tree_has_the_usual_precedence() -> None:
    found = parse("not a = 1 and b or c < -2.5")
    first = All((Not(Comparison("=", Column("a"), Literal(1))), Comparison("=", Column("b"), Literal(True))))
    assert found == Either((first, Comparison("<", Column("c"), Literal(-2.5))))
    assert columns_of(found) == ["a", "b", "c"]
    assert parse("t >= now - 1.5h") == Comparison(">=", Column("t"), Moment(-5400.0))
    assert uses_now(parse("a = 1 and not t < now + 3w"))
    assert not uses_now(found)


def test_true_and_one_are_not_the_same_though_python_says_so() -> None:
    assert holds("in_stock = true") == [0, 3, 4]
    with pytest.raises(ParameterError, match="in_stock must be compared with true or false, got 1"):
        ITEMS.filter("in_stock = 1")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "where: expected a column or a value at character 1, got the end"),
        ("  ", "where: expected a column or a value at character 3, got the end"),
        ("prise < 3", "the items have no column 'prise'; did you mean 'price'?"),
        ("colour = 'red'", "the items have no column 'colour'; there are 'price', 'stars', 'in_stock'"),
        ("PRICE < 3", "no column 'PRICE'; did you mean 'price'?"),
        ("price < '3'", "price must be compared with a number, got '3'"),
        ("price < true", "price must be compared with a number, got True"),
        ("price", "price must be compared with a number, got True"),
        ("brand < 3", "brand must be compared with text in single quotes, got 3"),
        ("brand = now", "brand must be compared with text in single quotes, got a moment"),
        ("in_stock < true", "in_stock is true or false and has no order, got '<'"),
        ("tags = 'x'", "tags holds lists; write 'x' in tags"),
        ("tags in ('x')", "tags holds lists; write 'x' in tags"),
        ("'x' in brand", "brand must hold lists of text here"),
        ("price like 'x'", "price must hold text here"),
        ("published > 5", "published must be compared with a time such as '2026-01-31' or now - 30d, got 5"),
        ("published > 'soon'", "published must be compared with a time"),
        ("published > now - 30", "expected a duration such as 30d (s, m, h, d, w) at character 19, got '30'"),
        ("published > now - 999999999w", "a duration must be at most 3,000 years"),
        ("price < brand", "price and brand cannot be compared"),
        ("brand = brand", "brand and brand cannot be compared"),
        ("price = null", "write 'is null', as nothing equals null"),
        ("1 < 2", "a comparison must name a column"),
        ("price < 3 < 4", "expected 'and', 'or' or the end at character 11, got '<'"),
        ("(price < 3", "expected ')' at character 11, got the end"),
        ("price < 3)", "expected 'and', 'or' or the end at character 10, got ')'"),
        ("price in ()", "expected a column or a value at character 11, got ')'"),
        ("price in (1, price)", "the values of 'in' must be numbers or text"),
        ("lower(brand) = 'a'", "functions cannot be called, got 'lower'"),
        ("price < (select 1)", "expected a column or a value at character 9, got '('"),
        ("exists (select 1)", "functions cannot be called, got 'exists'"),
        ("price < 3; drop table items", "character 10 cannot be read, got '; drop table items'"),
        ("price < 3 -- all", "expected 'and', 'or' or the end at character 11, got '-'"),
        ("price /* x */ < 3", "character 7 cannot be read"),
        ("price < 3 # x", "character 11 cannot be read"),
        ("brand = 'open", "the text that begins at character 9 has no end"),
        ('"open < 3', "the text that begins at character 1 has no end"),
        ("price < 1e999", "a number must be finite, got 1e999"),
        ("price < 99999999999999999999", "a whole number must fit 64 bits"),
        ("price < NaN", "the items have no column 'NaN'"),
        ("price < ٣", "character 9 cannot be read, got '٣'"),
        ("price ≤ 3", "character 7 cannot be read, got '≤ 3'"),
        ("price < 3\x00", "character 10 cannot be read"),
        ("__import__('os')", "functions cannot be called, got '__import__'"),
        ("not " * 40 + "in_stock", "where must have at most 32 levels, got more"),
        ("(" * 5000 + "in_stock" + ")" * 5000, "where must have at most 10000 characters, got 10008"),
        ("(" * 2000 + "in_stock" + ")" * 2000, "where must have at most 32 levels, got more"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ParameterError) as error:
        ITEMS.filter(text)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_an_expression_is_text() -> None:
    with pytest.raises(ParameterError, match="boost must be text such as"):
        parse(3, "boost")  # type: ignore[arg-type]


@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(
            [
                "price",
                "<",
                "3",
                "and",
                "not",
                "(",
                ")",
                "in",
                "'x'",
                "tags",
                "is",
                "null",
                "now",
                "-",
                "30d",
                ",",
                "like",
                "between",
                "=",
                '"',
                "'",
            ]
        ),
        max_size=12,
    ).map(" ".join)
)
@settings(max_examples=300, deadline=None)
def test_any_text_is_an_expression_or_one_sentence(text: str) -> None:
    sentence = "where: none"
    try:
        ITEMS.filter(text, now=0.0)
    except ParameterError as error:
        sentence = str(error)
    assert sentence.startswith(("where:", "where must"))
    assert "\n" not in sentence


numbers = st.sampled_from([-2, 0, 1, 2, 7, 1.5, -2.5, 30.0])
words = st.sampled_from(["a", "b", "a'b", "é", "", "zz", "X"])
operators = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])


def quoted(word: str) -> str:
    return "'" + word.replace("'", "''") + "'"


leaves = st.one_of(
    st.builds(lambda c, o, n: f"{c} {o} {n}", st.sampled_from(["price", "stars"]), operators, numbers),
    st.builds(lambda o, w: f"brand {o} {quoted(w)}", operators, words),
    st.builds(lambda o, n: f"published {o} now - {n}d", operators, st.sampled_from([0, 1, 2, 22, 32, 42])),
    st.builds(
        lambda n, ws: f"brand {n}in ({', '.join(map(quoted, ws))})",
        st.sampled_from(["", "not "]),
        st.lists(words, min_size=1, max_size=12),
    ),
    st.builds(lambda ns: f"stars in ({', '.join(map(str, ns))})", st.lists(numbers, min_size=1, max_size=4)),
    st.builds(lambda w: f"{quoted(w)} in tags", st.sampled_from(["x", "y", "X"])),
    st.builds(
        lambda c, n: f"{c} is {n}null",
        st.sampled_from(["price", "stars", "brand", "tags", "in_stock"]),
        st.sampled_from(["", "not "]),
    ),
    st.builds(lambda a, b: f"price between {a} and {b}", numbers, numbers),
    st.sampled_from(["in_stock", "in_stock = false", "stars < price", "brand like '%a%'", "brand like '_'"]),
)
expressions = st.recursive(
    leaves,
    lambda part: st.one_of(
        st.builds(lambda a, b: f"({a}) and ({b})", part, part),
        st.builds(lambda a, b: f"({a}) or ({b})", part, part),
        st.builds(lambda a: f"not ({a})", part),
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def database() -> sqlite3.Connection:
    """The same rows in SQLite: lists as JSON, NaN and null as null."""
    connection = sqlite3.connect(":memory:")
    connection.execute("PRAGMA case_sensitive_like = ON")
    connection.execute(f"CREATE TABLE items (row INTEGER, {', '.join(ROWS)})")
    for row in range(6):
        values = [ROWS[name][row] for name in ROWS]
        kept = [None if v != v else json.dumps(v) if isinstance(v, list) else v for v in values]
        connection.execute(f"INSERT INTO items VALUES ({', '.join('?' * 7)})", (row, *kept))
    return connection


@given(text=expressions)
@settings(max_examples=400, deadline=None)
def test_the_rows_are_those_of_sqlite_also_where_values_are_missing(
    text: str, database: sqlite3.Connection
) -> None:
    condition = to_sql(parse(text), "sqlite", now=42.0 * DAY)
    query = f"SELECT row FROM items WHERE {condition} ORDER BY row"
    assert holds(text) == [row for (row,) in database.execute(query)]


@given(text=expressions)
@settings(max_examples=200, deadline=None)
def test_the_normal_form_holds_for_the_same_rows(text: str, database: sqlite3.Connection) -> None:
    plain = normal_form(parse(text), ITEMS.kinds, 42.0 * DAY)
    condition = to_sql(plain, "sqlite", now=0.0)
    assert "NOT ((" not in condition
    query = f"SELECT row FROM items WHERE {condition} ORDER BY row"
    assert holds(text) == [row for (row,) in database.execute(query)]


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        (
            "postgresql",
            "(\"in_stock\" = TRUE AND \"price\" < 30 AND NOT (\"brand\" IN ('a', 'b''c'))) OR ('x' = ANY(\"tags\")) OR "
            "\"brand\" LIKE 'a\\%' ESCAPE '' OR \"t\" >= timestamptz '1970-01-02 00:00:00.000000+00:00'",
        ),
        (
            "duckdb",
            "(\"in_stock\" = TRUE AND \"price\" < 30 AND NOT (\"brand\" IN ('a', 'b''c'))) OR "
            "(list_contains(\"tags\", 'x')) OR \"brand\" LIKE 'a\\%' OR "
            "\"t\" >= timestamptz '1970-01-02 00:00:00.000000+00:00'",
        ),
        (
            "lancedb",
            "(`in_stock` = true AND `price` < 30 AND NOT (`brand` IN ('a', 'b''c'))) OR "
            "(array_has(`tags`, 'x')) OR `brand` LIKE 'a\\%' OR "
            "`t` >= timestamp '1970-01-02 00:00:00.000000+00:00'",
        ),
        (
            "milvus",
            '(in_stock == true AND price < 30 AND NOT (brand in ["a", "b\'c"])) OR (array_contains(tags, "x")) OR '
            'brand LIKE "a\\\\%" OR t >= 86400',
        ),
    ],
)
def test_engines_get_their_own_form(dialect: str, text: str) -> None:
    expression = parse(
        "in_stock and price < 30 and brand not in ('a', 'b''c') or 'x' in tags or brand like 'a\\%' or t >= now - 1d"
    )
    assert to_sql(expression, dialect, now=2.0 * DAY) == text


def test_what_an_engine_cannot_say_is_refused() -> None:
    with pytest.raises(ParameterError, match="now must be given where a filter for milvus uses it"):
        to_sql(parse("t > now"), "milvus")
    assert to_sql(parse("t > now - 90s")) == "\"t\" > now() + interval '-90 seconds'"
    with pytest.raises(ParameterError, match="a column of milvus must be named by letters"):
        to_sql(parse('"a b" = 1'), "milvus")
    assert to_sql(parse('"a""b" = 1')) == '"a""b" = 1'
    with pytest.raises(
        ParameterError, match="dialect must be one of 'postgresql', 'duckdb', 'sqlite', 'lancedb', 'milvus'"
    ):
        to_sql(parse("a = 1"), "oracle")


def test_a_long_pattern_takes_time_that_grows_with_its_length_alone() -> None:
    words = pa.table({"brand": ["a" * 5000 + "b"] * 3})
    items = ItemAttributes(words, IdMap([0, 1, 2]))
    assert items.filter("brand like '" + "%a" * 500 + "%c'").count == 0  # backtracking would not end
