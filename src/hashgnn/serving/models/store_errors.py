"""Errors of the store as requests report them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hashgnn.errors import HashGNNError, ParameterError
from hashgnn.serving.wire.errors import Reason, RequestError
from hashgnn.serving.wire.logs import log

_WARNING = 30
_RETRY_AFTER = 5  # seconds


@contextmanager
def store_errors(what: str, done: str, note: Callable[[], object] | None = None) -> Iterator[None]:
    """Turn errors of the store into ones for the caller; their sentences name a path and go to the log.

    Parameters
    ----------
    what : str
        The things that the store has, in words.
    done : {"kept", "deleted", "read"}
        What was to be done with them.
    note : callable, optional
        Called where the store failed.

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
        if note is not None:
            note()
        log(_WARNING, f"{what} not {done}", detail=str(error))
        raise RequestError(
            Reason.UNAVAILABLE,
            f"the {what} could not be {done}; nothing was changed",
            retry_after=_RETRY_AFTER,
        ) from None
