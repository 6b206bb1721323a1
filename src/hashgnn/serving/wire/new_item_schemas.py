"""New items as typed documents."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictFloat, StrictStr

from hashgnn.serving.wire.attribute_schemas import Attributes
from hashgnn.serving.wire.schemas import MAX_BATCH, MAX_HISTORY, MAX_ID, Id, Request, WholeId

MAX_FEATURES = 256

FeatureText = Annotated[StrictStr, Field(max_length=MAX_ID)]
FeatureNumber = Annotated[StrictFloat, Field(ge=-1e30, le=1e30)]
FeatureValue = (
    FeatureText
    | StrictBool
    | WholeId
    | FeatureNumber
    | Annotated[list[FeatureText | StrictBool | WholeId], Field(max_length=MAX_FEATURES)]
    | None
)


class NewItem(Request):
    """An item that came after the training."""

    item: Id
    users: Annotated[list[Id], Field(max_length=MAX_HISTORY)] = Field(
        [],
        description="Its first users. They have interacted with it; those that the model does not know count later.",
    )
    features: Annotated[dict[FeatureText, FeatureValue], Field(max_length=MAX_FEATURES)] | None = Field(
        None, description="Side features by their names, where the model was trained with item features."
    )
    attributes: Attributes | None = Field(
        None,
        description="Its row in the table of items, which rules look at and answers show: values by column, as "
        "PATCH /v1/items/attributes takes them. A column that is not given is a missing value.",
    )


class NewItemsRequest(Request):
    """Add items that came after the training."""

    items: list[NewItem] = Field(min_length=1, max_length=MAX_BATCH)
    on_known: Literal["error", "skip"] = Field(
        "error", description="An item that is known already: refuse the request, or leave it as it is."
    )
