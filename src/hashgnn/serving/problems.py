"""Errors of the service: an RFC 9457 problem document each, with one sentence that names no path and no code."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from starlette.responses import Response

from hashgnn.serving.api_models import Problem
from hashgnn.serving.json_text import dumps

MEDIA_TYPE = "application/problem+json"


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
    # A value that may be of several types has a fault for each; the one that is not about types says more.
    about = next((fault for fault in here if not fault["type"].endswith("_type")), None)
    if about is not None or len(here) == 1:
        message = (about or here[0])["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
    elif any(fault["type"] == "string_type" for fault in here):
        message = "an id should be an integer or text"
    else:
        message = "input should be a valid integer"
    others = len({_place(fault["loc"]) for fault in faults}) - 1
    return ProblemError(422, f"{where}: {message}" + (f"; {others} more like it" if others else ""))


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
