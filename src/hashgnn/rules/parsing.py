"""Text to a tree: a small part of SQL's conditions, and nothing else. No text is ever run."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any as AnyValue

from hashgnn.errors import ParameterError
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
    Operand,
)

MAX_LENGTH = 10_000  # characters
MAX_DEPTH = 32  # parentheses and nots within one another

_KEYWORDS = frozenset(["and", "or", "not", "in", "between", "is", "null", "like", "true", "false", "now"])
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_OPERATORS = {"=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_MIRRORED = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<duration>[0-9]+(?:\.[0-9]+)?[smhdw](?!\w))
      | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?!\w))
      | (?P<text>'(?:[^']|'')*')
      | (?P<quoted>"(?:[^"]|"")+")
      | (?P<name>[^\W\d]\w*)
      | (?P<sign><=|>=|<>|!=|==|[=<>(),+-])
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class _Token:
    kind: str  # "name", "keyword", "number", "duration", "text", "sign" or "end"
    text: str
    place: int  # of its first character, from 1 on

    @property
    def shown(self) -> str:
        return "the end" if self.kind == "end" else repr(self.text[:40])


def parse(text: str, name: str = "where") -> Expression:
    """Read an expression such as ``in_stock and price < 30``.

    Parameters
    ----------
    text : str
        Comparisons of columns with ``= != < <= > >=``, ``in (...)``, ``between ... and ...``, ``like``,
        ``is null`` and ``'x' in column`` for lists, joined by ``and``, ``or``, ``not`` and parentheses. Text
        stands in single quotes, a column of an unusual name in double ones. ``now - 30d`` is a moment.
    name : str, default="where"
        What messages call it.

    Raises
    ------
    ParameterError
        If it is something else, has more than 10,000 characters, or more than 32 levels.

    Examples
    --------
    >>> parse("price < 30")
    Comparison(operator='<', left=Column(name='price'), right=Literal(value=30))
    """
    if not isinstance(text, str):
        raise ParameterError(f'{name} must be text such as "price < 30", got {type(text).__name__}')
    if len(text) > MAX_LENGTH:
        raise ParameterError(f"{name} must have at most {MAX_LENGTH} characters, got {len(text)}")
    return _parsed(text, name)


@lru_cache(maxsize=256)
def _parsed(text: str, name: str) -> Expression:
    return _Parser(_tokens(text, name), name).whole()


def _tokens(text: str, name: str) -> list[_Token]:
    tokens: list[_Token] = []
    place, end = 0, len(text.rstrip())
    while place < end:
        found = _TOKEN.match(text, place)
        if found is None:
            start = end - len(text[place:end].lstrip())
            if text[start] in "'\"":
                raise ParameterError(f"{name}: the text that begins at character {start + 1} has no end")
            raise ParameterError(
                f"{name}: character {start + 1} cannot be read, got {text[start : start + 20]!r}"
            )
        kind = str(found.lastgroup)
        value, first = found[kind], found.start(kind) + 1
        if kind == "quoted":
            tokens.append(_Token("name", value[1:-1].replace('""', '"'), first))
        elif kind == "text":
            tokens.append(_Token(kind, value[1:-1].replace("''", "'"), first))
        elif kind == "name" and value.lower() in _KEYWORDS:
            tokens.append(_Token("keyword", value.lower(), first))
        else:
            tokens.append(_Token(kind, value, first))
        place = found.end()
    return [*tokens, _Token("end", "", len(text) + 1)]


class _Parser:
    """Reads tokens from left to right; every level of the grammar is a method."""

    def __init__(self, tokens: list[_Token], name: str) -> None:
        self._tokens, self._name = tokens, name
        self._at = self._depth = 0

    def whole(self) -> Expression:
        found = self._either()
        if self._next.kind != "end":
            raise self._unexpected("'and', 'or' or the end")
        return found

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self, *texts: str) -> str | None:
        """Pass over a keyword or sign, if it is the next."""
        if self._next.kind in ("keyword", "sign") and self._next.text in texts:
            self._at += 1
            return self._tokens[self._at - 1].text
        return None

    def _require(self, text: str) -> None:
        if self._take(text) is None:
            raise self._unexpected(repr(text))

    def _unexpected(self, wanted: str) -> ParameterError:
        token = self._next
        return ParameterError(
            f"{self._name}: expected {wanted} at character {token.place}, got {token.shown}"
        )

    def _joined(
        self, word: str, part: Callable[[], Expression], join: Callable[[tuple[Expression, ...]], Expression]
    ) -> Expression:
        parts = [part()]
        while self._take(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else join(tuple(parts))

    def _either(self) -> Expression:
        return self._joined("or", self._both, Any)

    def _both(self) -> Expression:
        return self._joined("and", self._not, All)

    def _not(self) -> Expression:
        if self._take("not"):
            return Not(self._deeper(self._not))
        return self._condition()

    def _deeper(self, read: Callable[[], Expression]) -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ParameterError(f"{self._name} must have at most {MAX_DEPTH} levels, got more")
        found = read()
        self._depth -= 1
        return found

    def _condition(self) -> Expression:
        if self._take("("):
            found = self._deeper(self._either)
            self._require(")")
            return found
        left = self._operand()
        sign = self._next.text if self._next.kind == "sign" else ""
        if sign in _OPERATORS:
            self._at += 1
            return self._comparison(_OPERATORS[sign], left, self._operand())
        if self._take("is"):
            negated = self._take("not")
            self._require("null")
            missing = Missing(self._column(left, "is null"))
            return Not(missing) if negated else missing
        negated = self._take("not")
        written = self._written(left)
        if written is not None:
            return Not(written) if negated else written
        if negated:
            raise self._unexpected("'in', 'between' or 'like'")
        if isinstance(left, Column):
            return Comparison("=", left, Literal(True))
        raise self._unexpected("a comparison")

    def _written(self, left: Operand) -> Expression | None:
        """Read a condition that begins with a word, after its left side; None where there is none."""
        if self._take("between"):
            low = self._operand()
            self._require("and")
            high = self._operand()
            return All((self._comparison(">=", left, low), self._comparison("<=", left, high)))
        if self._take("like"):
            if self._next.kind != "text":
                raise self._unexpected("a pattern in single quotes")
            self._at += 1
            return Match(self._column(left, "like"), self._tokens[self._at - 1].text)
        if not self._take("in"):
            return None
        if self._take("("):
            values = [self._literal()]
            while self._take(","):
                values.append(self._literal())
            self._require(")")
            return Membership(self._column(left, "in"), tuple(values))
        if isinstance(left, Literal) and isinstance(left.value, str) and self._next.kind == "name":
            return Containment(Column(self._name_of_column()), left.value)
        raise self._unexpected("'(' with values")

    def _comparison(self, operator: str, left: Operand, right: Operand) -> Comparison:
        """Return a comparison whose left side is a column."""
        if isinstance(left, Column):
            return Comparison(operator, left, right)
        if isinstance(right, Column):
            return Comparison(_MIRRORED[operator], right, left)
        raise ParameterError(f"{self._name}: a comparison must name a column, got none before {self._place}")

    @property
    def _place(self) -> str:
        return f"character {self._next.place}"

    def _column(self, operand: Operand, what: str) -> Column:
        if isinstance(operand, Column):
            return operand
        raise ParameterError(f"{self._name}: {what!r} must follow a column, got another before {self._place}")

    def _name_of_column(self) -> str:
        self._at += 1
        name = self._tokens[self._at - 1].text
        if self._next.text == "(" and self._next.kind == "sign":
            raise ParameterError(f"{self._name}: functions cannot be called, got {name[:40]!r}")
        return name

    def _literal(self) -> Literal:
        found = self._operand()
        if not isinstance(found, Literal):
            raise ParameterError(
                f"{self._name}: the values of 'in' must be numbers or text, got another before {self._place}"
            )
        return found

    def _operand(self) -> Operand:
        token = self._next
        if token.kind == "name":
            return Column(self._name_of_column())
        if self._take("now"):
            return self._moment()
        if token.kind == "keyword" and token.text == "null":
            raise ParameterError(f"{self._name}: write 'is null', as nothing equals null")
        if word := self._take("true", "false"):
            return Literal(word == "true")
        sign = -1 if self._take("-") else 1
        token = self._next
        if token.kind == "text" and sign == 1:
            self._at += 1
            return Literal(token.text)
        if token.kind != "number":
            raise self._unexpected("a column or a value")
        self._at += 1
        return Literal(sign * _number(token.text, self._name))

    def _moment(self) -> Moment:
        if self._take("("):  # as SQL writes it
            self._require(")")
        sign = self._take("+", "-")
        if sign is None:
            return Moment(0.0)
        token = self._next
        if token.kind != "duration":
            raise self._unexpected("a duration such as 30d (s, m, h, d, w)")
        self._at += 1
        seconds = float(token.text[:-1]) * _SECONDS[token.text[-1]]
        if seconds > 1e11:
            raise ParameterError(
                f"{self._name}: a duration must be at most 3,000 years, got {token.text[:40]}"
            )
        return Moment(-seconds if sign == "-" else seconds)


def _number(text: str, name: str) -> int | float:
    if text.isdecimal():
        value: AnyValue = int(text) if len(text) < 20 else 2**64
        if value >= 2**63:
            raise ParameterError(f"{name}: a whole number must fit 64 bits, got {text[:40]}")
        return int(value)
    number = float(text)
    if not math.isfinite(number):
        raise ParameterError(f"{name}: a number must be finite, got {text[:40]}")
    return number
