"""The service without HTTP: requests that were validated in, JSON documents out."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hashgnn._json_text import dumps
from hashgnn._types import Array
from hashgnn.answering import EncodedEntities, Queries
from hashgnn.answering.queries import POPULAR
from hashgnn.answering.ruled_search import recommend_with_rules, similar_items_with_rules
from hashgnn.answering.search_ways import SearchOptions, SearchWays
from hashgnn.checking.id_comparison import compare_ids
from hashgnn.errors import HashGNNError, ParameterError, StorageError
from hashgnn.index import InvertedFile
from hashgnn.ranking import IndexLists
from hashgnn.serving.models import explaining, responses
from hashgnn.serving.models.admission import RequestQueue, TimeLimit
from hashgnn.serving.models.history_weights import weighting_of, weights_of
from hashgnn.serving.models.kept_attributes import KeptAttributes
from hashgnn.serving.models.kept_interactions import KeptInteractions
from hashgnn.serving.models.metrics import Metrics
from hashgnn.serving.models.model_version import ModelVersion, open_version
from hashgnn.serving.models.new_items import NewItemsOfVersions
from hashgnn.serving.models.opening import GivenUpError, Opener, Refusal, VersionRefusedError
from hashgnn.serving.models.recall_watch import RecallWatch
from hashgnn.serving.models.reload_requests import ReloadMailbox
from hashgnn.serving.models.standing import Standing
from hashgnn.serving.models.version_manager import ActiveVersions, VersionManager
from hashgnn.serving.models.watch_metrics import WatchMetrics
from hashgnn.serving.settings import ServiceSettings
from hashgnn.serving.wire.attribute_schemas import AttributesRequest
from hashgnn.serving.wire.errors import Reason, RequestError
from hashgnn.serving.wire.explain_schemas import ExplainRequest
from hashgnn.serving.wire.logs import log
from hashgnn.serving.wire.schemas import (
    EncodeRequest,
    InteractionsRequest,
    NewItemsRequest,
    RecommendRequest,
    ReloadRequest,
    SimilarItemsRequest,
)

Check = Callable[[], None]

_INFO, _WARNING, _ERROR = 20, 30, 40
_WRITERS = 8
_SHORT_BYTES, _SHORT_RESULTS = 20_000_000, 2_000
_RULED_ITEMS = 20_000


class Service:
    """Everything that answers, behind any web server.

    Parameters
    ----------
    settings : ServiceSettings
    store : InteractionStore or None
        Where new interactions are kept.
    """

    def __init__(self, settings: ServiceSettings, store: Any = None) -> None:
        self.settings, self.store = settings, store
        self.metrics = Metrics()
        self.searches = RequestQueue(settings.n_threads, settings.queue, settings.time_limit)
        # Writers wait for the disk and share its writes; searches should not wait behind them.
        self.writes = RequestQueue(_WRITERS, settings.queue, settings.time_limit)
        self.draining = False
        self._quality = WatchMetrics(self.metrics.registry)
        self._recall = RecallWatch(settings.recall_sample, settings.recall_cpu, self._quality)
        self._kept = KeptInteractions(store, self.metrics, self._quality)
        self._attributes = KeptAttributes(store)
        self._new_items = NewItemsOfVersions(store, self.metrics, settings.most_new_items)
        self._mailbox = ReloadMailbox(settings.runtime, None if store is None else store.reloads)
        self._versions = VersionManager(
            settings.model,
            Opener(self._open, settings.reload_timeout),
            lambda new, old: compare_ids(new.state, old.state).fault(),
            self._on_reload,
            allow_new_ids=settings.allow_new_ids,
        )

    def start(self) -> None:
        """Open the model; the service is ready afterwards.

        Raises
        ------
        HashGNNError
            If the model cannot be used, or the store keeps ids of another type than it has.
        """
        started = time.perf_counter()
        instead = self._mailbox.join()
        self._versions.start(self.settings.next_model, self.settings.next_share, instead=instead)
        if instead is None:
            self._kept.check_ids(self.active.current)
        self._publish_versions()
        self._leave_standing()
        seconds = round(time.perf_counter() - started, 3)
        version = self.active.current
        log(_INFO, "ready", version=version.name, index=repr(version.fitted.item_index), seconds=seconds)

    @property
    def is_open(self) -> bool:
        """Whether a model is open."""
        return self._versions.active is not None

    def not_ready(self) -> str | None:
        """Return why no requests should be sent here, as a sentence; None if they should."""
        if not self.is_open:
            return "the model is not open yet"
        if self.draining:
            return "the service is about to stop"
        problem = self.store_problem()
        return None if problem is None else f"the store of interactions cannot be written: {problem}"

    def store_problem(self) -> str | None:
        """Return why the store of interactions cannot be written; None if it can, or if there is none."""
        return self._kept.problem()

    @property
    def active(self) -> ActiveVersions[ModelVersion]:
        """The versions that answer now, with the new items that the service has taken until now."""
        active = self._versions.active
        if active is None:
            raise RequestError(Reason.NOT_READY, "the model is not open yet", retry_after=1)
        known: ActiveVersions[ModelVersion] = self._new_items.known_to(active)
        return known

    def is_short(self, request: RecommendRequest | SimilarItemsRequest) -> bool:
        """Say whether a search takes about a millisecond at most, by the bytes that it reads.

        A float query reads the codes once for each of its four bit planes. A search in lists reads the
        centroids and the nearest lists.
        """
        if isinstance(request, RecommendRequest) and request.explain:
            return False
        if self.store is not None and self.store.is_remote:
            return False  # an answer waits for its server
        rows = (
            request.items
            if isinstance(request, SimilarItemsRequest)
            else request.users or request.histories or ()
        )
        version = self.active.current
        state, search = version.state, request.search
        if state.n_items > _RULED_ITEMS and (request.where or request.boost or request.max_per):
            return False  # a filter that is new to this worker looks at every item
        bytes_of_item = {"float": 4 * state.dim, "asymmetric": state.n_bits / 2}.get(search, state.n_bits / 8)
        index, n_read = version.fitted.item_index, float(state.n_items)
        if isinstance(index, InvertedFile) and search != "float":
            n_read = index.n_lists + n_read * min(index.n_probe / index.n_lists, 1)
        n_results = len(rows) * request.k
        if search == "hierarchical":
            n_results *= version.fitted.items_for_users.depth(request.k, request.oversampling)[0]
        n_results *= 2 ** len(request.boost or ())  # searches
        return len(rows) * n_read * bytes_of_item <= _SHORT_BYTES and n_results <= _SHORT_RESULTS

    def recommend(self, request: RecommendRequest, check: Check) -> bytes:
        """Answer ``POST /v1/recommend``."""
        started = time.perf_counter()
        active = self.active
        version, users, histories = active.current, request.users, request.histories
        n_rows = len(users if users is not None else histories or ())
        self._check_results(n_rows, request.k)
        if request.explain:
            explaining.check_results(n_rows, request.k)
        if users is not None:
            rows = self._rows_of_users(active, request, users, check)
        else:
            rows = self._rows_of_histories(version, request, histories or [], check)
        milliseconds = (time.perf_counter() - started) * 1000
        return responses.ranked_response(version.name, request.search, milliseconds, rows)

    def explain(self, request: ExplainRequest) -> bytes:
        """Answer ``POST /v1/explain``."""
        version, user = self.active.current, -1
        if request.user is not None:
            (named,) = version.users.printed([request.user])
            version = self.active.of_user(named)
        items = version.items.positions(request.items)
        self._quality.count_ids("item", "/v1/explain", items)
        if (items < 0).any():
            place = int(np.flatnonzero(items < 0)[0])
            raise RequestError(Reason.UNKNOWN_ID, f"items[{place}] is not an item of the model")
        if request.user is not None:
            known = self._kept.known_users(version, [request.user])
            self._quality.count_ids("user", "/v1/explain", known.index)
            user = int(known.index[0])
            if request.on_unknown == "error" and user < 0:
                raise RequestError(
                    Reason.UNKNOWN_ID, "user is not a user of the model; pass another on_unknown"
                )
            queries = version.fitted.queries_of_users(
                known.index, since_training=known.since, left=known.left, on_unknown=request.on_unknown
            )
        else:
            index = version.items.positions(request.history or [])
            self._quality.count_ids("item", "/v1/explain", index)
            if request.on_unknown == "error" and (index < 0).any():
                raise RequestError(
                    Reason.UNKNOWN_ID, "history must name items of the model only; pass another on_unknown"
                )
            lists = IndexLists.from_rows([index[index >= 0]])
            queries = version.fitted.queries_of_histories(lists, on_unknown=request.on_unknown)
        return explaining.explained(version, queries, items, request.search, request.reasons, user)

    def similar(self, request: SimilarItemsRequest, check: Check) -> bytes:
        """Answer ``POST /v1/similar-items``."""
        started = time.perf_counter()
        version, items = self.active.current, request.items
        self._check_results(len(items), request.k)
        index = version.items.positions(items)
        self._quality.count_ids("item", "/v1/similar-items", index)
        if (index < 0).any():
            place = int(np.flatnonzero(index < 0)[0])
            raise RequestError(Reason.UNKNOWN_ID, f"items[{place}] is not an item of the model")
        options = _search_options(version.fitted.items_for_items, request)
        self._attributes.follow(version)
        rules, effects = self._attributes.bind(version, request), None
        if rules is None:
            found = version.fitted.similar_items(index, options, check)
        else:
            found, effects = similar_items_with_rules(version.fitted, index, options, rules, check)
        self._count(version, request.search, len(items), "item")
        lists = responses.scored_item_lists(found, version.item_ids, version.metadata, effects)
        rows = responses.similar_rows(items, lists, responses.rule_objects(effects, len(items)))
        milliseconds = (time.perf_counter() - started) * 1000
        return responses.ranked_response(version.name, request.search, milliseconds, rows)

    def encode(self, request: EncodeRequest) -> bytes:
        """Answer ``POST /v1/encode``."""
        version = self.active.current
        if request.items is not None:
            index = version.items.positions(request.items)
            self._quality.count_ids("item", "/v1/encode", index)
            known = index >= 0
            encoded = EncodedEntities.of(version.state.items, index[known])
        else:
            if request.users is not None:
                found = self._kept.known_users(version, request.users, weighting_of(request))
                self._quality.count_ids("user", "/v1/encode", found.index)
                queries = version.fitted.queries_of_users(
                    found.index,
                    since_training=found.since,
                    left=found.left,
                    recent=found.recent,
                    on_unknown="fold_in",
                )
            else:
                rows = [version.items.positions(row) for row in request.histories or ()]
                self._quality.count_ids("item", "/v1/encode", np.concatenate(rows))
                lists = IndexLists.from_rows([row[row >= 0] for row in rows])
                weights = weights_of(version.state.n_items, request, rows)
                queries = version.fitted.queries_of_histories(lists, weights=weights, on_unknown="fold_in")
            known, encoded = queries.source != POPULAR, queries.entities
        document = {
            "model_version": version.name,
            "n_bits": version.state.n_bits,
            "results": responses.encoded_rows(encoded, known),
        }
        return dumps(document)

    def items(self, query: str, limit: int) -> bytes:
        """Answer ``GET /v1/items``: what begins with the query first, then what holds its words."""
        version = self.active.current
        self._attributes.follow(version)
        found = responses.item_objects(version.find_items(query, limit), version.item_ids, version.metadata)
        return b'{"items":[%b]}' % b",".join(found)

    def interactions(self, request: InteractionsRequest, limit: TimeLimit, key: str | None = None) -> bytes:
        """Answer ``POST /v1/interactions``: what is acknowledged is on the disk, and only that."""
        return self._kept.write(self.active.current, request, limit.remaining, key)

    def add_items(self, request: NewItemsRequest, limit: TimeLimit, key: str | None = None) -> bytes:
        """Answer ``POST /v1/items``: the next answer of every worker knows what is acknowledged."""
        document = self._new_items.add(self.active.current, request, limit.remaining, key)
        _ = self.active  # here too, before the answer is out
        return document

    def delete_item(self, item: str, limit: TimeLimit) -> bytes:
        """Answer ``DELETE /v1/items``: no later answer has the new item."""
        version = self.active.current
        item_id = self._kept.id_of(version, "item", item)
        document = self._new_items.delete(version, item_id, limit.remaining)
        _ = self.active
        return document

    def delete_interactions(self, user: str, item: str | None, limit: TimeLimit) -> bytes:
        """Answer ``DELETE /v1/interactions``: no later answer uses what was deleted."""
        return self._kept.delete(self.active.current, user, item, limit.remaining)

    def change_attributes(self, request: AttributesRequest, limit: TimeLimit) -> bytes:
        """Answer ``PATCH /v1/items/attributes``: what is acknowledged is on the disk, and in every later answer."""
        changes = [(change.item, change.attributes) for change in request.changes]
        return self._attributes.write(self.active.current, changes, limit.remaining)

    def model(self) -> bytes:
        """Answer ``GET /v1/model``."""
        active = self.active
        second = active.next_version
        return dumps(
            {
                **active.current.describe(),
                "next_version": None if second is None else second.name,
                "next_share": active.share,
                "keeps_interactions": self.store is not None,
            }
        )

    def reload(self, request: ReloadRequest) -> bytes:
        """Answer ``POST /admin/reload``: open other versions, here and in the other workers."""
        try:
            changed = self._versions.reload(request)
        except VersionRefusedError as error:
            raise RequestError(Reason.VERSION_REFUSED, str(error)) from None
        except HashGNNError:
            # The sentence names a path; it is in the log.
            raise RequestError(
                Reason.VERSION_REFUSED,
                "the version was refused and the old one stays active; the log has the reason",
            ) from None
        self._mailbox.post(request)
        active = self.active
        second = active.next_version
        return dumps(
            {
                "version": active.current.name,
                "next_version": None if second is None else second.name,
                "share": active.share,
                "changed": changed,
            }
        )

    def check_for_update(self) -> None:
        """Look at the store; repeat a reload of another worker; follow a change of the model's folder or link."""
        self.store_problem()
        request = self._mailbox.unread()
        if request is not None:
            with contextlib.suppress(HashGNNError):  # it was logged and counted
                self._versions.reload(request)
        self._versions.check_for_update()

    def close(self) -> None:
        """Wait for the work that runs, then close the store."""
        self._versions.close()
        self._recall.close()
        self.searches.close()
        self.writes.close()
        if self.store is not None:
            self.store.close()

    def _rows_of_users(
        self, active: ActiveVersions[ModelVersion], request: RecommendRequest, users: list[Any], check: Check
    ) -> list[bytes]:
        """Return the rows of users in the order of the request; two versions may share them."""
        if active.next_version is None:
            places: Sequence[int] = range(len(users))
            return list(self._rows_by_place(active.current, request, users, places, None, check).values())
        versions = [active.of_user(user) for user in active.current.users.printed(users)]
        rows: dict[int, bytes] = {}
        for version in (active.current, active.next_version):
            places = [place for place, chosen in enumerate(versions) if chosen is version]
            if places:
                name = None if version is active.current else version.name
                rows |= self._rows_by_place(version, request, users, places, name, check)
        return [rows[place] for place in sorted(rows)]

    def _rows_by_place(
        self,
        version: ModelVersion,
        request: RecommendRequest,
        users: list[Any],
        places: Sequence[int],
        name: str | None,
        check: Check,
    ) -> dict[int, bytes]:
        """Return the rows of the users at some places of the request by one version, keyed by place."""
        chosen = [users[place] for place in places]
        found = self._kept.known_users(version, chosen, weighting_of(request))
        self._quality.count_ids("user", "/v1/recommend", found.index)
        if request.on_unknown == "error" and (found.index < 0).any():
            place = places[int(np.flatnonzero(found.index < 0)[0])]
            raise RequestError(
                Reason.UNKNOWN_ID, f"users[{place}] is not a user of the model; pass another on_unknown"
            )
        queries = version.fitted.queries_of_users(
            found.index,
            since_training=found.since,
            left=found.left,
            recent=found.recent,
            on_unknown=request.on_unknown,
        )
        index = found.index[queries.places]
        rows = self._rows(version, request, queries, "user", chosen, name, check, index)
        return {places[row]: text for row, text in zip(queries.places.tolist(), rows, strict=True)}

    def _rows_of_histories(
        self, version: ModelVersion, request: RecommendRequest, histories: list[list[Any]], check: Check
    ) -> list[bytes]:
        """Return the rows of new users, named by their places in the request."""
        index = [version.items.positions(history) for history in histories]
        self._quality.count_ids("item", "/v1/recommend", np.concatenate(index))
        if request.on_unknown == "error":
            for place, items in enumerate(index):
                if (items < 0).any():
                    raise RequestError(
                        Reason.UNKNOWN_ID,
                        f"histories[{place}] must name items of the model only; pass another on_unknown",
                    )
        lists = IndexLists.from_rows([items[items >= 0] for items in index])
        weights = weights_of(version.state.n_items, request, index)
        queries = version.fitted.queries_of_histories(lists, weights=weights, on_unknown=request.on_unknown)
        return self._rows(version, request, queries, "history", range(len(histories)), None, check)

    def _rows(
        self,
        version: ModelVersion,
        request: RecommendRequest,
        queries: Queries,
        key: Literal["user", "history"],
        named: Sequence[Any],
        name: str | None,
        check: Check,
        user_index: Array | None = None,
    ) -> list[bytes]:
        """Rank items for queries of one version and return their rows of the response, named by ``key``."""
        fitted, allow = version.fitted, None
        options = _search_options(fitted.items_for_users, request)
        if request.allow is not None:
            allow = version.items.positions(request.allow)
            if request.on_unknown == "error" and (allow < 0).any():
                place = int(np.flatnonzero(allow < 0)[0])
                raise RequestError(
                    Reason.UNKNOWN_ID, f"allow[{place}] is not an item of the model; pass another on_unknown"
                )
            allow = allow[allow >= 0]
        candidates = queries.candidates(
            len(fitted.items_for_users),
            filter_seen=request.filter_seen,
            allow=allow,
            block=version.items.known(request.block) if request.block else None,
        )
        self._attributes.follow(version)
        rules, effects = self._attributes.bind(version, request), None
        if rules is None:
            found = fitted.recommend(queries, options, candidates, check)
            self._recall.offer(version, queries, options, candidates, found)
        else:
            found, effects = recommend_with_rules(fitted, queries, options, candidates, rules, check)
        self._count(version, request.search, len(queries.entities), "user")
        kinds = reasons = None
        if request.explain:
            kinds, reasons = explaining.reasons_of_matches(
                version, queries, found, request.search, request.explain, user_index, check
            )
        lists = responses.scored_item_lists(found, version.item_ids, version.metadata, effects, reasons)
        chosen = [named[place] for place in queries.places.tolist()]
        ruled = responses.rule_objects(effects, len(queries))
        return responses.recommended_rows(key, chosen, queries.source_names, lists, name, ruled, kinds)

    def _check_results(self, n_rows: int, k: int) -> None:
        if n_rows * k > self.settings.result_limit:
            raise RequestError(
                Reason.INVALID,
                f"rows times k must be at most {self.settings.result_limit}, got {n_rows} times {k}; "
                "send smaller batches",
            )

    def _count(self, version: ModelVersion, search: str, n_queries: int, source: str) -> None:
        self.metrics.scanned.labels(search).inc(n_queries * len(version.fitted.items_for_users))
        self.metrics.rows.labels(source).inc(n_queries)

    def _open(self, path: Path, check: Check) -> ModelVersion:
        # At the start all processors are free; later they answer requests.
        n_threads = 1 if self.is_open else self.settings.n_threads
        try:
            version = open_version(
                path,
                items=self.settings.items,
                item_id=self.settings.item_id,
                index_recall=self.settings.index_recall,
                bytes_per_item=self.settings.bytes_per_item,
                engine=self.settings.engine,
                n_threads=n_threads,
                check=check,
                takes_items=self.store is not None and self.settings.most_new_items > 0,
            )
            with contextlib.suppress(RequestError):  # else the first request does it, or says why it cannot
                self._attributes.follow(version)
            return version
        except (HashGNNError, GivenUpError):
            raise
        except Exception:
            log(_ERROR, "opening failed", exc_info=True)
            raise

    def _on_reload(self, sentence: str, refusal: Refusal | None) -> None:
        succeeded = refusal is None
        self.metrics.reloads.labels("accepted" if succeeded else "refused").inc()
        if refusal is not None:
            self.metrics.refusals.labels(refusal.value).inc()
        log(_INFO if succeeded else _WARNING, "reload", accepted=succeeded, detail=sentence)
        if succeeded:
            self._publish_versions()
            try:
                self._kept.check_ids(self.active.current)
            except HashGNNError as error:
                log(_WARNING, "interactions refused", detail=str(error))
        self._leave_standing()

    def _publish_versions(self) -> None:
        """Show in the metrics which versions answer."""
        current, second = self.active.current, self.active.next_version
        name = None if second is None else second.name
        self.metrics.set_versions(current.name, name, current.created_seconds, current.loaded)
        self._recall.clear()
        if self.store is not None:
            _ = current.shift  # made now, so that no write waits for it

    def _leave_standing(self) -> None:
        """Show to workers that are started later what this one answers with."""
        active, looked_at = self.active, self._versions.looked_at
        second = None if active.next_version is None else active.next_version.folder
        self._mailbox.leave(Standing(active.current.folder, second, active.share, looked_at))


def new_service(settings: ServiceSettings) -> Service:
    """Return a service with its store; it opens its model when it is started."""
    if settings.interactions is None:
        return Service(settings)
    from hashgnn.serving.store import InteractionStore

    store = InteractionStore.open(settings.interactions)
    problem = store.problem() if store.is_remote else None
    if problem is not None:
        store.close()
        raise StorageError(f"{store.name}: cannot be written, {problem}")
    return Service(settings, store)


def _search_options(ways: SearchWays, request: RecommendRequest | SimilarItemsRequest) -> SearchOptions:
    """Return checked options; ``k`` is at most the number of items."""
    try:
        return ways.options(min(request.k, len(ways)), request.search, request.oversampling)
    except ParameterError as error:
        raise RequestError(Reason.INVALID, str(error)) from None
