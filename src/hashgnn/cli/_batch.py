"""The commands that answer for all into a folder: their options and what they print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hashgnn.cli._output import Output, size
from hashgnn.errors import ParameterError


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


def check_no_engine(**batch: Any) -> None:
    """Refuse options of batches where only some lists are wanted.

    Raises
    ------
    ParameterError
        If one is given.
    """
    given = [f"--{name.replace('_', '-')}" for name, value in batch.items() if value is not None]
    if given:
        raise ParameterError(f"{', '.join(given)} needs --all or --histories with -o")


def is_file(output: Path, format: str | None) -> bool:
    """Return whether answers for all go into one file, by its suffix or because a format is named."""
    from hashgnn.data.table_files import is_table_name

    return format is not None or is_table_name(output)


def print_batch(out: Output, result: Any, *, one_file: bool) -> None:
    """Print what a batch has written: a folder, or one file."""
    if out.as_json:
        out.document(result.to_dict())
        return
    speed = f", {result.n_rows / result.seconds:,.0f} a second" if result.n_made == result.n_parts else ""
    what = f"{result.n_results:,} rows" if one_file else f"{result.n_parts} files"
    out.line(f"{result.path}: {what}, {size(result.n_bytes)}, {result.seconds:.1f} seconds{speed}")
