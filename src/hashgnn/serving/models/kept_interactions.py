"""The store of new interactions, as requests see it: what a user did since the training, and what was deleted."""

from __future__ import annotations

import hashlib
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import sparse

from hashgnn._checks import quote_some
from hashgnn._json_text import dumps
from hashgnn._types import Array, SideName
from hashgnn.answering import FittedModel
from hashgnn.data import HistoryWeighting
from hashgnn.errors import ParameterError
from hashgnn.ranking import IndexLists
from hashgnn.serving.models.metrics import Metrics
from hashgnn.serving.models.popularity_shift import PopularityShift
from hashgnn.serving.models.watch_metrics import WatchMetrics
from hashgnn.serving.wire.errors import Reason, RequestError, store_errors
from hashgnn.serving.wire.json_ids import IdReader
from hashgnn.serving.wire.logs import log
from hashgnn.serving.wire.schemas import Interaction, InteractionsRequest

_WARNING = 30
_ROUTE = "/v1/interactions"
_NOUNS = {"int": "integers", "str": "text"}
_INTEGER = re.compile(r"(-?[0-9]{1,19})(?:\.0{1,9})?")


class Version(Protocol):
    """The part of a version of the model that the store needs."""

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
    def event_weights(self) -> dict[str, float]:
        """Types of events that it was trained with, and what each weighs."""

    @property
    def shift(self) -> PopularityShift:
        """Counts the items that are recorded."""

    def trained_upto(self, store: str) -> int:
        """Return the number up to which it was trained on a store."""


@dataclass(frozen=True, eq=False)
class KnownUsers:
    """The users of a request, as far as they are known.

    Attributes
    ----------
    index : ndarray of shape (n,), int64
        Their places in the model; -1 for a user whom it does not know, or of whom all was deleted.
    left : IndexLists of length n, or None
        The items of the training that are left of each, where anything was deleted.
    since : IndexLists of length n, or None
        Items that each interacted with since the training.
    recent : csr_matrix of shape (n, n_items), or None
        What these weigh, where a weighting was given.
    """

    index: Array
    left: IndexLists | None = None
    since: IndexLists | None = None
    recent: sparse.csr_matrix | None = None


class KeptInteractions:
    """Reads and writes the store for requests.

    Parameters
    ----------
    store : InteractionStore or None
        Without one nothing is kept, and there is nothing to read.
    metrics : Metrics
    watch : WatchMetrics
    """

    def __init__(self, store: Any, metrics: Metrics, watch: WatchMetrics) -> None:
        self._store, self._metrics, self._watch = store, metrics, watch
        self._identity = "" if store is None else store.identity
        if store is not None:
            metrics.set_store(healthy=True)

    def check_ids(self, version: Version) -> None:
        """Compare the ids that the store keeps with those of a model.

        Raises
        ------
        ParameterError
            If they are of another type, so that every write would be refused and no deletion be found.
        """
        if self._store is None:
            return
        kept, state = self._store.kinds, version.fitted.state
        for name, ids in (("users", state.users.ids), ("items", state.items.ids)):
            wanted = "int" if ids.kind == "int" else "str"
            if ids.kind != "other" and kept.get(name, wanted) != wanted:
                raise ParameterError(
                    f"interactions must be a store of this model's ids, {name[:-1]} ids of {self._store.name} are "
                    f"{_NOUNS[kept[name]]}, those of the model {_NOUNS[wanted]}; name another store"
                )

    def problem(self) -> str | None:
        """Return why the store cannot be written, None if it can or if there is none; the metrics show it too."""
        if self._store is None:
            return None
        found: str | None = self._store.problem()
        self._metrics.set_store(healthy=found is None)
        return found

    def known_users(
        self, version: Version, users: Sequence[Any], weighting: HistoryWeighting | None = None
    ) -> KnownUsers:
        """Return what a model knows of some users, without what they deleted and with what they did since.

        Raises
        ------
        RequestError
            ``UNAVAILABLE`` if the store cannot be read: a deletion might be overlooked.
        UnknownIdError
            If an id is of another type than those of the model.
        """
        index = version.users.positions(users)
        if self._store is None:
            return KnownUsers(index)
        with store_errors("interactions", "read", self._report):
            since = self._since_training(version, users)
            recent = None
            if weighting is not None and since is not None:
                recent = self._recent(version, users, weighting)
            after = version.trained_upto(self._identity)
            if not self._store.has_deletions(after=after):
                return KnownUsers(index, None, since, recent)
            deleted = self._store.deletions_of(version.users.printed(users), after=after)
        if not any(deleted):
            return KnownUsers(index, None, since, recent)
        seen = version.fitted.seen[index]
        items = [version.items.known(of_user.items, strict=False) for of_user in deleted]
        left = seen.difference(IndexLists.from_rows(items))
        gone = np.array([of_user.everything for of_user in deleted])
        gone |= (left.lengths == 0) & (seen.lengths > 0)
        places = np.where(gone, -1, np.arange(len(users)))
        return KnownUsers(np.where(gone, -1, index), left[places], since, recent)

    def write(self, version: Version, request: InteractionsRequest, seconds: float, key: str | None) -> bytes:
        """Keep interactions, once for each key, and return the document that says so."""
        store = self._required()
        rows = request.interactions
        users, items = [row.user for row in rows], [row.item for row in rows]
        known_users = version.users.positions(
            users
        )  # an id of the wrong type is refused before anything is kept
        known_items = version.items.positions(items)
        n_unknown = int((known_items < 0).sum())
        now = time.time()
        timestamps = [now if row.timestamp is None else row.timestamp for row in rows]
        events = _known_events(rows, version.event_weights)
        weights = None
        if any(row.weight is not None for row in rows):
            weights = [1.0 if row.weight is None else row.weight for row in rows]
        named = None
        if key is not None:
            from hashgnn.serving.store import RepeatKey

            named = RepeatKey(key, hashlib.sha256(request.model_dump_json().encode()).digest())
        with store_errors("interactions", "kept", self._report):
            receipt = store.write(
                version.users.printed(users),
                version.items.printed(items),
                timestamps,
                weights,
                events,
                seconds=seconds,
                key=named,
                extra={"unknown_items": n_unknown},
            )
        watch = self._watch
        if receipt.repeated:
            watch.repeated.inc()
        else:
            self._metrics.interactions.inc(receipt.accepted)
            watch.count_ids("user", _ROUTE, known_users)
            watch.count_ids("item", _ROUTE, known_items)
            version.shift.count("recorded", known_items)
            watch.set_shift("recorded", version.shift.distance("recorded"))
        return dumps({"accepted": receipt.accepted, **receipt.extra, "stored": receipt.stored})

    def delete(self, version: Version, user: str, item: str | None, seconds: float) -> bytes:
        """Delete what a user did, or did with one item, and return the document that says so."""
        store = self._required()
        user_id = self.id_of(version, "user", user)
        item_id = None if item is None else self.id_of(version, "item", item)
        before = self._n_used(version, user_id)
        with store_errors("interactions", "deleted", self._report):
            removed = store.delete(user_id, item_id, seconds=seconds)
            stored = store.count
        self._metrics.deletions.inc()
        used = self._n_used(version, user_id)
        return dumps({"removed": removed, "forgotten": max(0, before - used), "stored": stored})

    def id_of(self, version: Version, noun: SideName, text: str) -> int | str:
        """Return an id that came as text, as the store keeps it: an integer where the model's ids are integers.

        Ids of several kinds are kept as they came first, all others in their printed form.
        """
        self._required()
        state = version.fitted.state
        side, reader = (state.users, version.users) if noun == "user" else (state.items, version.items)
        ids = side.ids
        with store_errors("interactions", "read", self._report):
            kind = self._store.kinds.get(f"{noun}s") if ids.kind == "other" else ids.kind
        if kind != "int":
            kept: str = reader.printed([text])[0]
            return kept
        found = _INTEGER.fullmatch(text)
        if found is None or not -(2**63) <= int(found[1]) < 2**63:
            raise RequestError(Reason.INVALID, f"{noun} ids of this model are integers, got {text!r:.80}")
        return int(found[1])

    def _n_used(self, version: Version, user: int | str) -> int:
        """Return how many interactions of the training data answers to a user rest on."""
        known = self.known_users(version, [user])
        lists = version.fitted.seen[known.index] if known.left is None else known.left
        return int(lists.lengths.sum())

    def _since_training(self, version: Version, users: Sequence[Any]) -> IndexLists | None:
        """Return the known items that users have interacted with since the training; None without any."""
        if not self._store.count:
            return None
        histories = self._store.histories(version.users.printed(users))
        if not any(histories):
            return None
        return IndexLists.from_rows([version.items.known(history, strict=False) for history in histories])

    def _recent(
        self, version: Version, users: Sequence[Any], weighting: HistoryWeighting
    ) -> sparse.csr_matrix:
        """Return what the items that users have interacted with since the training weigh."""
        rows = self._store.recents(version.users.printed(users))
        items = [version.items.positions([item for item, _ in row], strict=False) for row in rows]
        times = [np.array([time for _, time in row], np.float64) for row in rows]
        return weighting.matrix(items, times, version.fitted.state.n_items)

    def _report(self, words: str, *, detail: str) -> None:
        """Log that the store failed, and show it in the metrics."""
        self.problem()
        log(_WARNING, words, detail=detail)

    def _required(self) -> Any:
        if self._store is None:
            raise RequestError(
                Reason.NOT_OFFERED, "this service keeps no interactions; start it with --interactions FILE"
            )
        return self._store


def _known_events(rows: Sequence[Interaction], event_weights: Mapping[str, float]) -> list[str | None] | None:
    """Return the types of events of a request; None where it has none.

    Raises
    ------
    RequestError
        If the model does not know one of them; each is named with its count.
    """
    events = [row.event for row in rows]
    counts = Counter(event for event in events if event is not None)
    unknown = {event: count for event, count in counts.items() if event not in event_weights}
    if unknown:
        shown = ", ".join(f"{event!r} in {count}" for event, count in list(unknown.items())[:8])
        rule = f"one of {quote_some(list(event_weights), 12)}" if event_weights else "left out"
        reason = "" if event_weights else "; the model was trained without types of events"
        raise RequestError(
            Reason.INVALID, f"event must be {rule}, got {shown} of {len(rows)} interactions{reason}"
        )
    return events if counts else None
