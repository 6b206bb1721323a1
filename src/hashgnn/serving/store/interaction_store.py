"""``InteractionStore``: what users did, kept in one SQLite file or in PostgreSQL; the contract of both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol, Self

from hashgnn._addresses import address_of, path_of, scheme_of
from hashgnn._registry import imported
from hashgnn.errors import ParameterError
from hashgnn.serving.store._answers import Receipt, RepeatKey
from hashgnn.serving.store._attributes import AttributeRow
from hashgnn.serving.store._deletions import Deleted
from hashgnn.serving.store.export import Export
from hashgnn.serving.store.new_items import NewItems

_POSTGRES = "hashgnn.serving.store.postgres_store:PostgresStore"
_KINDS = {
    "file": "hashgnn.serving.store.sqlite_store:SQLiteStore",
    "postgresql": _POSTGRES,
    "postgres": _POSTGRES,
}


class Reloads(Protocol):
    """The last request to open other versions, for all services that share a store."""

    def last(self) -> tuple[int, str | None]:
        """Return its number and its text; 0 and None where there was none."""

    def post(self, text: str) -> int:
        """Leave a request for the others, and return its number."""


class InteractionStore(ABC):
    """A list of interactions that survives crashes; open one with :meth:`open`.

    Every method may be called from many threads at once, and several processes may open one store: each sees
    what the others have appended. A store is opened after a fork, not before. Ids are integers or text and
    keep their type; the first append says which, for users and for items.

    Attributes
    ----------
    items : NewItems
        Items that came after the training.
    reloads : Reloads or None
        Requests to open other versions, where several services share the store.
    """

    items: NewItems
    reloads: Reloads | None = None
    is_remote = False
    """Whether a read goes over a network."""

    @classmethod
    def open(cls, place: str | Path, *, make: bool = True) -> InteractionStore:
        """Open the store at a path or an address, or make an empty one.

        Parameters
        ----------
        place : str or Path
            A file, which is checked for damage, or ``postgresql://user@host/database?store=NAME`` (extra
            ``postgres``). Other options are those of libpq, such as ``sslmode``.
        make : bool, default=True
            Whether to make an empty one where there is none.

        Raises
        ------
        DataError
            If it is no store, is damaged, or is of a later version.
        StorageError
            If it cannot be made, reached or opened.
        ParameterError
            If it is another kind of address, an option breaks its rule, or there is none and none is to be made.
        """
        address = address_of(place)
        if address is None:
            path = path_of(place)
            if not make and not path.exists():
                raise ParameterError(f"{path}: there is no such file")
            opened: InteractionStore = imported(_KINDS["file"]).at(path)
            return opened
        if scheme_of(address) not in _KINDS:
            raise ParameterError(
                "interactions must be a file of this machine or an address such as postgresql://user@host/database, "
                f"got one of {scheme_of(address)}://"
            )
        opened = imported(_KINDS[scheme_of(address)]).at(address, make=make)
        return opened

    def __reduce__(self) -> NoReturn:
        raise ParameterError(
            "an InteractionStore cannot be copied or sent to another process; open its path or address there"
        )

    @property
    @abstractmethod
    def name(self) -> str:
        """Its path or address, without a password."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """The id of this store in exports and in the models trained on them."""

    @property
    @abstractmethod
    def count(self) -> int:
        """How many interactions the store holds."""

    @property
    @abstractmethod
    def last(self) -> int:
        """The number of the latest interaction or deletion ever; 0 where there was none.

        Numbers ascend in the order in which writes become visible: whoever has read up to one finds all that comes
        later above it.
        """

    @property
    @abstractmethod
    def kinds(self) -> Mapping[str, str]:
        """``"int"`` or ``"str"`` for ``"users"`` and ``"items"``, as far as the store has seen some."""

    @abstractmethod
    def problem(self) -> str | None:
        """Return why the store cannot be written now, in words for the end of a sentence; None if it can.

        After a write has failed, a small one is tried: the store recovers when what was wrong is gone.
        """

    def append(
        self,
        users: Any,
        items: Any,
        timestamps: Any = None,
        weights: Any = None,
        events: Any = None,
        *,
        seconds: float | None = None,
    ) -> int:
        """Keep some interactions, and return when they are on the disk; as :meth:`write`.

        Returns
        -------
        int
            How many were kept: n.
        """
        return self.write(users, items, timestamps, weights, events, seconds=seconds).accepted

    @abstractmethod
    def write(
        self,
        users: Any,
        items: Any,
        timestamps: Any = None,
        weights: Any = None,
        events: Any = None,
        *,
        seconds: float | None = None,
        key: RepeatKey | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Receipt:
        """Keep some interactions, and return when they are on the disk.

        Callers that wait at the same time share one write to the disk. All rows of a call are kept, or none.
        A call that ends in an error has kept nothing and will keep nothing. There are two exceptions: where the disk
        failed or the file was moved away in the middle of the commit itself, a restart may find its rows; and
        :class:`UnknownOutcomeError` says that a server went away in that moment and did not come back in time.

        Parameters
        ----------
        users, items : list of n ids
            Integers and text as they are; UUIDs, bytes, dates, times and tuples in their printed form.
        timestamps : list of n numbers, optional
            Seconds since 1970, >= 0; ``None`` is now.
        weights : list of n numbers > 0, optional
        events : list of n str or None, optional
            Types of events, such as ``"view"``. What they weigh is decided by who trains on them.
        seconds : float, optional
            How long to wait for other writers; then the call gives up. ``None`` is 30 seconds for those of
            other processes, and no limit for those of this one.
        key : RepeatKey, optional
            For 24 hours a second call with the same key keeps nothing and gets the receipt of the first.
        extra : mapping, optional
            JSON values to keep in the receipt.

        Raises
        ------
        ParameterError
            If a value breaks its rule, ids are of another type than those of the store, or the key was used
            with other content.
        StorageError
            If they could not be written, as on a full disk.
        """

    @abstractmethod
    def write_attributes(self, rows: Iterable[AttributeRow], *, seconds: float | None = None) -> None:
        """Keep new values of items' attributes, and return when they are on the disk; all of them, or none.

        Only the latest value of a column of an item is kept. Callers share writes, as those of :meth:`write`.

        Parameters
        ----------
        rows : iterable of AttributeRow
            Values are JSON text.
        seconds : float, optional
            As for :meth:`write`.

        Raises
        ------
        ParameterError
            If an id is of another type than those of the store.
        StorageError
            If they could not be written.
        """

    @abstractmethod
    def attributes_of(self, items: Sequence[int | str]) -> list[tuple[int, int | str, str, str]]:
        """Return the values of some items, as :meth:`attributes_since` does."""

    @property
    @abstractmethod
    def last_attribute(self) -> int:
        """The number of the latest value of an attribute ever; 0 where there was none."""

    @abstractmethod
    def attributes_since(self, number: int, limit: int) -> list[tuple[int, int | str, str, str]]:
        """Return the values with numbers above one, at most ``limit``: number, item, name and JSON text."""

    @abstractmethod
    def delete(self, user: int | str, item: int | str | None = None, *, seconds: float | None = None) -> int:
        """Remove what a user did, or did with one item, and return how many interactions there were.

        In a file what was removed is overwritten, and in its log as soon as no reader needs that; PostgreSQL
        overwrites it at its next vacuum. The deletion itself is kept, with the id of the user and of the item:
        :meth:`deleted` tells a service what its model must not use any more, and :meth:`export` tells the next
        training. Interactions that come later are kept as usual. To delete what is not there is no error.

        Parameters
        ----------
        user : int or str
        item : int or str, optional
            ``None`` is all of the user's.
        seconds : float, optional
            As for :meth:`write`.

        Raises
        ------
        ParameterError
            If an id is of another type than those of the store.
        StorageError
            If it could not be written; nothing was removed.
        """

    def deleted(self, user: int | str, *, after: int = 0) -> Deleted:
        """Return what was deleted of a user's interactions, by deletions with numbers above ``after``."""
        return self.deletions_of([user], after=after)[0]

    @abstractmethod
    def deletions_of(self, users: Sequence[int | str], *, after: int = 0) -> list[Deleted]:
        """Return what was deleted of some users' interactions, as :meth:`deleted` of each."""

    @abstractmethod
    def has_deletions(self, *, after: int = 0) -> bool:
        """Say whether anything was deleted by a deletion with a number above ``after``."""

    def history(self, user: int | str) -> list[Any]:
        """Return the items of a user, each once, in the order in which they first came."""
        return self.histories([user])[0]

    @abstractmethod
    def histories(self, users: Sequence[int | str]) -> list[list[Any]]:
        """Return the items of some users, as :meth:`history` of each."""

    def recent(self, user: int | str) -> list[tuple[Any, float]]:
        """Return the items of a user with their times in seconds, from the oldest to the newest."""
        return self.recents([user])[0]

    @abstractmethod
    def recents(self, users: Sequence[int | str]) -> list[list[tuple[Any, float]]]:
        """Return the items of some users with their times, as :meth:`recent` of each."""

    @abstractmethod
    def export(self, path: str | Path, *, after: int = 0) -> Export:
        """Write the interactions to a parquet file, which appears whole or not at all.

        Nothing is removed: once a model that was trained on the file answers, call :meth:`clear` with the
        ``upto`` of the result. Its metadata has the deletions too, which :class:`~hashgnn.data.Deletions`
        reads. Interactions with an empty id, which training refuses, are left out and counted.

        Parameters
        ----------
        path : str or Path
        after : int, default=0
            Leave out interactions and deletions up to this number: what an earlier export wrote.

        Returns
        -------
        Export
            Where it has neither interactions nor deletions, no file was written.

        Raises
        ------
        StorageError
            If the file could not be written; what stood at ``path`` is as it was.
        """

    @abstractmethod
    def clear(self, upto: int) -> int:
        """Forget the interactions up to a number, and return how many there were.

        Those that came after an export stay, and so do deletions: an older model may come back. Appends go on
        between the steps of a long removal, and a crash leaves a shorter list.

        Raises
        ------
        ParameterError
            If no interaction with this number was ever appended.
        """

    @abstractmethod
    def close(self) -> None:
        """Close it, after the appends that have begun."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
