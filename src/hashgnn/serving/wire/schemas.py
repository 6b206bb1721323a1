"""Requests as typed documents; the OpenAPI document is made from them."""

from __future__ import annotations

import math
import re
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
from hashgnn.rules.columns import MAX_LIST as MAX_TEXTS
from hashgnn.rules.columns import MAX_TEXT
from hashgnn.rules.parsing import MAX_LENGTH
from hashgnn.rules.rule_set import MAX_BOOSTS, MAX_CAPS, MAX_FACTOR

MAX_K = 1000
MAX_BATCH = 1024
MAX_HISTORY = 10_000
MAX_LIST = 100_000
MAX_ID = 512  # characters
MAX_FEATURES = 256
MAX_REASONS = 20
REASONS = 3  # where a request does not say how many

_MAX_NAME = 256
_MAX_COLUMNS = 100
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


def _reasons(value: Any) -> int:
    """Return how many reasons ``true``, ``false`` or a number ask for."""
    if isinstance(value, bool):
        return REASONS if value else 0
    number = _whole(value)
    if not isinstance(number, int) or not 0 <= number <= MAX_REASONS:
        raise PydanticCustomError("rule", f"be true, false or an integer from 0 to {MAX_REASONS}")
    return number


def _whole(value: Any) -> Any:
    whole = as_whole(value) if isinstance(value, float) else None
    return value if whole is None else whole


AsWhole = BeforeValidator(_whole)  # in JSON 2.0 is an integer
WholeId = Annotated[StrictInt, Field(ge=-_INT64, lt=_INT64)]
TextId = Annotated[StrictStr, Field(min_length=1, max_length=MAX_ID)]
# The way through Python comes last, so that lists of ids do not pay for it.
Id = WholeId | TextId | SkipJsonSchema[Annotated[WholeId, AsWhole]]
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
    AsWhole,
    Field(description="How many results a row; fewer where fewer exist."),
]
Explain = Annotated[
    int,
    BeforeValidator(_reasons),
    WithJsonSchema(
        {
            "anyOf": [{"type": "boolean"}, {"type": "integer", "minimum": 0, "maximum": MAX_REASONS}],
            "default": False,
            "description": "Name so many items of the history that each result is there because of; true is 3.",
        }
    ),
]
Oversampling = Annotated[
    StrictInt,
    Field(ge=1, le=100),
    AsWhole,
    Field(description="Hierarchical: candidates re-ranked for each result."),
]
ReasonKind = Literal["sum", "similarity", "popularity"]
EXPLANATION = (
    "sum: each item of the history has a part of the score. similarity: the score is no such sum; the reasons are the "
    "items of the history most similar to the item. popularity: nothing is known of the user."
)
Search = Literal["hamming", "biased", "asymmetric", "hierarchical", "float"]
SimilarSearch = Literal["hamming", "asymmetric", "hierarchical", "float"]


def without_default(schema: dict[str, Any]) -> None:
    """Leave the default out of the schema of a field that an answer may not have."""
    schema.pop("default", None)


def exactly_one(*names: str) -> dict[str, Any]:
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


class Request(BaseModel):
    """The base of what is sent to the service: no unknown field, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    def check_one_of(self, *names: str) -> None:
        """Raise unless exactly one of some fields is given."""
        present = [name for name in names if getattr(self, name) is not None]
        if len(present) != 1:
            raise ValueError(
                f"exactly one of {', '.join(names)} must be given, got {' and '.join(present) or 'none'}"
            )


_ADDED = r"^[+-][0-9]{1,5}(\.[0-9]{1,9})?$"


def _effect(value: Any) -> Any:
    """Return a factor, or what is added as text with a sign."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and 0 < value <= MAX_FACTOR:
        return float(value)
    if isinstance(value, str) and re.fullmatch(_ADDED[1:-1], value):
        return value
    raise PydanticCustomError(
        "rule", f'be a factor above 0 and up to {MAX_FACTOR:.0f}, or what is added as text such as "+0.5"'
    )


Effect = Annotated[
    Any,
    BeforeValidator(_effect),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_FACTOR},
                {"type": "string", "pattern": _ADDED},
            ]
        }
    ),
]
Boosts = Annotated[dict[StrictStr, Effect], Field(max_length=MAX_BOOSTS)]


class RuledRequest(Request):
    """Rules of a request: which items, in what order, how many of one kind."""

    where: Annotated[StrictStr, Field(max_length=MAX_LENGTH)] | None = Field(
        None, description="Only items that this holds for, such as in_stock and price < 30."
    )
    boost: Boosts | None = Field(
        None,
        description="By an expression: a factor of the score of items that it holds for, or what is added, as text "
        "with a sign. A factor divides a negative score.",
    )
    max_per: dict[StrictStr, Annotated[StrictInt, Field(ge=1, le=MAX_K), AsWhole]] | None = Field(
        None,
        max_length=MAX_CAPS,
        description="By a column: how many results of a row may have the same value.",
    )
    diversity: Annotated[StrictFloat, Field(ge=0, le=1)] = Field(
        0.0, description="0 ranks by score; above it results also differ from one another."
    )
    now: Time = Field(None, description="What now stands for in expressions; the present minute by default.")


Duration = (
    Annotated[StrictStr, Field(pattern=r"^[1-9][0-9]{0,8}(\.[0-9]{1,6})?[smhdw]$")]
    | Annotated[StrictFloat, Field(gt=0, le=1e15)]
)


class HistoryWeightingFields(Request):
    """Weights of the items of a history in the fold-in: the newest 1, the others by place or age, or not at all."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": [name], "properties": {name: {"not": {"type": "null"}}}}
                for name in ("last_n", "position_half_life", "age_half_life", "session")
            ]
        }
    )

    last_n: Annotated[StrictInt, Field(ge=1, le=MAX_HISTORY), AsWhole] | None = Field(
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


HistoryTimes = Annotated[
    list[Annotated[list[Annotated[float, Field(ge=0, le=_LAST_SECOND)]], Field(max_length=MAX_HISTORY)]],
    Field(min_length=1, max_length=MAX_BATCH),
]


def check_history_times(request: RecommendRequest | EncodeRequest) -> None:
    """Raise :class:`ValueError` if times and histories of a request do not fit together, or are missing."""
    if request.timestamps is not None:
        if request.histories is None or request.history_weighting is None:
            raise ValueError("timestamps must come with histories and history_weighting")
        if [len(row) for row in request.timestamps] != [len(row) for row in request.histories]:
            raise ValueError("timestamps must be one number for each item of each history")
    elif request.histories is not None and request.history_weighting is not None:
        request.history_weighting.check_places()


class RecommendRequest(RuledRequest):
    """Rank items for users by their ids, or for anybody by a history of items."""

    model_config = ConfigDict(json_schema_extra=exactly_one("users", "histories"))

    users: Ids | None = Field(None, description="User ids.")
    histories: Histories | None = Field(
        None, description="Lists of item ids, one a user who need not be known."
    )
    timestamps: HistoryTimes | None = Field(
        None, description="Seconds, one for each item of the histories, for history_weighting."
    )
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
    explain: Explain = 0

    @model_validator(mode="after")
    def _one_side(self) -> RecommendRequest:
        self.check_one_of("users", "histories")
        check_history_times(self)
        return self


class ReasonItem(BaseModel):
    """An item of the history: its part of a score and its share of all parts, or its similarity to the item."""

    id: Id
    part: float | SkipJsonSchema[None] = Field(
        None, description="Its part of the score.", json_schema_extra=without_default
    )
    share: float | SkipJsonSchema[None] = Field(
        None,
        ge=-1,
        le=1,
        description="Its part over the sum of all absolute parts; a negative one speaks against the item.",
        json_schema_extra=without_default,
    )
    similarity: float | SkipJsonSchema[None] = Field(
        None, description="From -1 to 1, where the score is no sum.", json_schema_extra=without_default
    )
    metadata: dict[str, Any] | None


class SimilarItemsRequest(RuledRequest):
    """Rank the items most similar to some items."""

    items: Ids
    k: K = 10
    search: SimilarSearch = "hierarchical"
    oversampling: Oversampling = 5


class EncodeRequest(Request):
    """Return codes and embeddings of histories, of items or of users."""

    model_config = ConfigDict(
        json_schema_extra={
            **exactly_one("histories", "items", "users"),
            "not": {
                "required": ["items", "history_weighting"],
                "properties": {name: {"not": {"type": "null"}} for name in ("items", "history_weighting")},
            },
        }
    )

    histories: Histories | None = None
    items: Ids | None = None
    users: Ids | None = None
    timestamps: HistoryTimes | None = Field(
        None, description="Seconds, one for each item of the histories, for history_weighting."
    )
    history_weighting: HistoryWeightingFields | None = Field(
        None, description="Which items of a history count, and how much, as in /v1/recommend."
    )

    @model_validator(mode="after")
    def _one_side(self) -> EncodeRequest:
        self.check_one_of("histories", "items", "users")
        if self.items is not None and self.history_weighting is not None:
            raise ValueError("history_weighting must come with histories or users, not with items")
        check_history_times(self)
        return self


class Interaction(Request):
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


class InteractionsRequest(Request):
    """Store what users did."""

    interactions: list[Interaction] = Field(min_length=1, max_length=10_000)


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


_TEXT_VALUE = {"type": "string", "maxLength": MAX_TEXT}


def _attribute_value(value: Any) -> Any:
    """Return a value that some column may have; which one it fits is known to the table."""
    listed = value if isinstance(value, list) else [value] if isinstance(value, str) else []
    is_right = value is None or isinstance(value, bool | int | float | str | list)
    if not is_right or not all(isinstance(text, str) for text in listed):
        raise PydanticCustomError("rule", "be true or false, a number, text, a list of texts or null")
    if len(listed) > MAX_TEXTS or any(len(text) > MAX_TEXT for text in listed):
        raise PydanticCustomError(
            "rule", f"have at most {MAX_TEXT} characters, and a list at most {MAX_TEXTS} entries"
        )
    return value


AttributeValue = Annotated[
    Any,
    BeforeValidator(_attribute_value),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "boolean"},
                {"type": "number"},
                _TEXT_VALUE,
                {"type": "array", "items": _TEXT_VALUE, "maxItems": MAX_TEXTS},
                {"type": "null"},
            ]
        }
    ),
]
Attributes = Annotated[
    dict[Annotated[str, Field(max_length=_MAX_NAME)], AttributeValue], Field(max_length=_MAX_COLUMNS)
]


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


class ReloadRequest(Request):
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


class Problem(BaseModel):
    """An RFC 9457 problem document; ``detail`` is one sentence."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    request_id: str | None = None
