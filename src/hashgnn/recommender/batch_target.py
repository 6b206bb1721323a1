"""``Target``: where the answers for all go, a folder of parts or one file that is made of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hashgnn._addresses import address_of, path_of
from hashgnn.batch import BatchResult, read_manifest
from hashgnn.batch.folder import remove_batch
from hashgnn.batch.place import parted, place_of, sibling
from hashgnn.data.table_files import check_table_file, is_table_name, table_format, write_table

_PARTS = ".parts"  # of a file, next to it, until all are made


@dataclass(frozen=True)
class Target:
    """An output.

    Attributes
    ----------
    output : str or Path
        A path or an address.
    format : str or None
        Of a file; ``None`` follows from its suffix, and a name without one is a folder.
    overwrite : bool
        Replace a file, or the answers to another request in a folder.
    """

    output: str | Path
    format: str | None = None
    overwrite: bool = False

    @property
    def is_file(self) -> bool:
        """Whether it is one file, by its suffix or because a format is named."""
        return self.format is not None or is_table_name(self.output)

    @property
    def folder(self) -> str:
        """The folder of the parts: the output itself, or a hidden one next to a file."""
        if self.is_file:
            return sibling(self.output, _PARTS)
        return place_of(self.output).name

    def check(self) -> None:
        """Raise before any work if the file could not be written.

        Raises
        ------
        ParameterError
            If it exists and may not be replaced, or its folder cannot be written.
        """
        if self.is_file:
            check_table_file(self.output, format=self.format, overwrite=self.overwrite)

    def finish(self, made: BatchResult) -> BatchResult:
        """Write the file from its parts, remove them, and return the result with the file's path and size."""
        write_table(
            _tables(self.folder),
            self.output,
            format=table_format(self.output, self.format),
            overwrite=self.overwrite,
        )
        remove_batch(self.folder)
        address = address_of(self.output)
        if address is not None:
            folder, name = parted(address)
            return replace(made, path=address, n_bytes=place_of(folder).size(name) or 0)
        path = path_of(self.output).absolute()
        return replace(made, path=path, n_bytes=path.stat().st_size)


def _tables(folder: str) -> Iterator[pa.Table]:
    place = place_of(folder)
    for name in sorted(read_manifest(folder, verify=False)["files"], key=lambda name: (len(name), name)):
        with place.open(name) as file:
            yield pq.read_table(file).replace_schema_metadata(None)
