"""Parquet files."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hashgnn.data.readers._source import Source
from hashgnn.errors import DataError


def read(path: Path) -> Source:
    """Read a parquet file whole."""
    try:
        return Source(path, pq.ParquetFile(path).read())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the file system's own error, not the content's
        raise DataError(f"{path}: not a readable parquet file, it is damaged or of another format") from None
