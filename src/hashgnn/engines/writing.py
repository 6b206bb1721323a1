"""``export_files``: a folder of files for an engine that is not connected to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hashgnn._files import atomic_directory, sha256_file
from hashgnn._registry import imported
from hashgnn._types import Array
from hashgnn.engines.attributes import Attributes
from hashgnn.engines.exporting import saved_model, version_of
from hashgnn.engines.registry import FILE_FORMS
from hashgnn.engines.rows import ItemRows, item_rows
from hashgnn.errors import StorageError
from hashgnn.state import ModelState

MANIFEST = "manifest.json"
ITEMS = "items.parquet"


@dataclass(frozen=True, eq=False)
class FileJob:
    """The source of a form of files, and their folder.

    Attributes
    ----------
    state : ModelState
    n_extra : int
        Bits behind a code that hold its item bias; 0 without one.
    attributes : Attributes or None
    folder : Path
        Where the files go; it exists and is empty.
    """

    state: ModelState
    n_extra: int
    attributes: Attributes | None
    folder: Path

    @property
    def has_bias(self) -> bool:
        """Whether items have a bias, which the field ``biased`` holds."""
        return self.state.items.bias is not None

    @property
    def widths(self) -> dict[str, int]:
        """Bits of each field of codes: ``code``, and ``biased`` where there is a bias."""
        widths = {"code": self.state.n_bits}
        if self.has_bias:
            widths["biased"] = self.state.n_bits + self.n_extra
        return widths

    @property
    def searched(self) -> str:
        """The field that recommendations search."""
        return "biased" if self.has_bias else "code"

    @property
    def index_name(self) -> str:
        """A name that no other version of the model has."""
        return f"hashgnn-items-{str(self.state.checksum)[:12]}"

    def rows(self) -> Iterator[ItemRows]:
        """Yield the items, block by block."""
        return item_rows(self.state, n_extra=self.n_extra, floats=True, attributes=self.attributes)

    def write_json(self, name: str, value: Any) -> None:
        """Write a file of JSON."""
        text = json.dumps(value, indent=2, ensure_ascii=False)
        (self.folder / name).write_text(text + "\n", encoding="utf-8")

    def write_items(self) -> None:
        """Write ``items.parquet``: position, id, penalty and attributes, for engines that keep codes alone."""
        items = self.state.items
        columns: dict[str, Any] = {
            "pos": pa.array(np.arange(len(items)), pa.int64()),
            "item_id": pa.array(items.ids.printed(np.arange(len(items))), pa.string()),
        }
        if items.bias is not None:
            columns["penalty"] = pa.array(items.bias.penalty)
        if self.attributes is not None:
            columns |= dict(
                zip(self.attributes.table.column_names, self.attributes.table.columns, strict=True)
            )
        pq.write_table(pa.table(columns), self.folder / ITEMS)


def codes_of(rows: ItemRows, field: str) -> Array:
    """Return the packed codes of a field, uint8."""
    codes = rows.codes.packed if field == "code" else rows.biased
    assert codes is not None
    return codes


def export_files(
    path: str | Path, folder: str | Path, form: str, *, attributes: str | Path | None = None
) -> Path:
    """Write the items of a saved model as files for another engine.

    The folder appears whole or not at all; ``manifest.json`` in it has widths, forms and checksums.

    Parameters
    ----------
    path : str or Path
        Folder or address of the model.
    folder : str or Path
        A new or an empty folder.
    form : {"faiss", "usearch", "elasticsearch", "opensearch", "vespa"}
    attributes : str or Path, optional
        A table with a column ``item_id``, whose other columns filters may name.

    Returns
    -------
    Path
        Of the folder.

    Raises
    ------
    ParameterError
        If there is no such form.
    ArtifactError
        If there is no saved model at ``path``.
    DataError
        If the attributes are not usable.
    StorageError
        If the folder holds something, or writing failed.
    """
    write = imported(FILE_FORMS[form])
    target = Path(folder).expanduser()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise StorageError(f"{target}: must be a new or an empty folder")
    state = saved_model(path)
    chosen = None if attributes is None else Attributes.read(attributes, state.items.ids)
    version = version_of(state, "exact", 1, "half", chosen)
    with atomic_directory(target, replace=False) as made:
        job = FileJob(state, version.n_extra, chosen, made)
        forms = write(job)
        files = {file.name: sha256_file(file) for file in sorted(made.iterdir())}
        manifest = {
            "form": form,
            "model": version.checksum,
            "n_items": version.n_items,
            "fields": job.widths,
            "n_bits": version.n_bits,
            "n_extra": version.n_extra,
            "bit_order": "big",
            "ones": "positive",
            "code_form": forms,
            "bias_top": version.top,
            "attributes": version.attributes,
            "files": files,
        }
        job.write_json(MANIFEST, manifest)
    return target
