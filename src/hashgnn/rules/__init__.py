"""Business rules: typed attributes of items, the expressions that filter them, boosts, caps and diversity."""

from hashgnn.rules.expression import Expression, columns_of, uses_now
from hashgnn.rules.filters import ItemFilter
from hashgnn.rules.item_attributes import ITEM_ID, ITEM_TABLE, ItemAttributes
from hashgnn.rules.parsing import parse
from hashgnn.rules.rule_set import BoundRules, RuleOptions, Rules
from hashgnn.rules.sql import DIALECTS, to_sql

__all__ = [
    "DIALECTS",
    "ITEM_ID",
    "ITEM_TABLE",
    "BoundRules",
    "Expression",
    "ItemAttributes",
    "ItemFilter",
    "RuleOptions",
    "Rules",
    "columns_of",
    "parse",
    "to_sql",
    "uses_now",
]
