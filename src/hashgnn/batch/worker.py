"""``python -m hashgnn.batch.worker``: a process that makes parts, as the engine ``local`` starts it.

The first line of stdin says which job, each line after it the number of a part. A record of each goes to stdout.
"""

from __future__ import annotations

import json
import os
import sys

from hashgnn._registry import imported
from hashgnn.batch.writing import PartRecord, PartWriter


def main() -> None:
    """Make parts until stdin ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the records
    request = json.loads(sys.stdin.buffer.readline() or b"null")
    if request is None:
        return
    writer: PartWriter | None = None
    for line in iter(sys.stdin.buffer.readline, b""):
        number = int(line)
        try:
            writer = writer or PartWriter(
                imported(request["job"]).from_document(request["document"]), request["folder"]
            )
            record: PartRecord = writer.write(number)
        except Exception as error:
            record = {"part": number, "error_kind": type(error).__name__, "error": str(error)}
        answers.write((json.dumps(record) + "\n").encode())
        answers.flush()


if __name__ == "__main__":
    main()
