"""Quality by segment: new, warm and heavy users; head and tail items; the values of any column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from hashgnn._checks import check_choice
from hashgnn._rng import RngLike, as_generator
from hashgnn._types import Array, SideName
from hashgnn.errors import ParameterError
from hashgnn.evaluation.beyond_accuracy import head_items
from hashgnn.evaluation.bootstrap import bootstrap_intervals
from hashgnn.evaluation.evaluation_result import EvaluationResult

NEW_ITEMS, HEAVY_SHARE = 5, 0.2  # training items of a new user at most; share of users that are heavy
MAX_VALUES = 12  # of a column; the rest are pooled
OTHER, UNKNOWN = "other", "unknown"


@dataclass(frozen=True, eq=False)
class Segments:
    """Groups of users or of items. They may overlap, as the genres of a film do.

    Attributes
    ----------
    name : str
        What they are by: ``"history"``, ``"popularity"`` or the name of a column.
    side : {"user", "item"}
    members : mapping of str to ndarray of shape (n,), bool
        By value, which users or items are in the group.
    """

    name: str
    side: SideName
    members: Mapping[str, Array]


@dataclass(frozen=True)
class SegmentRow:
    """A metric of one search way in one segment.

    Attributes
    ----------
    segments, side, value : str
        What the segment is by, of users or items, and which one.
    n : int
        Evaluated users, or held-out items, that are in it.
    search, metric : str
    mean : float
    low, high : float or None
        Bootstrap interval over the users; ``None`` for items.
    """

    segments: str
    side: SideName
    value: str
    n: int
    search: str
    metric: str
    mean: float
    low: float | None = None
    high: float | None = None


def history_segments(train: Any) -> Segments:
    """Group users by their training items: ``new`` has up to 5, ``heavy`` are the top fifth, others ``warm``.

    Parameters
    ----------
    train : csr_matrix of shape (n_users, n_items)
        Stored entries are training items.

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> found = history_segments(csr_matrix(np.tri(10, 10)))
    >>> [f"{name}: {mask.sum()}" for name, mask in found.members.items()]
    ['new: 5', 'warm: 3', 'heavy: 2']
    """
    lengths = np.diff(train.indptr)
    present = np.sort(lengths[lengths > 0])
    n_heavy = int(np.floor(HEAVY_SHARE * len(present)))
    # Users as long as the last that would be heavy are heavy only where all of them are.
    bound = present[-n_heavy - 1] if 0 < n_heavy < len(present) else np.inf
    new = lengths <= NEW_ITEMS
    heavy = (lengths > bound) & ~new
    return Segments("history", "user", {"new": new, "warm": ~new & ~heavy, "heavy": heavy})


def popularity_segments(counts: Array) -> Segments:
    """Group items by their training users: ``head`` is the most popular fifth, ``tail`` the others.

    Parameters
    ----------
    counts : ndarray of shape (n_items,), int
    """
    head = head_items(counts)
    return Segments("popularity", "item", {"head": head, "tail": ~head})


def column_segments(side: SideName, name: str, values: Sequence[Any]) -> Segments:
    """Group users or items by a column.

    A list of values puts its row in several groups. Numbers of more than 12 values become quarters of equal
    size. Of more than 12 texts, the 11 most frequent stay and the rest are ``other``. What is missing is
    ``unknown``.

    Parameters
    ----------
    side : {"user", "item"}
    name : str
    values : sequence of length n
        By position; ``None`` where there is none.

    Examples
    --------
    >>> found = column_segments("item", "genre", ["war", ["war", "drama"], None])
    >>> {value: mask.tolist() for value, mask in found.members.items()}
    {'drama': [False, True, False], 'unknown': [False, False, True], 'war': [True, True, False]}
    """
    check_choice("side", side, ("user", "item"))
    rows = [_as_texts(value) for value in values]
    numbers = [value for value in values if _is_number(value)]
    if numbers and len(set(numbers)) > MAX_VALUES and all(_is_number(v) or _is_missing(v) for v in values):
        return Segments(name, side, _quarters(values))
    counted = Counter(text for row in rows for text in row)
    shown = {
        text for text, _ in counted.most_common(MAX_VALUES if len(counted) <= MAX_VALUES else MAX_VALUES - 1)
    }
    kept = [[text if text in shown else OTHER for text in row] or [UNKNOWN] for row in rows]
    present = sorted({text for row in kept for text in row}, key=lambda text: (text == OTHER, text))
    return Segments(name, side, {text: np.array([text in row for row in kept], bool) for text in present})


def segment_rows(
    result: EvaluationResult,
    segments: Segments,
    *,
    metric: str = "recall@20",
    n_bootstrap: int = 1000,
    rng: RngLike = None,
) -> list[SegmentRow]:
    """Return a metric of each search way in each segment. Segments without a user or item are left out.

    Parameters
    ----------
    result : EvaluationResult
    segments : Segments
        Of all users or items of the model, by position.
    metric : str, default="recall@20"
        One of ``result.per_user`` for segments of users, of ``result.per_item`` for those of items.
    n_bootstrap : int, default=1000
        Resamples of the users of a segment; 0 leaves the intervals out.
    rng : int, numpy.random.Generator or None, default=None

    Raises
    ------
    ParameterError
        If the metric was not evaluated, or has no values of users or of items.

    See Also
    --------
    history_segments : New, warm and heavy users.
    popularity_segments : Head and tail items.
    column_segments : Any column of a table.
    """
    generator = as_generator(rng)
    rows = []
    for way in result.metrics:
        by_name = result.per_user[way] if segments.side == "user" else result.per_item.get(way, {})
        if metric not in by_name:
            known = ", ".join(by_name) or "none"
            raise ParameterError(
                f"metric must be one with a value for each {segments.side}, {known}, got {metric!r}"
            )
        values = by_name[metric]
        for value, members in segments.members.items():
            if segments.side == "user":
                own = values[members[result.user_index]]
            else:
                own = values[members & ~np.isnan(values)]
            if not len(own):
                continue
            low: float | None = None
            high: float | None = None
            if n_bootstrap and segments.side == "user":
                ends = bootstrap_intervals(
                    own[:, None], n_resamples=n_bootstrap, confidence=result.confidence, rng=generator
                )
                low, high = ends[0].tolist()
            mean = float(own.mean(dtype=np.float64))
            rows.append(
                SegmentRow(segments.name, segments.side, value, len(own), way, metric, mean, low, high)
            )
    return rows


def _quarters(values: Sequence[Any]) -> dict[str, Array]:
    missing = np.array([not _is_number(value) for value in values], bool)
    numbers = np.array([0.0 if gone else float(value) for value, gone in zip(values, missing, strict=True)])
    edges = np.unique(np.quantile(numbers[~missing], [0, 0.25, 0.5, 0.75, 1]))
    groups: dict[str, Array] = {}
    for low, high in pairwise(edges):
        is_last = high == edges[-1]
        inside = ~missing & (numbers >= low) & ((numbers <= high) if is_last else (numbers < high))
        groups[f"{low:g} to {'' if is_last else 'below '}{high:g}"] = inside
    return groups | ({UNKNOWN: missing} if missing.any() else {})


def _as_texts(value: Any) -> list[str]:
    if isinstance(value, list | tuple | np.ndarray):
        return list(dict.fromkeys(str(one) for one in value if not _is_missing(one)))
    return [] if _is_missing(value) else [f"{value:g}" if isinstance(value, float) else str(value)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not _is_missing(value)


def _is_missing(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and bool(np.isnan(value)))
