"""Changes of items' attributes as typed documents."""

from __future__ import annotations

from pydantic import BaseModel, Field

from hashgnn.serving.wire.schemas import Attributes, Id, Request

MAX_CHANGES = 10_000


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
