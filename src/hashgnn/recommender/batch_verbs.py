"""``BatchVerbs``: answers for all users or items of a model, or for a folder of histories, as a folder of parquet."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack, cast

import numpy as np

from hashgnn._addresses import address_of, file_system
from hashgnn._checks import check_choice, check_int, check_threads
from hashgnn._types import ON_UNKNOWN, Ids, OnUnknown, SideName
from hashgnn.answering.batch_histories import checksum_of, input_name
from hashgnn.answering.batch_item_table import copied_item_table
from hashgnn.answering.batch_job import BatchJob
from hashgnn.answering.batch_request import PART_ROWS, BatchRequest
from hashgnn.answering.batch_rules import BatchRules
from hashgnn.answering.fitted_model import FittedModel
from hashgnn.batch import BatchResult, run_batch
from hashgnn.batch.folder import unfinished_request
from hashgnn.batch.place import sibling
from hashgnn.batch.run import EngineOptions
from hashgnn.data import HistoryWeighting, IdMap
from hashgnn.data.item_columns import open_items, title_names
from hashgnn.data.readers import read_interactions
from hashgnn.errors import ArtifactError, ParameterError, UnknownIdError
from hashgnn.recommender.batch_target import Target
from hashgnn.recommender.history_files import find_any_histories, remove_copy
from hashgnn.rules import ITEM_ID, ITEM_TABLE, ItemAttributes, RuleOptions
from hashgnn.state import local_folder, save_state
from hashgnn.state.artifact import open_artifact

_MODEL = "_model"  # next to the output, while it is made, of a model that lies in no folder
_ITEMS = "_items"  # the same of the table that rules look at


class BatchOptions(EngineOptions, RuleOptions, total=False):
    """Where a batch runs (:class:`hashgnn.batch.EngineOptions`), and its rules (:class:`hashgnn.rules.RuleOptions`)."""


class BatchVerbs(ABC):
    """The verbs of a model that answer for everyone at once.

    Every verb writes a folder of parquet files, each for ``part_rows`` users or items, and a manifest with
    counts and checksums. A file appears whole or not at all. Files do not depend on the engine, the number of
    workers, or on workers that were killed. The same call in the same folder goes on where a run was stopped;
    another request in it is an error. An output with the suffix of a table is one file: its parts lie in a
    hidden folder next to it until all are made.
    """

    _path: str | Path | None = None  # the folder or address that the model was loaded from
    _has_own_table = False  # of items, other than that of its folder

    @property
    @abstractmethod
    def fitted(self) -> FittedModel:
        """The model in internal indices."""

    @property
    @abstractmethod
    def item_attributes(self) -> ItemAttributes | None:
        """The table of items that rules look at."""

    def recommend_all(
        self,
        output: str | Path,
        *,
        histories: str | Path | None = None,
        k: int = 10,
        search: str = "hierarchical",
        filter_seen: bool = True,
        allow: Ids | None = None,
        block: Ids | None = None,
        since_training: str | Path | None = None,
        history_weighting: HistoryWeighting | Mapping[str, Any] | None = None,
        on_unknown: OnUnknown = "error",
        oversampling: int = 5,
        part_rows: int = PART_ROWS,
        items: str | Path | None = None,
        item_id: str = ITEM_ID,
        title: str | Sequence[str] | None = None,
        format: str | None = None,
        overwrite: bool = False,
        **run: Unpack[BatchOptions],
    ) -> BatchResult:
        """Rank items for every user of the training data, or for a folder of histories.

        Parameters
        ----------
        output : str or Path
            A new or an empty folder, or one that an earlier run of the same request has left; or a file, such as
            ``"all.csv"``, which appears when all parts are made. Either may be at an address, such as
            ``"s3://bucket/all"`` (extra ``cloud``). The columns are ``user_id``, ``item_id``, ``rank`` (from 1)
            and ``score``; under rules also ``base_rank`` and ``base_score``.
        histories : str or Path, optional
            A file, or a folder of them, with a column ``history`` of lists of item ids and, if the answers shall name
            users, a column ``user_id``; or with an interaction in each row, in the columns ``user_id`` and
            ``item_id``. Times for ``history_weighting`` are in a column ``timestamps`` of lists of seconds or times,
            or in the column ``timestamp`` or ``time`` of each row. Without ``user_id`` the answers have a column
            ``history``, the place of the row. Parquet with lists is read row by row; others are copied to parquet
            first. ``None`` answers every user of the training data.
        k, search, filter_seen, on_unknown, oversampling
            As for :meth:`recommend` and :meth:`recommend_for_history`.
        allow, block : list of item ids, optional
            Only these items, or none of these, for everyone.
        since_training : str or Path, optional
            A file or folder of newer interactions; users in it are folded in from all that is known of them.
        history_weighting : HistoryWeighting or mapping, optional
            As for :meth:`recommend` and :meth:`recommend_for_history`; it needs ``histories`` or ``since_training``.
        part_rows : int, default=4096
            Users in each part.
        items : str or Path, optional
            A table of items, to take titles from. Rules look at it too, unless the model has one of
            :meth:`with_item_table`; without ``items`` they look at that in the folder of the model.
        item_id : str, default="item_id"
            Its column of item ids.
        title : str or list of str, optional
            Columns of ``items`` that stand next to the item's id; ``None`` takes ``title`` or ``name``.
        format : {"parquet", "csv", "jsonl"}, optional
            Of a file at ``output``; ``None`` follows from its suffix. A folder holds parquet.
        overwrite : bool, default=False
            Replace a file, or the answers to another request in a folder. A folder that holds something else is
            never changed.
        **run
            ``engine``, ``n_workers``, ``n_threads``, ``address``, ``progress``: see
            :class:`hashgnn.batch.EngineOptions`. ``where``, ``boost``, ``max_per``, ``diversity`` and ``now``: see
            :class:`hashgnn.rules.RuleOptions`. A run that goes on keeps the moment of its first call as ``now``.

        Returns
        -------
        hashgnn.batch.BatchResult

        Raises
        ------
        ParameterError
            If an argument breaks its rule, the file exists, or the folder holds something else.
        DataError
            If histories or newer interactions are not usable.
        UnknownIdError
            If an item is unknown and ``on_unknown="error"``.
        EngineError
            If the engine cannot be reached, or its workers fail; the same call goes on.
        StorageError
            If writing failed, as on a full disk.

        Examples
        --------
        >>> import tempfile
        >>> from hashgnn import HashGNN
        >>> from hashgnn.testing.states import random_state
        >>> model = HashGNN.from_state(random_state())
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     made = model.recommend_all(folder, k=3, n_workers=1, progress=False)
        >>> made.n_rows, made.n_results
        (20, 60)
        """
        if histories is not None and since_training is not None:
            raise ParameterError("since_training must be None with histories, which say everything")
        weighting = HistoryWeighting.of(history_weighting)
        if weighting is not None and histories is None and since_training is None:
            raise ParameterError(
                "history_weighting needs histories or since_training, got neither; the training has no order of items"
            )
        check_choice("on_unknown", on_unknown, ON_UNKNOWN)
        request = self._request(
            "recommend",
            "user",
            k=k,
            search=search,
            oversampling=oversampling,
            filter_seen=filter_seen,
            on_unknown=on_unknown,
            part_rows=part_rows,
            history_weighting=None if weighting is None else weighting.to_dict(),
        )
        known = self.fitted.state.items.ids
        request = replace(
            request,
            allow=_positions(known, "allow", allow, is_strict=on_unknown == "error"),
            block=_positions(known, "block", block, is_strict=False),
        )
        if since_training is not None:
            request = self._with_newer(request, since_training)
        target = Target(output, format, overwrite)
        request, table = self._with_rules(request, run, items, item_id, target)
        request = self._with_titles(request, items, title)
        return self._run_batch(request, target, histories, run, table)

    def similar_all(
        self,
        output: str | Path,
        *,
        side: SideName = "item",
        k: int = 10,
        search: str = "hierarchical",
        oversampling: int = 5,
        part_rows: int = PART_ROWS,
        items: str | Path | None = None,
        item_id: str = ITEM_ID,
        title: str | Sequence[str] | None = None,
        format: str | None = None,
        overwrite: bool = False,
        **run: Unpack[BatchOptions],
    ) -> BatchResult:
        """Rank the items most similar to each item, or the users most similar to each user.

        The files have the columns ``item_id``, ``similar_item_id``, ``rank`` and ``score``, or those of users.

        Parameters
        ----------
        output : str or Path
        side : {"item", "user"}, default="item"
        k, search, oversampling
            As for :meth:`similar_items`.
        part_rows, items, item_id, title, format, overwrite, **run
            As for :meth:`recommend_all`; rules are for items.
        """
        check_choice("side", side, ("item", "user"))
        request = self._request(
            "similar", side, k=k, search=search, oversampling=oversampling, part_rows=part_rows
        )
        if items is not None and side == "user":
            raise ParameterError('items must be None with side="user"')
        target = Target(output, format, overwrite)
        request, table = self._with_rules(request, run, items, item_id, target)
        request = self._with_titles(request, items, title)
        return self._run_batch(request, target, None, run, table)

    def encode_all(
        self,
        output: str | Path,
        *,
        side: SideName = "user",
        histories: str | Path | None = None,
        history_weighting: HistoryWeighting | Mapping[str, Any] | None = None,
        on_unknown: OnUnknown = "error",
        part_rows: int = PART_ROWS,
        format: str | None = None,
        overwrite: bool = False,
        **run: Unpack[EngineOptions],
    ) -> BatchResult:
        """Write the codes and embeddings of all users or items, or of users folded in from histories.

        The files have the columns ``user_id`` or ``item_id``, ``code`` (``n_bits / 8`` bytes), ``embedding``
        (float32) and, of items of a model with an item bias, ``bias`` (float32).

        Parameters
        ----------
        output : str or Path
        side : {"user", "item"}, default="user"
        histories : str or Path, optional
        history_weighting : HistoryWeighting or mapping, optional
            As for :meth:`recommend_all`.
        on_unknown : {"error", "skip"}, default="error"
            Unknown items of a history, and histories in which nothing is left: an error, or left out.
        part_rows, format, overwrite, **run
            As for :meth:`recommend_all`.
        """
        check_choice("side", side, ("item", "user"))
        check_choice("on_unknown", on_unknown, ("error", "skip"))
        if histories is not None and side == "item":
            raise ParameterError('histories must be None with side="item"')
        weighting = HistoryWeighting.of(history_weighting)
        if weighting is not None and histories is None:
            raise ParameterError("history_weighting needs histories, got none")
        request = self._request(
            "encode",
            side,
            k=1,
            on_unknown=on_unknown,
            part_rows=part_rows,
            history_weighting=None if weighting is None else weighting.to_dict(),
        )
        return self._run_batch(request, Target(output, format, overwrite), histories, run)

    def batch_request(self, task: str = "recommend", side: SideName = "user", **options: Any) -> BatchRequest:
        """Return a request for :class:`hashgnn.answering.BatchAnswers`, in a pipeline of your own.

        Parameters
        ----------
        task : {"recommend", "similar", "encode"}
        side : {"user", "item"}
        **options
            ``k``, ``search``, ``oversampling``, ``filter_seen``, ``on_unknown``, ``history_weighting``, ``n_threads``;
            rules, and the path or address of a table of ``items`` that they look at, which defaults to that in the
            folder of the model.

        Raises
        ------
        ParameterError
            If the model lies in no folder, from which workers could open it, its table of items lies in no file, or
            an option breaks its rule.
        """
        check_choice("task", task, ("recommend", "similar", "encode"))
        check_choice("side", side, ("user", "item"))
        items, item_id = options.pop("items", None), options.pop("item_id", ITEM_ID)
        rules = {name: options.pop(name) for name in RuleOptions.__annotations__ if name in options}
        weighting = HistoryWeighting.of(options.pop("history_weighting", None))
        weights = None if weighting is None else weighting.to_dict()
        request = self._request(task, side, history_weighting=weights, **options)
        checksum = _checksum_at(self._path)
        if checksum is None or checksum != self.fitted.state.checksum:
            raise ParameterError("a model must lie in a folder for workers to open it; save it and load it")
        assert self._path is not None
        request, table = self._with_rules(request, rules, items, item_id)
        if table is not None and request.rules is not None:
            if items is None and (self._has_own_table or table.is_changed):
                raise ParameterError(
                    "a table of items must lie in a file for workers to open it; pass items, its path or address"
                )
            name = None if items is None else input_name(items)
            read = checksum_of(local_folder(self._path) / ITEM_TABLE if name is None else name)
            request = replace(
                request, rules=replace(request.rules, table=name, checksum=read, item_id=item_id)
            )
        return replace(request, model=str(self._path), checksum=checksum)

    def _with_rules(
        self,
        request: BatchRequest,
        options: Mapping[str, Any],
        items: str | Path | None,
        item_id: str,
        target: Target | None = None,
    ) -> tuple[BatchRequest, ItemAttributes | None]:
        """Return a request with its rules, and the table of items that they look at, if they do."""
        rules = BatchRules.read(
            cast(
                "RuleOptions",
                {name: options[name] for name in RuleOptions.__annotations__ if name in options},
            )
        )
        request = replace(request, item_id=item_id)
        if rules is None:
            return request, None
        if request.task == "encode" or (request.task == "similar" and request.side == "user"):
            raise ParameterError(
                f"{', '.join(rules.options)} must be left out where no items are ranked; rules are for items"
            )
        ids, table = self.fitted.state.items.ids, None
        if rules.columns:
            if items is None or (self._has_own_table and target is not None):
                table = self.item_attributes
            else:
                table = ItemAttributes.read(input_name(items), ids, id_column=item_id)
        rules.rules.bind(table, len(ids))  # what is wrong is said here, and by no worker
        if "now" in rules.options and options.get("now") is None and target is not None:
            rules = rules.since(unfinished_request(target.folder))
        return replace(request, rules=rules), table

    def _request(self, task: str, side: SideName, **options: Any) -> BatchRequest:
        """Return a request with checked options; its model and other inputs are filled in later."""
        fitted = self.fitted
        request = BatchRequest("", "", task, side, **options)
        check_int("part_rows", request.part_rows, minimum=1)
        ways = fitted.items_for_users
        if task == "similar":
            ways = fitted.items_for_items if side == "item" else fitted.users_for_users
        if task != "encode":
            checked = ways.options(request.k, request.search, request.oversampling, request.n_threads)
            request = replace(request, k=checked.k)  # what was cut is said here, and by no worker
        recall = None if fitted.index_recall == fitted.state.index_recall else fitted.index_recall
        budget = None if fitted.bytes_per_item == fitted.state.bytes_per_item else fitted.bytes_per_item
        return replace(request, index_recall=recall, bytes_per_item=budget)

    def _with_newer(self, request: BatchRequest, path: str | Path) -> BatchRequest:
        state, name = self.fitted.state, input_name(path)
        # Read once here, so that a bad file is refused, and its warnings are given, before anything starts.
        newer = read_interactions(name, user_ids=state.users.ids, item_ids=state.items.ids, on_unknown="skip")
        if request.history_weighting is not None and newer.timestamp is None:
            raise ParameterError("history_weighting needs the times of since_training, got none")
        return replace(request, since_training=name, since_checksum=checksum_of(name))

    def _with_titles(
        self, request: BatchRequest, items: str | Path | None, title: str | Sequence[str] | None
    ) -> BatchRequest:
        if items is None:
            if title is not None:
                raise ParameterError(f"title needs items, a table to take it from, got {title!r} alone")
            return request
        name = input_name(items)
        ids, item_id = self.fitted.state.items.ids, None if request.item_id == ITEM_ID else request.item_id
        table = open_items(name, ids, id_column=item_id)
        if title is None and request.rules is not None and not table.has_titles:
            return request  # it is there for the rules
        columns = table.title_columns(title_names(title))
        return replace(request, items=name, items_checksum=checksum_of(name), title=tuple(columns))

    def _run_batch(
        self,
        request: BatchRequest,
        target: Target,
        histories: str | Path | None,
        options: Mapping[str, Any],
        table: ItemAttributes | None = None,
    ) -> BatchResult:
        fitted, n = self.fitted, len(self.fitted.state.users)
        if request.side == "item":
            n = len(fitted.state.items)
        run = cast(
            "EngineOptions",
            {name: value for name, value in options.items() if name not in RuleOptions.__annotations__},
        )
        target.check()
        request = replace(request, n_threads=check_threads(run.get("n_threads", 1)))
        noun = "items" if request.side == "item" else "users"
        with ExitStack() as copies:
            if histories is not None:
                copy = sibling(target.folder, "_histories")
                weighting = HistoryWeighting.of(request.history_weighting)
                files, is_copy = find_any_histories(histories, fitted.state.items.ids, copy, weighting)
                if is_copy:
                    copies.callback(remove_copy, copy)
                request = replace(request, histories=files, histories_checksum=checksum_of(histories))
                n = sum(file.n_rows for file in files)
            if request.rules is not None:
                copy = sibling(target.folder, _ITEMS)
                rules = copies.enter_context(copied_item_table(request.rules, table, copy))
                request = replace(request, rules=rules)
            ready = copies.enter_context(self._saved(request, target.folder))
            job, overwrite = BatchJob(ready, n), target.overwrite or target.is_file
            name = str(target.output) if target.is_file else None
            made = run_batch(job, target.folder, noun=noun, overwrite=overwrite, name=name, **run)
        return target.finish(made) if target.is_file else made

    @contextmanager
    def _saved(self, request: BatchRequest, output: str) -> Iterator[BatchRequest]:
        """Yield the request with the folder of the model: where it was loaded from, or a copy next to the output."""
        state = self.fitted.state
        checksum = _checksum_at(self._path)
        if checksum is not None and checksum == state.checksum:
            yield replace(request, model=str(self._path), checksum=checksum)
            return
        copy = sibling(output, _MODEL)
        save_state(self.fitted.indexed_state, copy, overwrite=True)
        try:
            written = _checksum_at(copy)
            assert written is not None
            yield replace(request, model=copy, checksum=written, index_recall=None, bytes_per_item=None)
        finally:
            _remove_model(copy)


def _checksum_at(path: str | Path | None) -> str | None:
    if path is None:
        return None
    try:
        return open_artifact(local_folder(path), verify=False).checksum
    except ArtifactError:
        return None


def _remove_model(copy: str) -> None:
    address = address_of(copy)
    if address is None:
        shutil.rmtree(copy, ignore_errors=True)
        return
    with suppress(Exception):  # of any package that serves the address; what is left is a copy
        system, root = file_system(address)
        system.rm(root, recursive=True)


def _positions(ids: IdMap, name: str, chosen: Any, *, is_strict: bool) -> tuple[int, ...] | None:
    """Return a list of item ids as positions; unknown ones are left out, or an error."""
    if chosen is None:
        return None
    values = list(chosen) if not isinstance(chosen, str | bytes | dict) else None
    if values is None or any(isinstance(value, list | set | dict | np.ndarray) for value in values):
        raise ParameterError(f"{name} must be one list of item ids for everyone, got {chosen!r:.80}")
    index = ids.index_of(values, on_unknown="skip", noun="item ids")
    if is_strict and (index < 0).any():
        place = int(np.flatnonzero(index < 0)[0])
        raise UnknownIdError(
            f"{int((index < 0).sum())} of {len(values)} item ids of {name} are not in the training data, "
            f"{values[place]!r} first; remove them, or pass another on_unknown"
        )
    return tuple(sorted({int(place) for place in index if place >= 0}))
