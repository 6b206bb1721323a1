"""Why a request cannot be answered, in words that do not depend on HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import Any

from hashgnn.errors import HashGNNError, ParameterError, UnknownOutcomeError

_RETRY_AFTER = 5  # seconds


class Reason(Enum):
    """The kind of a :class:`RequestError`; ``http/`` turns it into a status."""

    MALFORMED = auto()
    """The body is not a JSON document."""
    WRONG_TYPE = auto()
    """The body does not say that it is JSON."""
    TOO_LARGE = auto()
    """The body has too many bytes."""
    BODY_TOO_SLOW = auto()
    """The body did not arrive in time."""
    INVALID = auto()
    """A field breaks its rule."""
    UNAUTHENTICATED = auto()
    """A key or token is missing or wrong."""
    FORBIDDEN = auto()
    """The key is known, but not for this."""
    UNKNOWN_ID = auto()
    """A user or an item is not in the model."""
    NOT_OFFERED = auto()
    """This service was started without what the request needs."""
    VERSION_REFUSED = auto()
    """Another version of the model cannot be used."""
    BUSY = auto()
    """The queue is full."""
    RATE_USED_UP = auto()
    """The key has sent as many requests as it may for now."""
    TOO_SLOW = auto()
    """The time limit is over."""
    NOT_READY = auto()
    """No model is open, or the service is about to stop."""
    UNAVAILABLE = auto()
    """Something that the service needs, such as its disk, does not work now."""
    INTERNAL = auto()
    """The service itself is at fault."""


class RequestError(Exception):
    """A request that cannot be answered.

    Parameters
    ----------
    reason : Reason
    detail : str
        One sentence for the caller. It names no path and no code.
    retry_after : int, optional
        Seconds after which the same request may succeed.
    """

    def __init__(self, reason: Reason, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.retry_after = reason, detail, retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        return RequestError, (self.reason, self.detail), {"retry_after": self.retry_after}


def no_table() -> RequestError:
    """Return the error of a request that needs a table of items where there is none."""
    return RequestError(
        Reason.NOT_OFFERED, "this service has no table of items; start it with --items FILE.parquet"
    )


@contextmanager
def store_errors(what: str, done: str, report: Callable[..., object]) -> Iterator[None]:
    """Turn errors of the store into ones for the caller; their sentences name a path, and are reported only.

    Parameters
    ----------
    what : str
        The things that the store has, in words.
    done : {"kept", "deleted", "read"}
        What was to be done with them.
    report : callable
        Takes a few words and the ``detail`` where the store failed.

    Raises
    ------
    RequestError
        ``INVALID`` where the caller is at fault, ``UNAVAILABLE`` where the store is.
    """
    try:
        yield
    except ParameterError as error:
        raise RequestError(Reason.INVALID, str(error)) from None
    except HashGNNError as error:
        report(f"{what} not {done}", detail=str(error))
        raise RequestError(
            Reason.UNAVAILABLE,
            f"the {what} {_outcome(error, done)}",
            retry_after=_RETRY_AFTER,
        ) from None


def _outcome(error: HashGNNError, done: str) -> str:
    """Return the end of a sentence about what could not be done: nothing was changed, or that is not known."""
    if isinstance(error, UnknownOutcomeError):
        return f"may have been {done} or not, as the store went away; send the same request again"
    return f"could not be {done}; nothing was changed"
