"""``python -m hashgnn.training.workers.helper``: a process that helps to train, as the engine ``local`` starts it.

The first line of stdin says which of the processes it is. It says ``ready`` on stdout, takes its orders from the first
process of the group, and reports an error as a line of JSON. Its stdin is closed when the process that has started it is gone.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

from hashgnn._processors import wait_passively
from hashgnn.errors import PeerLostError


def main() -> None:
    """Help until the training has ended."""
    wait_passively()  # before torch is loaded
    from hashgnn._registry import imported
    from hashgnn.training.workers.group import HelperDone, JoinedGroup
    from hashgnn.training.workers.joining import first_has_result
    from hashgnn.training.workers.local import from_places, join_local

    place = json.loads(sys.stdin.buffer.readline())
    rank, size = place["rank"], place["size"]
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    warnings.simplefilter("ignore")  # the first process gives the same
    answers.write(b"ready\n")
    answers.flush()
    code = 0
    try:
        join_local(rank, size, Path(place["folder"]), place["backend"])
        order: Any = JoinedGroup(rank, size, size).share(None)
        function, arguments, options = order
        with first_has_result():
            imported(function)(**from_places(arguments), options=options)
    except HelperDone:
        pass
    except PeerLostError:
        code = 1  # the first process knows why
    except BaseException as error:
        report = {"kind": type(error).__name__, "error": str(error)}
        answers.write((json.dumps(report) + "\n").encode())
        code = 1
    answers.flush()
    os._exit(code)  # connections of torch.distributed may be half closed


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    main()
