"""``normal_form``: the same filter without ``not`` over ``and`` and ``or``, for engines with other rules than ours."""

from __future__ import annotations

import math
from collections.abc import Mapping

from hashgnn.rules.columns import TimeColumn
from hashgnn.rules.evaluation import OPPOSITE, whole_bound
from hashgnn.rules.expression import (
    All,
    Any,
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
)

_NUMBERS = ("int", "float", "time")


def normal_form(expression: Expression, kinds: Mapping[str, str], now: float) -> Expression:
    """Return an expression that holds for the same rows, also where unknown counts as false.

    ``not`` stands before ``in``, ``is null``, ``like`` and ``in`` a list only. Moments are absolute: write them with
    ``to_sql(..., now=0)``. Whole numbers are compared with whole numbers.

    Parameters
    ----------
    expression : Expression
        It fits the columns.
    kinds : mapping of str to str
        The kind of each column, as :attr:`ItemAttributes.kinds`.
    now : float
        Seconds since 1970 that ``now`` stands for.

    Examples
    --------
    >>> from hashgnn.rules import parse, to_sql
    >>> to_sql(normal_form(parse("not (a < 1.5 or b)"), {"a": "int", "b": "bool"}, 0.0))
    '"a" > 1 AND "b" <> TRUE'
    """
    return _Normal(kinds, now).of(expression, negated=False)


class _Normal:
    def __init__(self, kinds: Mapping[str, str], now: float) -> None:
        self._kinds, self._now = kinds, now

    def of(self, node: Expression, *, negated: bool) -> Expression:
        if isinstance(node, Not):
            return self.of(node.part, negated=not negated)
        if isinstance(node, All | Any):
            parts = tuple(self.of(part, negated=negated) for part in node.parts)
            return All(parts) if isinstance(node, All) != negated else Any(parts)
        if isinstance(node, Comparison):
            return self._comparison(node, negated=negated)
        if isinstance(node, Membership) and self._kinds[node.column.name] in _NUMBERS:
            each = tuple(
                self._comparison(Comparison("=", node.column, value), negated=negated)
                for value in node.values
            )
            return each[0] if len(each) == 1 else All(each) if negated else Any(each)
        assert isinstance(node, Membership | Missing | Match | Containment)
        return Not(node) if negated else node

    def _comparison(self, node: Comparison, *, negated: bool) -> Expression:
        operator, right = OPPOSITE[node.operator] if negated else node.operator, node.right
        if isinstance(right, Column):
            return Comparison(operator, node.left, right)
        assert isinstance(node.left, Column)
        kind = self._kinds[node.left.name]
        if isinstance(right, Moment):
            return Comparison(operator, node.left, Moment(round(self._now + right.seconds, 6)))
        value = right.value
        if kind == "time":
            return Comparison(operator, node.left, Moment(TimeColumn.seconds(value)))
        if kind == "int" and isinstance(value, float):
            operator, value = whole_bound(operator, value)
            if isinstance(value, float) and math.isnan(value):  # between two whole numbers
                missing = Missing(node.left)
                return Not(missing) if operator == "!=" else All((missing, Not(missing)))
        return Comparison(operator, node.left, Literal(value))
