"""What one caller writes to a store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hashgnn.errors import HashGNNError
from hashgnn.serving.store._answers import Receipt, RepeatKey
from hashgnn.serving.store._attributes import AttributeRow
from hashgnn.serving.store._rows import Row


class Batch:
    """One caller's rows on their way to the disk.

    A batch is in the queue until the transaction that writes it has begun. Until then its caller may give it up,
    and then nobody writes it.
    """

    def __init__(
        self, rows: list[Row], deadline: float | None, key: RepeatKey | None, extra: Mapping[str, Any]
    ) -> None:
        self.rows, self.deadline, self.key, self.extra = rows, deadline, key, extra
        self.attributes: list[AttributeRow] = []
        self.done = False
        self.receipt = Receipt(0, 0)
        self.error: HashGNNError | None = None
