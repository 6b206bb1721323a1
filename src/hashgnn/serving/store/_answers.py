"""Idempotency keys: the first answer to a write, kept for whoever sends the same again."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hashgnn.errors import ParameterError

KEPT_SECONDS = 24 * 3600
MAX_KEYS = 1_000_000
REMOVED_AT_ONCE = 1_000  # more than one write adds, so the table shrinks


@dataclass(frozen=True)
class RepeatKey:
    """The name of a write, so that it happens once however often it is sent.

    Attributes
    ----------
    text : str
        The key.
    digest : bytes
        Of what is written: the same key with other content is an error.
    """

    text: str
    digest: bytes


@dataclass(frozen=True)
class Receipt:
    """The outcome of a write.

    Attributes
    ----------
    accepted : int
        Interactions that were kept.
    stored : int
        Interactions in the store after the write.
    extra : mapping
        JSON values that the writer gave.
    repeated : bool
        Whether an earlier write with the same key kept them, and this one nothing.
    """

    accepted: int
    stored: int
    extra: Mapping[str, Any] = field(default_factory=dict)
    repeated: bool = False


def answer_text(receipt: Receipt) -> str:
    """Return a receipt as text, to be kept."""
    return json.dumps([receipt.accepted, receipt.stored, dict(receipt.extra)])


def receipt_of(key: RepeatKey, digest: bytes, answer: str) -> Receipt:
    """Return the receipt that was kept for a key.

    Raises
    ------
    ParameterError
        If the key came with other content.
    """
    if digest != key.digest:
        raise ParameterError("the idempotency key was sent before with other content; send a new key")
    accepted, stored, extra = json.loads(answer)
    return Receipt(accepted, stored, extra, repeated=True)


def now() -> int:
    """Return seconds since 1970."""
    return int(time.time())
