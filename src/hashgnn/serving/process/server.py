"""The web server: a listening socket, and uvicorn, which answers every request that has begun before it ends."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn

from hashgnn.errors import StorageError
from hashgnn.serving.http.connections import bounded_protocol

_BACKLOG = 2048
_KEEP_ALIVE = 30  # seconds that an idle connection stays open


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises
    ------
    StorageError
        If the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns off Nagle's algorithm only where the protocol is named; it would cost 40 ms a response.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
        return listening
    except (OSError, OverflowError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise StorageError(f"cannot listen on {host}, port {port}: {reason}") from None


def run_server(
    app: Any,
    listening: socket.socket,
    *,
    time_limit: float,
    drain: float,
    on_ready: Callable[[], None],
    on_drain: Callable[[], None],
) -> None:
    """Answer requests until SIGTERM or SIGINT.

    Parameters
    ----------
    app : ASGI application
    listening : socket
    time_limit : float
        Seconds that the head of a request may take to arrive, and a request to be answered at the end.
    drain : float
        Seconds to go on after SIGTERM.
    on_ready : callable
        Called when requests are answered.
    on_drain : callable
        Called when SIGTERM arrives.
    """
    config = uvicorn.Config(
        app,
        http=bounded_protocol(time_limit),
        lifespan="on",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=int(time_limit) + 2,
    )
    _DrainingServer(config, drain, on_ready, on_drain).run(sockets=[listening])


class _DrainingServer(uvicorn.Server):
    """On SIGTERM goes on for a while, then answers the requests that have begun, and ends."""

    def __init__(
        self,
        config: uvicorn.Config,
        drain: float,
        on_ready: Callable[[], None],
        on_drain: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._drain, self._on_ready, self._on_drain = drain, on_ready, on_drain
        self._stop_at: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig == signal.SIGINT or self._stop_at is not None:
            super().handle_exit(sig, frame)
            return
        self._on_drain()
        self._stop_at = time.monotonic() + self._drain

    async def on_tick(self, counter: int) -> bool:
        if self._stop_at is not None and time.monotonic() >= self._stop_at:
            self.should_exit = True
        return await super().on_tick(counter)
