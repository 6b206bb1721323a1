"""A tree as the text of a filter for databases and vector engines."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from hashgnn._checks import check_choice
from hashgnn.errors import ParameterError
from hashgnn.rules.expression import (
    All,
    Column,
    Comparison,
    Containment,
    Expression,
    Literal,
    Match,
    Membership,
    Missing,
    Moment,
    Not,
    Operand,
    Scalar,
)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _in_double_quotes(text: str) -> str:
    """Return text as Milvus reads it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@dataclass(frozen=True)
class _Dialect:
    text: Callable[[str], str]
    moment: Callable[[float], str]
    now: str | None  # how a moment after now is written; None: not at all
    contains: str
    words: tuple[str, str]  # true and false
    quote: str = '"'  # around names; none: letters, digits and _ only
    not_equal: str = "<>"
    equal: str = "="
    by_code_point: str = ""  # behind a column of text in a comparison of order


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00:00")


_DIALECTS = {
    "postgresql": _Dialect(
        _quoted,
        lambda seconds: f"timestamptz '{_iso(seconds)}'",
        "now() + interval '{} seconds'",
        "{value} = ANY({column})",
        ("TRUE", "FALSE"),
        by_code_point=' COLLATE "C"',
    ),
    "duckdb": _Dialect(
        _quoted,
        lambda seconds: f"timestamptz '{_iso(seconds)}'",
        "now() + interval '{} seconds'",
        "list_contains({column}, {value})",
        ("TRUE", "FALSE"),
    ),
    "sqlite": _Dialect(
        _quoted,
        lambda seconds: repr(seconds),
        None,
        "CASE WHEN {column} IS NOT NULL THEN EXISTS (SELECT 1 FROM json_each({column}) WHERE value = {value}) END",
        ("1", "0"),
    ),
    "lancedb": _Dialect(
        _quoted,
        lambda seconds: f"timestamp '{_iso(seconds)}'",
        None,
        "array_has({column}, {value})",
        ("true", "false"),
        quote="`",
    ),
    "milvus": _Dialect(
        _in_double_quotes,
        lambda seconds: str(int(seconds)),
        None,
        "array_contains({column}, {value})",
        ("true", "false"),
        quote="",
        not_equal="!=",
        equal="==",
    ),
}

#: The dialects of SQL that an expression can be written in.
DIALECTS = tuple(_DIALECTS)


def to_sql(
    expression: Expression,
    dialect: str = "postgresql",
    *,
    now: float | None = None,
    text_columns: Collection[str] = (),
) -> str:
    r"""Write an expression as the condition of a query.

    Parameters
    ----------
    expression : Expression
        Of :func:`parse`.
    dialect : {"postgresql", "duckdb", "sqlite", "lancedb", "milvus"}, default="postgresql"
        SQLite and Milvus keep times as seconds since 1970. Milvus reads names of letters, digits and ``_`` only.
        Text is in quotes whose quotes are doubled or escaped, so that no value can end its own.
    now : float, optional
        Seconds since 1970 that ``now`` stands for. ``None`` lets PostgreSQL and DuckDB look at their clock.
    text_columns : collection of str, optional
        Columns that are known to hold text: PostgreSQL then orders them by code point, whatever its locale.

    Raises
    ------
    ParameterError
        If a name or a moment cannot be written in the dialect.

    Examples
    --------
    >>> from hashgnn.rules import parse
    >>> to_sql(parse("in_stock and price < 30 or 'new' in tags"))
    '("in_stock" = TRUE AND "price" < 30) OR (\'new\' = ANY("tags"))'
    """
    check_choice("dialect", dialect, DIALECTS)
    return _Writer(_DIALECTS[dialect], dialect, now, text_columns).text_of(expression)


class _Writer:
    def __init__(
        self, dialect: _Dialect, name: str, now: float | None, text_columns: Collection[str]
    ) -> None:
        self._dialect, self._name, self._now, self._text_columns = dialect, name, now, text_columns

    def text_of(self, expression: Expression) -> str:
        dialect = self._dialect
        if isinstance(expression, Comparison):
            operator = {"=": dialect.equal, "!=": dialect.not_equal}.get(
                expression.operator, expression.operator
            )
            left, right = expression.left, expression.right
            is_order = operator in ("<", "<=", ">", ">=")
            is_text = isinstance(left, Column) and left.name in self._text_columns
            order = dialect.by_code_point if is_order and is_text else ""
            return f"{self._operand(left)}{order} {operator} {self._operand(right)}"
        if isinstance(expression, Membership):
            values = ", ".join(self._scalar(literal.value) for literal in expression.values)
            form = "in [{}]" if self._name == "milvus" else "IN ({})"
            return f"{self._column(expression.column)} {form.format(values)}"
        if isinstance(expression, Missing):
            return f"{self._column(expression.column)} IS NULL"
        if isinstance(expression, Match):
            escape = " ESCAPE ''" if self._name == "postgresql" else ""  # a backslash is itself
            return f"{self._column(expression.column)} LIKE {dialect.text(expression.pattern)}{escape}"
        if isinstance(expression, Containment):
            return dialect.contains.format(
                column=self._column(expression.column), value=dialect.text(expression.value)
            )
        if isinstance(expression, Not):
            return f"NOT ({self.text_of(expression.part)})"
        word = " AND " if isinstance(expression, All) else " OR "
        return word.join(self._part(part) for part in expression.parts)

    def _part(self, part: Expression) -> str:
        text = self.text_of(part)
        return text if isinstance(part, Comparison | Membership | Missing | Match | Not) else f"({text})"

    def _operand(self, operand: Operand) -> str:
        if isinstance(operand, Column):
            return self._column(operand)
        if isinstance(operand, Literal):
            return self._scalar(operand.value)
        return self._moment(operand)

    def _column(self, column: Column) -> str:
        quote = self._dialect.quote
        if quote:
            return quote + column.name.replace(quote, quote * 2) + quote
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", column.name) is None:
            raise ParameterError(
                f"a column of {self._name} must be named by letters, digits and _, got {column.name!r:.80}"
            )
        return column.name

    def _scalar(self, value: Scalar) -> str:
        if isinstance(value, bool):
            return self._dialect.words[0 if value else 1]
        return self._dialect.text(value) if isinstance(value, str) else repr(value)

    def _moment(self, moment: Moment) -> str:
        if self._now is not None:
            return self._dialect.moment(self._now + moment.seconds)
        if self._dialect.now is None:
            raise ParameterError(f"now must be given where a filter for {self._name} uses it, got None")
        return self._dialect.now.format(f"{moment.seconds:.6f}".rstrip("0").rstrip("."))
