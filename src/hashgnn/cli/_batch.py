"""The commands that answer for all into a folder: their options and what they print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hashgnn.cli._output import Output, size
from hashgnn.errors import ParameterError

_TABLES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".arrow", ".feather", ".xlsx", ".db")


def is_folder(output: Path | None, engine: str | None) -> bool:
    """Return whether the answers for all go into a folder, and not into one parquet file.

    Raises
    ------
    ParameterError
        If the name is that of a file of another format.
    """
    if output is None or output.suffix.lower() in _TABLES:
        raise ParameterError(f"--output must be a .parquet file or a folder, got {str(output)!r}")
    return engine is not None or output.suffix != ".parquet"


def engine_url(engine: str | None) -> tuple[str | None, str | None]:
    """Return an engine that runs batches, by its name, or one that holds items, by its URL; None for the other."""
    return (None, engine) if engine is not None and "://" in engine else (engine, None)


def engine_options(
    out: Output, engine: str | None, workers: int | None, threads: int, address: str | None
) -> dict[str, Any]:
    """Return the options as :class:`hashgnn.batch.EngineOptions`."""
    return {
        "engine": engine or "local",
        "n_workers": workers,
        "n_threads": threads,
        "address": address,
        "progress": out.progress,
    }


def check_single_file(
    output: Path | None,
    engine: str | None,
    workers: int | None,
    address: str | None,
    since_training: Path | None = None,
) -> None:
    """Refuse what goes with a folder only.

    Raises
    ------
    ParameterError
        If the output is no parquet file, or an option of batches is given.
    """
    if output is not None and output.suffix != ".parquet":
        raise ParameterError(f"--output must be a .parquet file, or a folder with --all, got {str(output)!r}")
    batch = {"engine": engine, "workers": workers, "address": address, "since-training": since_training}
    given = [f"--{name}" for name, value in batch.items() if value is not None]
    if given:
        raise ParameterError(f"{', '.join(given)} needs --all with a folder, -o FOLDER")


def print_batch(out: Output, result: Any) -> None:
    """Print what a batch has written."""
    if out.as_json:
        out.document(result.to_dict())
        return
    speed = f", {result.n_rows / result.seconds:,.0f} a second" if result.n_made == result.n_parts else ""
    out.line(
        f"{result.path}: {result.n_parts} files, {size(result.n_bytes)}, {result.seconds:.1f} seconds{speed}"
    )
