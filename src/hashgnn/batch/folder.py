"""``OutputFolder``: the parts of a job, the request that they answer, and the manifest of the whole."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hashgnn.batch.job import PartJob
from hashgnn.batch.place import Place, place_of
from hashgnn.batch.writing import PartRecord, checksum_at, part_name, read_record
from hashgnn.errors import DataError, ParameterError, StorageError

REQUEST, MANIFEST = "_request.json", "_manifest.json"  # readers of parquet pass over names with an underscore
_KIND, _FORMAT = "hashgnn batch", 1
_PARTS = re.compile(r"part-\d{5,}\.parquet")
_TEMPORARY = re.compile(r"\.(part-\d{5,}\.parquet|_request\.json|_manifest\.json)\..*\.tmp")


@dataclass(frozen=True)
class BatchResult:
    """A finished folder.

    Attributes
    ----------
    path : Path, or str for an address
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

    path: Path | str
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


class OutputFolder:
    """The folder of a job, new or with the parts of an earlier run of the same job.

    Parameters
    ----------
    folder : str or Path
        A path or an address.
    job : PartJob
    overwrite : bool, default=False
        Replace the answers to another request. A folder that holds something else is never changed.

    Raises
    ------
    ParameterError
        If it is no folder, holds something else, or parts of another request. Nothing is written then.
    """

    def __init__(self, folder: str | Path, job: PartJob, *, overwrite: bool = False) -> None:
        self.place, self._job, self._overwrite = place_of(folder), job, overwrite
        self._is_new = self._check()
        self._made_folder = False

    def _check(self) -> bool:
        place = self.place
        if not place.exists():
            return True
        if place.is_file():
            raise ParameterError(f"{place.name}: must be a folder, this is a file; name a new folder")
        known = _read_identity(place)
        if known is None:
            if any(_TEMPORARY.fullmatch(name) is None for name in place.names()):
                raise ParameterError(
                    f"{place.name}: exists and holds no batch of hashgnn; name a new or an empty folder"
                )
            return True
        wanted = json.loads(json.dumps(self._job.identity))
        other = sorted(name for name in {*known, *wanted} if known.get(name) != wanted.get(name))
        if other and not self._overwrite:
            raise ParameterError(
                f"{place.name}: holds the answers to another request, with another {', '.join(other)}; "
                "name another folder, or pass overwrite=True to replace it"
            )
        return bool(other)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the folder for this run while the block runs.

        Where it ends with an error before any part was made, a new folder is removed again.
        """
        with self.place.held() as self._made_folder:
            self._is_new = self._check()  # another run may have come first
            if self._is_new:
                self._clear()
                self._write(REQUEST, {"request": dict(self._job.identity)})
            self._remove_temporary()
            try:
                yield
            except BaseException:
                if self._is_new:
                    self._undo()
                raise

    def finished_parts(self) -> dict[int, PartRecord]:
        """Return the records of the parts that are there."""
        found, there = {}, set(self.count_parts(range(self._job.n_parts)))
        for number in sorted(there):
            record = read_record(self.place, self._job.digest, number)
            if record is not None:
                found[number] = record
        return found

    def count_parts(self, numbers: Iterable[int]) -> list[int]:
        """Return those of some parts whose files are there."""
        names = set(self.place.names())
        return [number for number in numbers if part_name(number) in names]

    def begin(self, numbers: Iterable[int]) -> None:
        """Remove the files of parts that are to be made, and the manifest, which says that none is missing."""
        there = set(self.place.names())
        if MANIFEST in there:
            self._write(REQUEST, {"request": dict(self._job.identity)})
            self.place.remove(MANIFEST)
        for number in numbers:
            if part_name(number) in there:
                self.place.remove(part_name(number))

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
        with suppress(OSError, StorageError):
            self.place.remove(REQUEST)
        return BatchResult(
            path=self.place.path,
            n_rows=sums["rows"],
            n_results=sums["results"],
            n_empty=sums["empty"],
            n_parts=len(parts),
            n_made=n_made,
            n_bytes=sums["bytes"],
            seconds=seconds,
        )

    def _write(self, name: str, document: Mapping[str, Any]) -> None:
        with self.place.writing(name) as temporary:
            text = json.dumps({"kind": _KIND, "format": _FORMAT, **document}, indent=1, ensure_ascii=False)
            temporary.write_text(text + "\n", encoding="utf-8")

    def _remove_temporary(self) -> None:
        """Remove what killed workers have left."""
        self._remove(_TEMPORARY)

    def _clear(self) -> None:
        """Remove the answers to another request; the file that says whose they are goes last."""
        self._remove(_PARTS)
        for name in (MANIFEST, REQUEST):
            self.place.remove(name)

    def _remove(self, pattern: re.Pattern[str]) -> None:
        for name in self.place.names():
            if pattern.fullmatch(name):
                with suppress(OSError, StorageError):
                    self.place.remove(name)

    def _undo(self) -> None:
        if self.count_parts(range(self._job.n_parts)):
            return
        with suppress(OSError, StorageError):
            self.place.remove(REQUEST)
            self._remove_temporary()
            if self._made_folder:
                self.place.remove_folder()


def unfinished_request(folder: str | Path) -> dict[str, Any] | None:
    """Return the identity of the job whose run in a folder was stopped; ``None`` where there is none."""
    place = place_of(folder)
    document = _read_json(place, REQUEST) if place.exists() and not place.is_file() else None
    request = None if document is None else document.get("request")
    return request if isinstance(request, dict) else None


def remove_batch(folder: str | Path) -> None:
    """Remove the files of a batch, and the folder where nothing else is in it."""
    place = place_of(folder)
    for name in [name for name in place.names() if _PARTS.fullmatch(name)] + [MANIFEST, REQUEST]:
        place.remove(name)
    with suppress(OSError, StorageError):
        place.remove_folder()


def read_manifest(path: str | Path, *, verify: bool = True) -> dict[str, Any]:
    """Return the manifest of a finished folder.

    Parameters
    ----------
    path : str or Path
        A folder, or its address.
    verify : bool, default=True
        Compare the checksum of every file, which reads them all; ``False`` compares the sizes.

    Raises
    ------
    DataError
        If the folder is not finished, or a file is missing or differs.
    """
    place = place_of(path)
    document = _read_json(place, MANIFEST)
    if document is None:
        unfinished = _read_json(place, REQUEST) is not None
        raise DataError(f"{path}: {'is not finished' if unfinished else 'holds no batch of hashgnn'}")
    for name, entry in document["files"].items():
        if place.size(name) != entry["bytes"]:
            raise DataError(f"{path}/{name}: is missing or has another size than its manifest says")
        if verify and checksum_at(place, name) != entry["sha256"]:
            raise DataError(f"{path}/{name}: its checksum does not match the manifest; the file is damaged")
    return document


def _read_identity(place: Place) -> dict[str, Any] | None:
    for name in (REQUEST, MANIFEST):
        document = _read_json(place, name)
        if document is not None and isinstance(document.get("request"), dict):
            return dict(document["request"])
    return None


def _read_json(place: Place, name: str) -> dict[str, Any] | None:
    try:
        document = json.loads(place.read(name) or b"")
    except ValueError:
        return None
    is_ours = isinstance(document, dict) and document.get("kind") == _KIND
    return document if is_ours else None
