"""Opening a saved model for a command."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def open_model(path: Path, *, index_recall: float = 1.0) -> Any:
    """Return the :class:`~hashgnn.recommender.HashGNN` saved in a folder; torch is not imported."""
    from hashgnn.recommender import HashGNN

    return HashGNN.load(path, index_recall=index_recall)
