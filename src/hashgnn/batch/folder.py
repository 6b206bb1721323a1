"""``OutputFolder``: the parts of a job, the request that they answer, and the manifest of the whole."""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hashgnn._addresses import path_of
from hashgnn._files import atomic_file, sha256_file, storage_errors
from hashgnn.batch.job import PartJob
from hashgnn.batch.writing import PartRecord, part_name, read_record
from hashgnn.errors import DataError, ParameterError

REQUEST, MANIFEST = "_request.json", "_manifest.json"  # readers of parquet pass over names with an underscore
_KIND, _FORMAT = "hashgnn batch", 1
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+:/")
_TEMPORARY = re.compile(r"\.(part-\d{5,}\.parquet|_request\.json|_manifest\.json)\..*\.tmp")


@dataclass(frozen=True)
class BatchResult:
    """A finished folder.

    Attributes
    ----------
    path : Path
    n_rows : int
        Users or items that were answered.
    n_results : int
        Rows of all files.
    n_empty : int
        Users or items without a result.
    n_parts : int
    n_made : int
        Parts that this run made; the others were there.
    n_bytes : int
        Of all files.
    seconds : float
        Of this run.
    """

    path: Path
    n_rows: int
    n_results: int
    n_empty: int
    n_parts: int
    n_made: int
    n_bytes: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {**asdict(self), "path": str(self.path)}


def output_path(output: str | Path) -> Path:
    """Return the path of an output.

    Raises
    ------
    ParameterError
        If it is an address.
    """
    if _ADDRESS.match(str(output)):
        raise ParameterError(
            f"output must be a folder that every worker sees at its path, got the address {str(output)!r}; "
            "write to a folder, and copy it there"
        )
    return Path(output).expanduser().absolute()


class OutputFolder:
    """The folder of a job, new or with the parts of an earlier run of the same job.

    Parameters
    ----------
    path : Path
    job : PartJob

    Raises
    ------
    ParameterError
        If it is no folder, holds something else, or parts of another request. Nothing is written then.
    """

    def __init__(self, path: Path, job: PartJob) -> None:
        self.path, self._job = path, job
        self._is_new = self._check()
        self._made_folder = False

    def _check(self) -> bool:
        if not self.path.exists():
            return True
        if not self.path.is_dir():
            raise ParameterError(f"{self.path}: must be a folder, this is a file; name a new folder")
        known = _read_identity(self.path)
        if known is None:
            if any(_TEMPORARY.fullmatch(entry.name) is None for entry in self.path.iterdir()):
                raise ParameterError(
                    f"{self.path}: exists and holds no batch of hashgnn; name a new or an empty folder"
                )
            return True
        wanted = json.loads(json.dumps(self._job.identity))
        other = sorted(name for name in {*known, *wanted} if known.get(name) != wanted.get(name))
        if other:
            raise ParameterError(
                f"{self.path}: holds the answers to another request, with another {', '.join(other)}; "
                "name another folder, or remove it"
            )
        return False

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the folder for this run while the block runs.

        Where it ends with an error before any part was made, a new folder is removed again.
        """
        with storage_errors(self.path):
            self._made_folder = not self.path.exists()
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDONLY)
        try:
            _lock(descriptor, self.path)
            self._is_new = self._check()  # another run may have come first
            if self._is_new:
                self._write(REQUEST, {"request": dict(self._job.identity)})
            self._remove_temporary()
            try:
                yield
            except BaseException:
                if self._is_new:
                    self._undo()
                raise
        finally:
            os.close(descriptor)

    def finished_parts(self) -> dict[int, PartRecord]:
        """Return the records of the parts that are there."""
        found = {}
        for number in range(self._job.n_parts):
            path = self.path / part_name(number)
            record = read_record(path, self._job.digest, number) if path.exists() else None
            if record is not None:
                found[number] = record
        return found

    def count_parts(self, numbers: Iterable[int]) -> list[int]:
        """Return those of some parts whose files are there."""
        names = set(os.listdir(self.path))
        return [number for number in numbers if part_name(number) in names]

    def begin(self, numbers: Iterable[int]) -> None:
        """Remove the files of parts that are to be made, and the manifest, which says that none is missing."""
        if (self.path / MANIFEST).exists():
            self._write(REQUEST, {"request": dict(self._job.identity)})
            (self.path / MANIFEST).unlink()
        for number in numbers:
            (self.path / part_name(number)).unlink(missing_ok=True)

    def finish(self, records: Mapping[int, PartRecord], n_made: int, seconds: float) -> BatchResult:
        """Write the manifest over all parts, and return the sums."""
        parts = [records[number] for number in range(self._job.n_parts)]
        sums = {name: sum(part[name] for part in parts) for name in ("rows", "results", "empty", "bytes")}
        files = {
            part_name(part["part"]): {
                name: part[name] for name in ("rows", "results", "empty", "bytes", "sha256")
            }
            for part in parts
        }
        self._write(MANIFEST, {"request": dict(self._job.identity), **sums, "files": files})
        self._remove_temporary()
        with suppress(OSError):
            (self.path / REQUEST).unlink(missing_ok=True)
        return BatchResult(
            path=self.path,
            n_rows=sums["rows"],
            n_results=sums["results"],
            n_empty=sums["empty"],
            n_parts=len(parts),
            n_made=n_made,
            n_bytes=sums["bytes"],
            seconds=seconds,
        )

    def _write(self, name: str, document: Mapping[str, Any]) -> None:
        with atomic_file(self.path / name) as temporary:
            text = json.dumps({"kind": _KIND, "format": _FORMAT, **document}, indent=1, ensure_ascii=False)
            temporary.write_text(text + "\n", encoding="utf-8")

    def _remove_temporary(self) -> None:
        """Remove what killed workers have left."""
        for entry in list(self.path.iterdir()):
            if _TEMPORARY.fullmatch(entry.name):
                with suppress(OSError):
                    entry.unlink()

    def _undo(self) -> None:
        if self.count_parts(range(self._job.n_parts)):
            return
        with suppress(OSError):
            (self.path / REQUEST).unlink(missing_ok=True)
            self._remove_temporary()
            if self._made_folder:
                self.path.rmdir()


def read_manifest(path: str | Path, *, verify: bool = True) -> dict[str, Any]:
    """Return the manifest of a finished folder.

    Parameters
    ----------
    path : str or Path
    verify : bool, default=True
        Compare the checksum of every file, which reads them all; ``False`` compares the sizes.

    Raises
    ------
    DataError
        If the folder is not finished, or a file is missing or differs.
    """
    folder = path_of(path)
    document = _read_json(folder / MANIFEST)
    if document is None:
        state = "is not finished" if (folder / REQUEST).is_file() else "holds no batch of hashgnn"
        raise DataError(f"{folder}: {state}")
    for name, entry in document["files"].items():
        file = folder / name
        if not file.is_file() or file.stat().st_size != entry["bytes"]:
            raise DataError(f"{file}: is missing or has another size than its manifest says")
        if verify and sha256_file(file) != entry["sha256"]:
            raise DataError(f"{file}: its checksum does not match the manifest; the file is damaged")
    return document


def _read_identity(folder: Path) -> dict[str, Any] | None:
    for name in (REQUEST, MANIFEST):
        document = _read_json(folder / name)
        if document is not None and isinstance(document.get("request"), dict):
            return dict(document["request"])
    return None


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_ours = isinstance(document, dict) and document.get("kind") == _KIND
    return document if is_ours else None


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ParameterError(f"{path}: another run is writing to this folder; wait for its end") from None
    except OSError:
        return  # a file system without locks; parts are whole and equal in any case
