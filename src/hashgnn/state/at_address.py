"""Saved models at addresses such as ``s3://bucket/models/v1``: copied to a cache to be opened, and uploaded.

An object store has no rename of a folder. So the manifest comes last: where it stands, all files that it names
stand, and what a reader copies is compared with the manifest's sizes and checksums.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import uuid
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from hashgnn._addresses import address_errors, address_of, file_system, path_of, put_file
from hashgnn._cache import cache_folder, locked
from hashgnn._files import storage_errors
from hashgnn.errors import ArtifactDamagedError, ArtifactError, DataError, StorageError
from hashgnn.state.artifact import KIND_MARK, MANIFEST, MAX_MANIFEST, ListedFile, listed_files, open_artifact

_BLOCK = 1 << 20
_ATTEMPTS = 3  # where the model is replaced while it is copied
_STAGED = ".incoming-"  # where files lie until all are there
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]")


def local_folder(path: str | Path, cache_dir: str | Path | None = None) -> Path:
    """Return a local folder of a saved model; one at an address is copied to the cache first.

    The copy is found again by the checksum of the manifest, so a model is copied once, whatever its address.
    Several processes may ask at once: one copies and the others wait.

    Parameters
    ----------
    path : str or Path
        A folder, or an address such as ``s3://bucket/models/v1`` (extra ``cloud``).
    cache_dir : str or Path, optional
        ``None`` takes ``HASHGNN_CACHE``, else the user's cache folder.

    Raises
    ------
    ArtifactError
        If nothing can be read at the address, it is no saved model, or a file differs from its checksum.
    StorageError
        If the copy cannot be written, as on a full disk.
    """
    address = address_of(path)
    if address is None:
        return path_of(path)
    cache = cache_folder(cache_dir) / "models"
    with _reading(address):
        system, root = _file_system(address)
        for _ in range(_ATTEMPTS):
            raw = _manifest_at(system, root, address)
            if raw is None:
                raise ArtifactError(f"{address}: not a saved hashgnn model, it has no {MANIFEST}")
            checksum, files = listed_files(address, raw)
            with locked(cache / checksum):
                folder = cache / checksum / name_of(address)
                if _is_whole(folder):
                    return folder
                try:
                    _copy(system, root, address, raw, files, folder)
                    return folder
                except ArtifactDamagedError:
                    if _manifest_at(system, root, address) == raw:
                        raise
    raise ArtifactError(f"{address}: was replaced again and again while it was copied; try again")


def name_of(address: str) -> str:
    """Return the name that a model at an address has as a folder: its last part."""
    last = address.partition("?")[0].rstrip("/").rpartition("/")[2]
    return _NO_NAME.sub("_", last).lstrip(".") or "model"


def exists_at(address: str) -> bool:
    """Return whether anything is at an address."""
    with _reading(address):
        system, root = _file_system(address)
        return _manifest_at(system, root, address) is not None or bool(_others(system, root))


def check_address(address: str, *, overwrite: bool) -> None:
    """Raise :class:`ArtifactError` unless a model may be saved at an address; the rules are those of a folder."""
    if address.startswith(("http://", "https://")):
        raise StorageError(f"{address}: a model cannot be saved at a web address; choose an object store")
    with _reading(address):
        system, root = _file_system(address)
        raw = _manifest_at(system, root, address)
        if KIND_MARK not in raw if raw is not None else _others(system, root):
            raise ArtifactError(
                f"{address}: exists and is not a saved hashgnn model; save to another address"
            )
    if raw is not None and not overwrite:
        raise ArtifactError(f"{address}: holds a saved model; pass overwrite=True to replace it")


def upload(folder: Path, address: str, *, overwrite: bool) -> None:
    """Copy a saved model to an address.

    The files lie under another name until all are there. Then the manifest of a model that is replaced goes, the
    files take their places, and the new manifest comes last. A reader finds a whole model, or none for that
    moment.

    Raises
    ------
    ArtifactError
        If something that may not be replaced is at the address.
    StorageError
        If it cannot be written. What was at the address is as it was, unless the error came in the moment of
        the change.
    """
    check_address(address, overwrite=overwrite)
    system, root = _file_system(address)
    staged = f"{root}/{_STAGED}{uuid.uuid4().hex}"
    names = sorted(file.name for file in folder.iterdir() if file.name != MANIFEST)
    with _writing(address):
        try:
            for name in names:
                put_file(system, folder / name, f"{staged}/{name}")
            old = _manifest_at(system, root, address)
            if old is not None:
                system.rm_file(f"{root}/{MANIFEST}")
            for name in names:
                if system.exists(f"{root}/{name}"):
                    system.rm_file(f"{root}/{name}")
                system.mv(f"{staged}/{name}", f"{root}/{name}")
            put_file(system, folder / MANIFEST, f"{root}/{MANIFEST}")
            _remove_others(system, root, address, old, {*names, MANIFEST})
        finally:
            with suppress(Exception):
                if system.exists(staged):
                    system.rm(staged, recursive=True)


def _remove_others(system: Any, root: str, address: str, old: bytes | None, kept: set[str]) -> None:
    """Remove files of a replaced model that the new one does not have."""
    if old is None:
        return
    with suppress(ArtifactError):  # a damaged manifest names nothing
        for name in listed_files(address, old)[1].keys() - kept:
            with suppress(FileNotFoundError):
                system.rm_file(f"{root}/{name}")


def _file_system(address: str) -> tuple[Any, str]:
    try:
        system, root = file_system(address)
    except DataError as error:
        raise ArtifactError(str(error)) from None
    system.invalidate_cache()  # listings may be older than what another process wrote
    return system, root.rstrip("/")


def _manifest_at(system: Any, root: str, address: str) -> bytes | None:
    try:
        with system.open(f"{root}/{MANIFEST}", "rb") as file:
            raw = bytes(file.read(MAX_MANIFEST + 1))
    except FileNotFoundError:
        return None
    if len(raw) > MAX_MANIFEST:
        raise ArtifactDamagedError(f"{address}: {MANIFEST} is larger than {MAX_MANIFEST} bytes")
    return raw


def _others(system: Any, root: str) -> list[str]:
    """Return what else lies below an address; parts of an upload that was cut off do not count."""
    try:
        return [name for name in system.ls(root, detail=False) if f"/{_STAGED}" not in name]
    except (FileNotFoundError, NotImplementedError):
        return []


def _is_whole(folder: Path) -> bool:
    if not folder.exists():
        return False
    try:
        open_artifact(folder, verify=False)
    except ArtifactError:
        shutil.rmtree(folder, ignore_errors=True)
        return False
    return True


def _copy(
    system: Any, root: str, address: str, raw: bytes, files: dict[str, ListedFile], folder: Path
) -> None:
    """Copy the files of a manifest to a folder that appears whole or not at all; its parent is locked."""
    with storage_errors(folder):
        for left in folder.parent.glob("*.tmp"):  # of a copy that was cut off
            shutil.rmtree(left, ignore_errors=True)
        size, free = sum(file.bytes for file in files.values()), shutil.disk_usage(folder.parent).free
        if size > free:
            raise StorageError(
                f"{address}: the model has {size} bytes, more than are free at {folder.parent}; "
                "name another folder with cache_dir"
            )
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, suffix=".tmp"))
    try:
        for name, entry in files.items():
            _copy_file(system, f"{root}/{name}", f"{address}: {name}", entry, temporary / name)
        with storage_errors(folder):
            (temporary / MANIFEST).write_bytes(raw)
            os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _copy_file(system: Any, source: str, shown: str, entry: ListedFile, target: Path) -> None:
    digest, left = hashlib.sha256(), entry.bytes
    try:
        with system.open(source, "rb") as file, storage_errors(target), target.open("wb") as copy:
            while block := file.read(_BLOCK):
                left -= len(block)
                if left < 0:
                    break
                digest.update(block)
                copy.write(block)
    except FileNotFoundError:
        raise ArtifactDamagedError(f"{shown} is missing") from None
    if left:
        found = "more" if left < 0 else f"{entry.bytes - left}"
        raise ArtifactDamagedError(f"{shown} has {found} bytes, its manifest says {entry.bytes}")
    if digest.hexdigest() != entry.sha256:
        raise ArtifactDamagedError(f"{shown} does not match its checksum; it is damaged or was edited")


def _reading(address: str) -> AbstractContextManager[None]:
    return address_errors(address, "read", ArtifactError)


def _writing(address: str) -> AbstractContextManager[None]:
    return address_errors(address, "written", StorageError)
