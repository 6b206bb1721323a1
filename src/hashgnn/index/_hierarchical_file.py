"""A hierarchical index on disk: the sections of its codes, and its embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hashgnn._types import Array
from hashgnn.errors import ArtifactDamagedError
from hashgnn.index._code_store import CodeStore
from hashgnn.index._index_file import Contents
from hashgnn.index._list_file import list_contents, lists_of
from hashgnn.index._list_state import ListState
from hashgnn.index._store_file import store_contents, store_of

_SCALE = "scale.float32"


def hierarchical_contents(codes: CodeStore | ListState, rows: Array, scale: Array | None) -> Contents:
    """Return what a file holds of codes, scanned or in lists, with an embedding each."""
    values, sections = store_contents(codes) if isinstance(codes, CodeStore) else list_contents(codes)
    added = {f"embeddings.{rows.dtype.name}": [rows]} | ({} if scale is None else {_SCALE: [scale]})
    shape = {"width": rows.shape[1], "dtype": rows.dtype.name}
    return Contents({**values, **shape}, {**sections, **added})


def hierarchical_of(
    path: Path, header: Mapping[str, Any], sections: Mapping[str, Array]
) -> tuple[CodeStore | ListState, Array, Array | None]:
    """Return codes, embeddings and, where these are int8, a scale each, of a file that was mapped."""
    n_codes, width, dtype = int(header["n_codes"]), int(header["width"]), header["dtype"]
    of_codes = dict(sections)
    rows, scale = of_codes.pop(f"embeddings.{dtype}"), of_codes.pop(_SCALE, None)
    if len(rows) != n_codes * width or (dtype == "int8") != (scale is not None):
        raise ArtifactDamagedError(
            f"{path}: its embeddings do not fit {n_codes} codes and a width of {width}"
        )
    if scale is not None and len(scale) != n_codes:
        raise ArtifactDamagedError(f"{path}: it must have a scale for each of {n_codes} codes")
    codes = (lists_of if "n_lists" in header else store_of)(path, header, of_codes)
    return codes, rows.reshape(n_codes, width), scale
