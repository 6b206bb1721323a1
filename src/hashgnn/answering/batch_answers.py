"""``BatchAnswers``: record batches of users, items or histories in, record batches of answers out."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from scipy import sparse

from hashgnn._checks import quote_some
from hashgnn._types import Array, SideName
from hashgnn.answering.batch_histories import HISTORY, TIMES, USER, times_in
from hashgnn.answering.batch_item_table import open_item_table
from hashgnn.answering.batch_request import BatchRequest
from hashgnn.answering.batch_rules import BatchRules
from hashgnn.answering.fitted_model import FittedModel
from hashgnn.answering.queries import EncodedEntities, Queries, RecentInteractions
from hashgnn.answering.ruled_search import (
    RuleEffects,
    recommend_with_rules,
    similar_items_with_rules,
    with_effects,
)
from hashgnn.batch import Answered
from hashgnn.data import HistoryWeighting, IdMap, Interactions, SideTable
from hashgnn.data.history_weighting import times_of_histories
from hashgnn.data.item_columns import open_items, with_item_columns
from hashgnn.data.readers import read_interactions
from hashgnn.errors import ArtifactError, DataError, HashGNNWarning, ParameterError, UnknownIdError
from hashgnn.ranking import IndexLists, Matches
from hashgnn.rules import ITEM_ID, BoundRules
from hashgnn.state import Side, load_state

_Limits: TypeAlias = tuple[float | None, float | None]  # index recall, bytes an item


@dataclass(frozen=True)
class BatchAnswers:
    """Answers a request for the rows of record batches. It depends on the rows alone, and changes nothing.

    The model is opened once a process, by its path, and mapped. So this object is small, and can be sent to
    the workers of any engine: ``dataset.map_batches(answers, batch_format="pyarrow")`` of Ray Data,
    ``frame.mapInArrow(answers.over, schema)`` of Spark.

    Input has a column ``user_id``, ``item_id`` or ``history`` (lists of item ids, with or without ``user_id``),
    as the request says.

    ========= =======================================================================================
    task      columns of the answer
    ========= =======================================================================================
    recommend ``user_id`` (or ``history``, the place in the batch), ``item_id``, ``rank``, ``score``
    similar   ``item_id``, ``similar_item_id`` (or users), ``rank``, ``score``
    encode    ``user_id`` or ``item_id``, ``code`` (n_bits / 8 bytes), ``embedding``, ``bias`` of items
    ========= =======================================================================================

    Under rules there are also ``base_rank`` and ``base_score``, as in :meth:`Recommendations.to_arrow`.

    Attributes
    ----------
    request : BatchRequest
    """

    request: BatchRequest

    def __call__(self, batch: pa.RecordBatch | pa.Table) -> pa.Table:
        """Return the answers to the rows of a batch, in their order.

        Raises
        ------
        UnknownIdError
            If an id is not in the training data.
        DataError
            If the batch has not the column that the request needs.
        """
        table = batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
        if HISTORY in table.column_names:
            return self.of_histories(table, 0, "the batch").table
        side, name = self.request.side, f"{self.request.side}_id"
        if name not in table.column_names:
            raise DataError(
                f"a batch must have the column {name!r} or {HISTORY!r}, got {quote_some(table.column_names)}"
            )
        index = _side(self._model, side).ids.index_of(table[name], noun=f"{side} ids")
        return self.of_positions(index).table

    def over(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the answers to each batch, as Spark's ``mapInArrow`` calls it."""
        for batch in batches:
            yield from self(batch).to_batches()

    def of_positions(self, index: Array) -> Answered:
        """Return the answers to users or items of the model by their positions, (n,) int64."""
        request, model, side = self.request, self._model, self.request.side
        name = f"{side}_id"
        who = self._column(side, index)
        if request.task == "encode":
            return self._encoded(name, who, EncodedEntities.of(_side(model, side), index))
        if request.task == "similar":
            ways = model.items_for_items if side == "item" else model.users_for_users
            options = ways.options(request.k, request.search, request.oversampling, request.n_threads)
            rules = self._rules
            if rules is not None:
                return self._ranked(name, who, *similar_items_with_rules(model, index, options, rules))
            similar = model.similar_items if side == "item" else model.similar_users
            return self._ranked(name, who, similar(index, options))
        since = None if self._since is None else self._since[index]
        recent = None
        if request.since_training is not None and request.history_weighting is not None:
            lately = _lately(
                request.since_training,
                json.dumps(request.history_weighting),
                request.model,
                request.checksum,
                _limits(request),
            )
            recent = lately.weights(_side(model, side).ids.at(index).tolist())
        queries = model.queries_of_users(index, since_training=since, recent=recent)
        return self._recommended(name, who, queries)

    def of_histories(self, rows: pa.Table, first: int, name: str) -> Answered:
        """Return the answers to histories.

        Parameters
        ----------
        rows : Table with ``history``, and perhaps ``user_id`` and ``timestamps``
        first : int
            Place of the first row, for an answer without ``user_id`` and for messages.
        name : str
            Of where the rows are from, for messages.
        """
        request, model = self.request, self._model
        lists, weights = self._lists(rows, first, name)
        column, who = HISTORY, pa.array(np.arange(first, first + len(rows)))
        if USER in rows.column_names:
            column, who = USER, _whole(rows[USER])
        if request.on_unknown == "error" and not lists.lengths.all():
            row = first + int(np.flatnonzero(lists.lengths == 0)[0])
            raise ParameterError(
                f'each history must name an item, that of row {row} of {name} is empty; pass on_unknown="popular"'
            )
        if request.task == "encode":
            kept = np.flatnonzero(lists.lengths)
            some = None if weights is None else weights[kept]
            return self._encoded(
                column, who.take(pa.array(kept)), model.fold_in_users(lists[kept], weights=some)
            )
        queries = model.queries_of_histories(lists, weights=weights, on_unknown=request.on_unknown)
        return self._recommended(column, who.take(pa.array(queries.places)), queries)

    @property
    def schema(self) -> pa.Schema:
        """The columns of the answers to ids."""
        return self.of_positions(np.empty(0, np.int64)).table.schema

    @property
    def _model(self) -> FittedModel:
        request = self.request
        return _opened(request.model, request.checksum, _limits(request))

    @property
    def _since(self) -> IndexLists | None:
        request = self.request
        if request.since_training is None:
            return None
        return _newer(request.since_training, request.model, request.checksum, _limits(request))

    @property
    def _rules(self) -> BoundRules | None:
        request = self.request
        if request.rules is None:
            return None
        return _bound(request.rules.text, request.model, request.checksum, _limits(request))

    def _recommended(self, name: str, who: pa.Array, queries: Queries) -> Answered:
        request, model = self.request, self._model
        ways = model.items_for_users
        options = ways.options(request.k, request.search, request.oversampling, request.n_threads)
        candidates = queries.candidates(
            len(model.state.items),
            filter_seen=request.filter_seen,
            allow=_positions(request.allow),
            block=_positions(request.block),
        )
        rules = self._rules
        if rules is None:
            return self._ranked(name, who, model.recommend(queries, options, candidates))
        return self._ranked(name, who, *recommend_with_rules(model, queries, options, candidates, rules))

    def _ranked(
        self, name: str, who: pa.Array, found: Matches, effects: RuleEffects | None = None
    ) -> Answered:
        request = self.request
        side: SideName = "item" if request.task == "recommend" else request.side
        k = found.positions.shape[1]
        real = np.arange(k) < found.counts[:, None]
        ranks = np.broadcast_to(np.arange(1, k + 1, dtype=np.int32), real.shape)
        table = pa.table(
            {
                name: who.take(pa.array(np.repeat(np.arange(len(found.counts)), found.counts))),
                "item_id" if request.task == "recommend" else f"similar_{side}_id": self._column(
                    side, found.positions[real]
                ),
                "rank": pa.array(ranks[real]),
                "score": pa.array(found.scores[real].astype(np.float32)),
            }
        )
        if effects is not None:
            table = with_effects(table, effects, real)
        if request.items is not None:
            columns = _titles(
                request.items, request.item_id, request.model, request.checksum, _limits(request)
            )
            table = with_item_columns(
                table, table.column_names[1], columns, found.positions[real], request.title
            )
        return Answered(table, len(found.counts), int((found.counts == 0).sum()))

    def _encoded(self, name: str, who: pa.Array, entities: EncodedEntities) -> Answered:
        codes = np.ascontiguousarray(entities.codes.packed)
        vectors = entities.embeddings.astype(np.float32)
        packed = [None, pa.py_buffer(codes.tobytes())]
        columns = {
            name: who,
            "code": pa.FixedSizeBinaryArray.from_buffers(pa.binary(codes.shape[1]), len(codes), packed),
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1]),
        }
        if entities.bias is not None:
            columns["bias"] = pa.array(entities.bias.values())
        return Answered(pa.table(columns), len(codes))

    def _lists(self, rows: pa.Table, first: int, name: str) -> tuple[IndexLists, sparse.csr_matrix | None]:
        """Return histories as lists of positions, and what they weigh; unknown items are left out, or an error."""
        column, items = _whole(rows[HISTORY]), self._model.state.items.ids
        flat = column.flatten()
        if flat.null_count:
            raise DataError(f"{name}: a history must hold no empty ids, got {flat.null_count}")
        index = items.index_of(flat, on_unknown="skip", noun="item ids")
        if self.request.on_unknown == "error" and (index < 0).any():
            unknown = flat.take(pa.array(np.flatnonzero(index < 0)[:50])).to_pylist()
            raise UnknownIdError(
                f"{int((index < 0).sum())} of {len(index)} item ids of {name} from row {first} are not in the "
                f'training data: {quote_some(list(dict.fromkeys(unknown)))}; pass on_unknown="skip" to leave them out'
            )
        lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        parts = np.split(index, np.cumsum(lengths)[:-1]) if len(rows) else []
        lists = IndexLists.from_rows([part[part >= 0] for part in parts])
        weighting = HistoryWeighting.of(self.request.history_weighting)
        if weighting is None:
            return lists, None
        times = times_of_histories(parts, times_in(rows, first, name), first)
        if times is None and weighting.needs_times:
            raise DataError(f"{name}: must have a column {TIMES!r} for session and age_half_life")
        return lists, weighting.matrix(parts, times, len(items))

    def _column(self, side: SideName, index: Array) -> pa.Array:
        """Return the ids at some positions as a column, whose type depends on the map alone."""
        request = self.request
        kind = _column_types(request.model, request.checksum, _limits(request))[side]
        ids = _side(self._model, side).ids
        if kind is None:
            return pa.array(ids.printed(index), pa.string())
        values = ids.at(index)
        return pa.array(values if ids.kind == "int" else values.tolist(), kind)


def _limits(request: BatchRequest) -> _Limits:
    return request.index_recall, request.bytes_per_item


def _side(model: FittedModel, side: SideName) -> Side:
    return model.state.users if side == "user" else model.state.items


@lru_cache(maxsize=2)
def _opened(path: str, checksum: str, limits: _Limits) -> FittedModel:
    state = load_state(path)
    if state.checksum != checksum:
        raise ArtifactError(f"{path}: holds another model than when the batch began; put the first one back")
    return FittedModel(state, limits[0], None, limits[1])


@lru_cache(maxsize=1)
def _interactions(since: str, path: str, checksum: str, limits: _Limits) -> Interactions:
    """Return newer interactions of the users of a model; others are left out."""
    state = _opened(path, checksum, limits).state
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HashGNNWarning)  # given once, when the request was made
        return read_interactions(since, user_ids=state.users.ids, item_ids=state.items.ids, on_unknown="skip")


@lru_cache(maxsize=1)
def _newer(since: str, path: str, checksum: str, limits: _Limits) -> IndexLists:
    """Return the items that each user of a model has in newer interactions."""
    return IndexLists.from_matrix(_interactions(since, path, checksum, limits).csr)


@lru_cache(maxsize=1)
def _lately(since: str, weighting: str, path: str, checksum: str, limits: _Limits) -> RecentInteractions:
    """Return newer interactions in the order of their times, with what they weigh."""
    state = _opened(path, checksum, limits).state
    newer = _interactions(since, path, checksum, limits)
    return RecentInteractions(
        state.users.ids, state.items.ids, newer, HistoryWeighting(**json.loads(weighting))
    )


@lru_cache(maxsize=1)
def _titles(items: str, item_id: str, path: str, checksum: str, limits: _Limits) -> SideTable:
    """Return the table of items that titles are from, aligned to a model's items."""
    ids = _opened(path, checksum, limits).state.items.ids
    return open_items(items, ids, id_column=None if item_id == ITEM_ID else item_id)


@lru_cache(maxsize=1)
def _bound(rules: str, path: str, checksum: str, limits: _Limits) -> BoundRules:
    """Return rules over their table of items."""
    state, read = _opened(path, checksum, limits).state, BatchRules(*json.loads(rules))
    return read.rules.bind(open_item_table(read, path, state.items.ids), state.n_items)


@lru_cache(maxsize=2)
def _column_types(path: str, checksum: str, limits: _Limits) -> dict[str, pa.DataType | None]:
    """Return the type of a column of each side's ids; ``None`` where no column holds them, so they are printed."""
    state = _opened(path, checksum, limits).state
    return {"user": _type_of(state.users.ids), "item": _type_of(state.items.ids)}


def _type_of(ids: IdMap) -> pa.DataType | None:
    if ids.kind == "int":
        return pa.int64()
    if ids.kind == "str":
        return pa.string()
    try:
        kind = pa.array(ids.ids.tolist()).type
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return None
    return None if isinstance(kind, pa.BaseExtensionType) or pa.types.is_nested(kind) else kind


def _positions(chosen: tuple[int, ...] | None) -> Array | None:
    return None if chosen is None else np.array(chosen, np.int64)


def _whole(column: Any) -> pa.Array:
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
