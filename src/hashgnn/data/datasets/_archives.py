"""Members of a zip file, read into memory: nothing is unpacked, so no member can choose a path."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from hashgnn.errors import FetchError

_MAX_MEMBER = 256 << 20


def read_member(path: Path, member: str, *, max_bytes: int = _MAX_MEMBER) -> bytes:
    """Return the bytes of one member.

    Raises
    ------
    FetchError
        If the file is no zip file, holds no such member, or the member is damaged or unpacks to more
        than ``max_bytes``.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            # The size that the archive states may be wrong, so the reading itself is bounded.
            content = file.read(max_bytes + 1)
    except KeyError:
        raise FetchError(f"{path}: the archive holds no {member}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise FetchError(f"{path}: {member} cannot be read from the archive, {error}") from None
    if len(content) > max_bytes:
        raise FetchError(f"{path}: {member} unpacks to more than the limit of {max_bytes} bytes")
    return content
