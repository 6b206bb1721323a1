"""``Rules``: what a request asks of its answers besides that they are good."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self, TypedDict

import numpy as np

from hashgnn._checks import check_float, check_int, shown
from hashgnn._types import Array
from hashgnn.data._times import seconds_of_text
from hashgnn.errors import ParameterError
from hashgnn.rules.expression import Expression
from hashgnn.rules.filters import ItemFilter
from hashgnn.rules.item_attributes import ItemAttributes, present_minute
from hashgnn.rules.parsing import parse

MAX_BOOSTS = 5
MAX_CAPS = 5
MAX_FACTOR = 1000.0
MAX_ADDED = 1e6
POOL = 5  # candidates a result, of which diversity and caps choose

_FACTOR = re.compile(r"\s*(?P<sign>[+-]?)\s*(?P<number>[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*")


class RuleOptions(TypedDict, total=False):
    """Rules as arguments of a method; each may be left out.

    Attributes
    ----------
    where : str
        Only items that this holds for, such as ``"in_stock and price < 30"`` (:func:`hashgnn.rules.parse`).
    boost : mapping of str to float or str
        By an expression: a factor of the score of items that it holds for, or with a sign what is added, as
        ``{"margin > 0.3": 1.2, "is_new": "+0.5"}``. A factor divides a negative score, so that one above 1
        always raises. At most 5.
    max_per : mapping of str to int
        By a column of text, whole numbers or true and false: how many results may have the same value. Items
        without a value are not counted. At most 5 columns.
    diversity : float
        In [0, 1]. 0 ranks by score. Above it, results are chosen one by one of the ``5 * k`` best, by score
        less similarity to those before.
    now : float, str or datetime
        What ``now`` stands for in expressions: seconds since 1970, or ISO 8601. By default the present minute.
    """

    where: str | None
    boost: Mapping[str, float | str] | None
    max_per: Mapping[str, int] | None
    diversity: float
    now: float | str | datetime | None


@dataclass(frozen=True)
class Boost:
    """The effect of an expression on the scores of the items that it holds for."""

    where: Expression
    factor: float = 1.0
    added: float = 0.0

    @classmethod
    def read(cls, text: str, effect: Any) -> Self:
        """Return a boost of its expression and of a factor, or of what is added as text with a sign."""
        factor, added = 1.0, 0.0
        if isinstance(effect, str):
            found = _FACTOR.fullmatch(effect) if len(effect) <= 64 else None
            number = math.nan if found is None else float(found["number"])
            if found is not None and found["sign"]:
                added = -number if found["sign"] == "-" else number
            else:
                factor = number
        elif isinstance(effect, bool):
            factor = math.nan
        else:
            factor = check_float(f"boost of {text!r:.80}", effect)
        if not (0 < factor <= MAX_FACTOR and abs(added) <= MAX_ADDED):
            raise ParameterError(
                f"boost must have factors above 0 and up to {MAX_FACTOR:.0f}, or text with a sign such as '+0.5' up to "
                f"{MAX_ADDED:.0f}, got {shown(effect):.80} for {text!r:.80}"
            )
        return cls(parse(text, "boost"), factor, added)


@dataclass(frozen=True)
class Rules:
    """Rules of a request, checked but for the columns that they name.

    Attributes
    ----------
    where : Expression or None
    boosts : tuple of Boost
    caps : tuple of pairs
        Column, and how many results may have one value of it.
    diversity : float
    now : float or None
        Seconds since 1970.
    """

    where: Expression | None = None
    boosts: tuple[Boost, ...] = ()
    caps: tuple[tuple[str, int], ...] = ()
    diversity: float = 0.0
    now: float | None = None

    @classmethod
    def read(
        cls,
        where: str | None = None,
        boost: Mapping[str, float | str] | None = None,
        max_per: Mapping[str, int] | None = None,
        diversity: float = 0.0,
        now: float | str | datetime | None = None,
    ) -> Self:
        """Return the rules of some arguments; see :class:`RuleOptions`.

        Raises
        ------
        ParameterError
            If a value breaks its rule.

        Examples
        --------
        >>> Rules.read(max_per={"brand": 2}).caps
        (('brand', 2),)
        """
        boosts, caps = _mapping("boost", boost, MAX_BOOSTS), _mapping("max_per", max_per, MAX_CAPS)
        return cls(
            None if where is None else parse(where),
            tuple(Boost.read(text, effect) for text, effect in boosts.items()),
            tuple(
                (column, check_int(f"max_per of {column!r:.80}", n, minimum=1)) for column, n in caps.items()
            ),
            check_float("diversity", diversity, minimum=0, maximum=1),
            _moment(now),
        )

    @property
    def is_empty(self) -> bool:
        """Whether there is no rule."""
        return self.where is None and not (self.boosts or self.caps or self.diversity)

    @property
    def chooses(self) -> bool:
        """Whether results are chosen one by one of more candidates than results."""
        return bool(self.caps) or self.diversity > 0

    def bind(self, items: ItemAttributes | None, n_items: int) -> BoundRules:
        """Return the rules over a table of items.

        Parameters
        ----------
        items : ItemAttributes or None
        n_items : int
            Items of the model. Those behind the last of the table have no values; rows behind the last item are
            those of items that came later.

        Raises
        ------
        ParameterError
            If a rule names a column that is not there, or there is no table.
        """
        if items is None:
            if self.where is not None or self.boosts or self.caps:
                raise ParameterError(
                    "where, boost and max_per need a table of items, and this model has none; attach one with "
                    "with_item_table, --items FILE, or in the folder of the model"
                )
            return BoundRules(self, None, n_items, ((1.0, 0.0, None),))
        for column, _ in self.caps:
            items.check_groups(column)
        now = present_minute() if self.now is None else self.now
        allowed = None if self.where is None else items.filter(self.where, now=now).of_size(n_items)
        parts: list[Part] = [(1.0, 0.0, allowed)]
        for boost in self.boosts:
            chosen = items.filter(boost.where, now=now, name="boost").of_size(n_items)
            parts = _split(parts, boost, chosen)
        count = None if allowed is None else allowed.count
        return BoundRules(self, items, n_items, tuple(parts), count, now)


Part = tuple[float, float, ItemFilter | None]
"""Factor, what is added, and the items whose scores they change; None for all items."""


@dataclass(frozen=True, eq=False)
class BoundRules:
    """Rules over a table of items, as of one moment.

    Attributes
    ----------
    rules : Rules
    items : ItemAttributes or None
    n_items : int
    parts : tuple of triples
        Items of one effect of the boosts: factor, what is added, and their filter. The best of all are among the
        best of each part, as a boost keeps the order within a part.
    n_allowed : int or None
        Items that ``where`` lets through; None without one.
    now : float
        Seconds since 1970 that ``now`` stands for.
    """

    rules: Rules
    items: ItemAttributes | None
    n_items: int
    parts: tuple[Part, ...]
    n_allowed: int | None = None
    now: float = 0.0

    def full_groups(self, chosen: Array) -> ItemFilter | None:
        """Return the items of groups that the chosen ones have filled; None where none is full."""
        full = None
        for column, cap in self.rules.caps:
            assert self.items is not None
            groups, has_group = self._groups_of(column, chosen)
            values, counts = np.unique(groups[has_group], return_counts=True)
            if (counts >= cap).any():
                members = self.items.members(column, values[counts >= cap]).of_size(self.n_items)
                full = members if full is None else full.either(members)
        return full

    def groups(self, positions: Array) -> Array:
        """Return the groups of some items, shape (len(positions), n_caps), int32; -1 where one has no value."""
        found = np.full((len(positions), len(self.rules.caps)), -1, np.int32)
        for place, (column, _) in enumerate(self.rules.caps):
            groups, has_group = self._groups_of(column, positions)
            found[:, place] = np.where(has_group, np.unique(groups, return_inverse=True)[1], -1)
        return found

    def _groups_of(self, column: str, positions: Array) -> tuple[Array, Array]:
        assert self.items is not None
        is_known = positions < len(self.items)
        groups, has_group = self.items.groups(column, np.where(is_known, positions, 0))
        return groups, has_group & is_known


def _split(parts: list[Part], boost: Boost, chosen: ItemFilter) -> list[Part]:
    """Return parts of which each is wholly boosted or not; parts of one effect are one."""
    merged: dict[tuple[float, float], ItemFilter] = {}
    for factor, added, of_part in parts:
        whole = ItemFilter.all_of(chosen.n_items) if of_part is None else of_part
        boosted = (factor * boost.factor, added + boost.added)
        for effect, some in ((boosted, whole.both(chosen)), ((factor, added), whole.without(chosen))):
            if some.count:
                merged[effect] = some if effect not in merged else merged[effect].either(some)
    return [(*effect, some) for effect, some in merged.items()] or [(1.0, 0.0, parts[0][2])]


def _mapping(name: str, value: Any, most: int) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ParameterError(f"{name} must be a mapping from text, got {shown(value):.80}")
    if len(value) > most:
        raise ParameterError(f"{name} must have at most {most} entries, got {len(value)}")
    return dict(value)


def _moment(now: Any) -> float | None:
    if now is None:
        return None
    seconds: Any = now
    if isinstance(now, str):
        seconds = seconds_of_text(now) if len(now) <= 64 else None
    elif isinstance(now, datetime):
        seconds = (now if now.tzinfo else now.replace(tzinfo=UTC)).timestamp()
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, int | float)
        or not 0 <= seconds < 253_402_300_800
    ):
        raise ParameterError(
            f"now must be seconds since 1970, a datetime or ISO 8601 text, got {shown(now):.80}"
        )
    return float(seconds)
