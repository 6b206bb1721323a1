"""Problem documents (RFC 9457): the status, title and headers of each reason why a request was not answered."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from hashgnn._json_text import dumps
from hashgnn.serving.wire.errors import Reason, RequestError
from hashgnn.serving.wire.schemas import Problem

MEDIA_TYPE = "application/problem+json"
INTERNAL_ERROR = RequestError(Reason.INTERNAL, "internal error of the service; its log has the request id")

STATUSES = {
    Reason.MALFORMED: HTTPStatus.BAD_REQUEST,
    Reason.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    Reason.FORBIDDEN: HTTPStatus.FORBIDDEN,
    Reason.UNKNOWN_ID: HTTPStatus.NOT_FOUND,
    Reason.NOT_OFFERED: HTTPStatus.NOT_FOUND,
    Reason.BODY_TOO_SLOW: HTTPStatus.REQUEST_TIMEOUT,
    Reason.VERSION_REFUSED: HTTPStatus.CONFLICT,
    Reason.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Reason.WRONG_TYPE: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Reason.INVALID: HTTPStatus.UNPROCESSABLE_ENTITY,
    Reason.BUSY: HTTPStatus.TOO_MANY_REQUESTS,
    Reason.RATE_USED_UP: HTTPStatus.TOO_MANY_REQUESTS,
    Reason.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
    Reason.NOT_READY: HTTPStatus.SERVICE_UNAVAILABLE,
    Reason.TOO_SLOW: HTTPStatus.SERVICE_UNAVAILABLE,
    Reason.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}

# After these the rest of the body is still on its way, so the connection cannot be used again.
_CLOSES = {"Connection": "close"}
_HEADERS = {
    Reason.UNAUTHENTICATED: {"WWW-Authenticate": "Bearer"},
    Reason.BODY_TOO_SLOW: _CLOSES,
    Reason.TOO_LARGE: _CLOSES,
}


def error_response(error: RequestError, request_id: str | None) -> Response:
    """Return the problem document of an error."""
    headers = dict(_HEADERS.get(error.reason, {}))
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return problem_response(STATUSES[error.reason], error.detail, request_id, headers)


def problem_response(
    status: int, detail: str, request_id: str | None, headers: dict[str, str] | None = None
) -> Response:
    """Return a problem document."""
    title = HTTPStatus(status).phrase
    document = Problem(title=title, status=status, detail=detail, request_id=request_id)
    return Response(dumps(document.model_dump()), status, headers=headers, media_type=MEDIA_TYPE)


def described_problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of the problems that a route may answer with."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }
