"""One version of a model: opened, checked, tried out, and ready to answer."""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn._types import Array
from hashgnn.answering import FittedModel
from hashgnn.checking.item_table import ItemTable
from hashgnn.codes.health import CodeHealth, code_health
from hashgnn.engines import EngineIndex
from hashgnn.errors import ArtifactDamagedError, ArtifactError, EngineError, HashGNNError, ParameterError
from hashgnn.ranking import CandidateFilter, IndexLists
from hashgnn.rules import ITEM_ID, ITEM_TABLE, ItemAttributes
from hashgnn.rules.item_files import read_items
from hashgnn.serving.models.item_facts import ItemFacts
from hashgnn.serving.models.item_metadata import ItemMetadata, Texts
from hashgnn.serving.models.popularity_shift import PopularityShift
from hashgnn.serving.wire.json_ids import IdReader, IdWriter
from hashgnn.state import ModelState, load_state
from hashgnn.state.artifact import open_artifact
from hashgnn.state.lineage import trained_upto

_HEALTH_CODES = 100_000
_OTHER_FILES = (".csv", ".tsv", ".jsonl", ".arrow")
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class ModelVersion:
    """A model that answers, with all that an answer needs.

    Attributes
    ----------
    folder : Path
        Where it lies, links resolved.
    created : str
        When the model was made, UTC, ISO 8601.
    fitted : FittedModel
    facts : ItemFacts or None
        The table of items.
    loaded : float
        When it was opened, seconds since 1970.
    base : ModelVersion or None, default=None
        The version as it was opened, where ``fitted`` has new items behind those of it.
    """

    folder: Path
    created: str
    fitted: FittedModel
    facts: ItemFacts[ItemMetadata] | None = None
    loaded: float = field(default_factory=time.time)
    base: ModelVersion | None = None

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @property
    def state(self) -> ModelState:
        """The tables of the model."""
        return self.fitted.state

    @property
    def metadata(self) -> ItemMetadata | None:
        """The table of its items, as answers show it."""
        return None if self.facts is None else self.facts.metadata

    @property
    def mark(self) -> tuple[str, str]:
        """Its folder and the checksum of its manifest; another version differs in one of them."""
        return str(self.folder), self.state.checksum or ""

    @property
    def n_new_items(self) -> int:
        """Items that came after the training."""
        return 0 if self.base is None else self.state.n_items - self.base.state.n_items

    def grown(self, fitted: FittedModel, base: ModelVersion) -> ModelVersion:
        """Return the same version with new items behind those of ``base``, which is the version as it was opened."""
        more = replace(self, fitted=fitted, base=base)
        if "shift" in self.__dict__:  # it counts what this version served
            more.__dict__["shift"] = self.shift
        return more

    def without_new_items(self) -> ModelVersion:
        """Return the version as it was opened, with what is known of its items by now.

        The table of its items has no rows behind these, where those that it becomes next may have others.
        """
        base, facts = self.base or self, self.facts
        if facts is not None and len(facts.attributes) > base.state.n_items:
            facts = facts.of_first(base.state.items.ids, base.items)
        return base if facts is base.facts else replace(base, facts=facts)

    @property
    def created_seconds(self) -> float:
        """When the model was made, seconds since 1970."""
        return datetime.fromisoformat(self.created).timestamp()

    @property
    def event_weights(self) -> dict[str, float]:
        """Types of events that the model was trained with, and what each weighs."""
        return {} if self.state.weighting is None else dict(self.state.weighting.event_weights)

    @cached_property
    def users(self) -> IdReader:
        """Finds users by the ids in a request."""
        return IdReader(self.state.users.ids, "user")

    @cached_property
    def items(self) -> IdReader:
        """Finds items by the ids in a request."""
        return IdReader(self.state.items.ids, "item")

    @cached_property
    def item_ids(self) -> IdWriter:
        """Writes the ids of items into a response."""
        return IdWriter(self.state.items.ids)

    @cached_property
    def shift(self) -> PopularityShift:
        """Compares the items that are served and recorded with those of the training."""
        return PopularityShift(self.fitted.popularity)

    def trained_upto(self, store: str) -> int:
        """Return the number up to which the model was trained on the interactions of a store."""
        return trained_upto(store, self.state.training)

    def find_items(self, query: str, limit: int) -> Array:
        """Return the positions of items whose metadata or id holds the words of a query, at most ``limit``.

        What begins with the query comes first, then the others; more popular items first. An empty query
        gives the most popular items.
        """
        if not query:
            return self.fitted.popular_order[:limit]
        holds, begins = self._search_items(query)
        popularity = self.fitted.popularity[holds]
        order = np.lexsort((holds, -popularity, ~np.isin(holds, begins)))
        found: Array = holds[order[:limit]]
        return found

    def _search_items(self, query: str) -> tuple[Array, Array]:
        """Return the positions of items that hold the words of a query, and of those that begin with it."""
        if self.base is None:
            holds, begins = (self.metadata or self._id_texts).search(query)
            if not len(holds) and self.metadata is not None:
                holds, begins = self._id_texts.search(query)
            return holds, begins
        first = self.base.state.n_items
        new = np.arange(first, self.state.n_items)
        searched = [self.state.items.ids.printed(new)]
        if self.metadata is not None:
            searched.append(self.metadata.texts_of_new(new))
        holds, begins = self.base._search_items(query)
        for lines in searched:
            more_holds, more_begins = Texts(lines).search(query)
            holds, begins = np.union1d(holds, first + more_holds), np.union1d(begins, first + more_begins)
        return holds, begins

    def describe(self) -> dict[str, Any]:
        """Return what ``GET /v1/model`` says of a version."""
        state, ways = self.state, self.fitted.items_for_users
        health = self._code_health
        return {
            "version": self.name,
            "checksum": state.checksum,
            "created": self.created,
            "loaded": datetime.fromtimestamp(self.loaded, UTC).isoformat(timespec="seconds"),
            "age_seconds": round(time.time() - self.created_seconds, 3),
            "n_users": state.n_users,
            "n_items": state.n_items,
            "n_new_items": self.n_new_items,
            "n_interactions": int(state.seen.nnz),
            "n_bits": state.n_bits,
            "embedding_dim": state.dim,
            "encoder": state.config.encoder.name,
            "item_bias": state.items.bias is not None,
            "recipe": state.config.to_dict(),
            "metrics": dict(state.metrics),
            "data_statistics": dict(state.data_statistics),
            "training": dict(state.training),
            "code_health": {name: of_table.summary() for name, of_table in health.items()},
            "bit_balance": {
                name: [round(share, 4) for share in of_table.balance.tolist()]
                for name, of_table in health.items()
            },
            "search_ways": list(ways.names),
            "bytes_per_item": {way: ways.bytes_per_item(way) for way in ways.names},
            "event_weights": self.event_weights,
            "metadata_columns": [] if self.metadata is None else self.metadata.columns,
            "attribute_columns": {} if self.facts is None else self.facts.attributes.kinds,
        }

    @cached_property
    def _id_texts(self) -> Texts:
        """The ids as text, to search where there is no metadata."""
        return Texts(self.state.items.ids.printed(np.arange(self.state.n_items)))

    @cached_property
    def _code_health(self) -> dict[str, CodeHealth]:
        """Health of the codes of users and of items, of an even sample where there are very many."""
        if self.base is not None:
            return self.base._code_health  # that of what was trained
        tables = {"user_codes": self.state.users.codes, "item_codes": self.state.items.codes}
        return {
            name: code_health(codes, max_codes=_HEALTH_CODES) for name, codes in tables.items() if len(codes)
        }


def open_version(
    path: Path,
    *,
    items: Path | None = None,
    item_id: str = ITEM_ID,
    verify: bool = True,
    index_recall: float | None = None,
    bytes_per_item: float | None = None,
    engine: str | None = None,
    n_threads: int = 1,
    check: Callable[[], None] | None = None,
    takes_items: bool = False,
) -> ModelVersion:
    """Open a saved model, compare its checksums and try it out.

    Parameters
    ----------
    path : Path
    items : Path, optional
        File of item metadata: parquet, CSV, JSON lines or Arrow; without one, ``item_metadata.parquet`` in the model's folder is used.
    item_id : str
        Its column of item ids.
    verify : bool, default=True
        Compare the checksum of every file; ``False`` compares the sizes.
    index_recall, bytes_per_item : float, optional
        As for :meth:`HashGNN.load`; where another than the saved index is needed, it is built here.
    engine : str, optional
        URL of an engine that holds the items of this version, as for :meth:`HashGNN.load`.
    n_threads : int, default=1
        Threads that compare checksums, in addition to the one that opens.
    check : callable, optional
        Called between the parts of the work; what it raises ends the opening.
    takes_items : bool, default=False
        Make ready for new items, so that the first one need not wait.

    Raises
    ------
    ArtifactError
        If the folder is no model, is damaged, fails its self-test, or was replaced meanwhile.
    DataError
        If the metadata cannot be used.
    EngineError
        If the engine cannot be reached, or does not hold this version.
    """
    folder = path.resolve()
    go_on = check or _nothing
    with ThreadPoolExecutor(1, thread_name_prefix="checksums") as background:
        # Comparing checksums takes about as long as all the rest; a damaged file fails either way.
        verified = background.submit(open_artifact, folder, verify=verify, n_threads=n_threads, check=check)
        try:
            state = load_state(folder, verify=False)
            opened = None if engine is None else EngineIndex.open(engine, state.checksum)
            fitted = FittedModel(state, index_recall, opened, bytes_per_item)
            go_on()
            _check_finite(path, fitted.state)
            go_on()
            facts = _read_facts(folder, items, item_id, fitted.state, check)
            go_on()
            _ = fitted.ranked_items  # what cannot be had within a memory budget is no damage to the model
            _self_test(path, fitted)
        except HashGNNError:
            verified.result()
            raise
        artifact = verified.result()
    if artifact.checksum != fitted.state.checksum:
        raise ArtifactError(f"{path}: was replaced while it was opened; reload once more")
    ready = fitted.ready_for_items() if takes_items else fitted
    _drop_pages(fitted.state)
    return ModelVersion(folder, artifact.created, ready, facts)


def _nothing() -> None:
    """Let an opening go on."""


def _check_finite(path: Path, state: ModelState) -> None:
    try:
        state.check_finite()
    except ParameterError as error:
        raise ArtifactDamagedError(f"{path}: {error}; the folder was edited") from None
    largest = [_largest(side.embeddings) for side in (state.users, state.items)]
    if state.dim * largest[0] * largest[1] > _LARGEST:
        raise ArtifactDamagedError(
            f"{path}: its embeddings are so large that scores would be infinite, up to {largest[0]:.3g} and "
            f"{largest[1]:.3g}; the folder was edited"
        )


def _largest(table: Array) -> float:
    """Return the largest absolute value of a table, 0 where it is empty."""
    return max(float(table.max()), -float(table.min())) if table.size else 0.0


def _read_facts(
    folder: Path, items: Path | None, item_id: str, state: ModelState, check: Callable[[], None] | None
) -> ItemFacts[ItemMetadata] | None:
    source = folder / ITEM_TABLE if items is None else items
    if items is None and not source.exists():
        return None
    ids = state.items.ids
    if source.suffix in _OTHER_FILES:
        table = ItemTable.of(read_items(source, ids, id_column=item_id), item_id, ids)
    else:
        table = ItemTable.read(source, item_id, ids, check=check)
    attributes = ItemAttributes(table.table, ids)
    return ItemFacts(ItemMetadata(table, attributes), attributes, IdReader(ids, "item"))


def _self_test(path: Path, fitted: FittedModel) -> None:
    """Search for the best item of a user by every way that reads codes, and fold in a history.

    This also builds the index, so that no request has to wait for it.
    """
    state = fitted.state
    if not state.n_items:
        raise ArtifactError(f"{path}: holds no items, so there is nothing to recommend")
    try:
        ways = fitted.items_for_users
        if state.n_users:
            queries = fitted.queries_of_users(np.zeros(1, np.int64))
            for way in ("hamming", "hierarchical"):
                found = fitted.recommend(queries, ways.options(1, way), CandidateFilter())
                if not (found.counts == 1).all() or not np.isfinite(found.scores).all():
                    raise ArtifactDamagedError(f"{path}: its self-test by {way} search gave no finite score")
        folded = fitted.fold_in_users(IndexLists.from_rows([[0]]))
        if not np.isfinite(folded.embeddings).all():
            raise ArtifactDamagedError(f"{path}: its self-test by fold-in gave no finite embedding")
    except (ArtifactError, EngineError):
        raise
    except HashGNNError as error:
        raise ArtifactDamagedError(f"{path}: failed its self-test, {error}") from error


def _drop_pages(state: ModelState) -> None:
    """Release the pages of the tables that opening has read once; those in use are read again from the cache."""
    tables = [state.users.embeddings, state.items.embeddings, *state.fold_in.arrays.values()]
    for table in tables:
        owner: Any = table
        while isinstance(owner, np.ndarray | memoryview):
            owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
        if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            owner.madvise(mmap.MADV_DONTNEED)
