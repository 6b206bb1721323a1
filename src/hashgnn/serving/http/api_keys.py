"""API keys and tokens, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

UNNAMED = "unnamed"


@dataclass(frozen=True)
class ApiKey:
    """A key without its secret.

    Attributes
    ----------
    name : str
        What logs and metrics call its holder.
    digest : bytes
        SHA-256 of the secret.
    rate : float or None
        Requests a second in the long run; None is without limit.
    burst : float
        Requests that may come at once.
    """

    name: str
    digest: bytes = field(repr=False)
    rate: float | None = None
    burst: float = 1.0

    @property
    def caller(self) -> str:
        """Who holds the key: its name, which several keys may share, or else a digest of this key alone."""
        if self.name != UNNAMED:
            return self.name
        return f"{UNNAMED}:{hashlib.blake2b(self.digest, digest_size=16).hexdigest()}"

    @classmethod
    def of(cls, secret: str) -> ApiKey:
        """Return the key of a secret that has neither name nor rate."""
        return cls(UNNAMED, _digest(secret.encode()))


class ApiKeys:
    """A set of keys. Without any, every caller is admitted.

    Parameters
    ----------
    keys : iterable of ApiKey
    """

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._keys = tuple(keys)

    def __bool__(self) -> bool:
        return bool(self._keys)

    def find(self, headers: Mapping[bytes, bytes]) -> ApiKey | None:
        """Return the key that ``Authorization: Bearer KEY`` or ``X-API-Key: KEY`` holds, None if it is none of these.

        Every key is compared, and each comparison takes the same time wherever the two differ.
        """
        secret = sent_key(headers)
        if secret is None:
            return None
        digest, found = _digest(secret), None
        for key in self._keys:
            if hmac.compare_digest(digest, key.digest):
                found = key
        return found


def sent_key(headers: Mapping[bytes, bytes]) -> bytes | None:
    """Return the key that a request holds; None without one."""
    key = headers.get(b"x-api-key")
    if key is not None:
        return key
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else None


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()
