"""``check_model``: whether a new version of a model can take the place of the old one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn._checks import check_int
from hashgnn._types import Array
from hashgnn.answering.fitted_model import FittedModel
from hashgnn.checking.id_comparison import IdComparison, SideComparison, compare_ids, kind_of_ids
from hashgnn.checking.item_table import ItemTable
from hashgnn.checking.model_check import (
    CheckLimits,
    CheckRow,
    ListComparison,
    ListPair,
    ModelCheck,
    ModelFigures,
)
from hashgnn.codes.health import code_health
from hashgnn.errors import ArtifactError, HashGNNError
from hashgnn.ranking import CandidateFilter, IndexLists
from hashgnn.rules import ITEM_ID, ITEM_TABLE
from hashgnn.state import ModelState, load_state
from hashgnn.state.artifact import Artifact, open_artifact

_HEALTH_CODES = 100_000
_SIZES = {
    "users": "n_users",
    "items": "n_items",
    "interactions": "n_interactions",
    "bits a code": "n_bits",
    "floats an embedding": "embedding_dim",
}
_ANSWERED = 64  # users, and items, whose answers are tried by every search way


@dataclass(frozen=True, eq=False)
class _Opened:
    """A saved model, ready to be compared."""

    artifact: Artifact
    fitted: FittedModel
    metadata: ItemTable | None

    @property
    def state(self) -> ModelState:
        return self.fitted.state

    @property
    def name(self) -> str:
        return self.artifact.path.resolve().name


def check_model(
    new: str | Path,
    against: str | Path | None = None,
    *,
    items: str | Path | None = None,
    item_id: str = ITEM_ID,
    limits: CheckLimits | None = None,
    k: int = 10,
    n_lists: int = 100,
    n_shown: int = 3,
    search: str = "hierarchical",
) -> ModelCheck:
    """Check a saved model, alone or against the version that it shall replace.

    Compared are the kind of ids and the share of known ones, by the rule that a service applies to a reload; the
    metadata of the items; the health of the codes; whether tables and answers are finite; and the lists of a
    sample of users, with titles where these are known. What a user had in training is left out of a list.

    Parameters
    ----------
    new : str or Path
        Folder of a saved model. Every checksum is compared.
    against : str or Path, optional
        Folder of the old version.
    items : str or Path, optional
        Parquet file of item metadata for both; without one, ``item_metadata.parquet`` in each folder is used.
    item_id : str, default="item_id"
        Its column of item ids.
    limits : CheckLimits, optional
    k : int, default=10
        Length of the lists that are compared; at most the number of items.
    n_lists : int, default=100
        Users whose lists are compared, an even sample.
    n_shown : int, default=3
        Lists that the result holds.
    search : {"hamming", "biased", "asymmetric", "hierarchical", "float"}, default="hierarchical"

    Returns
    -------
    ModelCheck
        ``result.passed`` says whether every check passed.

    Raises
    ------
    ArtifactError
        If a folder is no saved model, or is damaged.
    DataError
        If the metadata cannot be read.
    ParameterError
        If an option breaks its rule, or a model has no such search way.

    See Also
    --------
    hashgnn.evaluate : How good a version is.
    """
    k, n_lists = check_int("k", k, minimum=1), check_int("n_lists", n_lists, minimum=0)
    n_shown = check_int("n_shown", n_shown, minimum=0)
    limits = limits or CheckLimits()
    newer = _open(Path(new), items, item_id, verify=True)
    older = None if against is None else _open(Path(against), items, item_id, verify=False)
    for one in (newer, older):
        if one is not None:
            one.fitted.items_for_users.options(1, search)  # refused before anything is computed
    ids = None if older is None else compare_ids(newer.state, older.state)
    figures = _figures(newer)
    old_figures = None if older is None else _figures(older)
    rows = [*_id_rows(newer, ids, limits), *_figure_rows(figures, old_figures, limits)]
    faults = _fault_of_tables(newer), _fault_of_answers(newer)
    rows += [
        CheckRow(name, fault or "yes", None, "yes", fault is None)
        for name, fault in zip(("finite tables", "finite answers"), faults, strict=True)
    ]
    if any(faults):
        lists = ListComparison(0, k, search, None, ())  # there is nothing sensible to compare
    else:
        lists = _compare_lists(newer, older, k, n_lists, n_shown, search)
    if ids is not None:
        rows.append(_overlap_row(lists, ids, limits))
    return ModelCheck(figures, old_figures, ids, lists, tuple(rows), limits)


def _open(path: Path, items: str | Path | None, item_id: str, *, verify: bool) -> _Opened:
    state = load_state(path, verify=False)
    artifact = open_artifact(path, verify=verify)
    if not state.n_items:
        raise ArtifactError(f"{path}: holds no items, so there is nothing to recommend")
    source = Path(items) if items is not None else artifact.path / ITEM_TABLE
    metadata = None
    if items is not None or source.exists():
        metadata = ItemTable.read(source, item_id, state.items.ids)
    return _Opened(artifact, FittedModel(state), metadata)


def _figures(model: _Opened) -> ModelFigures:
    state, ways = model.state, model.fitted.items_for_users
    tables = {"user_codes": state.users.codes, "item_codes": state.items.codes}
    return ModelFigures(
        name=model.name,
        created=model.artifact.created,
        n_users=state.n_users,
        n_items=state.n_items,
        n_interactions=int(state.seen.nnz),
        n_bits=state.n_bits,
        embedding_dim=state.dim,
        n_bytes=sum(model.artifact.sizes.values()),
        bytes_per_item={way: float(ways.bytes_per_item(way)) for way in ways.names},
        metadata=None if model.metadata is None else model.metadata.coverage,
        health={
            name: code_health(codes, max_codes=_HEALTH_CODES).summary()
            for name, codes in tables.items()
            if len(codes)
        },
    )


def _id_rows(new: _Opened, ids: IdComparison | None, limits: CheckLimits) -> list[CheckRow]:
    sides = (("user", new.state.users), ("item", new.state.items))
    if ids is None:
        return [CheckRow(f"{noun} ids", kind_of_ids(side.ids), None, "", True) for noun, side in sides]
    rows = []
    for compared, least in ((ids.users, limits.min_known_users), (ids.items, limits.min_known_items)):
        rows += _rows_of_side(compared, least, allowed=limits.allow_new_ids)
    return rows


def _rows_of_side(side: SideComparison, least: float, *, allowed: bool) -> list[CheckRow]:
    kind = CheckRow(
        f"{side.side} ids",
        side.kind,
        side.old_kind,
        "" if allowed else side.old_kind,
        allowed or side.same_kind,
    )
    known = CheckRow(
        f"known {side.side}s",
        side.known,
        None,
        "" if allowed else f"at least {least:g}",
        allowed or side.fault(least) is None,
    )
    return [kind, known]


def _figure_rows(new: ModelFigures, old: ModelFigures | None, limits: CheckLimits) -> list[CheckRow]:
    rows = [
        CheckRow(name, getattr(new, field), None if old is None else getattr(old, field), "", True)
        for name, field in _SIZES.items()
    ]
    most = limits.max_bytes
    rows.append(
        CheckRow(
            "bytes of the folder",
            new.n_bytes,
            None if old is None else old.n_bytes,
            "" if most is None else f"at most {most:,}",
            most is None or new.n_bytes <= most,
        )
    )
    before = None if old is None else old.metadata
    if new.metadata is not None or before is not None:
        share, least = new.metadata or 0.0, limits.min_metadata
        rows.append(CheckRow("items with metadata", share, before, f"at least {least:g}", share >= least))
    for noun, table in (("users", "user_codes"), ("items", "item_codes")):
        if table in new.health:
            rows += _health_rows(noun, new, old, table, limits)
    return rows


def _health_rows(
    noun: str, new: ModelFigures, old: ModelFigures | None, table: str, limits: CheckLimits
) -> list[CheckRow]:
    health = new.health[table]
    before: Any = {} if old is None else old.health.get(table, {})
    dead = health["dead_bits"] / health["n_bits"]
    before_dead = before["dead_bits"] / before["n_bits"] if before else None
    entropy, shared = float(health["mean_entropy"]), float(health["collision_share"])
    rows = [
        CheckRow(f"dead bits, {noun}", dead, before_dead, f"at most {limits.max_dead_bits:g}",
                 dead <= limits.max_dead_bits),
        CheckRow(f"entropy of a bit, {noun}", entropy, before.get("mean_entropy"),
                 f"at least {limits.min_entropy:g}", entropy >= limits.min_entropy),
    ]  # fmt: skip
    is_bounded = noun == "items"  # users of the same items have the same code, which harms nobody
    rows.append(
        CheckRow(
            f"colliding codes, {noun}",
            shared,
            before.get("collision_share"),
            f"at most {limits.max_collisions:g}" if is_bounded else "",
            not is_bounded or shared <= limits.max_collisions,
        )
    )
    return rows


def _fault_of_tables(model: _Opened) -> str | None:
    try:
        model.state.check_finite()
    except HashGNNError as error:
        return str(error)
    return None


def _fault_of_answers(model: _Opened) -> str | None:
    """Return what is wrong with the answers to a few users, items and histories; None if nothing is."""
    fitted, state = model.fitted, model.state
    users, items = _even(state.n_users, _ANSWERED), _even(state.n_items, _ANSWERED)
    try:
        for way in fitted.items_for_users.names:
            options = fitted.items_for_users.options(min(10, state.n_items), way)
            if len(users):
                fitted.recommend(fitted.queries_of_users(users), options, CandidateFilter())
        options = fitted.items_for_items.options(min(10, state.n_items), "hierarchical")
        fitted.similar_items(items, options)
        folded = fitted.fold_in_users(IndexLists.from_rows([[int(item)] for item in items]))
    except HashGNNError as error:
        return str(error)
    return None if np.isfinite(folded.embeddings).all() else "a fold-in gives no finite embedding"


def _compare_lists(
    new: _Opened, old: _Opened | None, k: int, n_lists: int, n_shown: int, search: str
) -> ListComparison:
    if old is None:
        index = _even(new.state.n_users, n_lists)
        ids = new.state.users.ids.at(index)
        news = _lists(new, index, k, search)
        shown = tuple(
            ListPair(user, _titled(new, row), None, None)
            for user, row in zip(ids.tolist()[:n_shown], news[:n_shown], strict=True)
        )
        return ListComparison(len(index), k, search, None, shown)
    index, old_index = _common_users(new.state, old.state, n_lists)
    ids = old.state.users.ids.at(old_index).tolist()
    news, olds = _lists(new, index, k, search), _lists(old, old_index, k, search)
    pairs = [
        (user, newer, older, _overlap(new.state, newer, old.state, older))
        for user, newer, older in zip(ids, news, olds, strict=True)
    ]
    overlaps = [overlap for *_, overlap in pairs if overlap is not None]
    shown = tuple(
        ListPair(user, _titled(new, newer), _titled(old, older), overlap)
        for user, newer, older, overlap in pairs[:n_shown]
    )
    mean = float(np.mean(overlaps)) if overlaps else None
    return ListComparison(len(pairs), k, search, mean, shown)


def _common_users(new: ModelState, old: ModelState, n: int) -> tuple[Array, Array]:
    """Return the positions of at most ``n`` users that both models know, in each of them."""
    nobody = np.empty(0, np.int64)
    if new.users.ids.kind != old.users.ids.kind or not n:
        return nobody, nobody
    # More are looked up than are needed, as some may be unknown.
    old_index = _even(old.n_users, 100 * n)
    index = new.users.ids.index_of(old.users.ids.at(old_index), on_unknown="skip")
    known = np.flatnonzero(index >= 0)
    known = known[_even(len(known), n)]
    return index[known], old_index[known]


def _lists(model: _Opened, users: Array, k: int, search: str) -> list[Array]:
    """Return the positions of the items of each user's list, best first."""
    if not len(users):
        return []
    fitted = model.fitted
    ways = fitted.items_for_users
    queries = fitted.queries_of_users(users)
    found = fitted.recommend(queries, ways.options(min(k, len(ways)), search), queries.candidates(len(ways)))
    return [row[:count] for row, count in zip(found.positions, found.counts.tolist(), strict=True)]


def _overlap(new: ModelState, newer: Array, old: ModelState, older: Array) -> float | None:
    shorter = min(len(newer), len(older))
    if not shorter:
        return None
    common = set(new.items.ids.at(newer).tolist()) & set(old.items.ids.at(older).tolist())
    return len(common) / shorter


def _titled(model: _Opened, positions: Array) -> tuple[tuple[Any, str | None], ...]:
    ids = model.state.items.ids.at(positions).tolist()
    titles = [None] * len(ids) if model.metadata is None else model.metadata.titles(positions)
    return tuple(zip(ids, titles, strict=True))


def _overlap_row(lists: ListComparison, ids: IdComparison, limits: CheckLimits) -> CheckRow:
    least, overlap = limits.min_overlap, lists.overlap
    if overlap is None:
        # Without a common user there is nothing to compare; whether that is a fault, the ids have said.
        return CheckRow("overlap of lists", "no list to compare", None, "", True)
    if limits.allow_new_ids and not ids.items.same_kind:
        return CheckRow("overlap of lists", overlap, None, "", True)
    return CheckRow("overlap of lists", overlap, None, f"at least {least:g}", overlap >= least)


def _even(n: int, count: int) -> Array:
    """Return at most ``count`` of ``n`` positions, evenly spread."""
    if not n or not count:
        return np.empty(0, np.int64)
    return np.unique(np.linspace(0, n - 1, min(n, count)).astype(np.int64))
