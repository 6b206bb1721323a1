"""How a reload that one worker has carried out reaches the other workers of the service, new ones, and other services."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hashgnn._files import atomic_file
from hashgnn.errors import HashGNNError
from hashgnn.serving.models.standing import Standing
from hashgnn.serving.wire.logs import log
from hashgnn.serving.wire.schemas import ReloadRequest

_WARNING = 30
_FILE, _ACTIVE = "reload_request.json", "active_versions.json"


class ReloadMailbox:
    """The last reload request, in a folder that the workers share, or in the store that several services share.

    Parameters
    ----------
    folder : Path or None
        ``None`` where there are no other workers.
    shared : Reloads, optional
        Of a store that other services use.
    """

    def __init__(self, folder: Path | None, shared: Any = None) -> None:
        self._folder, self._shared = folder, shared
        self._path = None if folder is None else folder / _FILE
        self._last_seen = 0

    def post(self, request: ReloadRequest) -> None:
        """Leave a request for the others; a store that cannot be written keeps it from other services."""
        if self._shared is not None:
            try:
                self._last_seen = self._shared.post(request.model_dump_json())
            except HashGNNError as error:
                log(_WARNING, "other services do not hear of a reload", detail=str(error))
            return
        if self._path is None:
            return
        number = 1 + self._read()[0]
        with atomic_file(self._path) as temporary:
            document = {"number": number, "request": request.model_dump()}
            temporary.write_text(json.dumps(document), encoding="utf-8")
        self._last_seen = number

    def unread(self) -> ReloadRequest | None:
        """Return a request that this worker has not seen yet; it counts as seen afterwards."""
        try:
            number, request = self._read()
        except HashGNNError:
            return None  # the store is away, which the service tells elsewhere
        if number == self._last_seen:
            return None
        self._last_seen = number
        return request

    def leave(self, standing: Standing) -> None:
        """Leave what this worker answers with, for a worker that is started later."""
        if self._folder is None:
            return
        document = {
            "current": str(standing.current),
            "next_version": None if standing.next_version is None else str(standing.next_version),
            "share": standing.share,
            "looked_at": standing.looked_at,
        }
        with atomic_file(self._folder / _ACTIVE) as temporary:
            temporary.write_text(json.dumps(document), encoding="utf-8")

    def join(self) -> Standing | None:
        """Return what the other workers answer with, None without any; the last request counts as seen."""
        if self._shared is not None:
            self._last_seen = self._read()[0]
        if self._folder is None or not (self._folder / _ACTIVE).exists():
            return None
        self._last_seen = self._read()[0]
        document = json.loads((self._folder / _ACTIVE).read_text(encoding="utf-8"))
        second, mark = document["next_version"], document["looked_at"]
        return Standing(
            Path(document["current"]),
            None if second is None else Path(second),
            document["share"],
            (mark[0], mark[1]) if isinstance(mark, list) else mark,
        )

    def _read(self) -> tuple[int, ReloadRequest | None]:
        if self._shared is not None:
            number, text = self._shared.last()
            return number, None if text is None else ReloadRequest.model_validate_json(text)
        if self._path is None or not self._path.exists():
            return 0, None
        document = json.loads(self._path.read_text(encoding="utf-8"))
        return document["number"], ReloadRequest(**document["request"])
