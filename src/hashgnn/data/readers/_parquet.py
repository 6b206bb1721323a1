"""Parquet files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hashgnn.data.readers._source import Source
from hashgnn.errors import DataError


def open_source(path: Path) -> Source:
    """Read the footer of a parquet file."""
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        names = file.schema_arrow.names
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(path, error) from None
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise DataError(f"{path}: a column name must come once, got {repeated!r} twice")

    def load(columns: Sequence[str]) -> pa.Table:
        try:
            table = file.read(columns=list(columns))
            table.validate(full=True)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _damaged(path, error) from None
        finally:
            file.close()
        return table

    return Source(path, names, load)


def _damaged(path: Path, error: Exception) -> Exception:
    if isinstance(error, OSError) and error.errno is not None:
        return error  # the file system's own error, not the content's
    return DataError(f"{path}: not a readable parquet file, it is damaged or of another format")
