"""The service without HTTP: requests that were checked in, finished documents out."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hashgnn.errors import HashGNNError, ParameterError, StorageError
from hashgnn.index import InvertedFile
from hashgnn.ranking import Matches
from hashgnn.recommender.search_space import SearchOptions, SearchSpace
from hashgnn.serving import documents
from hashgnn.serving.api_models import (
    EncodeRequest,
    InteractionsRequest,
    RecommendRequest,
    SimilarItemsRequest,
)
from hashgnn.serving.engine import POPULAR, SOURCES, Engine, Question
from hashgnn.serving.gate import Gate
from hashgnn.serving.json_text import dumps
from hashgnn.serving.life import Held, Life
from hashgnn.serving.logs import log
from hashgnn.serving.metrics import Metrics
from hashgnn.serving.problems import ProblemError
from hashgnn.serving.settings import ServiceSettings
from hashgnn.serving.versions import Version, open_version
from hashgnn.serving.wishes import Wishes

Check = Callable[[], None]

_INFO, _WARNING = 20, 30
_WRITERS = 8
_SHORT_BYTES, _SHORT_RESULTS = 20_000_000, 2_000


class Service:
    """Everything that answers, behind any web server.

    Parameters
    ----------
    settings : ServiceSettings
    store : object with ``append``, ``history``, ``count`` and ``close``, or None
        Where new interactions are kept.
    """

    def __init__(self, settings: ServiceSettings, store: Any = None) -> None:
        self.settings, self.store = settings, store
        self.metrics = Metrics()
        self.gate = Gate(settings.n_threads, settings.queue, settings.time_limit)
        # Writers wait for the disk and share its writes; searches should not wait with them.
        self.writing = Gate(_WRITERS, settings.queue, settings.time_limit)
        self.draining = False
        self._wishes = Wishes(settings.runtime)
        self.life = Life(
            settings.model,
            self._open,
            self._reloaded,
        )

    def start(self) -> None:
        """Open the model; the service is ready afterwards."""
        started = time.perf_counter()
        self.life.start(self.settings.next_model, self.settings.next_share)
        self._say_versions()
        seconds = round(time.perf_counter() - started, 3)
        version = self.held.current.version
        log(_INFO, "ready", version=version.name, index=repr(version.fitted.item_index), seconds=seconds)

    @property
    def ready(self) -> bool:
        """Whether a model is open and the service is not about to stop."""
        return self.life.held is not None and not self.draining

    @property
    def held(self) -> Held:
        """The versions that answer now."""
        held = self.life.held
        if held is None:
            raise ProblemError(503, "the model is not open yet", {"Retry-After": "1"})
        return held

    def is_short(self, asked: RecommendRequest | SimilarItemsRequest) -> bool:
        """Say whether a search is over in about a millisecond, by the bytes that it reads.

        Those of codes count once for each of the four planes of a float query. Of lists, centroids and the
        nearest are read.
        """
        rows = asked.items if isinstance(asked, SimilarItemsRequest) else asked.users or asked.histories
        engine = self.held.current
        state = engine.version.state
        of_item = {"float": 4 * state.dim, "asymmetric": state.n_bits / 2}.get(asked.search, state.n_bits / 8)
        index, n_read = engine.version.fitted.item_index, float(state.n_items)
        if isinstance(index, InvertedFile) and asked.search != "float":
            n_read = index.n_lists + n_read * min(index.n_probe / index.n_lists, 1)
        read = len(rows or ()) * n_read * of_item
        found = len(rows or ()) * asked.k * (asked.oversampling if asked.search == "hierarchical" else 1)
        return read <= _SHORT_BYTES and found <= _SHORT_RESULTS

    def recommend(self, asked: RecommendRequest, check: Check) -> bytes:
        """Answer ``POST /v1/recommend``."""
        started = time.perf_counter()
        held = self.held
        n_rows = len(asked.users if asked.users is not None else asked.histories or ())
        self._check_results(n_rows, asked.k)
        if asked.users is None:
            assert asked.histories is not None
            rows = self._rows(held.current, asked, held.current.of_histories(asked.histories), None, check)
        elif held.following is None:
            rows = self._rows_of_users(held.current, asked, asked.users, check)
        else:
            rows = self._rows_of_both(held, asked, asked.users, check)
        milliseconds = (time.perf_counter() - started) * 1000
        return documents.answer(held.current.version.name, asked.search, milliseconds, rows)

    def similar(self, asked: SimilarItemsRequest, check: Check) -> bytes:
        """Answer ``POST /v1/similar-items``."""
        started = time.perf_counter()
        engine = self.held.current
        self._check_results(len(asked.items), asked.k)
        options = _options(engine.alike, asked)
        found = engine.similar(asked.items, options, check)
        self._count(engine, asked.search, len(asked.items), "item")
        lists = documents.item_lists(engine.version, found)
        rows = [documents.similar_row(dumps(item), row) for item, row in zip(asked.items, lists, strict=True)]
        milliseconds = (time.perf_counter() - started) * 1000
        return documents.answer(engine.version.name, asked.search, milliseconds, rows)

    def encode(self, asked: EncodeRequest) -> bytes:
        """Answer ``POST /v1/encode``."""
        engine, bias = self.held.current, None
        if asked.items is not None:
            index = engine.items.index(asked.items)
            known = index >= 0
            encoded, bias = engine.items_encoded(index[known])
        else:
            if asked.users is not None:
                question = engine.of_users(asked.users, self._told(), "fold-in")
            else:
                assert asked.histories is not None
                question = engine.of_histories(asked.histories)
            known, encoded = question.source != POPULAR, question.queries
        document = {
            "model_version": engine.version.name,
            "n_bits": engine.version.state.n_bits,
            "results": documents.encoded_rows(encoded, known, bias),
        }
        return dumps(document)

    def items(self, query: str, limit: int) -> bytes:
        """Answer ``GET /v1/items``: what begins with the query first, then what holds its words."""
        version = self.held.current.version
        positions = version.find_items(query, limit)
        ids = version.item_texts(positions)
        known = [b"null"] * len(ids) if version.metadata is None else version.metadata.documents(positions)
        found = [b'{"id":%b,"metadata":%b}' % pair for pair in zip(ids, known, strict=True)]
        return b'{"items":[%b]}' % b",".join(found)

    def interactions(self, asked: InteractionsRequest) -> bytes:
        """Answer ``POST /v1/interactions``: what is acknowledged is on the disk."""
        if self.store is None:
            raise ProblemError(404, "this service keeps no interactions; start it with --interactions FILE")
        given = asked.interactions
        users, items = [one.user for one in given], [one.item for one in given]
        engine = self.held.current
        engine.users.index(users)  # an id of the wrong type is refused before anything is kept
        unknown = int((engine.items.index(items) < 0).sum())
        now = time.time()
        timestamps = [now if one.timestamp is None else one.timestamp for one in given]
        weights = None
        if any(one.weight is not None for one in given):
            weights = [1.0 if one.weight is None else one.weight for one in given]
        try:
            accepted = self.store.append(users, items, timestamps=timestamps, weights=weights)
        except ParameterError as error:
            raise ProblemError(422, str(error)) from None
        except StorageError as error:
            log(_WARNING, "interactions not kept", detail=str(error))  # its sentence names a path
            raise ProblemError(503, "the interactions could not be kept", {"Retry-After": "5"}) from None
        self.metrics.interactions.inc(accepted)
        return dumps({"accepted": accepted, "unknown_items": unknown, "stored": self.store.count})

    def model(self) -> bytes:
        """Answer ``GET /v1/model``."""
        held = self.held
        version, space = held.current.version, held.current.space
        state, following = version.state, held.following
        return dumps(
            {
                "version": version.name,
                "checksum": version.checksum,
                "created": version.created,
                "loaded": version.loaded_text,
                "age_seconds": round(time.time() - version.created_seconds, 3),
                "next_version": None if following is None else following.version.name,
                "next_share": held.share,
                "n_users": state.n_users,
                "n_items": state.n_items,
                "n_interactions": int(state.seen.nnz),
                "n_bits": state.n_bits,
                "embedding_dim": state.dim,
                "encoder": state.config.encoder,
                "item_bias": state.item_bias is not None,
                "recipe": state.config.to_dict(),
                "metrics": dict(state.metrics),
                "data_statistics": dict(state.data_statistics),
                "training": dict(state.training),
                "code_health": {name: health.summary() for name, health in version.code_health.items()},
                "bit_balance": {
                    name: [round(share, 4) for share in health.balance.tolist()]
                    for name, health in version.code_health.items()
                },
                "search_ways": list(space.ways),
                "bytes_per_item": {way: space.bytes_per_entry(way) for way in space.ways},
                "metadata_columns": [] if version.metadata is None else version.metadata.columns,
                "keeps_interactions": self.store is not None,
            }
        )

    def reload(self, version: str | None, following: str | None, share: float) -> bool:
        """Open other versions, here and in the other workers; see :meth:`Life.reload`."""
        changed = self.life.reload(version, following, share)
        self._wishes.tell(version, following, share)
        return changed

    def look(self) -> None:
        """Follow what was asked of another worker, then what stands at the model's path."""
        wish = self._wishes.unread()
        if wish is not None:
            with contextlib.suppress(HashGNNError):  # it was logged and counted
                self.life.reload(wish.version, wish.following, wish.share)
        self.life.look()

    def close(self) -> None:
        """Let what runs end, then close the store."""
        self.gate.close()
        self.writing.close()
        if self.store is not None:
            self.store.close()

    def _open(self, path: Path) -> Version:
        # At the start all processors are free; later they answer requests.
        n_threads = self.settings.n_threads if self.life.held is None else 1
        return open_version(
            path,
            items=self.settings.items,
            item_id=self.settings.item_id,
            index_recall=self.settings.index_recall,
            n_threads=n_threads,
        )

    def _rows_of_users(
        self, engine: Engine, asked: RecommendRequest, users: Sequence[Any], check: Check
    ) -> list[bytes]:
        question = engine.of_users(users, self._told(), asked.on_unknown)
        return self._rows(engine, asked, question, users, check)

    def _rows_of_both(
        self, held: Held, asked: RecommendRequest, users: Sequence[Any], check: Check
    ) -> list[bytes]:
        """Return the rows of users whom two versions share, in the order asked."""
        engines = [held.of_user(user) for user in users]
        rows: list[bytes] = [b""] * len(users)
        for engine in (held.current, held.following):
            places = [place for place, chosen in enumerate(engines) if chosen is engine]
            if engine is None or not places:
                continue
            chosen = [users[place] for place in places]
            question = engine.of_users(chosen, self._told(), asked.on_unknown)
            name = None if engine is held.current else engine.version.name
            found = self._rows(engine, asked, question, chosen, check, name)
            for place, row in zip(places, found, strict=True):
                rows[place] = row
        return rows

    def _rows(
        self,
        engine: Engine,
        asked: RecommendRequest,
        question: Question,
        users: Sequence[Any] | None,
        check: Check,
        version: str | None = None,
    ) -> list[bytes]:
        found: Matches = engine.recommend(
            question,
            _options(engine.space, asked),
            filter_seen=asked.filter_seen,
            allow=asked.allow_list,
            block=asked.block_list,
            check=check,
        )
        n_scanned = len(question.queries)
        self._count(engine, asked.search, n_scanned, "user")
        lists = documents.item_lists(engine.version, found)
        names: Sequence[Any] = range(len(lists)) if users is None else users
        return [
            documents.recommended_row(dumps(user), SOURCES[source], items, version)
            for user, source, items in zip(names, question.source.tolist(), lists, strict=True)
        ]

    def _told(self) -> Callable[[Any], Sequence[Any]] | None:
        return None if self.store is None or not self.store.count else self.store.history

    def _check_results(self, n_rows: int, k: int) -> None:
        if n_rows * k > self.settings.result_limit:
            raise ProblemError(
                422,
                f"rows times k must be at most {self.settings.result_limit}, got {n_rows} times {k}; "
                "ask in smaller batches",
            )

    def _count(self, engine: Engine, search: str, n_queries: int, side: str) -> None:
        self.metrics.scanned.labels(search).inc(n_queries * engine.version.state.n_items)
        self.metrics.rows.labels(side).inc(n_queries)

    def _reloaded(self, worked: bool, sentence: str) -> None:
        self.metrics.reloads.labels("accepted" if worked else "refused").inc()
        log(_INFO if worked else _WARNING, "reload", accepted=worked, detail=sentence)
        if worked:
            self._say_versions()

    def _say_versions(self) -> None:
        held = self.held
        self.metrics.answers_from(
            held.current.version, None if held.following is None else held.following.version
        )


def new_service(settings: ServiceSettings) -> Service:
    """Return a service with its store; it opens its model when it is started."""
    if settings.interactions is None:
        return Service(settings)
    from hashgnn.serving.store import InteractionStore

    return Service(settings, InteractionStore.open(settings.interactions))


def _options(space: SearchSpace, asked: RecommendRequest | SimilarItemsRequest) -> SearchOptions:
    """Return checked options; as many results as there are where ``k`` asks for more."""
    try:
        return space.options(min(asked.k, len(space)), asked.search, asked.oversampling)
    except ParameterError as error:
        raise ProblemError(422, str(error)) from None
