"""``ModelCheck``: what a check of a saved model found, and the limits that it was compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from hashgnn._checks import check_float, check_int
from hashgnn.checking.id_comparison import MIN_KNOWN, IdComparison
from hashgnn.data._id_kinds import printed
from hashgnn.errors import ParameterError
from hashgnn.evaluation._html import table
from hashgnn.evaluation._notebook import notebook

NO_VALUE = "–"


@dataclass(frozen=True)
class CheckLimits:
    """Limits that a model must keep to pass a check. Shares lie between 0 and 1.

    Parameters
    ----------
    min_known_users, min_known_items : float, default=0.5
        Share of the old model's ids that the new one knows.
    allow_new_ids : bool, default=False
        Take ids of another kind, or too few known ones, for no fault.
    min_metadata : float, default=0.5
        Share of items with metadata, where either model has any.
    max_dead_bits : float, default=0.2
        Share of the bits that have one value in 99 % of the codes.
    min_entropy : float, default=0.5
        Mean entropy of the bits of a code, in bits; 1 is a fair coin.
    max_collisions : float, default=0.5
        Share of items whose code another item has too.
    min_overlap : float, default=0.1
        Mean share of common items in the lists of both models. Models of one training with other seeds have
        much more in common; a model whose ids were mixed up has next to nothing.
    max_bytes : int or None, default=None
        Size of the saved model on disk.

    Raises
    ------
    ParameterError
        If a value breaks its rule.

    Examples
    --------
    >>> CheckLimits(min_overlap=0.3).min_overlap
    0.3
    """

    min_known_users: float = MIN_KNOWN
    min_known_items: float = MIN_KNOWN
    allow_new_ids: bool = False
    min_metadata: float = 0.5
    max_dead_bits: float = 0.2
    min_entropy: float = 0.5
    max_collisions: float = 0.5
    min_overlap: float = 0.1
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.type == "float":
                check_float(field.name, getattr(self, field.name), minimum=0, maximum=1)
        if not isinstance(self.allow_new_ids, bool):
            raise ParameterError(f"allow_new_ids must be True or False, got {self.allow_new_ids!r}")
        if self.max_bytes is not None:
            check_int("max_bytes", self.max_bytes, minimum=0)


@dataclass(frozen=True)
class CheckRow:
    """One thing that was checked.

    Attributes
    ----------
    name : str
    value : float, str or None
        Of the new model.
    old : float, str or None
        The same of the old model, where there is one and it makes sense.
    limit : str
        What the value must be, empty where it is only shown.
    passed : bool
    """

    name: str
    value: float | str | None
    old: float | str | None
    limit: str
    passed: bool


@dataclass(frozen=True)
class ModelFigures:
    """Sizes and health of one model.

    Attributes
    ----------
    name : str
        Of its folder.
    created : str
        When it was made, UTC, ISO 8601.
    n_users, n_items, n_interactions, n_bits, embedding_dim : int
    n_bytes : int
        Of its files, as its manifest states them.
    bytes_per_item : mapping of str to float
        Bytes of an item that each search way reads.
    metadata : float or None
        Share of the items with metadata; None where there is none.
    health : mapping of str to mapping of str to float
        Of ``user_codes`` and ``item_codes``, of at most 100,000 each: see
        :class:`~hashgnn.codes.health.CodeHealth`. A side without codes is absent.
    """

    name: str
    created: str
    n_users: int
    n_items: int
    n_interactions: int
    n_bits: int
    embedding_dim: int
    n_bytes: int
    bytes_per_item: Mapping[str, float]
    metadata: float | None
    health: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class ListPair:
    """The lists of one user by both models.

    Attributes
    ----------
    user : object
        The id.
    new, old : tuple of pairs
        Id and title of each item, best first; ``old`` is None without an old model. A title is None where
        nothing is known.
    overlap : float or None
        Share of common items, of the shorter list.
    """

    user: Any
    new: tuple[tuple[Any, str | None], ...]
    old: tuple[tuple[Any, str | None], ...] | None
    overlap: float | None


@dataclass(frozen=True)
class ListComparison:
    """Lists of a sample of users that both models know.

    Attributes
    ----------
    n_users, k : int
    search : str
        Search way.
    overlap : float or None
        Mean share of common items; None without an old model, or a common user.
    shown : tuple of ListPair
        A few of them.
    """

    n_users: int
    k: int
    search: str
    overlap: float | None
    shown: tuple[ListPair, ...]


@dataclass(frozen=True, eq=False, repr=False)
class ModelCheck:
    """The result of :func:`~hashgnn.checking.check_model`. It prints as a table.

    Attributes
    ----------
    new : ModelFigures
    old : ModelFigures or None
    ids : IdComparison or None
        None without an old model.
    lists : ListComparison
    rows : tuple of CheckRow
        Everything that was checked.
    limits : CheckLimits
    """

    new: ModelFigures
    old: ModelFigures | None
    ids: IdComparison | None
    lists: ListComparison
    rows: tuple[CheckRow, ...]
    limits: CheckLimits

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(row.passed for row in self.rows)

    @property
    def failed(self) -> tuple[CheckRow, ...]:
        """The checks that did not pass."""
        return tuple(row for row in self.rows if not row.passed)

    @property
    def summary(self) -> str:
        """The outcome in one line."""
        against = "" if self.old is None else f" against {self.old.name}"
        if self.passed:
            return f"{self.new.name}{against}: all {len(self.rows)} checks passed"
        names = ", ".join(row.name for row in self.failed)
        return f"{self.new.name}{against}: {len(self.failed)} of {len(self.rows)} checks failed: {names}"

    def __repr__(self) -> str:
        heading, rows = self.table()
        widths = [max(len(line[column]) for line in [heading, *rows]) for column in range(len(heading))]
        lines = [
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
            for line in [heading, *rows]
        ]
        return "\n".join([self.summary, *lines])

    def _repr_html_(self) -> str:
        heading, rows = self.table()
        return notebook(table(heading, rows, caption=self.summary, class_="texts"))

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return headings and a row for each check, as text."""
        rows = [
            [row.name, _text(row.value), _text(row.old), row.limit, "passed" if row.passed else "FAILED"]
            for row in self.rows
        ]
        if self.old is None:
            rows = [[row[0], row[1], *row[3:]] for row in rows]
            return ["check", "value", "limit", "result"], rows
        return ["check", "new", "old", "limit", "result"], rows

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values, with ids that are neither numbers nor text as they print."""
        lists = asdict(self.lists)
        for pair in lists["shown"]:
            pair["user"] = _plain_id(pair["user"])
            for side in ("new", "old"):
                if pair[side] is not None:
                    pair[side] = [{"item": _plain_id(item), "title": title} for item, title in pair[side]]
        return {
            "passed": self.passed,
            "failed": [row.name for row in self.failed],
            "checks": [asdict(row) for row in self.rows],
            "new": asdict(self.new),
            "old": None if self.old is None else asdict(self.old),
            "ids": None if self.ids is None else self.ids.to_dict(),
            "lists": {**lists, "shown": list(lists["shown"])},
            "limits": asdict(self.limits),
        }


def _plain_id(value: Any) -> int | str:
    return value if isinstance(value, int | str) else printed(value)


def _text(value: float | str | None) -> str:
    if value is None:
        return NO_VALUE
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
