"""A filter as a tree of immutable nodes: comparisons of columns, joined by and, or and not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

Scalar: TypeAlias = bool | int | float | str
"""A value that may stand in an expression."""


@dataclass(frozen=True)
class Column:
    """A column of the table of items."""

    name: str


@dataclass(frozen=True)
class Literal:
    """A value: true or false, a number or text."""

    value: Scalar


@dataclass(frozen=True)
class Moment:
    """A moment that is so many seconds after ``now``; before it where the number is negative."""

    seconds: float


Operand: TypeAlias = Column | Literal | Moment


@dataclass(frozen=True)
class Comparison:
    """``left OPERATOR right``; the operator is one of ``= != < <= > >=``."""

    operator: str
    left: Operand
    right: Operand


@dataclass(frozen=True)
class Membership:
    """``column in (values)``: the column has one of some values."""

    column: Column
    values: tuple[Literal, ...]


@dataclass(frozen=True)
class Missing:
    """``column is null``: the column has no value."""

    column: Column


@dataclass(frozen=True)
class Match:
    """``column like pattern``: ``%`` stands for any text, ``_`` for one character."""

    column: Column
    pattern: str


@dataclass(frozen=True)
class Containment:
    """``value in column``: the list of the column holds a value."""

    column: Column
    value: str


@dataclass(frozen=True)
class Not:
    """The opposite of an expression; unknown stays unknown."""

    part: Expression


@dataclass(frozen=True)
class All:
    """Every part holds: ``and``."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True)
class Any:
    """One part holds at least: ``or``."""

    parts: tuple[Expression, ...]


#: An expression that was read: any of its kinds of nodes.
Expression: TypeAlias = Comparison | Membership | Missing | Match | Containment | Not | All | Any
"""A filter, or a part of one."""


def columns_of(expression: Expression) -> list[str]:
    """Return the names of the columns of an expression, each once, in the order in which they come.

    Examples
    --------
    >>> from hashgnn.rules import parse
    >>> columns_of(parse("price < 30 and (brand = 'a' or price < 5)"))
    ['price', 'brand']
    """
    return list(dict.fromkeys(column.name for column in _columns(expression)))


def uses_now(expression: Expression) -> bool:
    """Say whether the answer depends on the time."""
    if isinstance(expression, Comparison):
        return isinstance(expression.left, Moment) or isinstance(expression.right, Moment)
    return any(uses_now(part) for part in _parts(expression))


def _parts(expression: Expression) -> tuple[Expression, ...]:
    if isinstance(expression, Not):
        return (expression.part,)
    return expression.parts if isinstance(expression, All | Any) else ()


def _columns(expression: Expression) -> Iterator[Column]:
    if isinstance(expression, Comparison):
        yield from (side for side in (expression.left, expression.right) if isinstance(side, Column))
    elif isinstance(expression, Not | All | Any):
        for part in _parts(expression):
            yield from _columns(part)
    else:
        yield expression.column
