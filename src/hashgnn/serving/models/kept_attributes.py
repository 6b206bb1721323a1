"""Attributes of items that change while the service runs: written to the store, read by every worker."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np

from hashgnn._json_text import dumps
from hashgnn.errors import HashGNNError, ParameterError
from hashgnn.rules import BoundRules, ItemAttributes, Rules
from hashgnn.serving.models.item_metadata import ItemMetadata
from hashgnn.serving.models.outcomes import outcome
from hashgnn.serving.wire.errors import Reason, RequestError
from hashgnn.serving.wire.json_ids import IdReader
from hashgnn.serving.wire.logs import log
from hashgnn.serving.wire.schemas import RuledRequest
from hashgnn.state import ModelState

_WARNING = 30
_RETRY_AFTER = 5  # seconds
_READ_AT_ONCE = 10_000


class Version(Protocol):
    """The part of a version of the model that attributes need."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def state(self) -> ModelState:
        """Its tables."""

    @property
    def items(self) -> IdReader:
        """Finds its items."""

    @property
    def metadata(self) -> ItemMetadata | None:
        """The table of its items, as answers show it."""

    @property
    def attributes(self) -> ItemAttributes | None:
        """The same table, for rules."""


class KeptAttributes:
    """Brings the tables of versions up to what the store keeps, and adds to it.

    Parameters
    ----------
    store : InteractionStore or None
        Without one, attributes are what the table of items says.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._applied: WeakKeyDictionary[Version, int] = WeakKeyDictionary()

    def follow(self, version: Version) -> None:
        """Apply to a version what has been kept since the last call, by this worker or by another.

        Raises
        ------
        RequestError
            ``UNAVAILABLE`` if the store cannot be read: a change that was acknowledged might be overlooked.
        """
        if self._store is None or version.attributes is None:
            return
        try:
            if self._store.last_attribute <= self._applied.get(version, 0):
                return
            with self._lock:
                applied = self._applied.get(version, 0)
                while rows := self._store.attributes_since(applied, _READ_AT_ONCE):
                    _apply(version, rows)
                    applied = rows[-1][0]
                self._applied[version] = max(applied, self._applied.get(version, 0))
        except HashGNNError as error:
            log(_WARNING, "attributes not read", detail=str(error))
            raise RequestError(
                Reason.UNAVAILABLE, "the attributes of items could not be read", retry_after=_RETRY_AFTER
            ) from None

    def bind(self, version: Version, request: RuledRequest) -> BoundRules | None:
        """Return the rules of a request over the attributes as they are now; None where there is none.

        Raises
        ------
        RequestError
            ``NOT_OFFERED`` if there is no table of items, ``INVALID`` if a rule does not fit its columns.
        """
        if version.attributes is None and (request.where is not None or request.boost or request.max_per):
            raise _no_table()
        try:
            rules = Rules.read(request.where, request.boost, request.max_per, request.diversity, request.now)
            return None if rules.is_empty else rules.bind(version.attributes, version.state.n_items)
        except ParameterError as error:
            raise RequestError(Reason.INVALID, str(error)) from None

    def write(
        self, version: Version, changes: Sequence[tuple[Any, Mapping[str, Any]]], seconds: float
    ) -> bytes:
        """Keep changes, apply them here, and return the document that says so.

        Parameters
        ----------
        version : Version
        changes : sequence of pairs
            The id of an item, and its new values by column.
        seconds : float
            How long to wait for other writers.

        Raises
        ------
        RequestError
            If a column or value does not fit, or the store cannot be written; nothing is changed then.
        """
        attributes = version.attributes
        if attributes is None:
            raise _no_table()
        if self._store is None:
            raise RequestError(
                Reason.NOT_OFFERED, "this service keeps no attributes; start it with --interactions FILE"
            )
        for place, (_, values) in enumerate(changes):
            try:
                attributes.read_values(values)
            except ParameterError as error:
                raise RequestError(Reason.INVALID, f"changes[{place}]: {error}") from None
        items = [item for item, _ in changes]
        n_unknown = int((version.items.positions(items) < 0).sum())
        names = version.items.printed(items)
        try:
            self._store.write_attributes(
                (
                    (item, name, json.dumps(value))
                    for item, (_, values) in zip(names, changes, strict=True)
                    for name, value in values.items()
                ),
                seconds=seconds,
            )
        except ParameterError as error:
            raise RequestError(Reason.INVALID, str(error)) from None
        except HashGNNError as error:
            log(_WARNING, "attributes refused by the store", detail=str(error))
            raise RequestError(
                Reason.UNAVAILABLE,
                f"the attributes {outcome(error, 'kept')}",
                retry_after=_RETRY_AFTER,
            ) from None
        self.follow(version)
        return dumps({"accepted": len(items), "unknown_items": n_unknown})


def _no_table() -> RequestError:
    return RequestError(
        Reason.NOT_OFFERED, "this service has no table of items; start it with --items FILE.parquet"
    )


def _apply(version: Version, rows: list[tuple[int, int | str, str, str]]) -> None:
    """Change the table of a version; what does not fit it, as of a column that a new table does not have, is left out."""
    attributes = version.attributes
    assert attributes is not None
    index = version.items.positions([item for _, item, _, _ in rows], strict=False)
    changes: dict[int, dict[str, Any]] = {}
    shown: dict[int, Mapping[str, Any]] = {}
    n_refused = 0
    for position, (_, _, name, text) in zip(index.tolist(), rows, strict=True):
        if not 0 <= position < len(attributes):
            continue  # not of the model, or added after its training
        value = json.loads(text)
        try:
            changes.setdefault(position, {}).update(attributes.read_values({name: value}))
        except ParameterError:
            n_refused += 1
            continue
        shown[position] = {**shown.get(position, {}), name: value}
    if n_refused:
        log(_WARNING, "attributes left out", version=version.name, count=n_refused)
    attributes.put(np.array(list(changes), np.int64), list(changes.values()))
    if version.metadata is not None:
        version.metadata.change(shown)
