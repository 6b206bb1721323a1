"""Words for an engine that cannot be reached, and a look at its address before it is waited for."""

from __future__ import annotations

import re
import socket

from hashgnn.errors import EngineError

_SECONDS = 10.0
_PLACE = re.compile(r"(?:ray://|spark://|sc://)?\[?([\w.:-]+?)\]?:(\d+)(?:[/;].*)?")


def check_address(name: str, address: str) -> None:
    """Connect to an address of the form ``host:port`` once; others are left to the engine.

    The engines themselves try for minutes.

    Raises
    ------
    EngineError
        If nothing answers.
    """
    match = _PLACE.fullmatch(address)
    if match is None:
        return
    try:
        socket.create_connection((match[1], int(match[2])), timeout=_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise EngineError(f"{name} at {address} cannot be reached, {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """Return the first line of an error that says something, without a full stop."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = [line.strip(" :") for line in str(error).splitlines()]
    telling = [line for line in lines if line and not line.startswith("An error occurred while calling")]
    return next(iter(telling), type(error).__name__)[:200].rstrip(".")
