"""Which version answers: the current one, perhaps a second for a share of the users, and how they change."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hashgnn.artifact import MANIFEST
from hashgnn.errors import ArtifactError, HashGNNError
from hashgnn.serving.engine import Engine
from hashgnn.serving.versions import Version

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
        Told of every attempt: whether it worked, and a sentence.
    """

    def __init__(
        self, model: Path, open_one: Callable[[Path], Version], on_reload: Callable[[bool, str], None]
    ) -> None:
        self._model, self._open, self._on_reload = model, open_one, on_reload
        self._changing = threading.Lock()
        self._refused: object = None
        self.held: Held | None = None

    def start(self, following: Path | None = None, share: float = 0.0) -> None:
        """Open the first version, and the second where there is one."""
        with self._changing:
            self._mark = _mark(self._current_folder())
            current = Engine(self._open(self._current_folder()))
            second = None if following is None else Engine(self._open(following))
            self.held = Held(current, second, share)

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
            assert self.held is not None
            before = self.held
            try:
                mark = _mark(self._current_folder())
                current = self._version(self._current_folder() if version is None else self._beside(version))
                second = None if following is None else self._version(self._beside(following))
            except HashGNNError as error:
                self._on_reload(False, str(error))
                raise
            self._mark = mark
            self.held = Held(current, second, share if second is not None else 0.0)
            changed = (current, second, self.held.share) != (before.current, before.following, before.share)
            if changed:
                name = current.version.name
                beside = f", {second.version.name} for {share:g} of the users" if second else ""
                self._on_reload(True, f"version {name} answers{beside}")
            return changed

    def look(self) -> bool:
        """Reload if the model's folder or link has changed since; one that was refused is not tried again."""
        held = self.held
        assert held is not None
        try:
            mark = _mark(self._current_folder())
        except HashGNNError as error:
            if self._refused != str(error):
                self._refused = str(error)
                self._on_reload(False, str(error))
            return False
        if mark in (self._mark, self._refused):
            return False
        following = held.following
        try:
            return self.reload(
                following=None if following is None else following.version.name, share=held.share
            )
        except HashGNNError:
            self._refused = mark
            return False

    def _version(self, folder: Path) -> Engine:
        """Return an engine of a folder: one that is held where it is the same, else a new one."""
        assert self.held is not None
        checksum = _mark(folder)
        for engine in (self.held.current, self.held.following):
            if engine is not None and _identity(engine) == (folder.resolve().name, checksum[1]):
                return engine
        return Engine(self._open(folder))

    def _current_folder(self) -> Path:
        link = self._model / CURRENT
        return link if link.exists() or link.is_symlink() else self._model

    def _beside(self, name: str) -> Path:
        parent = self._current_folder().resolve().parent
        if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
            raise ArtifactError(f"a version must be the plain name of a folder, got {name!r:.80}")
        return parent / name


def _mark(folder: Path) -> tuple[str, str]:
    """Return where a folder really is and the digest of its manifest: both differ for a new version."""
    try:
        real = folder.resolve(strict=True)
        return str(real), hashlib.sha256((real / MANIFEST).read_bytes()).hexdigest()
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "it cannot be followed"
        raise ArtifactError(f"{folder}: holds no model that can be read, {reason}") from None


def _identity(engine: Engine) -> tuple[str, str]:
    return engine.version.name, engine.version.manifest_digest


def _place(user: int | str) -> float:
    """Return where a user stands in [0, 1), evenly spread and the same in every process."""
    digest = hashlib.blake2b(f"{type(user).__name__}:{user}".encode("utf-8", "replace"), digest_size=8)
    return int.from_bytes(digest.digest(), "big") / 2**64
