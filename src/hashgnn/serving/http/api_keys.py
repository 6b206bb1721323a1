"""API keys and tokens, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping


class ApiKeys:
    """A set of secrets. Only their digests are kept.

    Parameters
    ----------
    secrets : iterable of str
        Without any, every caller is admitted.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._digests = [_digest(secret.encode()) for secret in secrets]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def admit(self, headers: Mapping[bytes, bytes]) -> bool:
        """Say whether ``Authorization: Bearer KEY`` or ``X-API-Key: KEY`` holds one of the keys.

        Every key is compared, and each comparison takes the same time wherever the two differ.
        """
        key = headers.get(b"x-api-key")
        if key is None:
            scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
            if scheme.lower() != b"bearer":
                return False
            key = token.strip()
        digest = _digest(key)
        found = False
        for known in self._digests:
            found |= hmac.compare_digest(digest, known)
        return found


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()
