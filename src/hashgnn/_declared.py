"""JSON from strangers, and what its fields may be: a pydantic model is the one place that says so."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hashgnn.errors import ParameterError

MAX_DEPTH = 32
_MAX_INTEGER = 2**63
_SHOWN = 80  # characters of a value that a message shows

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Size = Annotated[int, Field(ge=0, lt=2**53)]
Count = Annotated[int, Field(ge=0, lt=2**31)]

Model = TypeVar("Model", bound="Declared")


class Declared(BaseModel):
    """Fields that are checked as they stand: no text becomes a number. Keys without a field are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


def read_json(raw: bytes) -> Any:
    """Read JSON whose numbers are finite and whose nesting and integers are bounded.

    Raises
    ------
    ValueError
        If it is not valid JSON in UTF-8, or breaks one of these bounds; a short sentence says which.
    """
    try:
        value: Any = json.loads(raw.decode("utf-8"))
    except RecursionError:
        raise ValueError(f"it nests deeper than {MAX_DEPTH}") from None
    except ValueError:
        raise ValueError("it is not valid JSON") from None
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [part for one in level for part in _parts(one)]
        if not level:
            return value
    raise ValueError(f"it nests deeper than {MAX_DEPTH}")


def _parts(value: Any) -> list[Any]:
    """Return the values inside of one, and check it where it has none."""
    if isinstance(value, dict):
        return [*value, *value.values()]
    if isinstance(value, list):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"its numbers must be finite, got {value}")
    if isinstance(value, int) and abs(value) >= _MAX_INTEGER:
        raise ValueError(f"its integers must lie within 64 bits, got one of {value.bit_length()} bits")
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("its text must be Unicode, got a lone surrogate") from None
    return []


def check_fields(model: type[Model], values: Mapping[str, Any]) -> Model:
    """Return the declared fields of a mapping.

    Raises
    ------
    ParameterError
        For the first field that is missing or breaks its rule: ``field rule, got value``.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"])[:_SHOWN]
    if first["type"] == "missing":
        raise ParameterError(f"{name} is missing")
    rule = first["msg"].replace("Input should", "must").replace("String should", "must")
    rule = rule.removeprefix("Value error, ")
    raise ParameterError(f"{name} {rule}, got {first['input']!r:.{_SHOWN}}")
