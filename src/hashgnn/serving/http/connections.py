"""HTTP/1.1 connections of uvicorn, with limits on the size and the arrival time of a request's head."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_LIMIT = 65536  # bytes of the request line and headers

_RESPONSE = b"HTTP/1.1 %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_LONG, _TOO_SLOW = b"431 Request Header Fields Too Large", b"408 Request Timeout"


def bounded_protocol(seconds: float) -> type[asyncio.Protocol]:
    """Return the protocol of a connection whose heads must each arrive within some seconds.

    The time of the first head begins when the connection is accepted, that of a later one with its first byte.
    """
    return type("BoundedProtocol", (_Bounded,), {"_seconds": seconds})


class _Bounded(HttpToolsProtocol):
    """Counts the bytes of a head, and closes a connection whose head does not arrive in time.

    Between two requests the parent's own limit for idle connections holds.
    """

    _seconds: float
    _in_head = True
    _length = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._timer = self.loop.call_later(self._seconds, self._refuse, _TOO_SLOW)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            if self._timer is None:
                self._timer = self.loop.call_later(self._seconds, self._refuse, _TOO_SLOW)
            self._length += len(data)
        super().data_received(data)
        if self._in_head and self._length > HEAD_LIMIT:
            self._refuse(_TOO_LONG)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        self._in_head, self._length = False, 0
        self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = True

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: bytes) -> None:
        self._stop_timer()
        if not self.transport.is_closing():
            self.transport.write(_RESPONSE % status)
            self.transport.close()
