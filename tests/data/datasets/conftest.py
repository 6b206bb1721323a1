"""A file server on this machine that can also misbehave."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class FileServer:
    """The files of the server, its faults, and the requests it got.

    ``faults`` are used up, one a request: ``"cut"`` ends after half of the bytes, ``"damage"`` changes
    the first byte, ``"stall"`` answers nothing for a while, ``"shifted"`` sends another range than
    requested, ``"redirect"`` leads to an unsafe address; a number is an HTTP status.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    faults: list[str | int] = field(default_factory=list)
    knows_ranges: bool = True
    states_length: bool = True
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""


def _handler(server: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requested_range = self.headers.get("Range")
            server.requests.append((self.path, requested_range))
            fault = server.faults.pop(0) if server.faults else None
            body = server.files.get(self.path)
            if fault == "stall":
                time.sleep(1.0)
                return
            if fault == "redirect":
                self.send_response(302)
                self.send_header("Location", "http://example.com/f.bin")
                self.end_headers()
                return
            if isinstance(fault, int) or body is None:
                self.send_error(fault if isinstance(fault, int) else 404)
                return
            start = 0
            if requested_range and server.knows_ranges:
                start = int(re.fullmatch(r"bytes=(\d+)-", requested_range)[1])  # type: ignore[index]
                if start >= len(body):
                    self.send_error(416)
                    return
                if fault == "shifted":
                    start += 1
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            else:
                self.send_response(200)
            rest = body[start:]
            if server.states_length:
                self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            if fault == "damage":
                rest = bytes([rest[0] ^ 1]) + rest[1:]
            self.wfile.write(rest[: len(rest) // 2] if fault == "cut" else rest)

        def log_message(self, *args: object) -> None:
            return None

    return Handler


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    state = FileServer()
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    state.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
