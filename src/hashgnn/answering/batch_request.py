"""``BatchRequest``: what to answer for many users or items, by which saved model, and how."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from hashgnn._types import OnUnknown, SideName
from hashgnn.answering.batch_rules import BatchRules

PART_ROWS = 4096


@dataclass(frozen=True)
class HistoryFile:
    """A parquet file of histories, as it was when the request was made.

    Attributes
    ----------
    path : str
    n_rows, n_bytes : int
    address : str or None
        An address on whose file system the path is; ``None`` for a file of this machine.
    """

    path: str
    n_rows: int
    n_bytes: int
    address: str | None = None


@dataclass(frozen=True)
class BatchRequest:
    """A question for many users or items. Everything is plain, so that a request can be sent to any process.

    Attributes
    ----------
    model : str
        Folder of the saved model, at the same path for every worker.
    checksum : str
        Of that model. Workers refuse another model at the same path.
    task : {"recommend", "similar", "encode"}
    side : {"user", "item"}
        Who is answered.
    k, search, oversampling, filter_seen, on_unknown, index_recall, bytes_per_item
        As in :meth:`HashGNN.recommend` and :meth:`HashGNN.load`.
    allow, block : tuple of int, or None
        Positions of items: only these, none of these.
    since_training : str or None
        A file or folder of newer interactions, and its checksum.
    histories : tuple of HistoryFile, or None
        Files whose rows are answered, and their checksum. ``None`` answers every user or item of the model.
    history_weighting : dict or None
        As in :meth:`HashGNN.recommend`, as JSON values.
    items : str or None
        A table of items, whose columns ``title`` stand next to recommended or similar items, and its checksum.
    title : tuple of str, or None
    item_id : str
        Column of item ids in ``items``.
    rules : BatchRules or None
    part_rows : int
        Users or items in each part.
    n_threads : int
        Threads of the search; no file depends on it.
    """

    model: str
    checksum: str
    task: str = "recommend"
    side: SideName = "user"
    k: int = 10
    search: str = "hierarchical"
    oversampling: int = 5
    filter_seen: bool = True
    on_unknown: OnUnknown = "error"
    index_recall: float | None = None
    bytes_per_item: float | None = None
    allow: tuple[int, ...] | None = None
    block: tuple[int, ...] | None = None
    since_training: str | None = None
    since_checksum: str | None = None
    histories: tuple[HistoryFile, ...] | None = None
    histories_checksum: str | None = None
    history_weighting: dict[str, Any] | None = None
    items: str | None = None
    items_checksum: str | None = None
    title: tuple[str, ...] | None = None
    item_id: str = "item_id"
    rules: BatchRules | None = None
    part_rows: int = PART_ROWS
    n_threads: int = 1

    @property
    def identity(self) -> dict[str, Any]:
        """JSON values on which the answers depend: contents by their checksums, and no path."""
        # Only where there are any, so that a folder of an earlier version is still the same request.
        titles = {} if self.items is None else {"items": self.items_checksum, "title": list(self.title or ())}
        return {
            "task": self.task,
            "side": self.side,
            "model": self.checksum,
            "histories": self.histories_checksum,
            "since_training": self.since_checksum,
            "k": self.k,
            "search": self.search,
            "oversampling": self.oversampling,
            "filter_seen": self.filter_seen,
            "on_unknown": self.on_unknown,
            "index_recall": self.index_recall,
            "allow": _digest(self.allow),
            "block": _digest(self.block),
            "part_rows": self.part_rows,
            **titles,
            **({} if self.bytes_per_item is None else {"bytes_per_item": self.bytes_per_item}),
            **({} if self.history_weighting is None else {"history_weighting": self.history_weighting}),
            **({} if self.rules is None else self.rules.identity),
        }

    def document(self) -> dict[str, Any]:
        """Return the request as JSON values."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Return the request of a document."""
        values = {field.name: document[field.name] for field in fields(cls)}
        for name in ("allow", "block", "title"):
            values[name] = None if values[name] is None else tuple(values[name])
        if values["histories"] is not None:
            values["histories"] = tuple(HistoryFile(**file) for file in values["histories"])
        if values["rules"] is not None:
            values["rules"] = BatchRules(**values["rules"])
        return cls(**values)


def _digest(positions: tuple[int, ...] | None) -> str | None:
    """Return a short name of a list of items, which may be long."""
    if positions is None:
        return None
    text = ",".join(map(str, sorted(set(positions))))
    return f"{len(set(positions))} items, sha256 {hashlib.sha256(text.encode()).hexdigest()}"
