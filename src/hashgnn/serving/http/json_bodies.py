"""JSON bodies of requests and responses: read, validated, and described in the OpenAPI document."""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi import Request, Response
from pydantic import BaseModel, ValidationError

from hashgnn._json_text import dumps
from hashgnn.serving.http.problems import described_problems
from hashgnn.serving.wire.errors import Reason, RequestError

M = TypeVar("M", bound=BaseModel)

JSON = "application/json"

_SHOWN = 40  # characters of a value that a sentence repeats


async def read(request: Request, model: type[M]) -> M:
    """Return the body as a validated document.

    Raises
    ------
    RequestError
        ``WRONG_TYPE`` if it does not say that it is JSON, ``MALFORMED`` if it is not JSON, ``INVALID`` if a field
        breaks its rule.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise RequestError(Reason.WRONG_TYPE, f"the content type must be {JSON}")
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        raise from_validation(error) from None


def json_response(document: bytes) -> Response:
    """Return a response with a JSON document."""
    return Response(document, media_type=JSON)


def described(request: type[BaseModel], response: type[BaseModel], *statuses: int) -> dict[str, Any]:
    """Return the OpenAPI description of a route that reads and writes JSON."""
    reference = {"schema": {"$ref": f"#/components/schemas/{request.__name__}"}}
    every = (400, 401, 408, 413, 415, 422, 429, 503)
    return {
        "responses": {200: {"model": response}, **described_problems(*sorted({*every, *statuses}))},
        "openapi_extra": {"requestBody": {"required": True, "content": {JSON: reference}}},
    }


def from_validation(error: ValidationError) -> RequestError:
    """Return the first fault of a body as a sentence: field, rule, and the value where it is short."""
    faults = error.errors(include_url=False, include_context=False)
    if faults[0]["type"] == "json_invalid":
        reason = faults[0]["msg"].removeprefix("Invalid JSON: ")
        return RequestError(Reason.MALFORMED, f"the body must be valid JSON; {reason}")
    where = _place(faults[0]["loc"])
    here = [fault for fault in faults if _place(fault["loc"]) == where]
    others = len({_place(fault["loc"]) for fault in faults}) - 1
    more = f"; {others} more fault{'s' if others > 1 else ''} after this one" if others else ""
    return RequestError(Reason.INVALID, _sentence(where, here) + more)


def _sentence(where: str, faults: list[Any]) -> str:
    """Return what is wrong in one place."""
    # A value that may be of several types has a fault for each; the one that is not about types says more.
    about = next((fault for fault in faults if not fault["type"].endswith("_type")), None)
    if about is None and len(faults) > 1:
        is_id = any(fault["type"] == "string_type" for fault in faults)
        message = f"input should be {'an integer or text' if is_id else 'a valid integer'}"
    else:
        message = (about or faults[0])["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
    if message.startswith("input should "):
        return f"{where} must {message.removeprefix('input should ')}{_got(faults[0]['input'])}"
    if message == "field required":
        return f"{where} is missing"
    if message == "extra inputs are not permitted":
        return f"{where} is not a field of this request"
    return f"{where}: {message}"


def _got(value: Any) -> str:
    """Return the value where it is short."""
    if value is not None and not isinstance(value, bool | int | float | str):
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
