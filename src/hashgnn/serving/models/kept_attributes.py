"""Attributes of items that change while the service runs: written to the store, read by every worker."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from hashgnn._json_text import dumps
from hashgnn.errors import ParameterError
from hashgnn.rules import BoundRules, Rules
from hashgnn.serving.models.item_facts import ItemFacts
from hashgnn.serving.wire.errors import Reason, RequestError, no_table, store_errors
from hashgnn.serving.wire.json_ids import IdReader
from hashgnn.serving.wire.logs import log
from hashgnn.serving.wire.schemas import RuledRequest
from hashgnn.state import ModelState

_WARNING = 30
_report = partial(log, _WARNING)
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
    def facts(self) -> ItemFacts[Any] | None:
        """The table of its items."""


class KeptAttributes:
    """Brings the tables of versions up to what the store keeps, and adds to it.

    Parameters
    ----------
    store : InteractionStore or None
        Without one, attributes are what the table of items says.
    """

    def __init__(self, store: Any) -> None:
        self._store = store

    def follow(self, version: Version) -> None:
        """Bring the table of a version up to its items, and to what has been kept by this worker or another.

        Raises
        ------
        RequestError
            ``UNAVAILABLE`` if the store cannot be read: a change that was acknowledged might be overlooked.
        """
        facts = version.facts
        if self._store is None or facts is None:
            return
        ids = version.state.items.ids
        with store_errors("attributes of items", "read", _report):
            if self._store.last_attribute <= facts.applied and len(ids) <= len(facts.attributes):
                return
            with facts.lock:
                n_refused, n_known = 0, len(facts.attributes)
                if len(ids) > n_known:
                    new = ids.ids[n_known:].tolist()
                    rows = self._store.attributes_of(version.items.printed(new))
                    n_refused += facts.take_in(ids, version.items, rows)
                while rows := self._store.attributes_since(facts.applied, _READ_AT_ONCE):
                    n_refused += facts.apply(rows)
        if n_refused:
            log(_WARNING, "attributes left out", version=version.name, count=n_refused)

    def bind(self, version: Version, request: RuledRequest) -> BoundRules | None:
        """Return the rules of a request over the attributes as they are now; None where there is none.

        Raises
        ------
        RequestError
            ``NOT_OFFERED`` if there is no table of items, ``INVALID`` if a rule does not fit its columns.
        """
        facts = version.facts
        if facts is None and (request.where is not None or request.boost or request.max_per):
            raise no_table()
        attributes = None if facts is None else facts.attributes
        try:
            rules = Rules.read(request.where, request.boost, request.max_per, request.diversity, request.now)
            return None if rules.is_empty else rules.bind(attributes, version.state.n_items)
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
        facts = version.facts
        if facts is None:
            raise no_table()
        if self._store is None:
            raise RequestError(
                Reason.NOT_OFFERED, "this service keeps no attributes; start it with --interactions FILE"
            )
        for place, (_, values) in enumerate(changes):
            try:
                facts.attributes.read_values(values)
            except ParameterError as error:
                raise RequestError(Reason.INVALID, f"changes[{place}]: {error}") from None
        items = [item for item, _ in changes]
        n_unknown = int((version.items.positions(items) < 0).sum())
        names = version.items.printed(items)
        with store_errors("attributes", "kept", _report):
            self._store.write_attributes(
                (
                    (item, name, json.dumps(value))
                    for item, (_, values) in zip(names, changes, strict=True)
                    for name, value in values.items()
                ),
                seconds=seconds,
            )
        with suppress(RequestError):  # it is kept, and the next answer follows or says why it cannot
            self.follow(version)
        return dumps({"accepted": len(items), "unknown_items": n_unknown})
