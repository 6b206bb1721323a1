"""Results of cells written by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hashgnn.benchmarking.quality.cells import Cell, Result, read_result, write_result

USERS = np.array([3, 5, 8, 9])


def put(
    folder: Path,
    method: str,
    seed: int,
    ways: dict[str, list[float]],
    n_bits: int | None = 32,
    history: list[dict[str, float]] | None = None,
    *,
    coder: str | None = None,
    size: float = 4.0,
) -> Result:
    """Write the result of a cell whose users have these values of recall@20, and read it back."""
    cell = Cell("hand", method, n_bits, seed, "0" * 12)
    per_user = {way: {"recall@20": np.array(values, np.float32)} for way, values in ways.items()}
    means = {way: {"recall@20": float(np.mean(values))} for way, values in ways.items()}
    values = {
        "family": "coded" if coder else "recipe" if n_bits else "floats",
        "settings": {"coder": coder} if coder else {},
        "metrics": means,
        "expected": means,
        "bytes_per_item": dict.fromkeys(ways, size),
        "processor_seconds": 1.0 + seed,
        "training": {"history": history or []},
    }
    write_result(folder, cell, values, USERS, per_user)
    found = read_result(folder, cell)
    assert found is not None
    return found
