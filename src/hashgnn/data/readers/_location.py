"""Where the bytes of a table are: a file, a compressed file, the files of a folder or a pattern, a file object."""

from __future__ import annotations

import bz2
import glob
import gzip
import io
import lzma
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import unquote

import pyarrow as pa

from hashgnn._addresses import check_length, is_address, local_path, restored, scheme_of
from hashgnn.data.readers import _addresses
from hashgnn.errors import DataError, HashGNNError

_MAGIC = {
    "gz": re.compile(rb"\x1f\x8b\x08"),
    "zst": re.compile(rb"\x28\xb5\x2f\xfd"),
    "bz2": re.compile(rb"BZh[1-9]1AY&SY"),
    "xz": re.compile(rb"\xfd7zXZ\x00"),
}
_FREE = 1 << 30  # bytes that any compressed file may become
_GROWTH = 100  # bytes that each of a compressed file's bytes may become, where that is more
_BLOCK = 1 << 18
_COMPRESSED = (".gz", ".zst", ".bz2", ".xz")
_PATTERN = re.compile(r"[*?\[]")
_EMPTY_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Location:
    """One file.

    Attributes
    ----------
    name : str
        What messages call it.
    open_raw : callable
        Opens its bytes, from the first one.
    path : str or None
        Of a local file.
    partition : dict
        Columns that are written in the names of its folders, as in ``day=2024-05-01``; ``None`` is empty.
    max_decompressed : int or None
        Bytes that it may become when it is decompressed or decoded; ``None`` is 1 GiB, or 100 times its
        size where that is more.
    """

    name: str
    open_raw: Callable[[], IO[bytes]]
    path: str | None = None
    partition: dict[str, str | None] = field(default_factory=dict)
    max_decompressed: int | None = None

    def __str__(self) -> str:
        return self.name

    @property
    def suffix(self) -> str:
        """The suffix that says the format, in lower case: ``.csv`` of ``a.CSV.gz``."""
        name = PurePosixPath(self.name.partition("?")[0].lower())
        return PurePosixPath(name.stem).suffix if name.suffix in _COMPRESSED else name.suffix

    @cached_property
    def compression(self) -> str | None:
        """The compression that the first bytes show, whatever the name."""
        with self.open_raw() as file:
            head = file.read(10)
        return next((name for name, magic in _MAGIC.items() if magic.match(head)), None)

    def open(self) -> IO[bytes]:
        """Open the content, decompressed."""
        compression, file = self.compression, self.open_raw()
        if compression is None:
            return file
        inner: Any = {"gz": gzip.GzipFile, "bz2": bz2.BZ2File, "xz": lzma.LZMAFile}.get(compression)
        if inner is None:
            stream: Any = pa.CompressedInputStream(file, "zstd")
        else:
            stream = inner(fileobj=file) if compression == "gz" else inner(file)
        return _Decompressed(_Bounded(self, stream, file), file)

    def check_growth(self, n_bytes: int, size: int) -> None:
        """Refuse a file of so many bytes that becomes ``n_bytes`` in memory.

        Raises
        ------
        DataError
            If that is more than ``max_decompressed``.
        """
        limit = max(_FREE, _GROWTH * size) if self.max_decompressed is None else self.max_decompressed
        if n_bytes > limit:
            raise DataError(
                f"{self}: becomes more than {limit} bytes when it is decompressed; "
                "raise max_decompressed if you trust it"
            )

    def read_bytes(self) -> bytes:
        """Return the content, decompressed."""
        with self.open() as file:
            if self.compression is None:
                return file.read()
            return b"".join(iter(lambda: file.read(_BLOCK), b""))

    def random_access(self) -> Any:
        """Return the content in a form in which Arrow can seek."""
        if self.compression is not None:
            return pa.BufferReader(self.read_bytes())
        return pa.memory_map(self.path) if self.path is not None else pa.PythonFile(self.open_raw(), "r")


class _Bounded(io.RawIOBase):
    """A decompressing stream that ends with an error where it gives more than its file may become."""

    def __init__(self, path: Location, stream: Any, below: IO[bytes]) -> None:
        self._path, self._stream, self._below, self._count = path, stream, below, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        n = int(self._stream.readinto(buffer))
        self._count += n
        self._path.check_growth(self._count, self._below.tell())
        return n

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


class _Decompressed(io.BufferedReader):
    """A buffered stream that closes the file below it too."""

    def __init__(self, stream: io.RawIOBase, below: IO[bytes]) -> None:
        super().__init__(stream, _BLOCK)
        self._below = below

    def close(self) -> None:
        super().close()
        self._below.close()


@contextmanager
def readable(name: object) -> Iterator[None]:
    """Turn errors of file systems and of decompression into one sentence."""
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile):
        raise DataError(f"{name}: cannot be decompressed, it is damaged or cut short") from None
    except OSError as error:
        reason = error.strerror or (str(error) or type(error).__name__).splitlines()[0][:200]
        raise DataError(f"{name}: cannot be read, {reason}") from None


def locate(source: Any) -> tuple[str, list[Location]]:
    """Return the name of a source, and its files; a file has one, a folder or a pattern may have many.

    Parameters
    ----------
    source : str, path or binary file object
        ``~`` is the home folder. A path with ``*``, ``?`` or ``[`` that is not there is a pattern; ``**`` goes
        through folders. A name with ``://`` is an address.
    """
    if hasattr(source, "read"):
        return _of_object(source)
    if not isinstance(source, str | os.PathLike) or isinstance(os.fspath(source), bytes):
        raise DataError(
            f"path must be text, a path or a file opened in binary mode, got {type(source).__name__}"
        )
    name = os.fspath(source)
    if isinstance(source, Path):
        name = restored(name)
    if is_address(name):
        if scheme_of(name) != "file":
            return name, _of_address(name)
        name = local_path(name)
    if not name or "\0" in name:
        raise DataError(f"path must be text without NUL that is not empty, got {name!r:.80}")
    check_length(name)
    try:
        path = Path(name).expanduser()
    except RuntimeError:
        raise DataError(f"{name}: cannot be read, this user has no home folder") from None
    with readable(path):
        if _PATTERN.search(str(path)) and not path.exists():
            return str(path), _of_pattern(path)
        if path.is_dir():
            return str(path), _of_folder(path)
        return str(path), [_of_file(path)]


def _of_file(path: Path, partition: dict[str, str | None] | None = None) -> Location:
    if not stat.S_ISREG(path.stat().st_mode):
        raise DataError(f"{path}: must be a regular file; pass a file object to read from a pipe")
    return Location(str(path), lambda: path.open("rb"), str(path), partition or {})


def _of_folder(folder: Path) -> list[Location]:
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not _is_hidden(path.relative_to(folder).parts)
    ]
    if not found:
        raise DataError(f"{folder}: the folder holds no files")
    return [_of_file(path, partition_of(path.relative_to(folder).parts[:-1])) for path in found]


def _of_pattern(pattern: Path) -> list[Location]:
    parts = pattern.parts
    n_fixed = next(place for place, part in enumerate(parts) if _PATTERN.search(part))
    found = [Path(name) for name in sorted(glob.glob(str(pattern), recursive=True))]
    kept = [path for path in found if path.is_file() and not _is_hidden(path.parts[n_fixed:])]
    if not kept:
        raise DataError(f"{pattern}: no file matches the pattern")
    return [_of_file(path, partition_of(path.parts[n_fixed:-1])) for path in kept]


def _of_object(file: Any) -> tuple[str, list[Location]]:
    named = getattr(file, "name", None)
    name = named if isinstance(named, str) else "the file object"
    if getattr(file, "closed", False) is True:
        raise DataError(f"{name}: must be open to be read")
    with readable(name):
        content = file.read()
    if not isinstance(content, bytes | bytearray | memoryview):
        raise DataError(f"{name}: must be opened in binary mode, got {type(content).__name__} from read()")
    whole = bytes(content)
    return name, [Location(name, lambda: io.BytesIO(whole))]


def _of_address(address: str) -> list[Location]:
    try:
        with readable(address):
            files = _addresses.find(address)
    except HashGNNError:
        raise
    except Exception as error:  # of any package that serves the address
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise DataError(f"{address}: cannot be read, {reason}") from None
    return [
        Location(name, opened, None, partition_of(folders))
        for name, folders, opened in files
        if len(files) == 1 or not _is_hidden((*folders, PurePosixPath(name).name))
    ]


def _is_hidden(parts: tuple[str, ...]) -> bool:
    """Return whether a part of a name marks what tools write next to the data: ``_SUCCESS``, ``.part.crc``."""
    return any(part.startswith((".", "_")) and "=" not in part for part in parts)


def partition_of(folders: tuple[str, ...]) -> dict[str, str | None]:
    """Return the columns in the names of folders, in Hive's form ``name=value``."""
    pairs = (folder.partition("=") for folder in folders)
    return {
        unquote(name): None if value == _EMPTY_PARTITION else unquote(value)
        for name, sign, value in pairs
        if sign and name
    }
