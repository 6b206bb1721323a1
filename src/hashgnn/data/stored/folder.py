"""A folder of interactions: ids, rows and a manifest with the checksum of each file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from hashgnn import __version__
from hashgnn._declared import Count, Declared, Sha256, Size, check_fields, read_json
from hashgnn._files import open_regular, set_aside, sha256_file
from hashgnn._tensors import read_tensors
from hashgnn._types import Array
from hashgnn.data.id_files import read_ids, write_ids
from hashgnn.data.ids import IdMap
from hashgnn.data.interactions import Interactions
from hashgnn.data.weighting import MAX_EVENT_NAME, MAX_EVENT_WEIGHT, MAX_EVENTS, Weighting
from hashgnn.errors import DataError, HashGNNError, ParameterError, StorageError

#: The file that names and checks all others of a folder.
MANIFEST = "interactions.json"
KIND, FORMAT_VERSION = "hashgnn interactions", 1
USERS, ITEMS = "users.arrow", "items.arrow"
#: The file of each column of the rows, and of where each user's rows begin.
COLUMNS = {name: f"{name}.safetensors" for name in ("user", "item", "weight", "time", "start")}
_MAX_MANIFEST = 1 << 20

_Weight = Annotated[float, Field(ge=0, le=MAX_EVENT_WEIGHT)]
_Event = Annotated[str, Field(max_length=MAX_EVENT_NAME)]
_File = Annotated[str, Field(pattern=r"^[a-z_]{1,40}\.[a-z]{1,20}$")]


class _Listed(Declared):
    bytes: Size
    sha256: Sha256


class _Weighting(Declared):
    event_weights: Annotated[dict[_Event, _Weight], Field(max_length=MAX_EVENTS)]
    half_life: Annotated[float, Field(gt=0, le=1e15)] | None
    reference_time: Annotated[float, Field(ge=0, le=2**63)] | None


class _Manifest(Declared):
    n_users: Count
    n_items: Count
    n_interactions: Size
    n_merged: Size
    weighting: _Weighting | None
    files: Annotated[dict[_File, _Listed], Field(max_length=16)]


@dataclass(frozen=True)
class StoredPlace:
    """Where interactions lie: what another process of this machine needs to map the same files.

    Attributes
    ----------
    folder : str
    manifest_sha256 : str
        Checksum of the manifest, which has the checksums of all files.
    """

    folder: str
    manifest_sha256: str

    def open(self) -> StoredInteractions:
        """Open the folder.

        Raises
        ------
        DataError
            If other interactions are there by now.
        """
        found = open_interactions(self.folder, verify=False)
        if found.place != self:
            raise DataError(f"{self.folder}: it was prepared again meanwhile; open it again")
        return found


@dataclass(frozen=True, eq=False, repr=False)
class StoredInteractions(Interactions):
    """Interactions whose rows and text ids lie in mapped files; nothing is copied until it is used.

    Attributes
    ----------
    starts : ndarray of shape (n_users + 1,), int64
        Where the rows of each user begin.
    place : StoredPlace
        The folder.
    """

    # Both are always given; fields behind one with a default need one.
    starts: Array | None = field(default=None, kw_only=True)
    place: StoredPlace | None = field(default=None, kw_only=True)

    @cached_property
    def csr(self) -> sp.csr_matrix:
        """As :attr:`Interactions.csr`; its column indices are those of the file, read-only."""
        assert self.starts is not None
        data = np.ones(len(self), np.float32) if self.weight is None else self.weight
        return sp.csr_matrix((data, self.item_index, self.starts), shape=(self.n_users, self.n_items))


def is_stored(path: Any) -> bool:
    """Return whether a path is a folder that :func:`~hashgnn.data.prepare_interactions` wrote."""
    try:
        folder = Path(path).expanduser()
        return (folder / MANIFEST).is_file() or (set_aside(folder) or folder).joinpath(MANIFEST).is_file()
    except (TypeError, ValueError, OSError, RuntimeError):
        return False


def write_manifest(
    folder: Path, interactions: Mapping[str, Any], source: Mapping[str, Any], weighting: Weighting | None
) -> None:
    """Write the manifest of the files that are in a folder.

    Parameters
    ----------
    folder : Path
    interactions : mapping
        Its counts: ``n_users``, ``n_items``, ``n_interactions`` and ``n_merged``.
    source : mapping
        JSON values of where the rows came from.
    weighting : Weighting or None
    """
    document = {
        "kind": KIND,
        "format_version": FORMAT_VERSION,
        "hashgnn": __version__,
        **interactions,
        "weighting": None if weighting is None else weighting.to_dict(),
        "source": dict(source),
        "files": {
            file.name: {"bytes": file.stat().st_size, "sha256": sha256_file(file)}
            for file in sorted(folder.iterdir())
        },
    }
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def write_id_files(folder: Path, users: IdMap, items: IdMap) -> None:
    """Write the ids of a folder."""
    write_ids(folder / USERS, users)
    write_ids(folder / ITEMS, items)


def open_interactions(path: str | Path, *, verify: bool = True) -> StoredInteractions:
    """Open a folder that :func:`prepare_interactions` wrote; rows and text ids stay on disk until they are used.

    Parameters
    ----------
    path : str or Path
    verify : bool, default=True
        Compare the checksum of every file, which reads them all (over 1 GB a second on most processors). ``False``
        compares the sizes only.

    Returns
    -------
    StoredInteractions

    Raises
    ------
    DataError
        If the folder is missing, is of a later version, or a file is missing, cut short or damaged.
    """
    folder = Path(path).expanduser()
    folder = set_aside(folder) or folder
    declared = _read_manifest(folder)
    for name, listed in declared.files.items():
        _check_file(folder, name, listed, verify=verify)
    try:
        return _read(folder, declared)
    except (HashGNNError, ValueError, OSError) as error:
        raise DataError(f"{folder}: its files do not fit together, {error}; prepare it again") from None


def _read_manifest(folder: Path) -> _Manifest:
    try:
        with open_regular(folder / MANIFEST, follow=False) as file:
            document = read_json(file.read(_MAX_MANIFEST))
    except FileNotFoundError:
        raise DataError(f"{folder}: is no folder of prepared interactions, it has no {MANIFEST}") from None
    except OSError as error:
        raise DataError(f"{folder}: {MANIFEST} cannot be read, {error.strerror}") from None
    except ValueError as error:
        raise DataError(f"{folder}: {MANIFEST} cannot be read, {error}; prepare it again") from None
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise DataError(f"{folder}: is no folder of prepared interactions, its {MANIFEST} is of another kind")
    version = document.get("format_version")
    if version != FORMAT_VERSION:
        raise DataError(
            f"{folder}: is in format {version!r:.40}, and hashgnn {__version__} reads format {FORMAT_VERSION}; "
            "install a newer hashgnn or prepare it again"
        )
    try:
        return check_fields(_Manifest, document)
    except ParameterError as error:
        raise DataError(f"{folder}: in {MANIFEST} {error}; prepare it again") from None


def _check_file(folder: Path, name: str, listed: _Listed, *, verify: bool) -> None:
    try:
        with open_regular(folder / name, follow=False) as file:
            size = file.seek(0, 2)
        if size != listed.bytes:
            raise DataError(
                f"{folder}: {name} has {size} bytes, its {MANIFEST} says {listed.bytes}; prepare it again"
            )
        if verify and sha256_file(folder / name) != listed.sha256:
            raise DataError(
                f"{folder}: the checksum of {name} does not match its {MANIFEST}; prepare it again"
            )
    except FileNotFoundError:
        raise DataError(f"{folder}: {name} is missing; prepare it again") from None
    except OSError as error:
        raise DataError(f"{folder}: {name} cannot be read, {error.strerror}") from None


def _read(folder: Path, declared: _Manifest) -> StoredInteractions:
    users = read_ids(folder / USERS, declared.n_users, mmap=True)
    items = read_ids(folder / ITEMS, declared.n_items, mmap=True)
    columns = {
        name: read_tensors(folder / file)[0]["values"]
        for name, file in COLUMNS.items()
        if file in declared.files
    }
    n = declared.n_interactions
    for name, values in columns.items():
        if values.shape != ((declared.n_users + 1,) if name == "start" else (n,)):
            raise DataError(f"{COLUMNS[name]} holds {len(values)} values")
    if {"user", "item", "start"} - columns.keys() or columns["start"][-1] != n:
        raise DataError("a column is missing or cut short")
    weighting = declared.weighting
    return StoredInteractions(
        users,
        items,
        columns["user"],
        columns["item"],
        columns.get("weight"),
        columns.get("time"),
        n_merged=declared.n_merged,
        weighting=None if weighting is None else Weighting(**weighting.model_dump()),
        starts=columns["start"],
        place=StoredPlace(str(folder.absolute()), sha256_file(folder / MANIFEST)),
    )


def check_replaceable(folder: Path, *, overwrite: bool) -> None:
    """Raise unless interactions may be written to this folder.

    Raises
    ------
    ParameterError
        If it holds prepared interactions and ``overwrite`` is false, or anything else.
    StorageError
        If it is a file.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir():
        raise StorageError(f"{folder}: must be a folder, and is a file")
    known = {MANIFEST, USERS, ITEMS, *COLUMNS.values()}
    if not is_stored(folder) or any(entry.name not in known for entry in folder.iterdir()):
        raise ParameterError(f"{folder}: exists and holds no prepared interactions; name another folder")
    if not overwrite:
        raise ParameterError(f"{folder}: exists; pass overwrite=True to replace it")
