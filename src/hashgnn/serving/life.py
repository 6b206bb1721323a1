"""Which version answers: the current one, perhaps a second for a share of the users, and how they change."""

from __future__ import annotations

import ctypes
import gc
import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hashgnn.errors import ArtifactError, HashGNNError
from hashgnn.serving.engine import Engine
from hashgnn.serving.versions import Version, folder_mark

CURRENT = "current"


@dataclass(frozen=True, eq=False)
class Held:
    """The versions that answer at one moment; replaced as a whole, never changed.

    Attributes
    ----------
    current : Engine
    following : Engine or None
        A second version, which answers a share of the users.
    share : float
    """

    current: Engine
    following: Engine | None = None
    share: float = 0.0

    def of_user(self, user: int | str) -> Engine:
        """Return the version that answers a user: always the same one while the share stays.

        A larger share moves more users to the second version, and none back.
        """
        if self.following is None or _place(user) >= self.share:
            return self.current
        return self.following


class Life:
    """Opens versions, tries them out and puts them in place; a bad one changes nothing.

    Parameters
    ----------
    model : Path
        Folder of a saved model, or a folder with a link ``current`` to one.
    open_one : callable
        Opens a folder as a :class:`Version`.
    on_reload : callable
        Told of every attempt that changed or failed: whether it worked, and a sentence.
    """

    def __init__(
        self, model: Path, open_one: Callable[[Path], Version], on_reload: Callable[[bool, str], None]
    ) -> None:
        self._model, self._open, self._on_reload = model, open_one, on_reload
        self._changing = threading.Lock()
        self._seen: object = None
        self.held: Held | None = None

    def start(self, following: Path | None = None, share: float = 0.0) -> None:
        """Open the first version, and the second where there is one."""
        with self._changing:
            folder = self._current_folder()
            self._seen = folder_mark(folder)
            current = Engine(self._open(folder))
            self.held = Held(current, None if following is None else Engine(self._open(following)), share)

    def reload(self, version: str | None = None, following: str | None = None, share: float = 0.0) -> bool:
        """Put another version in place, and a second one beside it; return whether anything changed.

        Parameters
        ----------
        version : str, optional
            Name of a folder beside the current one; ``None`` opens what stands at the model's path.
        following : str, optional
            Name of a second version; ``None`` drops the one that is held.
        share : float

        Raises
        ------
        HashGNNError
            If a version cannot be used; what was held goes on.
        """
        with self._changing:
            return self._change(version, lambda: None if following is None else self._named(following), share)

    def look(self) -> bool:
        """Reload if the model's folder or link has changed; one that was refused is not tried again."""
        with self._changing:
            assert self.held is not None
            held = self.held
            try:
                mark: object = folder_mark(self._current_folder())
            except HashGNNError as error:
                mark = str(error)
            if mark == self._seen:
                return False
            self._seen = mark
            try:
                return self._change(None, lambda: held.following, held.share)
            except HashGNNError:
                return False

    def _change(self, version: str | None, following: Callable[[], Engine | None], share: float) -> bool:
        assert self.held is not None
        before = self.held
        try:
            current = self._engine(self._current_folder()) if version is None else self._named(version)
            second = following()
        except HashGNNError as error:
            self._on_reload(False, str(error))
            raise
        if second is current:
            second = None
        after = Held(current, second, share if second is not None else 0.0)
        if (after.current, after.following, after.share) == (before.current, before.following, before.share):
            return False
        self.held = after
        del before
        _give_back_memory()
        beside = f", {second.version.name} answers {after.share:g} of the users" if second else ""
        self._on_reload(True, f"{current.version.name} answers{beside}")
        return True

    def _named(self, name: str) -> Engine:
        """Return a version by the name of its folder, beside the current one."""
        if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
            raise ArtifactError(f"a version must be the plain name of a folder, got {name!r:.80}")
        return self._engine(self._current_folder().resolve().parent / name)

    def _engine(self, folder: Path) -> Engine:
        """Return what is held of a folder, where it has not changed; else open it."""
        assert self.held is not None
        mark = folder_mark(folder)
        for engine in (self.held.current, self.held.following):
            if engine is not None and engine.version.mark == mark:
                return engine
        return Engine(self._open(folder))

    def _current_folder(self) -> Path:
        link = self._model / CURRENT
        return link if link.is_symlink() or link.is_dir() else self._model


def _give_back_memory() -> None:
    """Return to the system what opening a version took for a while, where the C library can."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _place(user: int | str) -> float:
    """Return where a user stands in [0, 1), evenly spread and the same in every process."""
    text = f"{type(user).__name__}:{user}".encode("utf-8", "replace")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") / 2**64
