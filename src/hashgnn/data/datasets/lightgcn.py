"""Reader of the NGCF and LightGCN text form: a user and its items on each line."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa

from hashgnn.data.datasets._tables import Tables


def read_train_and_test(paths: Sequence[Path]) -> Tables:
    """Read ``train.txt`` and ``test.txt``, in this order."""
    train, test = (_read_adjacency(path) for path in paths)
    return Tables(train, test=test)


def _read_adjacency(path: Path) -> pa.Table:
    # The files were verified by checksum, so a line that is not numbers cannot occur here.
    lines = [line.split() for line in path.read_text(encoding="ascii").splitlines() if line.strip()]
    users = np.array([line[0] for line in lines], dtype=np.int64)
    n_items = np.array([len(line) - 1 for line in lines])
    items = np.array(list(chain.from_iterable(line[1:] for line in lines)), dtype=np.int64)
    return pa.table({"user_id": np.repeat(users, n_items), "item_id": items})
