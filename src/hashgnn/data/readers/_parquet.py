"""Files of Arrow's world: parquet, and Arrow IPC, which is Feather too."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from hashgnn.data.readers._location import Location
from hashgnn.data.readers._source import Source, check_names
from hashgnn.errors import DataError

_BYTES_A_VALUE = 8
_ERRORS = (pa.ArrowException, OSError, ValueError)


def open_source(path: Location) -> Source:
    """Read the footer of a parquet file."""
    try:
        file = pq.ParquetFile(path.random_access(), page_checksum_verification=True)
        names = file.schema_arrow.names
    except DataError:
        raise  # of the decompression
    except _ERRORS as error:
        raise _damaged(path, "parquet", error) from None

    def load(columns: Sequence[str]) -> pa.Table:
        try:
            _check_size(path, file, set(columns))
            return file.read(columns=list(columns))
        finally:
            file.close()

    return _source(path, "parquet", names, load)


def _check_size(path: Location, file: pq.ParquetFile, columns: set[str]) -> None:
    """Refuse a small file that says it holds much; runs and dictionaries can hold any number of rows."""
    metadata = file.metadata
    n_bytes = size = 0
    for group in range(metadata.num_row_groups):
        for place in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(place)
            if chunk.path_in_schema.split(".")[0] in columns:
                n_bytes += max(chunk.total_uncompressed_size, chunk.num_values * _BYTES_A_VALUE)
                size += chunk.total_compressed_size
    path.check_growth(n_bytes, size)


def open_arrow(path: Location) -> Source:
    """Read the schema of an Arrow IPC file or stream; Feather files of version 2 are such files."""
    try:
        try:
            names = pa.ipc.open_file(path.random_access()).schema.names
            is_stream = False
        except pa.ArrowInvalid:
            names = pa.ipc.open_stream(path.random_access()).schema.names
            is_stream = True
    except DataError:
        raise
    except _ERRORS as error:
        raise _damaged(path, "Arrow IPC", error) from None

    def load(columns: Sequence[str]) -> pa.Table:
        if is_stream:
            return pa.ipc.open_stream(path.random_access()).read_all().select(list(columns))
        options = pa.ipc.IpcReadOptions(included_fields=sorted(names.index(name) for name in columns))
        return pa.ipc.open_file(path.random_access(), options=options).read_all().select(list(columns))

    return _source(path, "Arrow IPC", names, load)


def _source(
    path: Location, format: str, names: Sequence[str], read: Callable[[Sequence[str]], pa.Table]
) -> Source:
    check_names(path.name, names)

    def load(columns: Sequence[str]) -> pa.Table:
        try:
            table = read(columns)
            table.validate(full=True)
        except DataError:
            raise
        except _ERRORS as error:
            raise _damaged(path, format, error) from None
        return table

    return Source(path.name, names, load)


def _damaged(path: Location, format: str, error: Exception) -> Exception:
    if isinstance(error, OSError) and error.errno is not None:
        return error  # the file system's own error, not the content's
    return DataError(f"{path}: not a readable {format} file, it is damaged or of another format")
