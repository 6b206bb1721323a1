"""``Place``: where the files of a batch lie, a folder of this machine or one at an address such as ``s3://…``."""

from __future__ import annotations

import fcntl
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from hashgnn._addresses import address_errors, address_of, file_system, path_of, put_file, restored
from hashgnn._files import atomic_file, storage_errors
from hashgnn.errors import ParameterError, StorageError


def place_of(folder: str | Path) -> Place:
    """Return the place of a path or an address; nothing is made.

    Raises
    ------
    ParameterError
        If it is a web address, to which nothing can be written.
    """
    folder = restored(str(folder))  # an address that was a path on the way has one slash less
    address = address_of(folder)
    if address is None:
        return LocalPlace(path_of(folder).absolute())
    if address.lower().startswith(("http://", "https://")):
        raise ParameterError(f"output must not be a web address, got {address}; choose an object store")
    return AddressPlace(address)


def sibling(folder: str | Path, suffix: str) -> str:
    """Return the hidden name next to a file or folder, for what is made on the way.

    Examples
    --------
    >>> sibling("s3://shop/lists/all", "_model")
    's3://shop/lists/.all_model'
    """
    folder = restored(str(folder))
    address = address_of(folder)
    if address is None:
        path = path_of(folder).absolute()
        return str(path.parent / f".{path.name}{suffix}")
    parent, name = parted(address)
    base, mark, query = parent.partition("?")
    return f"{base}/.{name}{suffix}{mark}{query}"


def parted(address: str) -> tuple[str, str]:
    """Return the address of the folder that a file at an address lies in, and the name of the file.

    Examples
    --------
    >>> parted("s3://shop/lists/all.csv?region=eu")
    ('s3://shop/lists?region=eu', 'all.csv')
    """
    base, mark, query = address.partition("?")
    parent, _, name = base.rstrip("/").rpartition("/")
    return f"{parent}{mark}{query}", name


class Place(ABC):
    """A folder of files whose names have no folders in them.

    Attributes
    ----------
    name : str
        Its path or address.
    """

    name: str

    @property
    @abstractmethod
    def path(self) -> Path | str:
        """The path, or the address as text."""

    @abstractmethod
    def exists(self) -> bool:
        """Return whether it is there. At an address, a folder without files is not."""

    @abstractmethod
    def is_file(self) -> bool:
        """Return whether a file has its name."""

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of its entries."""

    @abstractmethod
    def size(self, name: str) -> int | None:
        """Return the bytes of a file; ``None`` where there is none."""

    @abstractmethod
    def open(self, name: str) -> IO[bytes]:
        """Open a file to read.

        Raises
        ------
        OSError
            If it cannot be read.
        """

    @abstractmethod
    def writing(self, name: str) -> Any:
        """Return a context of a temporary path; when it ends well its file has the name, whole."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    @abstractmethod
    def held(self) -> Any:
        """Return a context in which it is there, and this run's alone where locks exist; it yields if it was made."""

    @abstractmethod
    def remove_folder(self) -> None:
        """Remove the folder, which is empty."""

    def read(self, name: str) -> bytes | None:
        """Return the content of a file; ``None`` where it cannot be read."""
        try:
            with self.open(name) as file:
                return file.read()
        except OSError:
            return None


class LocalPlace(Place):
    """A folder that every worker sees at its path."""

    def __init__(self, path: Path) -> None:
        self.name, self._path = str(path), path

    @property
    def path(self) -> Path:
        return self._path

    def exists(self) -> bool:
        return self._path.exists()

    def is_file(self) -> bool:
        return self._path.exists() and not self._path.is_dir()

    def names(self) -> list[str]:
        return os.listdir(self._path)

    def size(self, name: str) -> int | None:
        file = self._path / name
        return file.stat().st_size if file.is_file() else None

    def open(self, name: str) -> IO[bytes]:
        return (self._path / name).open("rb")

    def writing(self, name: str) -> Any:
        return atomic_file(self._path / name)

    def remove(self, name: str) -> None:
        (self._path / name).unlink(missing_ok=True)

    @contextmanager
    def held(self) -> Iterator[bool]:
        with storage_errors(self._path):
            is_made = not self._path.exists()
            self._path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDONLY)
        try:
            _lock(descriptor, self._path)
            yield is_made
        finally:
            os.close(descriptor)

    def remove_folder(self) -> None:
        self._path.rmdir()


class AddressPlace(Place):
    """A folder at an address. Files appear whole, as object stores show them; there is no lock.

    Two runs of one request at once write the same bytes.
    """

    def __init__(self, address: str) -> None:
        self.name = address
        with address_errors(address, "reached", StorageError):
            self._system, root = file_system(address)
        self._root = root.rstrip("/")

    @property
    def path(self) -> str:
        return self.name

    def exists(self) -> bool:
        return self.is_file() or bool(self.names())

    def is_file(self) -> bool:
        with address_errors(self.name, "read", StorageError):
            return bool(self._system.isfile(self._root))

    def names(self) -> list[str]:
        with address_errors(self.name, "read", StorageError):
            self._system.invalidate_cache()  # listings may be older than what a worker wrote
            try:
                found = self._system.ls(self._root, detail=False)
            except FileNotFoundError:
                return []
            names = [str(entry).rstrip("/").rpartition("/")[2] for entry in found]
            return [name for name in names if name and name != self._root.rpartition("/")[2]]

    def size(self, name: str) -> int | None:
        with address_errors(self.name, "read", StorageError):
            try:
                return int(self._system.info(self._file(name))["size"])
            except FileNotFoundError:
                return None

    def open(self, name: str) -> IO[bytes]:
        with address_errors(self.name, "read", StorageError, besides=FileNotFoundError):
            file: IO[bytes] = self._system.open(self._file(name), "rb")
            return file

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        with storage_errors(Path(tempfile.gettempdir())), tempfile.TemporaryDirectory() as folder:
            temporary = Path(folder) / name
            temporary.touch()
            yield temporary
            with address_errors(self.name, "written", StorageError):
                put_file(self._system, temporary, self._file(name))

    def remove(self, name: str) -> None:
        with address_errors(self.name, "written", StorageError), suppress(FileNotFoundError):
            self._system.rm_file(self._file(name))

    @contextmanager
    def held(self) -> Iterator[bool]:
        yield not self.exists()

    def remove_folder(self) -> None:
        with suppress(FileNotFoundError):
            self._system.rmdir(self._root)

    def _file(self, name: str) -> str:
        return f"{self._root}/{name}"


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ParameterError(f"{path}: another run is writing to this folder; wait for its end") from None
    except OSError:
        return  # a file system without locks; parts are whole and equal in any case
