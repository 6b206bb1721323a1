"""``BatchJob``: a request cut into parts of so many users or items, for :mod:`hashgnn.batch`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from hashgnn.answering.batch_answers import BatchAnswers
from hashgnn.answering.batch_histories import read_histories
from hashgnn.answering.batch_request import BatchRequest
from hashgnn.batch import Answered, PartJob


@dataclass(frozen=True)
class BatchJob(PartJob):
    """A request in parts: consecutive users or items of the model, or consecutive rows of histories.

    Attributes
    ----------
    request : BatchRequest
    n : int
        Users, items or histories in all.
    """

    request: BatchRequest
    n: int

    @property
    def n_rows(self) -> int:
        return self.n

    @property
    def n_parts(self) -> int:
        return -(-self.n // self.request.part_rows)

    @property
    def identity(self) -> Mapping[str, Any]:
        return self.request.identity

    def rows_of(self, number: int) -> int:
        start, stop = self._rows(number)
        return stop - start

    def document(self) -> dict[str, Any]:
        return {"request": self.request.document(), "n": self.n}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        return cls(BatchRequest.from_document(document["request"]), int(document["n"]))

    def part(self, number: int) -> Answered:
        start, stop = self._rows(number)
        files = self.request.histories
        if files is None:
            return self._answers.of_positions(np.arange(start, stop))
        return self._answers.of_histories(read_histories(files, start, stop), start, "histories")

    @cached_property
    def _answers(self) -> BatchAnswers:
        return BatchAnswers(self.request)

    def _rows(self, number: int) -> tuple[int, int]:
        size = self.request.part_rows
        return number * size, min((number + 1) * size, self.n)
