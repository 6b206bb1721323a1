"""Files at addresses such as ``s3://bucket/events.parquet``: one, those of a folder, or of a pattern."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import IO

from hashgnn._addresses import file_system
from hashgnn.errors import DataError

_PATTERN = re.compile(r"[*?\[]")


def find(address: str) -> list[tuple[str, tuple[str, ...], Callable[[], IO[bytes]]]]:
    """Return name, folders below the address, and opener of each file at an address, a folder or a pattern."""
    system, path = file_system(address)
    scheme = address[: len(address) - len(address.split("://", 1)[-1])]
    is_web = scheme.startswith("http")

    def opener(file: str) -> Callable[[], IO[bytes]]:
        return lambda: system.open(file, "rb")

    if not is_web and _PATTERN.search(path):
        root = _PATTERN.split(path)[0].rpartition("/")[0]
        files = [file for file in system.glob(path) if system.isfile(file)]
    elif not is_web and system.isdir(path):
        root, files = path, list(system.find(path))
    else:
        if not system.exists(path):
            raise DataError(f"{address}: cannot be read, nothing is at this address")
        return [(address, (), opener(path))]
    if not files:
        raise DataError(f"{address}: no file is at this address")
    below = {file: tuple(file[len(root) :].strip("/").split("/")) for file in sorted(files)}
    return [(scheme + file.lstrip("/"), parts[:-1], opener(file)) for file, parts in below.items()]
