"""Files that appear whole or not at all: write next to the target, fsync, rename."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from hashgnn._locks import has_name, locked
from hashgnn.errors import HashGNNError, ParameterError, StorageError

_LONG_NAME = 200  # bytes; a file system takes 255
_ASIDE, _TEMPORARY = ".old", ".tmp"
_AT_FDCWD = -100  # names are relative to the working directory
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS


def open_regular(path: Path, *, follow: bool = True) -> BufferedReader:
    """Open a regular file to read, without waiting for whoever would write to a pipe.

    Parameters
    ----------
    path : Path
    follow : bool, default=True
        Follow a link at ``path``; ``False`` refuses one.

    Raises
    ------
    OSError
        If it cannot be opened, is no regular file, or is a link that is not to be followed.
    """
    _check_regular(path, os.stat(path, follow_symlinks=follow))
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags if follow else flags | getattr(os, "O_NOFOLLOW", 0))
    try:
        _check_regular(path, os.fstat(descriptor))  # another file may have taken its place
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _check_regular(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        what = "it is a link" if stat.S_ISLNK(status.st_mode) else "it is no regular file"
        raise OSError(errno.EINVAL, what, str(path))


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Force a file or a folder's entries to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_entries(folder: Path) -> None:
    """Force a folder's entries to disk after a rename, where the file system can.

    A failure is no failure of the write: the new name stands, and a crash shows the old or the new one.
    """
    with suppress(OSError):
        sync(folder)


def check_writable(path: Path) -> None:
    """Raise before any work if a new file or folder could not be written at its end.

    Raises
    ------
    ParameterError
        If ``path`` has no name, or the nearest folder above it that exists is a file or may not be written.
    """
    if not path.name:
        raise ParameterError(f"--output must name a file or folder to make, got {str(path)!r}")
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise ParameterError(f"{path}: cannot be made, {parent} is not a folder that may be written")


def check_writable_file(path: Path) -> None:
    """Raise as :func:`check_writable` does, and where ``path`` is a folder."""
    check_writable(path)
    if path.is_dir():
        raise ParameterError(f"{path}: must be a file to write, and is a folder")


@contextmanager
def atomic_file(path: Path, *, replace: bool = True) -> Iterator[Path]:
    """Yield a temporary path next to ``path``; when the block ends well it replaces ``path``.

    On any error the temporary file is removed and ``path`` stays as it was; so are folders that were made for
    it. An ``OSError`` (a full disk, a missing permission) becomes :class:`~hashgnn.errors.StorageError`.

    Parameters
    ----------
    path : Path
    replace : bool, default=True
        ``False`` takes the place of nothing, also of a file that another process writes meanwhile.
    """
    with storage_errors(path), _made_folders(path.parent):
        temporary, lock = _new_temporary(path, folder=False)
        try:
            yield temporary
            # mkstemp makes the file private; give it what an ordinary file would have had.
            temporary.chmod(0o666 & ~_umask())
            sync(temporary)
            if replace:
                temporary.replace(path)
            else:
                _take_free_name(temporary, path)
            _sync_entries(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
            os.close(lock)


@contextmanager
def _made_folders(folder: Path) -> Iterator[None]:
    """Make a folder and those above it; where the block fails, remove those that were made and are empty."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):
            for made in missing:
                made.rmdir()
        raise


def _take_free_name(file: Path, path: Path) -> None:
    """Give a file a name that nothing has, in one step where the file system has links."""
    try:
        os.link(file, path)
    except FileExistsError:
        raise
    except OSError:
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        file.replace(path)


@contextmanager
def atomic_directory(path: Path, *, replace: bool = True) -> Iterator[Path]:
    """Yield a temporary folder next to ``path``; when the block ends well it takes its place.

    On Linux and macOS an existing folder is exchanged with the new one in a single step. A crash or a
    reader then finds either the old or the new one, at any moment. Elsewhere the old one is moved aside first,
    under a name that :func:`set_aside` finds, and removed only after the new one stands.

    Parameters
    ----------
    path : Path
    replace : bool, default=True
        ``False`` takes the place of nothing but an empty folder, also where another process fills it meanwhile.

    Raises
    ------
    StorageError
        If it cannot be written, or ``replace`` is false and ``path`` holds something by now.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary, lock = _new_temporary(path, folder=True)
        aside = temporary.with_suffix(_ASIDE)
        try:
            try:
                yield temporary
            except StorageError as error:
                # A file of the hidden folder failed; the message must name the requested folder.
                raise error.__cause__ if isinstance(error.__cause__, OSError) else error from None
            for child in temporary.rglob("*"):
                sync(child)
            temporary.chmod(0o777 & ~_umask())
            sync(temporary)
            if not _moved(temporary, path):
                if not replace:
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
                if not _exchange(temporary, path):
                    path.rename(aside)
                    try:
                        temporary.rename(path)
                    except OSError:
                        aside.rename(path)
                        raise
            _sync_entries(path.parent)
            for old in _old_folders(path):
                shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            os.close(lock)


@contextmanager
def scratch_directory(path: Path) -> Iterator[Path]:
    """Yield an empty folder next to ``path`` for files that are removed with it when the block ends.

    What a killed process left is removed by whoever writes to ``path`` next.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary, lock = _new_temporary(path, folder=True)
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            os.close(lock)


def _new_temporary(path: Path, *, folder: bool) -> tuple[Path, int]:
    """Make a temporary file or folder next to ``path``; return it with the descriptor that locks it.

    What killed processes left of the same kind is removed: nobody holds its lock.
    """
    prefix = _hidden_prefix(path)
    with os.scandir(path.parent) as entries:
        left = [
            entry for entry in entries if entry.name.startswith(prefix) and entry.name.endswith(_TEMPORARY)
        ]
    for entry in left:
        _remove_abandoned(Path(entry.path))
    while True:
        # Another process may take it for one that was left, until it is locked.
        if folder:
            temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=prefix, suffix=_TEMPORARY))
            try:
                descriptor = os.open(temporary, os.O_RDONLY)
            except FileNotFoundError:
                continue
        else:
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=_TEMPORARY)
            temporary = Path(name)
        if locked(descriptor) is not False and has_name(descriptor, temporary):
            return temporary, descriptor
        os.close(descriptor)


def _hidden_prefix(path: Path) -> str:
    """Return how the hidden neighbours of a path begin; a long name is cut, so that theirs are not too long."""
    raw = os.fsencode(path.name)
    if len(raw) <= _LONG_NAME:
        return f".{path.name}."
    return f".{path.name[:40]}-{hashlib.sha256(raw).hexdigest()[:16]}."


def _remove_abandoned(temporary: Path) -> None:
    with suppress(OSError):
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(temporary, flags)
        try:
            if locked(descriptor):
                if temporary.is_dir():
                    shutil.rmtree(temporary, ignore_errors=True)
                else:
                    temporary.unlink()
        finally:
            os.close(descriptor)


def set_aside(path: Path) -> Path | None:
    """Return the old folder that a crash of :func:`atomic_directory` left next to a missing ``path``."""
    return None if path.exists() else next(iter(_old_folders(path)), None)


def _old_folders(path: Path) -> list[Path]:
    if not path.parent.is_dir():
        return []
    entries = sorted(path.parent.iterdir())
    return [
        entry for entry in entries if entry.name.startswith(_hidden_prefix(path)) and entry.suffix == _ASIDE
    ]


def _moved(folder: Path, path: Path) -> bool:
    """Give a folder the name ``path``; False where the name has content."""
    try:
        folder.rename(path)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            return False
        raise
    return True


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one system call; False where the system or file system cannot."""
    names = (os.fsencode(one), os.fsencode(other))
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "linux" and hasattr(library, "renameat2"):
        return bool(library.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _EXCHANGE) == 0)
    if sys.platform == "darwin" and hasattr(library, "renamex_np"):
        return bool(library.renamex_np(*names, _EXCHANGE) == 0)
    return False


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` of the block into one sentence about ``path``."""
    try:
        yield
    except HashGNNError:
        raise  # already a sentence of our own
    except OSError as error:
        reason = (
            "the disk is full"
            if error.errno in (errno.ENOSPC, errno.EDQUOT)
            else (os.strerror(error.errno) if error.errno else str(error))
        )
        raise StorageError(f"{path}: could not be written, {reason}; nothing was changed") from error


def drop_cut_line(path: Path, begins: bytes = b"") -> int:
    """Remove the end of a file of lines after its last line end: a line that a kill or a full disk cut.

    A remainder that does not begin as the lines do is no line of ours; it stays, and gets a line end.

    Parameters
    ----------
    path : Path
    begins : bytes, default=b""
        How each line begins.

    Returns
    -------
    int
        Bytes that were removed.
    """
    with storage_errors(path), path.open("r+b") as file:
        content = file.read()
        cut = content[content.rfind(b"\n") + 1 :]
        if not cut:
            return 0
        if not (cut.startswith(begins) or begins.startswith(cut)):
            file.write(b"\n")
            return 0
        file.truncate(len(content) - len(cut))
        return len(cut)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
