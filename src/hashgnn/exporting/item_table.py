"""The items of a model as one table: position, id, code and bias."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hashgnn._addresses import own_path
from hashgnn._files import atomic_file, check_writable_file
from hashgnn.errors import ParameterError
from hashgnn.state import ModelState

_BLOCK_ROWS = 65536


def write_item_table(state: ModelState, path: str | Path, *, overwrite: bool = False) -> None:
    """Write position, printed id, code and bias of every item; see :meth:`HashGNN.export_items`.

    Parameters
    ----------
    state : ModelState
    path : str or Path
    overwrite : bool, default=False

    Raises
    ------
    ParameterError
        If there is a file at ``path``, or its name ends in neither ``.csv`` nor ``.parquet``.
    StorageError
        If the file cannot be written.
    """
    check_suffix(path)
    target = new_file(path, overwrite=overwrite)
    with atomic_file(target) as temporary:
        if target.suffix == ".csv":
            _write_csv(state, temporary)
        else:
            _write_parquet(state, temporary)


def check_suffix(path: str | Path) -> None:
    """Raise :class:`ParameterError` if a table cannot be written in the format that a name ends in."""
    if not str(path).endswith((".csv", ".parquet")):
        raise ParameterError(f"the table of items must be a .csv or .parquet file, got {str(path)!r}")


def new_file(path: str | Path, *, overwrite: bool) -> Path:
    """Return the path of a file to write.

    Raises
    ------
    ParameterError
        If it is an address, cannot be written, or is there and may not be replaced.
    """
    target = own_path("path", path)
    check_writable_file(target)
    if target.exists() and not overwrite:
        raise ParameterError(f"{target}: exists; pass overwrite=True to replace it")
    return target


def _write_csv(state: ModelState, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for number, block in enumerate(_blocks(state)):
            if number == 0:
                writer.writerow(block.column_names)
            columns = block.to_pydict()
            columns["code"] = [code.hex() for code in columns["code"]]
            if "bias" in columns:
                columns["bias"] = [str(value) for value in block["bias"].to_numpy()]  # the shortest form
            writer.writerows(zip(*columns.values(), strict=True))


def _write_parquet(state: ModelState, path: Path) -> None:
    writer = None
    try:
        for block in _blocks(state):
            if writer is None:
                metadata = {"n_bits": str(state.n_bits), "bit_order": "big"}
                schema = block.schema.with_metadata(metadata)
                writer = pq.ParquetWriter(path, schema)
            writer.write_table(block.replace_schema_metadata(metadata))
    finally:
        if writer is not None:
            writer.close()


def _blocks(state: ModelState) -> Iterator[pa.Table]:
    items = state.items
    for start in range(0, len(items), _BLOCK_ROWS):
        rows = np.arange(start, min(start + _BLOCK_ROWS, len(items)))
        codes = np.ascontiguousarray(items.codes[rows].packed)
        packed = [None, pa.py_buffer(codes.tobytes())]
        columns = {
            "position": pa.array(rows),
            "item_id": pa.array(items.ids.printed(rows), pa.string()),
            "code": pa.FixedSizeBinaryArray.from_buffers(pa.binary(codes.shape[1]), len(codes), packed),
        }
        if items.bias is not None:
            bias = items.bias[rows]
            columns |= {"penalty": pa.array(bias.penalty), "bias": pa.array(bias.values())}
        yield pa.table(columns)
