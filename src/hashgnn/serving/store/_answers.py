"""Idempotency keys: the first answer to a write, kept for whoever sends the same again."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hashgnn.errors import ParameterError

KEPT_SECONDS = 24 * 3600
MAX_KEYS = 1_000_000
_REMOVED_AT_ONCE = 1_000  # more than one write adds, so the table shrinks


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


def first_answer(connection: sqlite3.Connection, key: RepeatKey) -> Receipt | None:
    """Return the answer that a key has got before, None where it is new.

    Raises
    ------
    ParameterError
        If the key came with other content.
    """
    query = "SELECT digest, answer FROM answers WHERE key = ? AND time > ?"
    found = connection.execute(query, (key.text, _now() - KEPT_SECONDS)).fetchone()
    if found is None:
        return None
    if found[0] != key.digest:
        raise ParameterError("the idempotency key was sent before with other content; send a new key")
    accepted, stored, extra = json.loads(found[1])
    return Receipt(accepted, stored, extra, repeated=True)


def keep_answer(connection: sqlite3.Connection, key: RepeatKey, receipt: Receipt) -> None:
    """Keep the answer to a key, and forget what is too old or too much."""
    answer = json.dumps([receipt.accepted, receipt.stored, dict(receipt.extra)])
    connection.execute(
        "INSERT OR REPLACE INTO answers (key, digest, time, answer) VALUES (?, ?, ?, ?)",
        (key.text, key.digest, _now(), answer),
    )
    (last,) = connection.execute("SELECT max(number) FROM answers").fetchone()
    too_old = "SELECT number FROM answers WHERE time <= ? LIMIT ?"
    too_many = "SELECT number FROM answers WHERE number <= ? LIMIT ?"
    for query, value in ((too_old, _now() - KEPT_SECONDS), (too_many, last - MAX_KEYS)):
        numbers = connection.execute(query, (value, _REMOVED_AT_ONCE)).fetchall()
        connection.executemany("DELETE FROM answers WHERE number = ?", numbers)


def _now() -> int:
    """Return seconds since 1970."""
    return int(time.time())
