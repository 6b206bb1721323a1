"""The terminal of somebody who follows a tutorial: commands run where they stand, a service goes on behind them."""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

_PATIENCE = 120.0  # seconds until a service answers


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


class Terminal:
    """Runs the blocks of commands of one page, in its folder.

    ``hashgnn serve`` goes on in the background until the page ends, as in a second window. It gets a free port,
    and what the page sends to port 8000 goes there.
    """

    def __init__(self) -> None:
        self._port = _free_port()
        # The programs of this environment come first, as where it is active.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self._environment = {**os.environ, "PATH": path}

    def run(self, block: str) -> None:
        """Run a block of commands; one that fails ends the page."""
        print(f"$ {block}", end="", flush=True)
        if block.startswith("hashgnn serve "):
            self._serve(block.strip())
            return
        text = block.replace("localhost:8000", f"127.0.0.1:{self._port}")
        subprocess.run(["bash", "-euo", "pipefail", "-c", text], check=True, env=self._environment)
        print(flush=True)

    def _serve(self, command: str) -> None:
        with Path("service.log").open("w", encoding="utf-8") as log:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command} --port {self._port}"], env=self._environment, stderr=log
            )
        atexit.register(self._stop, process)
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end and process.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self._port}/health/ready", timeout=5).close()
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(
            f"{command} did not answer: {Path('service.log').read_text(encoding='utf-8')[-2000:]}"
        )

    @staticmethod
    def _stop(process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        process.wait(60)
