"""What ``hashgnn fit --update`` settles before it trains: names, settings, and what was counted already."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hashgnn.cli._output import Output
from hashgnn.errors import ParameterError


def next_version(model: Path) -> Path:
    """Return a free name beside a model, one version on: ``v3`` becomes ``v4``, ``movies`` becomes ``movies-2``.

    A link is followed, so that ``current`` gives the name after the version that it shows.
    """
    model = model.resolve() if model.is_symlink() else model
    match = re.fullmatch(r"(.*?)(\d+)", model.name)
    stem, number = (match[1], int(match[2])) if match else (f"{model.name}-", 1)
    while True:
        number += 1
        candidate = model.with_name(f"{stem}{number}")
        if not candidate.exists():
            return candidate


def check_options(given: Mapping[str, Any]) -> None:
    """Raise :class:`ParameterError` for an option that would change the model's own settings."""
    named = next((name for name, value in given.items() if value), None)
    if named is not None:
        raise ParameterError(f"{named} cannot be given with --update, which keeps the settings of the model")


def taken_exports(path: Path, model: Path, training: Mapping[str, Any], out: Output) -> dict[str, Any]:
    """Return, for the lineage, up to which number the interactions of each store are trained on with this file.

    A file that no store exported adds nothing.

    Raises
    ------
    ParameterError
        If the model was trained on some of the file's interactions: they would count twice.
    """
    taken = _exports(training)
    mark = _mark(path)
    if mark is not None:
        store, after, upto = mark
        before = taken.get(store)
        if before is not None and after < before:
            raise ParameterError(
                f"{path}: holds interactions {after + 1} to {upto} of a store, and {model} was trained on those "
                f"up to {before}; export it with --model {model}"
            )
        if before is not None and after > before:
            out.note(f"{path}: interactions {before + 1} to {after} of its store are in no export; going on")
        taken[store] = upto
    return {"exports": taken} if taken else {}


def trained_upto(store: str, training: Mapping[str, Any]) -> int:
    """Return the number up to which a model was trained on a store's interactions; 0 where on none."""
    return _exports(training).get(store, 0)


def _exports(training: Mapping[str, Any]) -> dict[str, int]:
    return dict((training.get("lineage") or {}).get("exports", {}))


def _mark(path: Path) -> tuple[str, int, int] | None:
    """Return the store of an exported file, and the numbers between which its interactions lie."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(path).metadata or {}
        return (
            metadata[b"hashgnn_store"].decode(),
            int(metadata[b"hashgnn_after"]),
            int(metadata[b"hashgnn_upto"]),
        )
    except (pa.ArrowException, OSError, KeyError, ValueError):
        return None  # no parquet, or of no store; what else is wrong with it the reader says
