"""JSON bodies of requests and responses: read, validated, and described in the OpenAPI document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, TypeVar

from fastapi import Request, Response
from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers

from hashgnn.serving.http.problems import described_problems
from hashgnn.serving.wire.errors import Reason, RequestError
from hashgnn.serving.wire.validation import sentence_of

M = TypeVar("M", bound=BaseModel)

JSON = "application/json"

# Fields whose objects have keys of the caller.
_FREE = (b'"boost"', b'"max_per"', b'"attributes"')

_PLACE = re.compile(r"at line (\d+) column (\d+)")


async def read(request: Request, model: type[M]) -> M:
    """Return the body as a validated document.

    Raises
    ------
    RequestError
        ``WRONG_TYPE`` if it does not say that it is plain JSON, ``MALFORMED`` if it is not JSON, ``INVALID`` if
        a field breaks its rule or comes twice.
    """
    _check_headers(request.headers)
    text = await request.body()
    try:
        document = model.model_validate_json(text)
    except ValidationError as error:
        raise from_validation(error) from None
    twice = repeated_key(text, _names(model))
    if twice is not None:
        raise RequestError(Reason.INVALID, f"{twice} must be given once, got it several times in one object")
    return document


def json_response(document: bytes) -> Response:
    """Return a response with a JSON document."""
    return Response(document, media_type=JSON)


def described(
    request: type[BaseModel],
    response: type[BaseModel],
    *statuses: int,
    parameters: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Return the OpenAPI description of a route that reads and writes JSON."""
    reference = {"schema": {"$ref": f"#/components/schemas/{request.__name__}"}}
    every = (400, 401, 408, 413, 415, 422, 429, 503)
    return {
        "responses": {200: {"model": response}, **described_problems(*sorted({*every, *statuses}))},
        "openapi_extra": {
            "requestBody": {"required": True, "content": {JSON: reference}},
            **({"parameters": list(parameters)} if parameters else {}),
        },
    }


def from_validation(error: ValidationError) -> RequestError:
    """Return the first fault of a body as a sentence."""
    fault = error.errors(include_url=False, include_context=False)[0]
    if fault["type"] != "json_invalid":
        return RequestError(Reason.INVALID, sentence_of(error))
    place = _PLACE.search(fault["msg"])
    where = f"; it is not at line {place[1]}, column {place[2]}" if place else ""
    return RequestError(Reason.MALFORMED, f"the body must be valid JSON{where}")


def repeated_key(text: bytes, names: Iterable[str]) -> str | None:
    """Return a key that an object of a JSON document has twice, None where there is none.

    Parsers differ in which of the two values they take.

    Parameters
    ----------
    text : bytes
        Valid JSON whose objects have no other keys than ``names``, but for those that the caller names columns or
        expressions by.
    names : iterable of str
    """
    # Most bodies are settled without a second look: a name that comes once in the bytes is no key twice.
    if (
        not any(key in text for key in _FREE)
        and b"\\" not in text
        and all(text.count(b'"%b"' % name.encode()) < 2 for name in names)
    ):
        return None
    found: list[str] = []

    def pairs(entries: list[tuple[str, Any]]) -> None:
        keys = [key for key, _ in entries]
        if len(set(keys)) < len(keys):
            found.append(next(key for place, key in enumerate(keys) if key in keys[:place]))

    json.loads(text, object_pairs_hook=pairs)
    return found[0] if found else None


def _check_headers(headers: Headers) -> None:
    """Raise :class:`RequestError` unless the headers say that the body is plain JSON in UTF-8."""
    kind, _, options = headers.get("content-type", "").partition(";")
    if kind.strip().lower() != JSON:
        raise RequestError(Reason.WRONG_TYPE, f"the content type must be {JSON}")
    charset = options.strip().lower().replace('"', "").replace(" ", "")
    if charset.startswith("charset=") and charset not in ("charset=utf-8", "charset=utf8"):
        raise RequestError(Reason.WRONG_TYPE, f"the body must be in UTF-8, got {_word(charset[8:])}")
    coding = headers.get("content-encoding", "").strip().lower()
    if coding not in ("", "identity"):
        raise RequestError(
            Reason.WRONG_TYPE, f"the body must come as it is, without a content encoding, got {_word(coding)}"
        )


def _word(text: str) -> str:
    """Return what a header said, without characters that a sentence should not repeat."""
    return re.sub(r"[^a-z0-9,;=._ -]", "?", text[:40])


@cache
def _names(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of the fields of a document and of the documents in it."""
    schema = model.model_json_schema()
    documents = [schema, *schema.get("$defs", {}).values()]
    return frozenset(name for document in documents for name in document.get("properties", {}))
