"""Reasons of results as JSON: because of which items of a history each item is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from hashgnn._json_text import dumps
from hashgnn._types import Array
from hashgnn.answering import FittedModel, Queries
from hashgnn.answering.queries import SOURCES
from hashgnn.answering.reasons import Reasons, note_of, reasons_of
from hashgnn.errors import ParameterError
from hashgnn.ranking import Matches
from hashgnn.serving.models.item_metadata import ItemMetadata, documents_of
from hashgnn.serving.wire.errors import Reason, RequestError
from hashgnn.serving.wire.json_ids import IdWriter

MAX_RESULTS = 10_000  # results of one request that may have reasons

_BLOCK = 64  # items at a time, so that a long history takes little memory


class Version(Protocol):
    """The part of a version of the model that explaining needs."""

    @property
    def name(self) -> str:
        """The name of its folder."""

    @property
    def fitted(self) -> FittedModel:
        """The model."""

    @property
    def item_ids(self) -> IdWriter:
        """Writes the ids of its items."""

    @property
    def metadata(self) -> ItemMetadata | None:
        """Metadata of its items."""


def check_results(n_rows: int, k: int) -> None:
    """Refuse a request for reasons of too many results."""
    if n_rows * k > MAX_RESULTS:
        raise RequestError(
            Reason.INVALID,
            f"rows times k must be at most {MAX_RESULTS} with explain, got {n_rows} times {k}; send smaller batches",
        )


def reasons_of_matches(
    version: Version,
    queries: Queries,
    found: Matches,
    search: str,
    n: int,
    user_index: Array | None,
    check: Callable[[], None],
) -> tuple[list[str], list[bytes]]:
    """Return the kind of each row's explanation, and for each result the text ``,"reasons":[…]``.

    Parameters
    ----------
    version : Version
    queries : Queries
    found : Matches
        The results of each query.
    search : str
    n : int
        Reasons of each result.
    user_index : ndarray of shape (n_rows,), int64, or None
        The user of each row in the model; ``None`` for histories.
    check : callable
        Called between rows; what it raises ends the work.
    """
    kinds: list[str] = []
    texts: list[bytes] = []
    for row, count in enumerate(found.counts.tolist()):
        check()
        user = -1 if user_index is None else int(user_index[row])
        parts = _in_blocks(version, queries, row, found.positions[row, :count], search, user, check)
        kinds.append(parts[0].kind)
        for part in parts:
            texts += [b',"reasons":[%b]' % b",".join(pieces) for pieces in _pieces(version, part, n)]
    return kinds, texts


def explained(version: Version, queries: Queries, items: Array, search: str, n: int, user: int) -> bytes:
    """Return the document of ``POST /v1/explain``: the reasons of some items for the one row of queries.

    Raises
    ------
    RequestError
        If the model does not have the search way.
    """
    head = b'{"model_version":%b,"search":"%b","source":%b,"explanation":%b,"note":%b,"items":[%b]}'
    name, way = dumps(version.name), search.encode()
    if not len(queries):
        return head % (name, way, b"null", b"null", dumps("the user is unknown, and was skipped"), b"")
    try:
        found = reasons_of(version.fitted, queries, 0, items, search, user_index=user)
    except ParameterError as error:
        raise RequestError(Reason.INVALID, str(error)) from None
    ids, documents = version.item_ids.texts(items), documents_of(items, version.metadata)
    pieces = _pieces(version, found, n)
    rows = []
    for place, (item, metadata, reasons) in enumerate(zip(ids, documents, pieces, strict=True)):
        ends = b""
        if found.kind == "sum":
            listed = found.values[place][found.largest(n)[place]].sum()
            others = found.values[place].sum() - listed
            ends = b',"others":%b,"rest":%b' % (_number(others), _number(found.rest[place]))
        rows.append(
            b'{"id":%b,"score":%b,"reasons":[%b]%b,"metadata":%b}'
            % (item, _number(found.scores[place]), b",".join(reasons), ends, metadata)
        )
    source = dumps(SOURCES[int(queries.source[0])])
    note = dumps(note_of(version.fitted, found))
    return head % (name, way, source, dumps(found.kind), note, b",".join(rows))


def _in_blocks(
    version: Version,
    queries: Queries,
    row: int,
    items: Array,
    search: str,
    user: int,
    check: Callable[[], None],
) -> list[Reasons]:
    parts = []
    for start in range(0, max(1, len(items)), _BLOCK):
        check()
        block = items[start : start + _BLOCK]
        parts.append(reasons_of(version.fitted, queries, row, block, search, user_index=user))
    return parts


def _pieces(version: Version, found: Reasons, n: int) -> list[list[bytes]]:
    """Return the JSON objects of the reasons of each item."""
    places = found.largest(n)
    values = np.take_along_axis(found.values, places, axis=1)
    shares = np.take_along_axis(found.shares(), places, axis=1)
    positions = found.history[places].ravel()
    names = zip(version.item_ids.texts(positions), documents_of(positions, version.metadata), strict=True)
    numbers = zip(values.ravel().tolist(), shares.ravel().tolist(), strict=True)
    if found.kind == "sum":
        pieces = [
            b'{"id":%b,"part":%b,"share":%b,"metadata":%b}' % (item, _number(part), _number(share), metadata)
            for (item, metadata), (part, share) in zip(names, numbers, strict=True)
        ]
    else:
        pieces = [
            b'{"id":%b,"similarity":%b,"metadata":%b}' % (item, _number(value), metadata)
            for (item, metadata), (value, _) in zip(names, numbers, strict=True)
        ]
    width = places.shape[1]
    return [pieces[row * width : (row + 1) * width] for row in range(len(places))]


def _number(value: float) -> bytes:
    return b"%.7g" % value
