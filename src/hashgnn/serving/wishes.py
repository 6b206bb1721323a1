"""How the workers of one service come to hold the same versions: what one was asked for, the others read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from hashgnn._files import atomic_file

_FILE = "wish.json"


@dataclass(frozen=True)
class Wish:
    """A reload that one worker has carried out."""

    serial: int
    version: str | None
    following: str | None
    share: float


class Wishes:
    """The last wish in a folder that the workers share.

    Parameters
    ----------
    folder : Path or None
        ``None`` where there are no other workers.
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / _FILE
        self._serial = 0

    def tell(self, version: str | None, following: str | None, share: float) -> None:
        """Leave a wish for the other workers."""
        if self._path is None:
            return
        last = self._read()
        wish = Wish(1 if last is None else last.serial + 1, version, following, share)
        with atomic_file(self._path) as temporary:
            temporary.write_text(json.dumps(asdict(wish)), encoding="utf-8")
        self._serial = wish.serial

    def unread(self) -> Wish | None:
        """Return a wish that this worker has not seen yet."""
        wish = self._read()
        if wish is None or wish.serial == self._serial:
            return None
        self._serial = wish.serial
        return wish

    def _read(self) -> Wish | None:
        if self._path is None or not self._path.exists():
            return None
        return Wish(**json.loads(self._path.read_text(encoding="utf-8")))
