"""A folder with a manifest: written whole or not at all, and checked when it is opened.

What the files hold is the business of the writer; here are the manifest, the checksums and the
versions. The format is described in docs/reference/artifact-format.md.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import AfterValidator, Field

from hashgnn import __version__
from hashgnn._checks import quote_some
from hashgnn._declared import Declared, Sha256, Size, check_fields, read_json
from hashgnn._files import atomic_directory, open_regular, set_aside, sha256_file
from hashgnn.errors import (
    ArtifactDamagedError,
    ArtifactError,
    ArtifactVersionError,
    HashGNNError,
    ParameterError,
    StorageError,
)

__all__ = ["FORMAT_VERSION", "MANIFEST", "Artifact", "open_artifact", "read_artifact", "write_artifact"]

#: The version of the format that is written; older ones can be read.
FORMAT_VERSION = 2
#: The file of an artifact that names and checks all others.
MANIFEST = "manifest.json"
_KIND = "hashgnn"
_LIBRARIES = ("numpy", "pyarrow", "safetensors", "scipy", "torch")
KIND_MARK = f'"kind": "{_KIND}"'.encode()  # in the manifest of any of our folders
_OWN_KEYS = ("kind", "format_version", "created", "library_versions", "files", "checksum")
MAX_MANIFEST = 4 * 1024 * 1024
_MAX_FILES = 256
_PART = 1 << 20  # bytes of a file read at a time
_SHOWN = 400  # characters of a reader's error that a message repeats
_NO_CHECKSUM = "0" * 64
_RELEASE = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,3}")
_PLAIN_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$"

# What a reader may raise about a file that is not what it should be.
_READING = (
    HashGNNError,
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
)

T = TypeVar("T")


def _check_time(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None and moment.year > 1:
            moment.timestamp()
            return text
    except (ValueError, OverflowError):
        pass
    raise ValueError("must be a time in ISO 8601 with its offset from UTC")


_Version = Annotated[str, Field(max_length=100)]


class ListedFile(Declared):
    """Size and checksum of a file in the manifest."""

    bytes: Size
    sha256: Sha256


class _Manifest(Declared):
    """Fields that the manifest of any folder must hold; those of a model are checked by its reader."""

    created: Annotated[str, Field(max_length=40), AfterValidator(_check_time)]
    library_versions: Annotated[dict[_Version, _Version], Field(max_length=100)]
    files: Annotated[
        dict[Annotated[str, Field(pattern=_PLAIN_NAME)], ListedFile], Field(max_length=_MAX_FILES)
    ]


@dataclass(frozen=True)
class Artifact:
    """An opened folder whose manifest, and files where requested, are intact.

    Attributes
    ----------
    path : Path
    format_version : int
        That it was written in, from 1 to ``FORMAT_VERSION``.
    created : str
        When its content was made, UTC, ISO 8601.
    library_versions : dict of str to str
        hashgnn, Python and the libraries that were installed at the time of writing.
    document : dict
        What the writer gave, as JSON values.
    sizes : dict of str to int
        Bytes of each file named by the manifest.
    checksum : str
        Of the manifest, which holds those of the files: two artifacts with one checksum are equal.
    """

    path: Path
    format_version: int
    created: str
    library_versions: dict[str, str]
    document: dict[str, Any]
    sizes: dict[str, int]
    checksum: str

    def file(self, name: str) -> Path:
        """Return the path of a file of the manifest, or raise :class:`ArtifactDamagedError`."""
        if name not in self.sizes:
            raise ArtifactDamagedError(f"{self.path}: its manifest names no file {name}")
        return self.path / name


@contextmanager
def write_artifact(
    path: Path, document: Mapping[str, Any], *, created: str | None = None, overwrite: bool = False
) -> Iterator[Path]:
    """Yield an empty folder to fill; when the block ends well it stands at ``path`` with its manifest.

    On any error, a crash or a kill included, ``path`` is as it was before.

    Parameters
    ----------
    path : Path
        A link to a folder is followed.
    document : mapping
        JSON values kept in the manifest; NumPy scalars become numbers, NaN is refused.
    created : str, optional
        When its content was made, UTC, ISO 8601; ``None`` is now. With the same content and libraries, the
        same ``created`` gives the same bytes.
    overwrite : bool, default=False
        Replace a saved model at ``path``. Anything else that is not an empty folder is never replaced.

    Raises
    ------
    ArtifactError
        If something that may not be replaced stands at ``path``.
    ParameterError
        If the document is not made of JSON values.
    StorageError
        If writing failed, as on a full disk.
    """
    if taken := sorted(set(document) & set(_OWN_KEYS)):
        raise ParameterError(f"document must not use the names of the manifest, got {quote_some(taken)}")
    target = path.resolve() if path.is_symlink() else path
    _check_replaceable(target, overwrite=overwrite)
    manifest = {
        "kind": _KIND,
        "format_version": FORMAT_VERSION,
        "created": created or datetime.now(UTC).isoformat(timespec="seconds"),
        "library_versions": _library_versions(),
        **document,
    }
    _manifest_text({**manifest, "files": {}})  # a bad document is refused before anything is written
    try:
        with atomic_directory(target, replace=overwrite) as folder:
            yield folder
            manifest["files"] = {
                file.name: {"bytes": file.stat().st_size, "sha256": sha256_file(file)}
                for file in sorted(folder.iterdir())
            }
            (folder / MANIFEST).write_text(_manifest_text(manifest), encoding="utf-8")
            _check_replaceable(target, overwrite=overwrite)  # another process may have saved there meanwhile
    except StorageError as error:
        if isinstance(error.__cause__, FileExistsError):
            _check_replaceable(target, overwrite=overwrite)
        raise


def open_artifact(
    path: Path, *, verify: bool = True, n_threads: int = 1, check: Callable[[], None] | None = None
) -> Artifact:
    """Read the manifest of a folder and check the files that it names.

    Parameters
    ----------
    path : Path
    verify : bool, default=True
        Compare the SHA-256 of every file, which reads them all (over 1 GB a second on most processors).
        ``False`` compares the sizes only.
    n_threads : int, default=1
        Files read at a time.
    check : callable, optional
        Called before each part of a file is read; what it raises ends the opening.

    Raises
    ------
    ArtifactError
        If the folder is missing or is not a saved model.
    ArtifactVersionError
        If a later version of this library wrote it.
    ArtifactDamagedError
        If a file is missing, truncated or differs from its checksum.
    """
    return _check(path, _manifest_bytes(path), verify=verify, n_threads=n_threads, go_on=check)


def listed_files(name: object, raw: bytes) -> tuple[str, dict[str, ListedFile]]:
    """Return the checksum of a manifest, and size and checksum of each file that it names.

    Parameters
    ----------
    name : Path or str
        Of the folder, for messages.
    raw : bytes
        The manifest.

    Raises
    ------
    ArtifactError
        If it is no manifest of a saved model, is damaged, or is of a later version.
    """
    manifest, declared = _parse(name, raw)
    return manifest["checksum"], declared.files


def read_artifact(path: Path, read: Callable[[Artifact], T], *, verify: bool = True) -> T:
    """Open a folder, hand it to ``read`` and return its result, all from one version of the folder.

    Where another process replaces the folder meanwhile, the new one is read from the start. An error of
    ``read`` about what it found becomes :class:`ArtifactDamagedError`.
    """
    while True:
        mark = _mark(path)
        try:
            result = _read(_check(path, _manifest_bytes(path), verify=verify), read)
        except ArtifactError:
            if _mark(path) == mark:
                raise
        else:
            if _mark(path) == mark:
                return result


def _read(artifact: Artifact, read: Callable[[Artifact], T]) -> T:
    try:
        return read(artifact)
    except ArtifactError:
        raise
    except FileNotFoundError as error:
        raise ArtifactDamagedError(f"{artifact.path}: {error.filename} is missing") from None
    except _READING as error:
        reason = f"{' '.join(str(error).split()):.{_SHOWN}}"
        writer = str(artifact.library_versions.get("hashgnn"))
        if _release(writer) > _release(__version__):
            raise ArtifactVersionError(
                f"{artifact.path}: was written by version {writer} of hashgnn, and this is {__version__}, "
                f"which cannot read it: {reason}; install version {writer}"
            ) from error
        raise ArtifactDamagedError(
            f"{artifact.path}: its files do not fit together, {reason}; the folder was edited"
        ) from error


def _writer(manifest: Mapping[str, Any]) -> str:
    """Return the version of hashgnn that wrote a manifest, as far as it says so."""
    versions = manifest.get("library_versions")
    found = versions.get("hashgnn") if isinstance(versions, dict) else None
    return (
        f"version {found:.40} of hashgnn" if isinstance(found, str) and _release(found) else "a later version"
    )


def _release(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with; none where it is no version."""
    found = _RELEASE.match(version)
    return tuple(int(number) for number in found[0].split(".")) if found else ()


def _mark(path: Path) -> tuple[int, ...] | None:
    """Return what tells a manifest from that of a folder that took its place; None where there is none."""
    try:
        status = ((set_aside(path) or path) / MANIFEST).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def _manifest_bytes(path: Path) -> bytes:
    folder = set_aside(path) or path
    if not folder.exists():
        raise ArtifactError(f"{path}: there is no such folder")
    if not folder.is_dir():
        raise ArtifactError(f"{path}: a saved model is a folder, this is a file")
    manifest = folder / MANIFEST
    try:
        with open_regular(manifest, follow=False) as file:
            raw = file.read(MAX_MANIFEST + 1)
    except FileNotFoundError:
        raise ArtifactError(f"{path}: not a saved hashgnn model, it has no {MANIFEST}") from None
    except OSError as error:
        raise ArtifactError(f"{path}: {MANIFEST} cannot be read, {error.strerror}") from None
    if len(raw) > MAX_MANIFEST:
        raise ArtifactDamagedError(f"{path}: {MANIFEST} is larger than {MAX_MANIFEST} bytes")
    return raw


def _check(
    path: Path, raw: bytes, *, verify: bool, n_threads: int = 1, go_on: Callable[[], None] | None = None
) -> Artifact:
    manifest, declared = _parse(path, raw)
    folder, files = set_aside(path) or path, declared.files
    with ThreadPoolExecutor(n_threads, thread_name_prefix="checksums") as threads:
        # Results come in the order of the manifest, so the same fault is reported each time.
        list(
            threads.map(
                lambda name: _check_file(path, folder / name, files[name], verify=verify, go_on=go_on), files
            )
        )
    sizes = {name: entry.bytes for name, entry in files.items()}
    return Artifact(
        path=folder,
        format_version=manifest["format_version"],
        created=declared.created,
        library_versions=declared.library_versions,
        document={key: value for key, value in manifest.items() if key not in _OWN_KEYS},
        sizes=sizes,
        checksum=manifest["checksum"],
    )


def _parse(path: object, raw: bytes) -> tuple[dict[str, Any], _Manifest]:
    """Check the manifest itself: kind, then version, then its own checksum, then its fields."""
    try:
        manifest = read_json(raw)
    except ValueError as error:
        raise ArtifactDamagedError(
            f"{path}: {MANIFEST} cannot be read, {error}; the file is damaged"
        ) from None
    kind = manifest.get("kind") if isinstance(manifest, dict) else None
    if kind != _KIND:
        raise ArtifactError(f"{path}: not a saved hashgnn model, its {MANIFEST} has the kind {kind!r:.80}")
    version = manifest.get("format_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ArtifactDamagedError(f"{path}: {MANIFEST} has the format version {version!r:.80}")
    if version > FORMAT_VERSION:
        raise ArtifactVersionError(
            f"{path}: was written by {_writer(manifest)} in format {version}, but hashgnn {__version__} reads up to format "
            f"{FORMAT_VERSION}; install a newer hashgnn"
        )
    checksum = manifest.get("checksum")
    if not isinstance(checksum, str) or _checksum(raw.decode("utf-8"), checksum) != checksum:
        raise ArtifactDamagedError(
            f"{path}: the checksum of {MANIFEST} does not match its content; the file is damaged or was edited"
        )
    try:
        return dict(manifest), check_fields(_Manifest, manifest)
    except ParameterError as error:
        raise ArtifactDamagedError(f"{path}: in {MANIFEST} {error}; it was edited") from None


def _check_file(
    path: Path, file: Path, entry: ListedFile, *, verify: bool, go_on: Callable[[], None] | None
) -> None:
    try:
        with open_regular(file, follow=False) as opened:
            size = os.fstat(opened.fileno()).st_size
            if size != entry.bytes:
                raise ArtifactDamagedError(
                    f"{path}: {file.name} has {size} bytes, its manifest says {entry.bytes}; "
                    "the file is truncated or was edited"
                )
            if verify and _digest(opened, go_on) != entry.sha256:
                raise ArtifactDamagedError(
                    f"{path}: checksum of {file.name} does not match its manifest; "
                    "the file is damaged or was edited"
                )
    except FileNotFoundError:
        raise ArtifactDamagedError(f"{path}: {file.name} is missing") from None
    except OSError as error:
        raise ArtifactError(f"{path}: {file.name} cannot be read, {error.strerror}") from None


def _digest(file: BufferedReader, go_on: Callable[[], None] | None) -> str:
    """Return the SHA-256 of an open file as hex digits."""
    digest, part = hashlib.sha256(), bytearray(_PART)
    while True:
        if go_on is not None:
            go_on()
        n_read = file.readinto(part)
        if not n_read:
            return digest.hexdigest()
        digest.update(memoryview(part)[:n_read])


def _check_replaceable(path: Path, *, overwrite: bool) -> None:
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not (path / MANIFEST).is_file() or KIND_MARK not in _manifest_bytes(path):
        raise ArtifactError(f"{path}: exists and is not a saved hashgnn model; save to another folder")
    if not overwrite:
        raise ArtifactError(f"{path}: holds a saved model; pass overwrite=True to replace it")


def _manifest_text(manifest: Mapping[str, Any]) -> str:
    """Return the manifest as JSON whose last entry is the SHA-256 of the rest."""
    try:
        body = json.dumps(manifest, indent=2, allow_nan=False, default=_plain, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"document must hold JSON values only, {error}") from None
    text = body.removesuffix("\n}") + f",\n  {_entry(_NO_CHECKSUM)}\n}}\n"
    return _with_checksum(text, _NO_CHECKSUM, _checksum(text, _NO_CHECKSUM))


def _checksum(text: str, current: str) -> str:
    """Return the SHA-256 of a manifest that has zeros in the place of its own checksum."""
    return hashlib.sha256(_with_checksum(text, current, _NO_CHECKSUM).encode()).hexdigest()


def _with_checksum(text: str, current: str, wanted: str) -> str:
    return _entry(wanted).join(text.rsplit(_entry(current), 1))


def _entry(checksum: str) -> str:
    return f'"checksum": "{checksum}"'


def _plain(value: object) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"got a {type(value).__name__}")


def _library_versions() -> dict[str, str]:
    versions = {"hashgnn": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
