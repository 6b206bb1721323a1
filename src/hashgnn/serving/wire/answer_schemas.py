"""Responses as typed documents; the OpenAPI document is made from them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
)
from pydantic.json_schema import SkipJsonSchema

from hashgnn.serving.wire.schemas import (
    EXPLANATION,
    Id,
    ReasonItem,
    ReasonKind,
    Search,
    SimilarSearch,
    without_default,
)


class ScoredItem(BaseModel):
    """A result: its score is in the unit of the search way, higher is better."""

    id: Id
    score: float
    reasons: list[ReasonItem] | SkipJsonSchema[None] = Field(
        None, description="Given where reasons are requested.", json_schema_extra=without_default
    )
    metadata: dict[str, Any] | None = Field(description="Metadata of the item, or null.")
    base_rank: int | None = Field(
        None,
        description="Under rules: the rank without boosts, caps and diversity; null where it lies further down than "
        "was searched.",
        json_schema_extra=without_default,
    )
    base_score: float | SkipJsonSchema[None] = Field(
        None, description="Under rules: the score before boosts.", json_schema_extra=without_default
    )


class RuleEffects(BaseModel):
    """The effects of rules on a row."""

    allowed: int | None = Field(description="Items of the model that where lets through; null without where.")
    capped: dict[str, int] = Field(description="By column of max_per: items that it kept out of the row.")


class RecommendedRow(BaseModel):
    """The results of one user, or of one history: it has ``user`` or ``history``, never both."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["user"], "not": {"required": ["history"]}},
                {"required": ["history"], "not": {"required": ["user"]}},
            ]
        }
    )

    user: Id | SkipJsonSchema[None] = Field(
        None, description="The user's id.", json_schema_extra=without_default
    )
    history: int | SkipJsonSchema[None] = Field(
        None,
        ge=0,
        description="The place of the history in the request, from 0 on.",
        json_schema_extra=without_default,
    )
    source: Literal["model", "history", "popular"] = Field(
        description="Where the row comes from: the trained code, a fold-in, or the most popular items."
    )
    explanation: ReasonKind | SkipJsonSchema[None] = Field(
        None, description=EXPLANATION, json_schema_extra=without_default
    )
    items: list[ScoredItem]
    rules: RuleEffects | SkipJsonSchema[None] = Field(
        None, description="Given where the request has rules.", json_schema_extra=without_default
    )
    model_version: str | None = Field(
        None, description="Given where another version than the document's answered this user."
    )


class RecommendResponse(BaseModel):
    """Ranked items, best first, one row for each user in the order of the request."""

    model_version: str
    search: Search
    milliseconds: float = Field(description="Time of the search and the answer inside the service.")
    results: list[RecommendedRow]


class SimilarRow(BaseModel):
    """The items most similar to one."""

    item: Id
    items: list[ScoredItem]
    rules: RuleEffects | SkipJsonSchema[None] = Field(
        None, description="Given where the request has rules.", json_schema_extra=without_default
    )


class SimilarItemsResponse(BaseModel):
    """Similar items, best first, one row for each item in the order of the request."""

    model_version: str
    search: SimilarSearch
    milliseconds: float
    results: list[SimilarRow]


class EncodedRow(BaseModel):
    """The code and embedding of one history, item or user; null where nothing is known of it."""

    code: str | None = Field(description="Hexadecimal, most significant bit first, bit 1 is +1.")
    embedding: list[float] | None = Field(description="What float search multiplies.")
    known: bool
    item_bias: float | None = Field(description="Of items, in bits, where the model has one.")


class EncodeResponse(BaseModel):
    """Codes and embeddings in the order of the request."""

    model_version: str
    n_bits: int
    results: list[EncodedRow]


class Item(BaseModel):
    """An item and its metadata."""

    id: Id
    metadata: dict[str, Any] | None


class ItemsResponse(BaseModel):
    """Items found by their id or metadata, the best match first."""

    items: list[Item]


class ModelResponse(BaseModel):
    """The model that answers, and its data."""

    model_config = ConfigDict(protected_namespaces=())

    version: str
    checksum: str
    created: str = Field(description="When the model was made, UTC.")
    loaded: str = Field(description="When this service opened it, UTC.")
    age_seconds: float = Field(description="Since the model was made.")
    next_version: str | None = Field(description="A second version that answers a share of the users.")
    next_share: float
    n_users: int
    n_items: int
    n_new_items: int = Field(description="Of these, items that came after the training.")
    n_interactions: int
    n_bits: int
    embedding_dim: int
    encoder: str
    item_bias: bool
    recipe: dict[str, Any] = Field(description="Every hyper-parameter.")
    metrics: dict[str, Any] = Field(description="Of the validation, as saved with the model.")
    data_statistics: dict[str, Any]
    training: dict[str, Any]
    code_health: dict[str, dict[str, float]] = Field(
        description="Of user_codes and item_codes, on at most 100,000 codes each."
    )
    bit_balance: dict[str, list[float]] = Field(
        description="Share of the same codes in which each bit is +1; a half is best."
    )
    search_ways: list[Search]
    bytes_per_item: dict[str, float]
    metadata_columns: list[str]
    attribute_columns: dict[str, Literal["bool", "int", "float", "time", "text", "list"]] = Field(
        description="Columns of the table of items that rules may use, and what they hold."
    )
    event_weights: dict[str, float] = Field(
        description="Types of events that interactions may have, and what each weighs in training."
    )
    keeps_interactions: bool


class InteractionsResponse(BaseModel):
    """Counts of stored interactions; an acknowledged interaction survives a crash."""

    accepted: int = Field(
        description="All of the request; with a repeated Idempotency-Key those of the first one."
    )
    unknown_items: int = Field(
        description="Of items that are not in the model; stored for the next training."
    )
    stored: int = Field(description="Interactions in the store.")


class NewItemsResponse(BaseModel):
    """Counts of new items; what was accepted is in the next answer of every worker, and survives a crash."""

    accepted: int = Field(
        description="New items of the request; with a repeated Idempotency-Key those of the first one."
    )
    known: int = Field(description="Items that were known already, and stay as they are.")
    unknown_users: int = Field(description="Of users who are not in the model.")
    stored: int = Field(description="New items in the store.")


class ItemDeletionResponse(BaseModel):
    """Counts of a deletion; 0 is no error."""

    removed: int = Field(description="New items removed.")
    stored: int = Field(description="New items in the store.")


class DeletionResponse(BaseModel):
    """Counts of a deletion; all 0 is no error."""

    removed: int = Field(description="Interactions removed from the store.")
    forgotten: int = Field(
        description="Interactions in the training data of the model that answers use no more; 0 the second time."
    )
    stored: int = Field(description="Interactions in the store.")


class ReloadResponse(BaseModel):
    """The active versions after a reload."""

    version: str
    next_version: str | None
    share: float
    changed: bool


class HealthResponse(BaseModel):
    """Whether the service lives, or is ready."""

    status: str
    model_version: str | None = None
