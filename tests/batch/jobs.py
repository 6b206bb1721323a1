"""A job whose workers die: what a kill from outside does, at a moment that is known."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from hashgnn.answering.batch_job import BatchJob
from hashgnn.answering.batch_request import BatchRequest
from hashgnn.batch import Answered


@dataclass(frozen=True)
class FatalJob(BatchJob):
    """A batch in which the process that makes one of some parts is killed in the middle of it.

    Attributes
    ----------
    folder : str
        Of the output, where a file is left half-written.
    marks : str
        A folder; a part that it names has had its death.
    deadly : tuple of int
        Parts at which a process dies.
    times : int
        Processes that die at each of them.
    """

    folder: str
    marks: str
    deadly: tuple[int, ...]
    times: int = 1

    def document(self) -> dict[str, Any]:
        return {
            **super().document(),
            **{name: getattr(self, name) for name in ("folder", "marks", "times")},
        } | {"deadly": list(self.deadly)}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        return cls(
            BatchRequest.from_document(document["request"]),
            document["n"],
            document["folder"],
            document["marks"],
            tuple(document["deadly"]),
            document["times"],
        )

    def part(self, number: int) -> Answered:
        if number in self.deadly:
            for time in range(self.times):
                mark = Path(self.marks) / f"{number}-{time}"
                if not mark.exists():
                    mark.touch()
                    half = Path(self.folder) / f".part-{number:05}.parquet.half.tmp"
                    half.write_bytes(b"PAR1")
                    os.kill(os.getpid(), signal.SIGKILL)
        return super().part(number)
