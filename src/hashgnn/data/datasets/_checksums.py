"""Checksums of files, in the forms that publishers give."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hashgnn._files import sha256_file


@dataclass(frozen=True)
class Checksum:
    """The expected digest of a file.

    Attributes
    ----------
    kind : {"sha256", "md5", "git-blob"}
        ``git-blob`` is the id git gives to the file's content: SHA-1 over a short header and the bytes.
        MD5 and SHA-1 show damage; only SHA-256 also detects forgery.
    digest : str
        Lower-case hex digits.
    """

    kind: Literal["sha256", "md5", "git-blob"]
    digest: str

    def matches(self, path: Path) -> bool:
        """Say whether there is a file at ``path`` and it has this digest."""
        if not path.is_file():
            return False
        if self.kind == "sha256":
            return sha256_file(path) == self.digest
        if self.kind == "md5":
            hasher = hashlib.md5(usedforsecurity=False)
        else:
            hasher = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                hasher.update(block)
        return hasher.hexdigest() == self.digest
