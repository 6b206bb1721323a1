"""One worker: it opens the model, makes the web application and runs the server.

As a program it is one of several workers. Its settings come on stdin, and its argument is the number of the
listening socket.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.abc import MetaPathFinder

from hashgnn.errors import HashGNNError
from hashgnn.serving.models.memory import bound_arenas
from hashgnn.serving.models.service import new_service
from hashgnn.serving.process.ready_marks import mark_ready
from hashgnn.serving.process.server import run_server
from hashgnn.serving.settings import BAD_INPUT, ServiceSettings
from hashgnn.serving.wire.logs import write_to_stderr

_SWITCH = 0.0005  # seconds after which a Python thread yields; by default 5 ms, which is a whole request


def serve(settings: ServiceSettings, listening: socket.socket, on_ready: Callable[[], None]) -> None:
    """Open the model and answer until SIGTERM or SIGINT; call ``on_ready`` when requests are answered.

    Raises
    ------
    HashGNNError
        If the model, the metadata or the store cannot be opened.
    """
    bound_arenas()
    write_to_stderr()
    sys.meta_path.insert(0, _NoPandas())
    sys.setswitchinterval(_SWITCH)
    service = new_service(settings)
    with ThreadPoolExecutor(1, thread_name_prefix="start") as background:
        opening = background.submit(service.start)
        from hashgnn.serving.http.app import create_app  # importing the web framework takes as long

        opening.result()
    app = create_app(settings, service)
    # What exists now stays. A full collection of it would stop requests for tens of milliseconds.
    gc.collect()
    gc.freeze()

    def drain() -> None:
        service.draining = True

    try:
        run_server(
            app,
            listening,
            time_limit=settings.time_limit,
            drain=settings.drain,
            on_ready=on_ready,
            on_drain=drain,
        )
    finally:
        gc.unfreeze()  # frozen objects are never finalised, and the kernels would report them as leaks


class _NoPandas(MetaPathFinder):
    """Hides pandas: pyarrow imports it if it can, which costs half a second and 40 MB that nothing here needs."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("the service does without pandas", name=fullname)


def main() -> int:
    """Serve until the supervisor ends it; return an exit code."""
    if hasattr(
        signal, "SIGHUP"
    ):  # a terminal that is closed tells the supervisor too, which ends the workers
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    settings = ServiceSettings.model_validate_json(sys.stdin.readline())
    threading.Thread(target=_end_with_supervisor, name="supervisor", daemon=True).start()
    listening = socket.socket(fileno=int(sys.argv[1]))

    def ready() -> None:
        assert settings.runtime is not None  # the supervisor has set it
        mark_ready(settings.runtime)

    try:
        serve(settings, listening, ready)
    except HashGNNError as error:
        print(f"hashgnn: {error}", file=sys.stderr)
        return BAD_INPUT
    return 0


def _end_with_supervisor() -> None:
    """Wait until standard input ends, as it does when the supervisor was killed, and end as on SIGTERM."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
