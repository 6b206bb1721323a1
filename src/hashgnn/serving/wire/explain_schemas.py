"""The request and the response of ``POST /v1/explain``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, model_validator
from pydantic.json_schema import SkipJsonSchema

from hashgnn._types import OnUnknown
from hashgnn.serving.wire.schemas import (
    EXPLANATION,
    MAX_REASONS,
    REASONS,
    AsWhole,
    History,
    Id,
    ReasonItem,
    ReasonKind,
    Request,
    Search,
    exactly_one,
    without_default,
)

MAX_EXPLAINED = 100  # items of one request


class ExplainRequest(Request):
    """Say because of which items of a user's history, or of any history, some items have their scores."""

    model_config = ConfigDict(json_schema_extra=exactly_one("user", "history"))

    user: Id | None = Field(None, description="A user id.")
    history: History | None = Field(None, description="Item ids of a user who need not be known.")
    items: Annotated[list[Id], Field(min_length=1, max_length=MAX_EXPLAINED)]
    reasons: Annotated[
        StrictInt,
        Field(ge=1, le=MAX_REASONS),
        AsWhole,
        Field(description="Items of the history for each item."),
    ] = REASONS
    search: Search = "hierarchical"
    on_unknown: OnUnknown = "fold_in"

    @model_validator(mode="after")
    def _one_side(self) -> ExplainRequest:
        self.check_one_of("user", "history")
        return self


class ExplainedItem(BaseModel):
    """An item, its score and the largest reasons; of a sum, their parts, ``others`` and ``rest`` add up to the score."""

    id: Id
    score: float
    reasons: list[ReasonItem]
    others: float | SkipJsonSchema[None] = Field(
        None, description="Sum of the parts that are not listed.", json_schema_extra=without_default
    )
    rest: float | SkipJsonSchema[None] = Field(
        None, description="What does not depend on the history.", json_schema_extra=without_default
    )
    metadata: dict[str, Any] | None


class ExplainResponse(BaseModel):
    """Reasons of each item in the order of the request; no item where an unknown user is skipped."""

    model_config = ConfigDict(protected_namespaces=())

    model_version: str
    search: Search
    source: Literal["model", "history", "popular"] | None
    explanation: ReasonKind | None = Field(description=EXPLANATION)
    note: str = Field(description="What the numbers are, in one sentence.")
    items: list[ExplainedItem]
