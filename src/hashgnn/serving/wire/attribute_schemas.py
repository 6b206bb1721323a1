"""Changes of items' attributes as typed documents."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from hashgnn.rules.columns import MAX_LIST, MAX_TEXT
from hashgnn.serving.wire.schemas import Id, Request

MAX_CHANGES = 10_000
_MAX_NAME = 256
_MAX_COLUMNS = 100

_TEXT = {"type": "string", "maxLength": MAX_TEXT}


def _value(value: Any) -> Any:
    """Return a value that some column may have; which one it fits is known to the table."""
    listed = value if isinstance(value, list) else [value] if isinstance(value, str) else []
    is_right = value is None or isinstance(value, bool | int | float | str | list)
    if not is_right or not all(isinstance(text, str) for text in listed):
        raise PydanticCustomError("rule", "be true or false, a number, text, a list of texts or null")
    if len(listed) > MAX_LIST or any(len(text) > MAX_TEXT for text in listed):
        raise PydanticCustomError(
            "rule", f"have at most {MAX_TEXT} characters, and a list at most {MAX_LIST} entries"
        )
    return value


AttributeValue = Annotated[
    Any,
    BeforeValidator(_value),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "boolean"},
                {"type": "number"},
                _TEXT,
                {"type": "array", "items": _TEXT, "maxItems": MAX_LIST},
                {"type": "null"},
            ]
        }
    ),
]


Attributes = Annotated[
    dict[Annotated[str, Field(max_length=_MAX_NAME)], AttributeValue], Field(max_length=_MAX_COLUMNS)
]


class AttributeChange(Request):
    """New values of some columns of an item; its other columns stay as they are."""

    item: Id
    attributes: Attributes = Field(
        min_length=1,
        description="By column of the table of items: true or false, a number, text, a time as seconds since 1970 or "
        "ISO 8601, or a list of texts, as the column holds; null is a missing value.",
    )


class AttributesRequest(Request):
    """Change attributes of items, all of them or none."""

    changes: list[AttributeChange] = Field(min_length=1, max_length=MAX_CHANGES)


class AttributesResponse(BaseModel):
    """Counts of changes; an acknowledged change survives a crash, and every later answer sees it."""

    accepted: int = Field(description="Items that were changed: all of the request.")
    unknown_items: int = Field(
        description="Of items that are not in the model; kept for a version that has them."
    )
