"""The service as a process: a listening socket, uvicorn, and an end in which nothing that was begun is lost."""

from __future__ import annotations

import gc
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.abc import MetaPathFinder
from types import FrameType

import uvicorn

from hashgnn.errors import StorageError
from hashgnn.serving.logs import write_to_stderr
from hashgnn.serving.protocol import bounded_protocol
from hashgnn.serving.service import Service, new_service
from hashgnn.serving.settings import ServiceSettings

_BACKLOG = 2048
_SWITCH = 0.0005  # seconds after which a thread in Python gives way; by default 5 ms, a whole request
_KEEP_ALIVE = 30  # seconds that an idle connection stays open


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises
    ------
    StorageError
        If the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's wait off only where the protocol is named; it would cost 40 ms an answer.
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


def serve(settings: ServiceSettings, listening: socket.socket) -> None:
    """Open the model and answer until SIGTERM or SIGINT.

    Raises
    ------
    HashGNNError
        If the model, the metadata or the store cannot be opened.
    """
    write_to_stderr()
    sys.meta_path.insert(0, _NoPandas())
    sys.setswitchinterval(_SWITCH)
    service = new_service(settings)
    with ThreadPoolExecutor(1, thread_name_prefix="start") as beside:
        opening = beside.submit(service.start)
        from hashgnn.serving import create_app  # the web framework comes in while the model is opened

        opening.result()
    app = create_app(settings, service)
    # What is there now stays: the collector need not look through it again and again, for tens of milliseconds.
    gc.collect()
    gc.freeze()
    config = uvicorn.Config(
        app,
        http=bounded_protocol(settings.time_limit),
        lifespan="on",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=int(settings.time_limit) + 2,
    )
    try:
        _DrainingServer(config, service, settings.drain).run(sockets=[listening])
    finally:
        gc.unfreeze()  # what stays frozen is never taken down, and the kernels would report it as leaked


class _NoPandas(MetaPathFinder):
    """Hides pandas: pyarrow takes it in where it finds it, half a second and 40 MB that nothing here needs."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("the service does without pandas", name=fullname)


class _DrainingServer(uvicorn.Server):
    """On SIGTERM says no to ``/health/ready``, goes on for a while, then answers what is begun and ends."""

    def __init__(self, config: uvicorn.Config, service: Service, drain: float) -> None:
        super().__init__(config)
        self._service, self._drain = service, drain
        self._stop_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig == signal.SIGINT or self._stop_at is not None:
            super().handle_exit(sig, frame)
            return
        self._service.draining = True
        self._stop_at = time.monotonic() + self._drain

    async def on_tick(self, counter: int) -> bool:
        if self._stop_at is not None and time.monotonic() >= self._stop_at:
            self.should_exit = True
        return await super().on_tick(counter)
