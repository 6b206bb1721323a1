"""A tree against the columns of a table: which rows it holds for, with SQL's rule for missing values."""

from __future__ import annotations

import difflib
import math
import operator as operators
from collections.abc import Callable, Mapping
from typing import Any as AnyValue
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hashgnn._checks import quote_some
from hashgnn._types import Array
from hashgnn.errors import ParameterError
from hashgnn.rules.columns import DictionaryColumn, Rows, TimeColumn, TypedColumn
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
)

Test: TypeAlias = Callable[[Rows], Array]
"""Says for some rows which of them an expression holds for."""

Decide: TypeAlias = Callable[[list[AnyValue]], list[bool]]
"""Says which of some words pass."""

_COMPARE: dict[str, Callable[[AnyValue, AnyValue], AnyValue]] = {
    "=": operators.eq,
    "!=": operators.ne,
    "<": operators.lt,
    "<=": operators.le,
    ">": operators.gt,
    ">=": operators.ge,
}
#: The operator that holds where another one does not.
OPPOSITE = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_NUMBERS = ("int", "float")
_INT64 = 2**63


class Columns(Mapping[str, TypedColumn]):
    """The columns that an expression may name; :meth:`of` explains what is wrong with a name."""

    def of(self, name: str, what: str) -> TypedColumn:
        """Return a column, or raise :class:`ParameterError` with the names that come near.

        Parameters
        ----------
        name : str
        what : str
            What messages call the expression.
        """
        if name in self:
            return self[name]
        raise ParameterError(f"{what}: {self.refusal(name)}")

    def refusal(self, name: str) -> str:
        """Return why there is no such column."""
        near = difflib.get_close_matches(name, list(self), 3, 0.6)
        near += [other for other in self if other.casefold() == name.casefold() and other not in near]
        names = f"did you mean {quote_some(near)}?" if near else f"there are {quote_some(list(self), 12)}"
        return f"the items have no column {name[:80]!r}; {names if len(self) else 'there are none'}"


def compile_test(expression: Expression, columns: Columns, now: float, name: str = "where") -> Test:
    """Check an expression against the columns and return what evaluates it.

    A comparison with a missing value is unknown, ``not`` of unknown is unknown, and a row passes only where
    the whole is true: as in SQL.

    Parameters
    ----------
    expression : Expression
    columns : Columns
    now : float
        Seconds since 1970.
    name : str, default="where"
        What messages call the expression.

    Raises
    ------
    ParameterError
        If a column is not there, or a value is of another type than its column.
    """
    return _Compiler(columns, now, name).test(expression, negated=False)


class _Compiler:
    """Turns nodes into tests. ``not`` moves down to the comparisons, where unknown is the same both ways."""

    def __init__(self, columns: Columns, now: float, name: str) -> None:
        self._columns, self._now, self._name = columns, now, name

    def test(self, node: Expression, *, negated: bool) -> Test:
        if isinstance(node, Not):
            return self.test(node.part, negated=not negated)
        if isinstance(node, Comparison):
            return self._comparison(node, negated=negated)
        if isinstance(node, Membership):
            return self._membership(node, negated=negated)
        if isinstance(node, Missing):
            return _missing(self._columns.of(node.column.name, self._name), negated=negated)
        if isinstance(node, Match):
            decide = self._pattern(node.pattern)
            return self._words(node.column, "text", decide, negated=negated)
        if isinstance(node, Containment):
            value = node.value
            decide = lambda words: [value in word for word in words]  # noqa: E731
            return self._words(node.column, "list", decide, negated=negated)
        tests = [self.test(part, negated=negated) for part in node.parts]
        join = np.logical_and if isinstance(node, All) != negated else np.logical_or

        def joined(rows: Rows) -> Array:
            found = tests[0](rows)
            for test in tests[1:]:
                join(found, test(rows), out=found)
            return found

        return joined

    def _fail(self, sentence: str) -> ParameterError:
        return ParameterError(f"{self._name}: {sentence}")

    def _comparison(self, node: Comparison, *, negated: bool) -> Test:
        assert isinstance(node.left, Column)
        operator = OPPOSITE[node.operator] if negated else node.operator
        column = self._columns.of(node.left.name, self._name)
        if isinstance(node.right, Column):
            return self._two_columns(node.left.name, column, operator, node.right.name)
        if column.kind == "list":
            raise self._fail(f"{node.left.name} holds lists; write 'x' in {node.left.name}")
        value = self._value(node.left.name, column, node.right)
        if isinstance(column, DictionaryColumn):
            if operator in ("=", "!="):
                return _same_word(column, (value,), negated=operator == "!=")
            compare = _COMPARE[operator]
            return _of_words(column, lambda words: [compare(word, value) for word in words], negated=False)
        if column.kind == "bool" and operator not in ("=", "!="):
            raise self._fail(f"{node.left.name} is true or false and has no order, got {operator!r}")
        return _number_test(column, operator, value)

    def _two_columns(self, name: str, column: TypedColumn, operator: str, other_name: str) -> Test:
        other = self._columns.of(other_name, self._name)
        comparable = column.kind == other.kind or {column.kind, other.kind} <= set(_NUMBERS)
        if not comparable or isinstance(column, DictionaryColumn):
            raise self._fail(
                f"{name} and {other_name} cannot be compared: two columns must both hold numbers, times or true and false"
            )
        compare = _COMPARE[operator]

        def test(rows: Rows) -> Array:
            found = compare(column.values[rows], other.values[rows])
            return np.asarray(found & column.valid[rows] & other.valid[rows])

        return test

    def _membership(self, node: Membership, *, negated: bool) -> Test:
        column = self._columns.of(node.column.name, self._name)
        if column.kind == "list":
            raise self._fail(f"{node.column.name} holds lists; write 'x' in {node.column.name}")
        values = [self._value(node.column.name, column, literal) for literal in node.values]
        if isinstance(column, DictionaryColumn):
            return _same_word(column, tuple(values), negated=negated)
        tests = [_number_test(column, "!=" if negated else "=", value) for value in values]
        join = np.logical_and if negated else np.logical_or

        def test(rows: Rows) -> Array:
            found = tests[0](rows)
            for one in tests[1:]:
                join(found, one(rows), out=found)
            return found

        return test

    def _pattern(self, pattern: str) -> Decide:
        """Return what compares words with a pattern of ``like``, in time that grows with their length alone."""
        escaped = pattern.replace("\\", "\\\\")

        def decide(words: list[AnyValue]) -> list[bool]:
            return list(pc.match_like(pa.array(words, pa.large_string()), escaped).to_pylist())

        try:
            decide([""])
        except pa.ArrowInvalid:
            raise self._fail(f"a pattern of like must be shorter, got {len(pattern)} characters") from None
        return decide

    def _words(self, column: Column, kind: str, decide: Decide, *, negated: bool) -> Test:
        found = self._columns.of(column.name, self._name)
        if found.kind != kind or not isinstance(found, DictionaryColumn):
            wanted = "lists of text" if kind == "list" else "text"
            raise self._fail(f"{column.name} must hold {wanted} here, and a value of it is {found.noun}")
        return _of_words(found, decide, negated=negated)

    def _value(self, name: str, column: TypedColumn, operand: Operand) -> AnyValue:
        """Return the value that a column is compared with, as it keeps its own."""
        if isinstance(operand, Moment) and column.kind == "time":
            return round((self._now + operand.seconds) * 1e6)
        if isinstance(operand, Literal):
            value = operand.value
            if isinstance(value, bool):
                fits = column.kind == "bool"
            elif isinstance(value, str):
                fits = column.kind == "text" or (isinstance(column, TimeColumn) and _is_time(column, value))
            else:
                fits = column.kind in _NUMBERS
            if fits:
                return column.read(value) if column.kind == "time" else value
        got = repr(operand.value)[:80] if isinstance(operand, Literal) else "a moment"
        raise self._fail(f"{name} must be compared with {column.noun}, got {got}")


def _is_time(column: TimeColumn, text: str) -> bool:
    try:
        column.read(text)
    except ParameterError:
        return False
    return True


def _missing(column: TypedColumn, *, negated: bool) -> Test:
    return lambda rows: np.asarray(column.has_value(rows) == negated)


def _number_test(column: TypedColumn, operator: str, value: AnyValue) -> Test:
    if column.kind == "int" and isinstance(value, float):
        operator, value = whole_bound(operator, value)
    compare = _COMPARE[operator]

    def test(rows: Rows) -> Array:
        found = compare(column.values[rows], value)
        return np.asarray(found & column.valid[rows])

    return test


def whole_bound(operator: str, value: float) -> tuple[str, AnyValue]:
    """Return the same comparison of whole numbers with a whole number: floats do not hold all of them."""
    below = math.floor(value)
    if below == value and -_INT64 <= value < _INT64:
        return operator, below
    if operator in ("=", "!="):
        return operator, math.nan  # equals nothing
    if not -_INT64 <= value < _INT64:
        return operator, value
    return ("<=", below) if operator in ("<", "<=") else (">", below)


def _same_word(column: DictionaryColumn, words: tuple[AnyValue, ...], *, negated: bool) -> Test:
    """Compare with some words by their places; one that no item has yet may come later."""

    def test(rows: Rows) -> Array:
        values = column.values[rows]
        places = [place for place in map(column.index.get, words) if place is not None]
        if negated:
            found = values >= 0
            for place in places:
                found &= values != place
            return np.asarray(found)
        found = np.zeros(values.shape, bool)
        for place in places:
            found |= values == place
        return found

    if len(set(words)) <= 8:
        return test
    chosen = frozenset(words)
    return _of_words(column, lambda listed: [word in chosen for word in listed], negated=negated)


def _of_words(column: DictionaryColumn, decide: Decide, *, negated: bool) -> Test:
    """Decide once for each word, also for those that come later."""
    known = np.zeros(1, bool)  # the last entry is that of a missing value, at -1

    def test(rows: Rows) -> Array:
        nonlocal known
        n_known, words = len(known) - 1, column.words
        if n_known < len(words):
            more = [holds != negated for holds in decide(words[n_known:])]
            known = np.concatenate([known[:n_known], np.array([*more, False], bool)])
        return np.asarray(known[column.values[rows]])

    return test
