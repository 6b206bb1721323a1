"""``Deletions``: users and interactions that are to be forgotten."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from hashgnn._addresses import path_of
from hashgnn._files import open_regular
from hashgnn.errors import DataError

Id: TypeAlias = int | str

METADATA_KEY = b"hashgnn_deleted"


@dataclass(frozen=True)
class Deletions:
    """Users and interactions that no model shall be trained on any more.

    A deletion has a number in the order in which its store received interactions and deletions. It is of what
    came before it: a user may come back.

    Attributes
    ----------
    users : tuple of (number, user)
        Users all of whose interactions were deleted.
    pairs : tuple of (number, user, item)
        Single interactions that were deleted.

    Examples
    --------
    >>> deletions = Deletions(users=((3, "ann"),), pairs=((7, "bob", "i7"),))
    >>> len(deletions), deletions.after(3)
    (2, Deletions(users=(), pairs=((7, 'bob', 'i7'),)))
    """

    users: tuple[tuple[int, Id], ...] = ()
    pairs: tuple[tuple[int, Id, Id], ...] = ()

    def __len__(self) -> int:
        return len(self.users) + len(self.pairs)

    def after(self, number: int) -> Deletions:
        """Return those with larger numbers: what a model has not heard of that was trained up to a number."""
        return Deletions(
            tuple(entry for entry in self.users if entry[0] > number),
            tuple(entry for entry in self.pairs if entry[0] > number),
        )

    @classmethod
    def read(cls, path: str | Path) -> Deletions:
        """Return the deletions in a file that a store exported; none of any other file.

        Raises
        ------
        DataError
            If the file holds deletions that cannot be read.
        """
        try:
            with open_regular(path_of(path)) as file:
                metadata = pq.read_schema(file).metadata or {}
        except (pa.ArrowException, OSError):
            return cls()  # it is no parquet; whoever reads its rows says what is wrong with it
        text = metadata.get(METADATA_KEY)
        if text is None:
            return cls()
        try:
            document = json.loads(text)
            users = tuple((_number(number), _id(user)) for number, user in document["users"])
            pairs = tuple((_number(number), _id(user), _id(item)) for number, user, item in document["pairs"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise DataError(
                f"{path}: its deletions must be lists of numbers and ids, got others; export it again"
            ) from None
        return cls(users, pairs)

    def to_metadata(self) -> dict[bytes, bytes]:
        """Return the entry for the metadata of a parquet file, none where nothing was deleted."""
        if not self:
            return {}
        return {METADATA_KEY: json.dumps({"users": self.users, "pairs": self.pairs}).encode()}


def _number(value: object) -> int:
    if type(value) is not int:
        raise TypeError
    return value


def _id(value: object) -> Id:
    if type(value) not in (int, str):
        raise TypeError
    assert isinstance(value, int | str)
    return value
