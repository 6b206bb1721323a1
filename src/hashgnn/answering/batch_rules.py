"""``BatchRules``: the rules of a batch as plain data, and the table of items that its workers bind them to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from hashgnn.rules import ITEM_ID, RuleOptions, Rules, columns_of, uses_now
from hashgnn.rules.item_attributes import present_minute


@dataclass(frozen=True)
class BatchRules:
    """Rules that every worker binds to the same table of items. Everything is plain.

    Attributes
    ----------
    options : dict
        Arguments of :meth:`hashgnn.rules.Rules.read`; ``now`` is there where an expression uses it.
    table : str or None
        A file or an address of the table of items; ``None`` is that in the folder of the model.
    checksum : str or None
        Of that file; ``None`` where no rule looks at it.
    item_id : str
        Its column of item ids.
    """

    options: dict[str, Any]
    table: str | None = None
    checksum: str | None = None
    item_id: str = ITEM_ID

    @classmethod
    def read(cls, given: RuleOptions) -> Self | None:
        """Return rules as plain data, with the present minute as ``now``; ``None`` where there is no rule.

        Raises
        ------
        ParameterError
            If a value breaks its rule.

        Examples
        --------
        >>> BatchRules.read({"where": "price < 3", "diversity": 0}).options
        {'where': 'price < 3'}
        """
        rules = Rules.read(**given)
        if rules.is_empty:
            return None
        options: dict[str, Any] = {}
        if rules.where is not None:
            options["where"] = given["where"]
        if rules.boosts:
            effects = (given.get("boost") or {}).items()
            options["boost"] = {
                name: effect if isinstance(effect, str) else float(effect) for name, effect in effects
            }
        if rules.caps:
            options["max_per"] = dict(rules.caps)
        if rules.diversity:
            options["diversity"] = rules.diversity
        if any(uses_now(expression) for expression in _expressions(rules)):
            moment = present_minute() if rules.now is None else rules.now
            options["now"] = datetime.fromtimestamp(moment, UTC).isoformat()
        return cls(options)

    @property
    def rules(self) -> Rules:
        """The rules, read."""
        return Rules.read(**self.options)

    @property
    def columns(self) -> list[str]:
        """Columns of the table of items that the rules look at."""
        rules = self.rules
        named = [name for expression in _expressions(rules) for name in columns_of(expression)]
        return list(dict.fromkeys([*named, *(column for column, _ in rules.caps)]))

    @property
    def identity(self) -> dict[str, Any]:
        """JSON values on which answers depend: the rules and the checksum of the table."""
        if self.checksum is None:
            return dict(self.options)
        return {**self.options, "item_table": self.checksum}

    @property
    def text(self) -> str:
        """The same rules, and their table, as text."""
        return json.dumps([self.options, self.table, self.checksum, self.item_id])

    def since(self, known: Mapping[str, Any] | None) -> Self:
        """Return the rules with the moment of a request that was begun, where they differ from it in nothing else."""
        if "now" not in self.options or known is None or "now" not in known:
            return self
        names = (*RuleOptions.__annotations__,)
        theirs = {name: known[name] for name in names if name in known}
        if {**self.options, "now": theirs["now"]} != theirs:
            return self
        return type(self)(theirs, self.table, self.checksum, self.item_id)


def _expressions(rules: Rules) -> list[Any]:
    return [*([] if rules.where is None else [rules.where]), *(boost.where for boost in rules.boosts)]
