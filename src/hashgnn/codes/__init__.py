"""Binary codes: packed bits, their item bias, and their health."""

from hashgnn.codes.binary_codes import BinaryCodes
from hashgnn.codes.code_forms import code_form
from hashgnn.codes.health import CodeHealth, code_health
from hashgnn.codes.item_bias import ItemBias, widen_items, widen_queries

__all__ = [
    "BinaryCodes",
    "CodeHealth",
    "ItemBias",
    "code_form",
    "code_health",
    "widen_items",
    "widen_queries",
]
