"""Addresses such as ``s3://bucket/events.parquet``, through Arrow's file systems or fsspec."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from hashgnn._extras import require
from hashgnn.errors import DataError

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*(::|://)")
_FOLDED = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+):/([^/].*)")
_PATTERN = re.compile(r"[*?\[]")


def is_address(name: str) -> bool:
    """Return whether a name is an address and no path."""
    return _ADDRESS.match(name) is not None


def restored(path: str) -> str:
    """Return the address that became a path on the way, as ``s3:/bucket/e.csv``; other paths as they are."""
    match = _FOLDED.match(path)
    if match is None or Path(path).exists():
        return path
    scheme, rest = match.groups()
    return f"{scheme}://{'/' if scheme == 'file' else ''}{rest}"


def local_path(address: str) -> str:
    """Return the path that a ``file://`` address names on this machine."""
    parts = urlsplit(address)
    if parts.netloc not in ("", "localhost"):
        raise DataError(f"{address}: a file:// address must name this machine, as file:///folder/events.csv")
    return unquote(parts.path)


def find(address: str) -> list[tuple[str, tuple[str, ...], Callable[[], IO[bytes]]]]:
    """Return name, folders below the address, and opener of each file at an address, a folder or a pattern."""
    system, path = _file_system(address)
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


def _file_system(address: str) -> tuple[Any, str]:
    fsspec = require("fsspec", extra="cloud", purpose=f"reading {address}")
    scheme = address.split("://", 1)[0]
    try:
        system, path = fsspec.core.url_to_fs(address)
    except ImportError:
        return _arrow_system(address, scheme)
    except ValueError as error:
        raise DataError(f"{address}: cannot be read, {str(error).splitlines()[0][:200]}") from None
    return system, path


def _arrow_system(address: str, scheme: str) -> tuple[Any, str]:
    """Use Arrow's own file system where the package that fsspec wants is not installed."""
    import pyarrow as pa
    import pyarrow.fs
    from fsspec.implementations.arrow import ArrowFSWrapper

    try:
        system, path = pyarrow.fs.FileSystem.from_uri(address)
    except (pa.ArrowException, ValueError):
        raise DataError(
            f"{address}: no installed package reads {scheme}://; install hashgnn with the extra 'cloud', "
            "or the package that fsspec names for it"
        ) from None
    return ArrowFSWrapper(system), path
