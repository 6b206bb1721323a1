"""Requests and responses as typed documents; the OpenAPI document is made from them."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from hashgnn._types import OnUnknown
from hashgnn.data._times import seconds_of_text
from hashgnn.data._whole_ids import as_whole
from hashgnn.data.history_weighting import HistoryWeighting
from hashgnn.data.weighting import MAX_EVENT_NAME
from hashgnn.errors import ParameterError

MAX_K = 1000
MAX_BATCH = 1024
MAX_HISTORY = 10_000
MAX_LIST = 100_000
MAX_ID = 512  # characters
MAX_FEATURES = 256

_INT64 = 2**63
_LAST_SECOND = 253_402_300_799  # of the year 9999
_TIME_LENGTH = 64


# Of the forms that are taken, the one to write: RFC 3339 from 1971 on.
_ISO_TIME = (
    r"^(19[7-9][1-9]|2[0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-](0[0-9]|1[0-2]):[0-5][0-9])$"
)


def _seconds(value: Any) -> float | None:
    """Return a time as seconds since 1970. What is wrong with it is a rule that goes on after "must"."""
    if value is None:
        return None
    seconds = value
    if isinstance(value, str):
        seconds = seconds_of_text(value) if len(value) <= _TIME_LENGTH else None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        raise PydanticCustomError("rule", "be seconds since 1970 or ISO 8601 text")
    if seconds > _LAST_SECOND:
        raise PydanticCustomError(
            "rule", f"be seconds since 1970, at most {_LAST_SECOND}; divide milliseconds by 1000"
        )
    if seconds < 0:
        raise PydanticCustomError("rule", "be seconds since 1970, at least 0")
    return float(seconds)


def _whole(value: Any) -> Any:
    whole = as_whole(value) if isinstance(value, float) else None
    return value if whole is None else whole


_AsWhole = BeforeValidator(_whole)  # in JSON 2.0 is an integer
WholeId = Annotated[StrictInt, Field(ge=-_INT64, lt=_INT64)]
TextId = Annotated[StrictStr, Field(min_length=1, max_length=MAX_ID)]
# The way through Python comes last, so that lists of ids do not pay for it.
Id = WholeId | TextId | SkipJsonSchema[Annotated[WholeId, _AsWhole]]
Time = Annotated[
    float | None,
    BeforeValidator(_seconds),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": _LAST_SECOND},
                {"type": "string", "pattern": _ISO_TIME, "maxLength": _TIME_LENGTH},
                {"type": "null"},
            ]
        }
    ),
]
Ids = Annotated[list[Id], Field(min_length=1, max_length=MAX_BATCH)]
History = Annotated[list[Id], Field(max_length=MAX_HISTORY)]
Histories = Annotated[list[History], Field(min_length=1, max_length=MAX_BATCH)]
ItemList = Annotated[list[Id], Field(max_length=MAX_LIST)]
K = Annotated[
    StrictInt,
    Field(ge=1, le=MAX_K),
    _AsWhole,
    Field(description="How many results a row; fewer where fewer exist."),
]
Oversampling = Annotated[
    StrictInt,
    Field(ge=1, le=100),
    _AsWhole,
    Field(description="Hierarchical: candidates re-ranked for each result."),
]
Search = Literal["hamming", "biased", "asymmetric", "hierarchical", "float"]
SimilarSearch = Literal["hamming", "asymmetric", "hierarchical", "float"]


def _without_default(schema: dict[str, Any]) -> None:
    """Leave the default out of the schema of a field that an answer may not have."""
    schema.pop("default", None)


def _exactly_one(*names: str) -> dict[str, Any]:
    """Say in JSON Schema that exactly one of some properties is present."""
    others = {"type": "null"}
    return {
        "oneOf": [
            {
                "required": [name],
                "properties": {
                    name: {"not": others},
                    **{other: others for other in names if other != name},
                },
            }
            for name in names
        ]
    }


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    def _check_one_of(self, *names: str) -> None:
        present = [name for name in names if getattr(self, name) is not None]
        if len(present) != 1:
            raise ValueError(
                f"exactly one of {', '.join(names)} must be given, got {' and '.join(present) or 'none'}"
            )


Duration = (
    Annotated[StrictStr, Field(pattern=r"^[1-9][0-9]{0,8}(\.[0-9]{1,6})?[smhdw]$")]
    | Annotated[StrictFloat, Field(gt=0, le=1e15)]
)


class HistoryWeightingFields(_Request):
    """Weights of the items of a history in the fold-in: the newest 1, the others by place or age, or not at all."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": [name], "properties": {name: {"not": {"type": "null"}}}}
                for name in ("last_n", "position_half_life", "age_half_life", "session")
            ]
        }
    )

    last_n: Annotated[StrictInt, Field(ge=1, le=MAX_HISTORY), _AsWhole] | None = Field(
        None, description="Only the newest items, so many."
    )
    position_half_life: Annotated[StrictFloat, Field(gt=0, le=1e9)] | None = Field(
        None, description="Places after which a weight has halved."
    )
    age_half_life: Duration | None = Field(
        None, description='Age after which a weight has halved, from the newest item on: "7d", or seconds.'
    )
    session: Duration | None = Field(
        None, description='Only the last session: a longer pause begins a new one; "30m", or seconds.'
    )

    @model_validator(mode="after")
    def _something(self) -> HistoryWeightingFields:
        if not self.model_dump(exclude_none=True):
            raise ValueError(
                "one of last_n, position_half_life, age_half_life, session must be given, got none"
            )
        try:
            self.weighting()
        except ParameterError as error:
            raise ValueError(str(error)) from None
        return self

    def check_places(self) -> None:
        """Raise :class:`ValueError` if the order of a history does not say enough."""
        if self.session is not None or self.age_half_life is not None:
            raise ValueError("timestamps must be given for session and age_half_life")

    def weighting(self) -> HistoryWeighting:
        """Return the weighting of the request."""
        return HistoryWeighting(**self.model_dump())


class RecommendRequest(_Request):
    """Rank items for users by their ids, or for anybody by a history of items."""

    model_config = ConfigDict(json_schema_extra=_exactly_one("users", "histories"))

    users: Ids | None = Field(None, description="User ids.")
    histories: Histories | None = Field(
        None, description="Lists of item ids, one a user who need not be known."
    )
    timestamps: (
        Annotated[
            list[
                Annotated[list[Annotated[float, Field(ge=0, le=_LAST_SECOND)]], Field(max_length=MAX_HISTORY)]
            ],
            Field(min_length=1, max_length=MAX_BATCH),
        ]
        | None
    ) = Field(None, description="Seconds, one for each item of the histories, for history_weighting.")
    history_weighting: HistoryWeightingFields | None = Field(
        None,
        description="Which items of a history count, and how much. Histories are from the oldest item to the newest. "
        "Users are folded in from what the service has stored since the training, where there is something.",
    )
    k: K = 10
    search: Search = "hierarchical"
    oversampling: Oversampling = 5
    allow: ItemList | None = Field(None, description="Only these items.")
    block: ItemList | None = Field(None, description="None of these items.")
    filter_seen: StrictBool = Field(True, description="Leave out what a user interacted with.")
    on_unknown: OnUnknown = Field(
        "fold_in",
        description="A user who is not in the model: refuse the request, leave out the user's row, give popular "
        "items, or fold in the interactions that the service has stored (popular items where there are none).",
    )

    @model_validator(mode="after")
    def _one_side(self) -> RecommendRequest:
        self._check_one_of("users", "histories")
        if self.timestamps is not None:
            if self.histories is None or self.history_weighting is None:
                raise ValueError("timestamps must come with histories and history_weighting")
            if [len(row) for row in self.timestamps] != [len(row) for row in self.histories]:
                raise ValueError("timestamps must be one number for each item of each history")
        elif self.histories is not None and self.history_weighting is not None:
            self.history_weighting.check_places()
        return self


class ScoredItem(BaseModel):
    """A result: its score is in the unit of the search way, higher is better."""

    id: Id
    score: float
    metadata: dict[str, Any] | None = Field(description="Metadata of the item, or null.")


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
        None, description="The user's id.", json_schema_extra=_without_default
    )
    history: int | SkipJsonSchema[None] = Field(
        None,
        ge=0,
        description="The place of the history in the request, from 0 on.",
        json_schema_extra=_without_default,
    )
    source: Literal["model", "history", "popular"] = Field(
        description="Where the row comes from: the trained code, a fold-in, or the most popular items."
    )
    items: list[ScoredItem]
    model_version: str | None = Field(
        None, description="Given where another version than the document's answered this user."
    )


class RecommendResponse(BaseModel):
    """Ranked items, best first, one row for each user in the order of the request."""

    model_version: str
    search: Search
    milliseconds: float = Field(description="Time of the search and the answer inside the service.")
    results: list[RecommendedRow]


class SimilarItemsRequest(_Request):
    """Rank the items most similar to some items."""

    items: Ids
    k: K = 10
    search: SimilarSearch = "hierarchical"
    oversampling: Oversampling = 5


class SimilarRow(BaseModel):
    """The items most similar to one."""

    item: Id
    items: list[ScoredItem]


class SimilarItemsResponse(BaseModel):
    """Similar items, best first, one row for each item in the order of the request."""

    model_version: str
    search: SimilarSearch
    milliseconds: float
    results: list[SimilarRow]


class EncodeRequest(_Request):
    """Return codes and embeddings of histories, of items or of users."""

    model_config = ConfigDict(json_schema_extra=_exactly_one("histories", "items", "users"))

    histories: Histories | None = None
    items: Ids | None = None
    users: Ids | None = None

    @model_validator(mode="after")
    def _one_side(self) -> EncodeRequest:
        self._check_one_of("histories", "items", "users")
        return self


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
    event_weights: dict[str, float] = Field(
        description="Types of events that interactions may have, and what each weighs in training."
    )
    keeps_interactions: bool


class Interaction(_Request):
    """Something that a user did."""

    user: Id
    item: Id
    timestamp: Time = Field(
        None,
        description="Seconds since 1970, or ISO 8601 text, UTC where it names no zone; the time of arrival by default.",
    )
    weight: Annotated[StrictFloat, Field(ge=1e-37, le=1e9)] | None = None
    event: Annotated[StrictStr, Field(min_length=1, max_length=MAX_EVENT_NAME)] | None = Field(
        None, description="Type of the event, one of event_weights of the model."
    )


class InteractionsRequest(_Request):
    """Store what users did."""

    interactions: list[Interaction] = Field(min_length=1, max_length=10_000)


class InteractionsResponse(BaseModel):
    """Counts of stored interactions; an acknowledged interaction survives a crash."""

    accepted: int = Field(
        description="All of the request; with a repeated Idempotency-Key those of the first one."
    )
    unknown_items: int = Field(
        description="Of items that are not in the model; stored for the next training."
    )
    stored: int = Field(description="Interactions in the store.")


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


class NewItem(_Request):
    """An item that came after the training."""

    item: Id
    users: Annotated[list[Id], Field(max_length=MAX_HISTORY)] = Field(
        [],
        description="Its first users. They have interacted with it; those that the model does not know count later.",
    )
    features: Annotated[dict[FeatureText, FeatureValue], Field(max_length=MAX_FEATURES)] | None = Field(
        None, description="Side features by their names, where the model was trained with item features."
    )


class NewItemsRequest(_Request):
    """Add items that came after the training."""

    items: list[NewItem] = Field(min_length=1, max_length=MAX_BATCH)
    on_known: Literal["error", "skip"] = Field(
        "error", description="An item that is known already: refuse the request, or leave it as it is."
    )


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


class ReloadRequest(_Request):
    """Open another version of the model."""

    version: TextId | None = Field(
        None,
        description="Name of a version in the folder of the current one; null opens the version that the link points to.",
    )
    next_version: TextId | None = Field(None, description="A second version, for a share of the users.")
    share: Annotated[StrictFloat, Field(ge=0, le=1)] = Field(0.0, description="Share of users it answers.")
    allow_new_ids: StrictBool = Field(
        False,
        description="Take a version whose ids are of another kind, or that knows too few of the old ones.",
    )


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


class Problem(BaseModel):
    """An RFC 9457 problem document; ``detail`` is one sentence."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    request_id: str | None = None
