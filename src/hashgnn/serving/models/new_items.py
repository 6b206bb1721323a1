"""New items of the store, as requests see them: each version knows them before it answers."""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from scipy import sparse

from hashgnn._checks import quote_some
from hashgnn._json_text import dumps
from hashgnn.answering import EncodedEntities, FittedModel
from hashgnn.data import FeatureVocabulary
from hashgnn.data.grown_ids import readable_ids
from hashgnn.errors import DataError, DataWarning, HashGNNError, ParameterError
from hashgnn.ranking import IndexLists
from hashgnn.serving.models.item_facts import ItemFacts
from hashgnn.serving.models.metrics import Metrics
from hashgnn.serving.wire.errors import Reason, RequestError, no_table, store_errors
from hashgnn.serving.wire.json_ids import IdReader
from hashgnn.serving.wire.logs import log
from hashgnn.serving.wire.schemas import NewItemsRequest
from hashgnn.state import ModelState

_WARNING = 30
_report = partial(log, _WARNING)
_AT_ONCE = 1024  # items folded in together


class Version(Protocol):
    """The part of a version of the model that new items need."""

    @property
    def fitted(self) -> FittedModel:
        """The model."""

    @property
    def users(self) -> IdReader:
        """Finds its users."""

    @property
    def items(self) -> IdReader:
        """Finds its items."""

    @property
    def n_new_items(self) -> int:
        """Items that came after the training."""

    def grown(self, fitted: FittedModel, base: Any) -> Any:
        """Return the same version with new items behind those of ``base``."""

    def without_new_items(self) -> Any:
        """Return it as it was opened, with what is known of its items by now."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def state(self) -> ModelState:
        """Its tables."""

    @property
    def facts(self) -> ItemFacts[Any] | None:
        """The table of its items."""


@dataclass(frozen=True, eq=False)
class _Known:
    """A version with new items.

    Attributes
    ----------
    base : Version
        As it was opened.
    version : Version
    last : int
        Number of the last item of the store that was looked at.
    removals : int
        What had been removed from the store by then.
    """

    base: Version
    version: Version
    last: int
    removals: int


class NewItemsOfVersions:
    """Keeps new items in the store, and gives them to the versions that do not know them.

    What a new item looks like follows from the version as it was opened, from the item's users and features; so it
    is the same in every worker, in whatever order items came. A version that was trained on an item passes it over.

    Parameters
    ----------
    store : InteractionStore or None
        Without one there are no new items.
    metrics : Metrics
    limit : int
        New items that a version may have; 0 takes none.
    """

    def __init__(self, store: Any, metrics: Metrics, limit: int) -> None:
        self._items: Any = store.items if store is not None and limit else None
        self._metrics, self._limit = metrics, limit
        self._lock = threading.Lock()
        self._known: list[_Known] = []
        self._latest: tuple[Any, Any, Any] | None = None

    def known_to(self, active: Any) -> Any:
        """Return the versions that answer, with every item that was kept before the call.

        A store that cannot be read adds nothing: the items that were known stay.
        """
        if self._items is None:
            return active
        latest = self._latest
        try:
            mark = self._items.mark()
        except HashGNNError as error:
            if latest is not None and latest[0] is active:
                return latest[2]
            log(_WARNING, "new items not read", detail=str(error))
            return active
        if latest is not None and latest[0] is active and latest[1] == mark:
            return latest[2]
        with self._lock:
            latest = self._latest
            if latest is not None and latest[0] is active and latest[1] == mark:
                return latest[2]
            try:
                return self._grow(active, mark)
            except HashGNNError as error:
                log(_WARNING, "new items not read", detail=str(error))
                return latest[2] if latest is not None and latest[0] is active else active

    def add(self, version: Version, request: NewItemsRequest, seconds: float, key: str | None) -> bytes:
        """Keep new items, once for each key, and return the document that says so."""
        from hashgnn.serving.store import RepeatKey

        self._required()
        named = None
        if key is not None:
            named = RepeatKey(key, hashlib.sha256(request.model_dump_json().encode()).digest())
        receipt = self._answered(named)
        if receipt is None:
            try:
                receipt = self._keep(version, request, seconds, named)
            except RequestError:
                # The same request may have come twice at once: by now its items are known.
                receipt = self._answered(named)
                if receipt is None:
                    raise
        if not receipt.repeated:
            self._metrics.new_items.inc(receipt.accepted)
        return dumps({"accepted": receipt.accepted, **receipt.extra, "stored": receipt.stored})

    def _answered(self, key: Any) -> Any:
        """Return the answer that a key has got before; None for a new one."""
        if key is None:
            return None
        with store_errors("new items", "kept", _report):
            return self._items.answered(key)

    def _keep(self, version: Version, request: NewItemsRequest, seconds: float, key: Any) -> Any:
        """Check new items and write them to the store; return the receipt."""
        from hashgnn.serving.store import NewItem

        items = self._required()
        try:
            ids = readable_ids(version.fitted.state.items.ids, [one.item for one in request.items], "items")
        except ParameterError as error:
            raise RequestError(Reason.INVALID, str(error)) from None
        known = version.items.positions(ids) >= 0
        if known.any() and request.on_known == "error":
            place = int(np.flatnonzero(known)[0])
            raise RequestError(
                Reason.INVALID,
                f'items[{place}] is an item of the model already; pass on_known "skip" to leave it as it is',
            )
        self._check_features(version, request)
        self._check_attributes(version, request)
        users = [list(dict.fromkeys(version.users.printed(one.users))) for one in request.items]
        given = [
            NewItem(item, tuple(of_item), dict(one.features or {}), dict(one.attributes or {}))
            for item, of_item, one in zip(version.items.printed(ids), users, request.items, strict=True)
        ]
        new = [one for one, is_known in zip(given, known.tolist(), strict=True) if not is_known]
        if version.n_new_items + len(new) > self._limit:
            raise RequestError(
                Reason.INVALID,
                f"new items must be at most {self._limit}, and {version.n_new_items} are held; train a version "
                "on the exported interactions, or delete some",
            )
        n_unknown = sum(int((version.users.positions(one.users) < 0).sum()) for one in new)
        self._try(version, new)
        with store_errors("new items", "kept", _report):
            return items.add(
                new,
                on_known=request.on_known,
                seconds=seconds,
                key=key,
                extra={"known": int(known.sum()), "unknown_users": n_unknown},
            )

    def delete(self, version: Version, item: int | str, seconds: float) -> bytes:
        """Forget a new item and its attributes, and return the document that says so."""
        items = self._required()
        place = int(version.items.positions([item], strict=False)[0])
        is_trained = 0 <= place < version.state.n_items - version.n_new_items
        with store_errors("new items", "deleted", _report):
            removed = items.remove([item], attributes=not is_trained, seconds=seconds)
            stored = len(items)
        if not removed and version.items.known([item], strict=False).size:
            raise RequestError(
                Reason.INVALID,
                "item is one of the model itself, which cannot be deleted; block it in requests",
            )
        return dumps({"removed": removed, "stored": stored})

    def _grow(self, active: Any, mark: Any) -> Any:
        """Give the versions the items that they do not know; the caller has the lock."""
        bases = [active.current, *([active.next_version] if active.next_version is not None else [])]
        states = [self._known_to(base, mark) for base in bases]
        self._known = states
        second = None if active.next_version is None else states[1].version
        grown = replace(active, current=states[0].version, next_version=second)
        self._latest = (active, mark, grown)
        self._metrics.set_new_items(grown.current.n_new_items)
        return grown

    def _known_to(self, base: Version, mark: Any) -> _Known:
        known = next((one for one in self._known if one.base is base), None)
        if known is None:
            known = _Known(base, base.without_new_items(), 0, mark.removals)
        elif known.removals != mark.removals:
            known = _Known(base, known.version.without_new_items(), 0, mark.removals)
        items, last = self._items.after(known.last)
        version = known.version
        for start in range(0, len(items), _AT_ONCE):
            version = _with_items(base, version, items[start : start + _AT_ONCE])
        return _Known(base, version, max(last, mark.last), mark.removals)

    def _required(self) -> Any:
        if self._items is None:
            raise RequestError(
                Reason.NOT_OFFERED, "this service takes no new items; start it with --interactions FILE"
            )
        return self._items

    def _check_features(self, version: Version, request: NewItemsRequest) -> None:
        """Refuse features that the model that answers does not have, or of another type."""
        vocabulary = version.fitted.state.items.features
        for place, one in enumerate(request.items):
            names = set(one.features or {})
            if not names:
                continue
            if vocabulary is None:
                raise RequestError(
                    Reason.INVALID,
                    f"items[{place}].features must be left out, the model was trained without item features",
                )
            columns = [*vocabulary.categories, *vocabulary.numbers]
            if names - set(columns):
                unknown = quote_some(sorted(names - set(columns)))
                raise RequestError(
                    Reason.INVALID,
                    f"items[{place}].features must be some of {quote_some(columns, 12)}, got {unknown:.200}",
                )
            try:
                _columns(vocabulary, [dict(one.features or {})])
            except (DataError, ParameterError) as error:
                raise RequestError(Reason.INVALID, f"items[{place}].features: {error}") from None

    def _check_attributes(self, version: Version, request: NewItemsRequest) -> None:
        """Refuse attributes that are no columns of the table of items, or of another type."""
        for place, one in enumerate(request.items):
            if not one.attributes:
                continue
            if version.facts is None:
                raise no_table()
            try:
                version.facts.attributes.read_values(one.attributes)
            except ParameterError as error:
                raise RequestError(Reason.INVALID, f"items[{place}]: {error}") from None

    def _try(self, version: Version, items: Sequence[Any]) -> None:
        """Refuse items of which no finite embedding can be made."""
        if not items:
            return
        encoded, _ = _encoded(version, items)
        finite = np.isfinite(encoded.embeddings).all(axis=1)
        if not finite.all():
            place = int(np.flatnonzero(~finite)[0])
            raise RequestError(Reason.INVALID, f"items[{place}].features must be smaller numbers")


def _with_items(base: Version, version: Version, items: Sequence[Any]) -> Version:
    """Return a version that also has the items that it does not know."""
    known = version.items.positions([one.item for one in items], strict=False)
    ids, new = [], []
    for one, place in zip(items, known.tolist(), strict=True):
        if place >= 0:
            continue  # trained on, or of a store that was read twice
        try:
            ids += readable_ids(version.fitted.state.items.ids, [one.item], "items")
        except ParameterError:
            continue  # of another kind than the ids of this version
        new.append(one)
    if not new:
        return version
    encoded, audiences = _encoded(base, new)
    usable = np.flatnonzero(np.isfinite(encoded.embeddings).all(axis=1))
    fitted = version.fitted.with_items(
        [ids[place] for place in usable.tolist()], encoded[usable], audiences[usable], keep_seen=False
    )
    more: Version = version.grown(fitted, base)
    return more


def _encoded(version: Version, items: Sequence[Any]) -> tuple[EncodedEntities, IndexLists]:
    """Return what items look like to a version, and their users whom it knows."""
    users = [user for one in items for user in one.users]
    places = version.users.positions(users, strict=False)
    ends = np.cumsum([len(one.users) for one in items])
    parts = np.split(places, ends[:-1])
    audiences = IndexLists.from_rows([part[part >= 0] for part in parts])
    features = _features(version, items)
    return version.fitted.fold_in_items(audiences, features), audiences


def _features(version: Version, items: Sequence[Any]) -> sparse.csr_matrix | None:
    """Return the features of items as columns, rows without features zero; None where there are none.

    Features that a version was not trained with, or with other types, count as none.
    """
    vocabulary = version.fitted.state.items.features
    if vocabulary is None or not any(one.features for one in items):
        return None
    none = sparse.csr_matrix(np.zeros((1, vocabulary.n_columns), np.float32))
    rows = []
    for one in items:
        row = none
        if one.features:
            try:
                row = _columns(vocabulary, [dict(one.features)])
            except (DataError, ParameterError) as error:
                log(_WARNING, "features of a new item not used", detail=str(error))
        rows.append(row)
    return sparse.csr_matrix(sparse.vstack(rows), dtype=np.float32)


def _columns(vocabulary: FeatureVocabulary, rows: list[dict[str, Any]]) -> sparse.csr_matrix:
    """Encode features; a name that a row does not have is a missing value, and other names are left out."""
    names = [*vocabulary.categories, *vocabulary.numbers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # categories that are new say nothing to the model
        return vocabulary.encode([{name: row.get(name) for name in names} for row in rows])
