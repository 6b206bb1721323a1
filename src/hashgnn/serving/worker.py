"""One of several workers: its settings come on stdin, its listening socket by number."""

from __future__ import annotations

import socket
import sys

from hashgnn.errors import HashGNNError
from hashgnn.serving.server import serve
from hashgnn.serving.settings import ServiceSettings

BAD_INPUT = 2


def main() -> int:
    """Serve until told to end; return an exit code."""
    settings = ServiceSettings.model_validate_json(sys.stdin.readline())
    listening = socket.socket(fileno=int(sys.argv[1]))
    try:
        serve(settings, listening)
    except HashGNNError as error:
        print(f"hashgnn: {error}", file=sys.stderr)
        return BAD_INPUT
    return 0


if __name__ == "__main__":
    sys.exit(main())
