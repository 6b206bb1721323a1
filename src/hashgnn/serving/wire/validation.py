"""The faults of a document as one sentence: field, rule, and the value where it is short."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from hashgnn._json_text import dumps

_SHOWN = 40  # characters of a value that a sentence repeats
_IDS = "be an integer or text"

# The rules by pydantic's names for their faults, to go on after "must".
_RULES = {
    "bool_type": "be true or false",
    "dict_type": "be an object",
    "finite_number": "be a finite number",
    "float_parsing": "be a number",
    "float_type": "be a number",
    "greater_than": "be above {gt:g}",
    "greater_than_equal": "be at least {ge:g}",
    "int_from_float": "be an integer",
    "int_parsing": "be an integer",
    "int_parsing_size": "be an integer of 64 bits",
    "int_type": "be an integer",
    "less_than": "be below {lt:g}",
    "less_than_equal": "be at most {le:g}",
    "list_type": "be a list",
    "literal_error": "be {expected}",
    "model_attributes_type": "be an object",
    "model_type": "be an object",
    "string_too_long": "have at most {max_length} characters",
    "string_too_short": "have at least {min_length} characters",
    "string_type": "be text",
    "string_unicode": "be text that UTF-8 can hold",
    "too_long": "have at most {max_length} entries",
    "too_short": "have at least {min_length} entries",
}


def sentence_of(error: ValidationError) -> str:
    """Return the first fault of a document, and how many places have others."""
    faults = error.errors(include_url=False)
    where = _place(faults[0]["loc"])
    here = [fault for fault in faults if _place(fault["loc"]) == where]
    others = len({_place(fault["loc"]) for fault in faults}) - 1
    more = f"; {others} more fault{'s' if others > 1 else ''} after this one" if others else ""
    return _sentence(where, here) + more


def _sentence(where: str, faults: Sequence[Mapping[str, Any]]) -> str:
    """Return what is wrong in one place."""
    first = faults[0]
    kind, value = first["type"], first["input"]
    if kind == "missing":
        return f"{where} is missing"
    if kind == "extra_forbidden":
        return f"{where} is not a field of this request"
    if kind == "value_error":
        return f"{where}: {first['ctx']['error']}"
    return f"{where} must {_rule(faults)}{_got(value)}"


def _rule(faults: Sequence[Mapping[str, Any]]) -> str:
    """Return the rule that a value breaks. A value of several possible types has a fault for each."""
    kinds = {fault["type"] for fault in faults}
    may_be_text = any(kind.startswith("string_") for kind in kinds)
    # The fault that is not about types says more than the others.
    about = next((fault for fault in faults if not fault["type"].endswith("_type")), None)
    if len(faults) > 1 and may_be_text:
        if kinds & {"less_than", "greater_than_equal"}:
            return "be an integer of 64 bits or text"
        if about is None or about["type"].startswith("int_"):
            return _IDS
    fault = about or faults[0]
    if fault["type"] == "rule":
        return str(fault["msg"])
    if fault["type"] in ("string_too_short", "too_short") and fault["ctx"]["min_length"] == 1:
        return "not be empty"
    rule = _RULES.get(fault["type"])
    return "be valid" if rule is None else rule.format(**fault.get("ctx", {}))


def _got(value: Any) -> str:
    """Return the value where it is short."""
    if value is not None and not isinstance(value, bool | int | float | str):
        return ""
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    text = dumps(value).decode()
    return f", got {text}" if len(text) <= _SHOWN else ""


def _place(parts: tuple[int | str, ...]) -> str:
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        elif "constrained" in part or "[" in part or part in ("int", "str"):
            continue  # which kind of id was tried says nothing to the caller
        else:
            text += f".{part}" if text else _short(part)
    return text or "the body"


def _short(name: str) -> str:
    return name if len(name) <= 64 else f"{name[:64]}…"
