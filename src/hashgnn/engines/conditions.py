"""``condition_of``: a rule as a condition of an engine, wherever it means the same there."""

from __future__ import annotations

from collections.abc import Mapping

from hashgnn.errors import ParameterError
from hashgnn.rules import Expression, columns_of, to_sql
from hashgnn.rules.expression import (
    All,
    Any,
    Column,
    Comparison,
    Containment,
    Literal,
    Match,
    Membership,
    Missing,
    Moment,
    Not,
)
from hashgnn.rules.normal_form import normal_form

_LONGEST = 200_000  # characters of a condition


def condition_of(where: Expression, dialect: str, attributes: Mapping[str, str], now: float) -> str | None:
    r"""Return a rule in the language of an engine; None where that would not mean the same.

    Every value is in quotes that it cannot end, or a number.

    Parameters
    ----------
    where : Expression
    dialect : {"postgresql", "lancedb", "milvus"}
    attributes : mapping of str to str
        The columns of the engine and their kinds, as :attr:`EngineVersion.attributes`.
    now : float
        Seconds since 1970.

    Examples
    --------
    >>> from hashgnn.rules import parse
    >>> where = parse("not (price < 3 or kind in ('a', 'it''s'))")
    >>> condition_of(where, "postgresql", {"price": "float", "kind": "text"}, 0.0)
    '"price" >= 3 AND NOT ("kind" IN (\'a\', \'it\'\'s\'))'
    >>> condition_of(where, "postgresql", {"price": "float"}, 0.0) is None
    True
    """
    names = columns_of(where)
    if not all(_is_comparable(attributes.get(name), dialect) for name in names):
        return None
    kinds = {name: attributes[name] for name in names}
    try:
        plain = normal_form(where, kinds, now)
        if not _means_the_same(plain, dialect, kinds):
            return None
        if dialect == "milvus":
            text = _milvus(plain, kinds)
        else:
            texts = [name for name, kind in kinds.items() if kind == "text"]
            text = to_sql(plain, dialect, now=0.0, text_columns=texts)
        text.encode()
    except (ParameterError, UnicodeEncodeError, OverflowError):
        return None
    has_controls = any(letter < " " for letter in text) if dialect == "milvus" else "\0" in text
    return None if has_controls or len(text) > _LONGEST else text


def _is_comparable(kind: str | None, dialect: str) -> bool:
    """Return whether a column is there and compares as ours: dates are no moments, and Milvus has neither."""
    return kind is not None and kind != "date" and not (kind == "time" and dialect == "milvus")


def _means_the_same(node: Expression, dialect: str, kinds: Mapping[str, str]) -> bool:
    if isinstance(node, All | Any):
        return all(_means_the_same(part, dialect, kinds) for part in node.parts)
    if isinstance(node, Not):
        return _means_the_same(node.part, dialect, kinds)
    if isinstance(node, Containment):
        return False  # no engine keeps lists
    if isinstance(node, Match):
        # Milvus knows beginnings alone, and LanceDB reads a backslash as an escape.
        is_beginning = not set("%_\\") & set(node.pattern[:-1]) and node.pattern.endswith("%")
        return is_beginning if dialect == "milvus" else dialect == "postgresql" or "\\" not in node.pattern
    if isinstance(node, Comparison) and isinstance(node.left, Column):
        return _compares(node, kinds)
    return True


def _compares(node: Comparison, kinds: Mapping[str, str]) -> bool:
    """Return whether a number is one that every engine reads as it is."""
    right = node.right
    if isinstance(right, Moment):
        return True
    if isinstance(right, Column):
        assert isinstance(node.left, Column)
        return kinds[node.left.name] == kinds[right.name]  # a whole number may be no float
    value = right.value
    if isinstance(value, bool | str):
        return True
    return abs(value) < 2**63 if isinstance(value, int) else abs(value) < 1e300


def _milvus(node: Expression, kinds: Mapping[str, str]) -> str:
    """Write an expression for dynamic fields without ``not``: a comparison with a missing field is false there.

    Raises
    ------
    ParameterError
        If it cannot be said so.
    """
    if isinstance(node, All | Any):
        word = " and " if isinstance(node, All) else " or "
        return word.join(f"({_milvus(part, kinds)})" for part in node.parts)
    if isinstance(node, Not):
        leaf = node.part
        if isinstance(leaf, Missing):
            return _milvus(_there(leaf.column, kinds[leaf.column.name]), kinds)
        if isinstance(leaf, Membership):
            differs = (Comparison("!=", leaf.column, value) for value in leaf.values)
            return _milvus(All(tuple(differs)), kinds)
    elif isinstance(node, Comparison) and isinstance(node.left, Column) and isinstance(node.right, Literal):
        value = node.right.value
        if node.operator != "!=":
            return to_sql(node, "milvus")
        if isinstance(value, bool):
            return to_sql(Comparison("=", node.left, Literal(not value)), "milvus")
        return " or ".join(to_sql(Comparison(sign, node.left, node.right), "milvus") for sign in "<>")
    elif isinstance(node, Membership | Match):
        return to_sql(node, "milvus")
    raise ParameterError("Milvus has no form of it")


def _there(column: Column, kind: str) -> Expression:
    """Return what holds for every value of a column."""
    if kind == "bool":
        return Membership(column, (Literal(True), Literal(False)))
    if kind == "text":
        return Comparison(">=", column, Literal(""))
    return Any((Comparison("<=", column, Literal(0)), Comparison(">", column, Literal(0))))
