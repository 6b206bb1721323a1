"""Cells: one method fitted and evaluated once, and the files of results."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hashgnn._files import atomic_file
from hashgnn._types import Array
from hashgnn.errors import ArtifactDamagedError

FORMAT = 1
_USER = "user_index"


@dataclass(frozen=True)
class Cell:
    """One fit and evaluation, identified by everything that decides the result.

    Attributes
    ----------
    data, method : str
    n_bits : int or None
        ``None`` for float models, which have no codes.
    seed : int
    identity : str
        Digest of data, settings, metrics, search ways and the version of their scores: a cell of other settings has another name.
    """

    data: str
    method: str
    n_bits: int | None
    seed: int
    identity: str

    @property
    def file_name(self) -> str:
        """Of its result, without suffix."""
        words = (self.data, self.method, "float" if self.n_bits is None else f"{self.n_bits}", f"{self.seed}")
        return ".".join([*(re.sub(r"[^A-Za-z0-9_-]+", "_", word) for word in words), self.identity])

    def __str__(self) -> str:
        width = "" if self.n_bits is None else f", {self.n_bits} bits"
        return f"{self.data}, {self.method}{width}, seed {self.seed}"


def digest(value: Mapping[str, Any]) -> str:
    """Return a short digest of JSON values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True, eq=False)
class Result:
    """The result of a cell.

    Attributes
    ----------
    cell : Cell
    values : mapping
        JSON values: ``metrics`` and ``expected`` by search way and name, ``bytes_per_item`` by way,
        ``processor_seconds``, ``training``, ``settings``, ``family``, ``versions``.
    path : Path
        The file of the values of single users.
    """

    cell: Cell
    values: Mapping[str, Any]
    path: Path

    @property
    def search_ways(self) -> tuple[str, ...]:
        """The search ways that were evaluated."""
        return tuple(self.values["metrics"])

    def per_user(self, way: str, metric: str) -> tuple[Array, Array]:
        """Return the users and their values of a metric, float32."""
        name = _column(way, metric)
        try:
            table = pq.read_table(self.path, columns=[_USER, name])
        except (OSError, pa.ArrowException) as error:
            raise ArtifactDamagedError(
                f"{self.path}: cannot be read, {error}; remove the file of the same name in .json "
                "to measure the cell again"
            ) from None
        return table[_USER].to_numpy(), table[name].to_numpy()


def write_result(
    folder: Path,
    cell: Cell,
    values: Mapping[str, Any],
    users: Array,
    per_user: Mapping[str, Mapping[str, Array]],
) -> None:
    """Write a result: the values of users first, the JSON file, which says that the cell is done, last."""
    columns: dict[str, Any] = {_USER: pa.array(users)}
    for way, found in per_user.items():
        columns |= {_column(way, metric): pa.array(numbers) for metric, numbers in found.items()}
    with atomic_file(folder / f"{cell.file_name}.parquet") as temporary:
        # A user's share of a few hits has few values, so that pages of a dictionary stay small.
        pq.write_table(pa.table(columns), temporary, compression="zstd")
    document = {"format": FORMAT, "cell": vars(cell), **values}
    with atomic_file(folder / f"{cell.file_name}.json") as temporary:
        temporary.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_result(folder: Path, cell: Cell) -> Result | None:
    """Return the result of a cell, or ``None`` where it has none yet.

    Raises
    ------
    ArtifactDamagedError
        If the file is no result of this format.
    """
    path = folder / f"{cell.file_name}.json"
    if not path.exists():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        is_known = document["format"] == FORMAT and document["cell"] == vars(cell)
    except (ValueError, KeyError, TypeError):
        is_known = False
    if not is_known:
        raise ArtifactDamagedError(f"{path}: not the result of a cell; remove it to measure the cell again")
    return Result(cell, document, path.with_suffix(".parquet"))


def _column(way: str, metric: str) -> str:
    return f"{way} {metric}"
