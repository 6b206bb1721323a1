"""Which version answers: the current one, perhaps a second for a share of the users, and how they change."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from hashgnn._files import open_regular
from hashgnn.errors import ArtifactError, HashGNNError
from hashgnn.serving.models.memory import release_memory
from hashgnn.serving.models.opening import Opener, Refusal, VersionRefusedError
from hashgnn.serving.models.standing import Standing
from hashgnn.serving.wire.schemas import ReloadRequest
from hashgnn.state.artifact import MANIFEST

CURRENT = "current"

_TAIL = 256  # bytes of a manifest that hold its last entry
_CHECKSUM = re.compile(rb'"checksum": "([0-9a-f]{64})"\s*\}\s*\Z')


class Version(Protocol):
    """The interface of a version to its manager."""

    @property
    def name(self) -> str:
        """The name of its folder."""

    @property
    def mark(self) -> tuple[str, str]:
        """The value of :func:`folder_mark` while the folder holds this version."""


V = TypeVar("V", bound=Version)


@dataclass(frozen=True, eq=False)
class ActiveVersions(Generic[V]):
    """The versions that answer at one moment; replaced as a whole, never changed.

    Attributes
    ----------
    current : Version
    next_version : Version or None
        A second version, which answers a share of the users.
    share : float
    """

    current: V
    next_version: V | None = None
    share: float = 0.0

    def of_user(self, user: int | str) -> V:
        """Return the version that answers a user: always the same one while the share stays.

        A larger share moves more users to the second version, and none back.
        """
        if self.next_version is None or _place(user) >= self.share:
            return self.current
        return self.next_version


class VersionManager(Generic[V]):
    """Opens versions and makes them active; a version that cannot be opened changes nothing.

    Parameters
    ----------
    model : Path
        Folder of a saved model, or a folder with a link ``current`` to one.
    opener : Opener
    id_fault : callable
        Takes a new version and the current one. It returns why the ids of callers would not be valid, or None.
    on_reload : callable
        Called after every attempt that changed something or failed, with a sentence, and the kind of the refusal
        where there is one.
    allow_new_ids : bool, default=False
        Take every version whatever its ids are.
    """

    def __init__(
        self,
        model: Path,
        opener: Opener[V],
        id_fault: Callable[[V, V], str | None],
        on_reload: Callable[[str, Refusal | None], None],
        *,
        allow_new_ids: bool = False,
    ) -> None:
        self._model, self._opener, self._on_reload = model, opener, on_reload
        self._id_fault, self._allow_new_ids = id_fault, allow_new_ids
        self._changing = threading.Lock()
        self.looked_at: tuple[str, str] | str = ""
        self.active: ActiveVersions[V] | None = None

    def start(
        self,
        next_version: Path | None = None,
        share: float = 0.0,
        *,
        instead: Standing | None = None,
    ) -> None:
        """Open the first version, and the second where there is one.

        Parameters
        ----------
        next_version : Path, optional
        share : float, default=0
        instead : Standing, optional
            What the other workers of the service answer with. It is taken where it can be opened, so that a new
            worker does not serve what the others have refused.

        Raises
        ------
        HashGNNError
            If a version cannot be used.
        """
        with self._changing:
            if instead is not None:
                try:
                    self._start(instead.current, instead.next_version, instead.share, is_accepted=True)
                    self.looked_at = instead.looked_at
                    return
                except HashGNNError:
                    pass  # those folders are gone; what the settings name is opened
            self._start(self._current_folder(), next_version, share)

    def _start(
        self, folder: Path, next_folder: Path | None, share: float, *, is_accepted: bool = False
    ) -> None:
        # A folder that changes while it is opened differs from this mark, and is looked at again.
        self.looked_at = folder_mark(folder)
        current = self._opener.at_start(folder)
        second = None if next_folder is None else self._opener.at_start(next_folder)
        if second is not None and not is_accepted:
            self._check_ids(second, current)
        self.active = ActiveVersions(current, second, share if second is not None else 0.0)

    def reload(self, request: ReloadRequest) -> bool:
        """Make the requested versions active; return whether anything changed.

        Parameters
        ----------
        request : ReloadRequest
            ``version`` and ``next_version`` name folders in the folder of the current version. Without
            ``version`` the model's path is opened. Without ``next_version`` the second version is dropped.

        Raises
        ------
        HashGNNError
            If a version cannot be used; the active ones stay.
        """

        def second() -> V | None:
            return None if request.next_version is None else self._named(request.next_version)

        with self._changing:
            return self._change(request.version, second, request.share, allow_new_ids=request.allow_new_ids)

    def check_for_update(self) -> bool:
        """Reload if the model's folder or link has changed; one that was refused is not tried again."""
        with self._changing:
            assert self.active is not None
            try:
                mark: tuple[str, str] | str = folder_mark(self._current_folder())
            except HashGNNError as error:
                mark = str(error)
            if mark == self.looked_at:
                return False
            self.looked_at = mark
            try:
                return self._change(None, self._second, self.active.share)
            except HashGNNError:
                return False

    def _second(self) -> V | None:
        """Return the second version that is active."""
        assert self.active is not None
        return self.active.next_version

    def close(self) -> None:
        """End an opening that runs."""
        self._opener.close()

    def _change(
        self,
        version: str | None,
        second: Callable[[], V | None],
        share: float,
        *,
        allow_new_ids: bool = False,
    ) -> bool:
        assert self.active is not None
        before = self.active
        try:
            current = self._version(self._current_folder()) if version is None else self._named(version)
            next_version = second()
            for opened in (current, next_version):
                if opened not in (None, before.current, before.next_version) and not allow_new_ids:
                    assert opened is not None
                    self._check_ids(opened, before.current)
        except HashGNNError as error:
            refusal = error.refusal if isinstance(error, VersionRefusedError) else Refusal.MODEL
            self._on_reload(str(error), refusal)
            raise
        if next_version is current:
            next_version = None
        share = share if next_version is not None else 0.0
        if (current, next_version, share) == (before.current, before.next_version, before.share):
            return False
        self.active = ActiveVersions(current, next_version, share)
        del before, opened
        release_memory()
        also = f", {next_version.name} answers {share:g} of the users" if next_version is not None else ""
        self._on_reload(f"{current.name} answers{also}", None)
        return True

    def _check_ids(self, new: V, old: V) -> None:
        """Refuse a version in which the ids of the callers of the old one are not valid."""
        if self._allow_new_ids:
            return
        fault = self._id_fault(new, old)
        if fault is not None:
            raise VersionRefusedError(
                f"{new.name} is refused, {fault}; allow_new_ids takes it all the same", Refusal.IDS
            )

    def _named(self, name: str) -> V:
        """Return a version by the name of its folder, which lies in the same folder as the current one."""
        if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
            raise ArtifactError(f"a version must be the plain name of a folder, got {name!r:.80}")
        return self._version(self._current_folder().resolve().parent / name)

    def _version(self, folder: Path) -> V:
        """Return the active version of a folder, where it has not changed; else open it."""
        assert self.active is not None
        mark = folder_mark(folder)
        for version in (self.active.current, self.active.next_version):
            if version is not None and version.mark == mark:
                return version
        return self._opener.open(folder)

    def _current_folder(self) -> Path:
        link = self._model / CURRENT
        return link if link.is_symlink() or link.is_dir() else self._model


def folder_mark(folder: Path) -> tuple[str, str]:
    """Return where a folder really is and the checksum that its manifest ends with.

    Another version differs in one of them. Nothing is verified, and the rest of the manifest is not read.

    Raises
    ------
    ArtifactError
        If there is no manifest that can be read.
    """
    try:
        real = folder.resolve(strict=True)
        with open_regular(real / MANIFEST, follow=False) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            tail = file.read()
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "its links form a loop"
        raise ArtifactError(f"{folder}: holds no model that can be read, {reason}") from None
    found = _CHECKSUM.search(tail)
    # A manifest without a checksum belongs to no version, but it must differ from one that was refused before.
    return str(real), found[1].decode() if found else repr(tail)


def _place(user: int | str) -> float:
    """Return where a user stands in [0, 1), evenly spread and the same in every process."""
    text = f"{type(user).__name__}:{user}".encode("utf-8", "replace")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") / 2**64
