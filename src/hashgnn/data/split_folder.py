"""A folder with the parts of a split as parquet files, and a note of how they were made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from hashgnn import __version__
from hashgnn._addresses import path_of
from hashgnn._files import atomic_directory, sha256_file
from hashgnn._json_text import plain
from hashgnn.data.table_split import PARTS, TableSplit
from hashgnn.errors import ParameterError

NOTE = "split.json"
_FILES = {NOTE, *(f"{part}.parquet" for part in PARTS)}


def write_split(
    folder: str | Path,
    split: TableSplit,
    *,
    source: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write ``train.parquet``, ``valid.parquet``, ``test.parquet`` and ``split.json``, all or none.

    Parameters
    ----------
    folder : str or Path
        A folder that does not exist or is empty.
    split : TableSplit
    source : mapping or None, default=None
        JSON values that the note shall say of where the rows came from.
    overwrite : bool, default=False
        Replace a folder of an earlier split. A folder that holds anything else is never replaced.

    Returns
    -------
    dict
        What ``split.json`` holds: the note, with the name and the SHA-256 of each file.

    Raises
    ------
    ParameterError
        If the folder is there, and not to be replaced or not of a split.
    StorageError
        If it cannot be written; an earlier folder is then as it was.
    """
    folder = path_of(folder)
    check_folder(folder, overwrite=overwrite)
    parts: dict[str, Any] = {}
    with atomic_directory(folder) as temporary:
        for name, table in split.parts.items():
            path = temporary / f"{name}.parquet"
            pq.write_table(table, path)
            parts[name] = {
                "file": path.name,
                **split.note["parts"][name],
                "sha256": sha256_file(path),
            }
        note: dict[str, Any] = {
            "hashgnn": __version__,
            **({"source": dict(source)} if source is not None else {}),
            **split.note,
            "parts": parts,
        }
        text = json.dumps(plain(note), indent=2, ensure_ascii=False, allow_nan=False)
        (temporary / NOTE).write_text(text + "\n", encoding="utf-8")
    return note


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Raise :class:`ParameterError` unless a split may be written to this folder."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ParameterError(f"{folder}: must be a folder, got a file")
    present = {entry.name for entry in folder.iterdir()}
    if not present:
        return
    if not overwrite:
        raise ParameterError(f"{folder}: exists; pass overwrite=True to replace it")
    if NOTE not in present or not present <= _FILES:
        other = next(iter(sorted(present - _FILES)), NOTE + " is missing")
        raise ParameterError(
            f"{folder}: holds other files than those of a split ({other}); name another folder"
        )


def describe_source(path: Path) -> dict[str, Any]:
    """Return the name and the SHA-256 of a file, or of each file of a folder."""
    if path.is_file():
        return {"path": str(path), "sha256": sha256_file(path)}
    files = sorted(entry for entry in path.rglob("*") if entry.is_file()) if path.is_dir() else []
    return {
        "path": str(path),
        "sha256": {str(entry.relative_to(path)): sha256_file(entry) for entry in files} or None,
    }
