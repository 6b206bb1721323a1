"""``export_model`` writes a saved model to an engine, ``sync_model`` turns one version there into the next."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn._checks import check_choice
from hashgnn._progress import progress as progress_bar
from hashgnn._types import Array
from hashgnn.data import IdMap
from hashgnn.engines.attributes import Attributes
from hashgnn.engines.base import LAYOUT, Engine, EngineVersion
from hashgnn.engines.registry import open_engine
from hashgnn.engines.rows import ItemRows, item_rows
from hashgnn.errors import ArtifactError, ParameterError
from hashgnn.state import ModelState, load_state

_ROOM_FOR_PENALTIES = 8  # bits: the bias of a later version may reach a little further down
_MAX_EXTRA = 256
_BLOCK = 65536


@dataclass(frozen=True)
class Exported:
    """The outcome of an export or a sync.

    Attributes
    ----------
    engine : str
        Its URL, without a password.
    checksum : str
        Of the model that the engine now holds.
    number : int
        Versions of one table count upwards.
    n_items, n_written, n_gone : int
        Items of the version, rows that were written, and rows of the old version that the new one does not have.
    seconds, index_seconds : float
        Of everything, and of the engine's own index.
    """

    engine: str
    checksum: str
    number: int
    n_items: int
    n_written: int
    n_gone: int
    seconds: float
    index_seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


def export_model(
    path: str | Path,
    url: str,
    *,
    floats: str | None = None,
    attributes: str | Path | None = None,
    replace: bool = False,
    progress: bool | None = False,
) -> Exported:
    """Write the items of a saved model to an engine.

    Nothing can be read there before all is written. An engine that holds an export already refuses another one.

    Parameters
    ----------
    path : str or Path
        Folder or address of the model.
    url : str
        Of the engine, see :func:`open_engine`; its options say the table and the index.
    floats : {"none", "half"}, optional
        Whether embeddings go along, as float16, for re-ranking in the engine. ``None`` is ``"half"`` where the
        engine can keep them.
    attributes : str or Path, optional
        A table with a column ``item_id``, whose other columns filters may name.
    replace : bool, default=False
        Take the place of what is there, in one step.
    progress : bool or None, default=False
        Show a bar on stderr; ``None`` shows it on a terminal.

    Raises
    ------
    ArtifactError
        If there is no saved model at ``path``.
    DataError
        If the attributes are not usable.
    EngineError
        If the engine cannot be reached, holds an export already, or writing failed.
    """
    began = time.perf_counter()
    state = saved_model(path)
    chosen = None if attributes is None else Attributes.read(attributes, state.items.ids)
    engine = open_engine(url)
    try:
        kept = _floats(engine, floats)
        held = engine.versions()
        if held and not replace:
            engine.refuse(
                f"holds version {held[-1].short} already; bring it up to date with sync, or pass --replace"
            )
        number = held[-1].number + 1 if held else 1
        version = version_of(state, engine.index, number, kept, chosen)
        rows = item_rows(state, n_extra=version.n_extra, floats=kept == "half", attributes=chosen)
        index_seconds = engine.create(version, _shown(rows, version.n_items, progress), replace=replace)
    finally:
        engine.close()
    return Exported(
        engine=str(engine.address),
        checksum=version.checksum,
        number=version.number,
        n_items=version.n_items,
        n_written=version.n_items,
        n_gone=held[-1].n_items if held else 0,
        seconds=time.perf_counter() - began,
        index_seconds=index_seconds,
    )


def sync_model(
    old: str | Path,
    new: str | Path,
    url: str,
    *,
    attributes: str | Path | None = None,
    progress: bool | None = False,
) -> Exported:
    """Turn the version of a model that an engine holds into the next one.

    Rows that differ are written, rows that the new version does not have go. Readers of the old version see it
    unchanged until the sync after this one. A sync that fails changes nothing for them.

    Parameters
    ----------
    old, new : str or Path
        Folders or addresses of the model that the engine holds, and of the one to come.
    url : str
        Of the engine.
    attributes : str or Path, optional
        The attributes of all items of the new version; needed where the export has some.
    progress : bool or None, default=False
        Show a bar on stderr; ``None`` shows it on a terminal.

    Raises
    ------
    ArtifactError
        If there is no saved model at one of the paths.
    ParameterError
        If the new version does not fit the tables: another width, a bias beyond their room, other attributes.
    EngineError
        If the engine cannot be reached, does not hold ``old`` as its newest version, or writing failed.
    """
    began = time.perf_counter()
    before, after = saved_model(old), saved_model(new)
    engine = open_engine(url)
    try:
        held = engine.versions()
        if not held:
            engine.refuse("holds no finished export; run hashgnn export")
        last = held[-1]
        if last.checksum == after.checksum:
            return Exported(
                str(engine.address),
                last.checksum,
                last.number,
                last.n_items,
                0,
                0,
                time.perf_counter() - began,
                0.0,
            )
        if last.checksum != before.checksum:
            engine.refuse(
                f"holds version {last.short}, and {old} is version {str(before.checksum)[:12]}; "
                "name the model that it holds"
            )
        chosen = None if attributes is None else Attributes.read(attributes, after.items.ids)
        version = _next_version(last, after, chosen)
        changed = _changed(before, after, with_floats=last.floats == "half")
        if chosen is not None:
            digests, common = engine.attribute_digests(last), min(last.n_items, version.n_items)
            changed[:common] |= digests[:common] != chosen.digests[:common]
        positions = np.flatnonzero(changed)
        gone = np.concatenate(
            [positions[positions < last.n_items], np.arange(version.n_items, last.n_items, dtype=np.int64)]
        )
        rows = item_rows(
            after,
            n_extra=version.n_extra,
            floats=version.floats == "half",
            attributes=chosen,
            positions=positions,
        )
        engine.change(last, version, gone, _shown(rows, len(positions), progress))
    finally:
        engine.close()
    return Exported(
        engine=str(engine.address),
        checksum=version.checksum,
        number=version.number,
        n_items=version.n_items,
        n_written=len(positions),
        n_gone=max(0, last.n_items - version.n_items),
        seconds=time.perf_counter() - began,
        index_seconds=0.0,
    )


def saved_model(path: str | Path) -> ModelState:
    """Return a saved model that has items."""
    state = load_state(path)
    if not len(state.items):
        raise ArtifactError(f"{path}: must hold an item to be exported, got none")
    return state


def _floats(engine: Engine, floats: str | None) -> str:
    if floats is None:
        return "half" if engine.keeps_floats else "none"
    check_choice("floats", floats, ("none", "half"))
    if floats == "half" and not engine.keeps_floats:
        raise ParameterError(f'floats must be "none" for {engine.name}, got "half"')
    return floats


def version_of(
    state: ModelState, index: str, number: int, floats: str, attributes: Attributes | None
) -> EngineVersion:
    """Return what an engine shall hold of a model."""
    bias = state.items.bias
    n_extra = 0
    if bias is not None:
        largest = int(bias.penalty.max(initial=0))
        n_extra = min(_MAX_EXTRA, -(-(largest + _ROOM_FOR_PENALTIES) // 8) * 8)
    assert state.checksum is not None  # of a model that was read from a folder
    return EngineVersion(
        layout=LAYOUT,
        number=number,
        checksum=state.checksum,
        n_items=state.n_items,
        n_bits=state.n_bits,
        n_extra=n_extra,
        top=None if bias is None else bias.top,
        dim=state.dim,
        index=index,
        floats=floats,
        attributes={} if attributes is None else attributes.kinds,
    )


def _next_version(last: EngineVersion, state: ModelState, attributes: Attributes | None) -> EngineVersion:
    version = version_of(state, last.index, last.number + 1, last.floats, attributes)
    remedy = "export it with --replace"
    for name in ("n_bits", "dim"):
        if getattr(version, name) != getattr(last, name):
            raise ParameterError(
                f"{name} must be {getattr(last, name)} as in the engine, got {getattr(version, name)}; {remedy}"
            )
    if (version.top is None) != (last.top is None):
        raise ParameterError(f"an item bias must be there in both versions or in none; {remedy}")
    if version.attributes != last.attributes:
        raise ParameterError(
            f"attributes must be {last.attributes or 'none'} as in the engine, got {version.attributes or 'none'}; "
            f"pass --attributes with those of the new version, or {remedy}"
        )
    bias = state.items.bias
    largest = 0 if bias is None else int(bias.penalty.max(initial=0))
    if largest > last.n_extra:
        raise ParameterError(
            f"the largest penalty of the item bias must be at most {last.n_extra} as in the engine, got {largest}; "
            f"{remedy}"
        )
    return version.model_copy(update={"n_extra": last.n_extra})


def _changed(old: ModelState, new: ModelState, *, with_floats: bool) -> Array:
    """Return which items of the new version have no equal row in the old one, shape (n_items,), bool."""
    changed = np.ones(new.n_items, bool)
    for start in range(0, min(old.n_items, new.n_items), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, old.n_items, new.n_items))
        differs = (old.items.codes[rows].packed != new.items.codes[rows].packed).any(axis=1)
        differs |= _differing_ids(old.items.ids, new.items.ids, rows)
        if old.items.bias is not None and new.items.bias is not None:
            differs |= old.items.bias.penalty[rows] != new.items.bias.penalty[rows]
        if with_floats:
            one, other = old.items.embeddings[rows], new.items.embeddings[rows]
            unequal = np.flatnonzero((one != other).any(axis=1))
            halves = one[unequal].astype(np.float16) != other[unequal].astype(np.float16)
            differs[unequal] |= halves.any(axis=1)
        changed[rows] = differs
    return changed


def _differing_ids(old: IdMap, new: IdMap, rows: Array) -> Array:
    """Return at which positions two maps have different ids, bool."""
    if old.kind != new.kind:
        return np.ones(len(rows), bool)
    if old.kind in ("int", "str"):
        return np.asarray(old.at(rows) != new.at(rows), bool)
    pairs = zip(old.printed(rows), new.printed(rows), strict=True)
    return np.fromiter((one != other for one, other in pairs), bool, len(rows))


def _shown(rows: Iterator[ItemRows], n_rows: int, enabled: bool | None) -> Iterator[ItemRows]:
    with progress_bar("writing", n_rows, enabled=enabled) as advance:
        for block in rows:
            yield block
            advance(len(block))
