"""Addresses such as ``s3://bucket/models/v1``: what is one, and the file system that serves it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from hashgnn._extras import require
from hashgnn.errors import DataError, HashGNNError, ParameterError

_RETRY_SECONDS = 30  # Google's client tries for 15 minutes where there is no network
_NAME_BYTES, _PATH_BYTES = 255, 4095  # of Linux and macOS
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*(::|://)")
_FOLDED = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+):/([^/].*)")


def is_address(name: str) -> bool:
    """Return whether a name is an address and no path."""
    return _ADDRESS.match(name) is not None


def scheme_of(address: str) -> str:
    """Return the scheme of an address, such as ``"s3"``, in small letters."""
    return address.partition(":")[0].lower()


def restored(path: str) -> str:
    """Return the address that became a path on the way, as ``s3:/bucket/e.csv``; other paths as they are."""
    match = _FOLDED.match(path)
    if match is None or Path(path).exists():
        return path
    scheme, rest = match.groups()
    return f"{scheme}://{'/' if scheme == 'file' else ''}{rest}"


def address_of(path: str | os.PathLike[str]) -> str | None:
    """Return the address that a path or text is; ``None`` for a path, one of ``file://`` included.

    Raises
    ------
    ParameterError
        If it is neither text nor a path.
    """
    name = _text_of(path)
    return name if is_address(name) and scheme_of(name) != "file" else None


def path_of(path: str | os.PathLike[str]) -> Path:
    """Return a local path, that of a ``file://`` address included; ``~`` is the home folder.

    Raises
    ------
    ParameterError
        If it is neither text nor a path, or of a user without a home folder.
    """
    name = _text_of(path)
    if is_address(name) and scheme_of(name) == "file":
        return Path(local_path(name))
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ParameterError(
            f"path must be in a folder that is there, got {name!r} of no known user"
        ) from None


def own_path(name: str, path: str | os.PathLike[str]) -> Path:
    """Return a path of this machine, ``~`` being the home folder.

    Parameters
    ----------
    name : str
        Of the argument, for messages.
    path : str or path

    Raises
    ------
    ParameterError
        If it is an address, or names nothing.
    """
    address = address_of(path)
    if address is not None:
        raise ParameterError(f"{name} must be a path of this machine, got the address {address!r}")
    return path_of(path)


def _text_of(path: Any) -> str:
    name = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(name, str) or not name or "\0" in name:
        raise ParameterError(f"path must be text or a path, not empty and without NUL, got {path!r:.80}")
    if not isinstance(path, str):
        name = restored(name)
    if not is_address(name):
        check_length(name)
    return name


def check_length(name: str) -> None:
    """Refuse a path that no file system holds.

    Raises
    ------
    ParameterError
    """
    try:
        raw = os.fsencode(name)
    except UnicodeEncodeError:
        raise ParameterError(f"path must be text that UTF-8 can hold, got {name!r:.80}") from None
    longest = max(map(len, raw.split(b"/")))
    if longest > _NAME_BYTES or len(raw) > _PATH_BYTES:
        raise ParameterError(
            f"path must have at most {_PATH_BYTES} bytes, and {_NAME_BYTES} a name, got {len(raw)} and "
            f"{longest} in {name!r:.80}"
        )


def local_path(address: str) -> str:
    """Return the path that a ``file://`` address names on this machine."""
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise DataError(f"{address}: cannot be read, {error}") from None
    if parts.netloc not in ("", "localhost"):
        raise DataError(f"{address}: a file:// address must name this machine, as file:///folder/events.csv")
    return unquote(parts.path)


@contextmanager
def address_errors(
    address: str, verb: str, kind: type[HashGNNError], *, besides: type[Exception] | None = None
) -> Iterator[None]:
    """Turn whatever a file system raises into one sentence: "cannot be read" with the verb ``"read"``.

    Parameters
    ----------
    address : str
    verb : str
    kind : subclass of HashGNNError
    besides : exception type, optional
        Left as it is.
    """
    try:
        yield
    except HashGNNError:
        raise
    except Exception as error:  # of any package that serves the address
        if besides is not None and isinstance(error, besides):
            raise
        text = (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()
        words = "could not be" if verb == "written" else "cannot be"
        raise kind(f"{address}: {words} {verb}, {str(text[0])[:200]}") from error


def file_system(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and its path there.

    Raises
    ------
    DataError
        If no installed package serves the address.
    MissingExtraError
        If fsspec is not installed.
    """
    fsspec = require("fsspec", extra="cloud", purpose=f"reading {address}")
    given, mark, rest = address.partition("://")
    scheme = given.lower() if "::" not in given else given
    try:
        system, path = fsspec.core.url_to_fs(scheme + mark + rest)
    except ImportError:
        return _arrow_system(scheme + mark + rest, scheme)
    except ValueError as error:
        raise DataError(f"{address}: cannot be read, {str(error).splitlines()[0][:200]}") from None
    return system, path


def put_file(system: Any, local: Path, path: str) -> None:
    """Copy a file of this machine to a path of a file system, with the folders that it needs."""
    try:
        system.put_file(str(local), path)
    except FileNotFoundError:  # a file system of folders, and not a store of objects
        system.makedirs(path.rpartition("/")[0], exist_ok=True)
        system.put_file(str(local), path)


def _arrow_system(address: str, scheme: str) -> tuple[Any, str]:
    """Use Arrow's own file system where the package that fsspec wants is not installed."""
    import pyarrow as pa
    import pyarrow.fs
    from fsspec.implementations.arrow import ArrowFSWrapper

    if scheme in ("gs", "gcs") and "?" not in address:
        address += f"?retry_limit_seconds={_RETRY_SECONDS}"
    try:
        system, path = pyarrow.fs.FileSystem.from_uri(address)
    except (pa.ArrowException, ValueError):
        raise DataError(
            f"{address}: no installed package reads {scheme}://; install hashgnn with the extra 'cloud', "
            "or the package that fsspec names for it"
        ) from None
    return ArrowFSWrapper(system), path
