"""Files over HTTPS: time-outs, resume, a size limit, and a checksum before the file gets its name."""

from __future__ import annotations

import http.client
import socket
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashgnn._files import storage_errors, sync
from hashgnn._progress import progress
from hashgnn.data.datasets._checksums import Checksum
from hashgnn.errors import FetchError, StorageError

_BLOCK = 1 << 16
_ATTEMPTS = 3
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class RemoteFile:
    """A file that can be fetched.

    Attributes
    ----------
    name : str
        Its name in the cache.
    urls : tuple of str
        Addresses, tried in this order.
    checksum : Checksum
    max_bytes : int
        More than this is refused, whatever the server says.
    """

    name: str
    urls: tuple[str, ...]
    checksum: Checksum
    max_bytes: int


class _InterruptedError(Exception):
    """The transfer ended early; the bytes received are kept, and another attempt resumes from there."""


class _RefusedError(Exception):
    """A server refused the file; another address may have it."""


class _SecureRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, request: Any, *args: Any) -> Any:
        _check_scheme(args[-1])
        return super().redirect_request(request, *args)


def download(
    remote: RemoteFile, folder: Path, *, timeout: float = 10.0, show_progress: bool | None = None
) -> Path:
    """Fetch a file into ``folder`` unless it is there undamaged, and return its path.

    The bytes go to a ``.part`` file next to the target. An interrupted transfer resumes where it
    ended, in the same call or a later one, where the server allows it. The file gets its name only after
    its checksum has matched; one that does not match is deleted and fetched once more.

    Parameters
    ----------
    remote : RemoteFile
    folder : Path
        Must exist; the caller holds its lock.
    timeout : float, default=10.0
        Seconds to wait for a connection and for each block of bytes.
    show_progress : bool or None, default=None

    Raises
    ------
    FetchError
        If no address gave the right bytes; the message gives each address and its answer.
    StorageError
        If the file could not be written.
    """
    target, part = folder / remote.name, folder / f"{remote.name}.part"
    if remote.checksum.matches(target):
        return target
    reasons = []
    for url in remote.urls:
        reason = "no attempt was made"
        for _ in range(_ATTEMPTS):
            try:
                _transfer(url, part, remote, timeout, show_progress)
            except _InterruptedError as error:
                reason = str(error)
                continue
            except _RefusedError as error:
                reason = str(error)
                break
            if remote.checksum.matches(part):
                with storage_errors(target):
                    sync(part)
                    part.replace(target)
                return target
            reason = f"the {remote.checksum.kind} checksum of the received file does not match"
            part.unlink()
        reasons.append(f"{url}: {reason}")
    raise FetchError(f"{remote.name} could not be fetched: {'; '.join(reasons)}")


def _transfer(url: str, part: Path, remote: RemoteFile, timeout: float, show_progress: bool | None) -> None:
    """Bring ``part`` to its full length, from where it ends if the server can."""
    start = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "hashgnn", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        _check_scheme(url)
        opener = urllib.request.build_opener(_SecureRedirects())
        request = urllib.request.Request(url, headers=headers)  # noqa: S310  the scheme is checked above
        with opener.open(request, timeout=timeout) as response:
            resumed = response.status == 206 and _range_start(response) == start
            if response.status == 206 and not resumed:
                part.unlink()
                raise _InterruptedError("the server sent another range than requested")
            _receive(response, part, start if resumed else 0, remote, show_progress)
    except (StorageError, _InterruptedError, _RefusedError):
        raise
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:  # the partial file is no prefix of the file
            part.unlink()
            raise _InterruptedError("the server has no bytes after those already here") from None
        raise _RefusedError(f"HTTP {error.code}") from None
    except (OSError, http.client.HTTPException) as error:
        raise _RefusedError(_reason(error, timeout)) from None


def _receive(
    response: http.client.HTTPResponse, part: Path, start: int, remote: RemoteFile, show_progress: bool | None
) -> None:
    length = response.headers.get("Content-Length", "")
    total = start + int(length) if length.isdecimal() else None
    if total is not None and total > remote.max_bytes:
        raise _RefusedError(f"{total} bytes are offered, more than the limit of {remote.max_bytes}")
    with storage_errors(part):
        file = part.open("r+b" if start else "wb")
    with file, progress(f"Fetching {remote.name}", total, enabled=show_progress) as advance:
        file.seek(start)
        advance(start)
        size = start
        while True:
            try:
                block = response.read(_BLOCK)
            except http.client.IncompleteRead as error:
                block = error.partial
            except ConnectionResetError:
                block = b""
            if not block:
                break
            size += len(block)
            if size > remote.max_bytes:
                part.unlink()
                raise _RefusedError(f"more came than the limit of {remote.max_bytes} bytes")
            with storage_errors(part):
                file.write(block)
            advance(len(block))
        with storage_errors(part):
            file.flush()
    if total is not None and size < total:
        raise _InterruptedError(f"the connection ended after {size} of {total} bytes")


def _check_scheme(url: str) -> None:
    """Allow https everywhere and http on this machine only, redirects included."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise _RefusedError(f"only https addresses are followed, got {parts.scheme}://{parts.hostname}")


def _range_start(response: http.client.HTTPResponse) -> int | None:
    """Return the first byte of ``Content-Range: bytes 10-99/100``, or None where it is unreadable."""
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    first = rest.partition("-")[0]
    return int(first) if unit == "bytes" and first.isdecimal() else None


def _reason(error: Exception, timeout: float) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no answer within {timeout:g} s"
    if isinstance(cause, socket.gaierror):
        return "the host name is not known; is there a network?"
    if isinstance(cause, ConnectionRefusedError):
        return "the connection was refused"
    return str(cause) or type(cause).__name__
