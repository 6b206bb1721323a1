"""Errors of the service: an RFC 9457 problem document each, with one sentence that names no path and no code."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from starlette.responses import Response

from hashgnn.serving.api_models import Problem
from hashgnn.serving.json_text import dumps

MEDIA_TYPE = "application/problem+json"

_SHOWN = 40  # characters of a value that a sentence repeats


class ProblemError(Exception):
    """An answer that is a problem document.

    Parameters
    ----------
    status : int
    detail : str
        One sentence for the caller.
    headers : dict, optional
    """

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers or {}


def problem_response(problem: ProblemError, request_id: str | None) -> Response:
    """Return the document of a problem."""
    document = Problem(
        title=HTTPStatus(problem.status).phrase,
        status=problem.status,
        detail=problem.detail,
        request_id=request_id,
    )
    return Response(
        dumps(document.model_dump()), problem.status, headers=problem.headers, media_type=MEDIA_TYPE
    )


def from_validation(error: ValidationError) -> ProblemError:
    """Return the first fault of a body as a sentence: field, rule, and what was got where that is short."""
    faults = error.errors(include_url=False, include_context=False)
    if faults[0]["type"] == "json_invalid":
        reason = faults[0]["msg"].removeprefix("Invalid JSON: ")
        return ProblemError(400, f"the body must be valid JSON; {reason}")
    where = _place(faults[0]["loc"])
    here = [fault for fault in faults if _place(fault["loc"]) == where]
    others = len({_place(fault["loc"]) for fault in faults}) - 1
    more = f"; {others} more fault{'s' if others > 1 else ''} after this one" if others else ""
    return ProblemError(422, _sentence(where, here) + more)


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
    """Return what was got where that is short."""
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


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of the problems that a route may answer with."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }
