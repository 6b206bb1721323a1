"""``Explanation``: why items were recommended to a user, in external ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from hashgnn._frames import FrameLibrary, to_frame
from hashgnn._types import Array
from hashgnn.answering.reasons import ReasonKind, Reasons
from hashgnn.data import IdMap
from hashgnn.data._id_kinds import printed
from hashgnn.evaluation import _html
from hashgnn.recommender.recommendations import id_column

_COLUMNS = ("item", "score", "because of", "share", "others", "rest")
_SHOWN = 10  # items that ``repr`` shows


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """Why items have their scores for one user: the items of the user's history that count most.

    Attributes
    ----------
    query_id : id or None
        The user; ``None`` for a history.
    kind : {"sum", "similarity", "popularity"}
        ``sum``: each item of the history has a part of the score. The parts of all of them and the ``rest`` add up
        to the score. ``similarity``: the score is no such sum; the items are those of the history most similar to
        the item. ``popularity``: nothing is known of the user, and the score is the number of users.
    search : str
        The search way of the scores.
    note : str
        What the numbers are, in one sentence.
    item_ids : ndarray of shape (n,)
        The items that are explained.
    scores : ndarray of shape (n,), float64
    reason_ids : ndarray of shape (n, m)
        Items of the history, the largest parts (by absolute value) or similarities first.
    values : ndarray of shape (n, m), float64
        Their parts of the score, or their similarities in [-1, 1].
    shares : ndarray of shape (n, m), float64
        Each part over the sum of all absolute parts, in [-1, 1]; a negative one speaks against the item. Of
        similarities the same as ``values``.
    others : ndarray of shape (n,), float64
        Sum of the parts that are not among ``values``.
    rest : ndarray of shape (n,), float64
        What does not depend on the history: side features, item bias, constants, rounding.
    n_history : int
        Items of the history.

    Examples
    --------
    >>> from hashgnn import HashGNN
    >>> from hashgnn.testing.states import random_state
    >>> model = HashGNN.from_state(random_state())
    >>> print(model.explain("u3", "i4", reasons=2).sentences()[0])
    i4: because of i16 (29 %); in spite of i23 (33 %)
    """

    query_id: Any
    kind: ReasonKind
    search: str
    note: str
    item_ids: Array
    scores: Array
    reason_ids: Array
    values: Array
    shares: Array
    others: Array
    rest: Array
    n_history: int

    @classmethod
    def from_reasons(
        cls, reasons: Reasons, n: int, ids: IdMap, *, query_id: Any, search: str, note: str
    ) -> Explanation:
        """Return the ``n`` largest reasons of each item in external ids; ``ids`` are those of the items."""
        places = reasons.largest(n)
        values = np.take_along_axis(reasons.values, places, axis=1)
        is_sum = reasons.kind == "sum"
        shares = np.take_along_axis(reasons.shares(), places, axis=1) if is_sum else values
        others = reasons.values.sum(axis=1) - values.sum(axis=1) if is_sum else np.zeros(len(values))
        return cls(
            query_id=query_id,
            kind=reasons.kind,
            search=search,
            note=note,
            item_ids=ids.at(reasons.items),
            scores=reasons.scores,
            reason_ids=ids.at(reasons.history[places]),
            values=values,
            shares=shares,
            others=others,
            rest=reasons.rest,
            n_history=len(reasons.history),
        )

    def __len__(self) -> int:
        return len(self.item_ids)

    def sentences(self) -> list[str]:
        """Return one line for each item, such as ``"i4: because of i3 (41 %), i7 (22 %)"``."""
        return [f"{self._name(row)}: {self._sentence(row)}" for row in range(len(self))]

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the reasons as columns of text: their names, and a row for each item.

        They are ``because of`` and ``in spite of``, or what the items are most similar to.

        Examples
        --------
        >>> from hashgnn import HashGNN
        >>> from hashgnn.testing.states import random_state
        >>> model = HashGNN.from_state(random_state())
        >>> model.explain("u3", "i4", reasons=2).table()
        (['because of', 'in spite of'], [['i16 (29 %)', 'i23 (33 %)']])
        """
        rows = range(len(self))
        if self.kind == "popularity":
            return ["because of"], [[self._sentence(row)] for row in rows]
        if self.kind == "similarity":
            return ["most similar in the history"], [[self._similar(row) or "–"] for row in rows]
        return ["because of", "in spite of"], [
            [self._named(row, sign) or "–" for sign in (1, -1)] for row in rows
        ]

    def __repr__(self) -> str:
        whose = "a history" if self.query_id is None else f"user {printed(self.query_id)}"
        head = f"Explanation of {len(self)} items for {whose}, {self.n_history} items known, by {self.search}"
        lines = [f"  {self._name(row)}: {self._sentence(row)}" for row in range(min(len(self), _SHOWN))]
        more = [f"  … {len(self) - _SHOWN} more"] if len(self) > _SHOWN else []
        return "\n".join([head, *lines, *more, f"  ({self.note})"])

    def _repr_html_(self) -> str:
        rows: list[list[Any]] = []
        for row in range(len(self)):
            names = [printed(value) for value in self.reason_ids[row].tolist()]
            shares = [_percent(share) for share in self.shares[row].tolist()]
            numbers = (
                [f"{self.others[row]:.4g}", f"{self.rest[row]:.4g}"] if self.kind == "sum" else ["–", "–"]
            )
            score = f"{self.scores[row]:.4g}"
            rows.append([self._name(row), score, ", ".join(names) or "–", ", ".join(shares) or "–", *numbers])
        return _html.table([*_COLUMNS], rows, caption=self.note)

    def to_arrow(self) -> pa.Table:
        """Return one row for each reason.

        The columns are ``user_id`` (where it is a user's), ``item_id``, ``score``, ``because_of``, ``rank`` (from 1),
        ``part``, ``share``, ``sign`` and ``similarity``, and of the item ``others`` and ``rest``. ``part``,
        ``share`` and ``sign`` are null where the score is no sum, and ``similarity`` where it is one.
        """
        n, m = self.values.shape
        is_sum = self.kind == "sum"
        columns: dict[str, Any] = {}
        if self.query_id is not None:
            users = np.empty(n * m, np.int64 if type(self.query_id) is int else object)
            users[:] = [self.query_id] * (n * m)
            columns["user_id"] = id_column("user_id", users)
        values, shares = (pa.array(part.ravel(), pa.float64()) for part in (self.values, self.shares))
        nothing = pa.nulls(n * m, pa.float64())
        signs = (
            pa.array(np.sign(self.values).astype(np.int8).ravel()) if is_sum else pa.nulls(n * m, pa.int8())
        )
        columns |= {
            "item_id": id_column("item_id", np.repeat(self.item_ids, m)),
            "score": pa.array(np.repeat(self.scores, m)),
            "because_of": id_column("because_of", self.reason_ids.ravel()),
            "rank": pa.array(np.tile(np.arange(1, m + 1, dtype=np.int32), n)),
            "part": values if is_sum else nothing,
            "share": shares if is_sum else nothing,
            "sign": signs,
            "similarity": nothing if is_sum else values,
            "others": pa.array(np.repeat(self.others, m)),
            "rest": pa.array(np.repeat(self.rest, m)),
        }
        return pa.table(columns)

    def to_frame(self, backend: FrameLibrary = "pandas") -> Any:
        """Return the table of :meth:`to_arrow` as a data frame.

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow"}, default="pandas"
            A library that is installed.
        """
        return to_frame(self.to_arrow(), backend)

    def _name(self, row: int) -> str:
        return printed(self.item_ids[row : row + 1].tolist()[0])

    def _sentence(self, row: int) -> str:
        if self.kind == "popularity":
            return f"popular, {self.scores[row]:,.0f} users have it"
        if self.kind == "similarity":
            near = self._similar(row)
            return f"most similar in the history: {near}" if near else "the history is empty"
        named = (("because of", self._named(row, 1)), ("in spite of", self._named(row, -1)))
        return (
            "; ".join(f"{word} {items}" for word, items in named if items) or "nothing in the history counts"
        )

    def _pairs(self, row: int) -> list[tuple[str, float]]:
        names = (printed(reason) for reason in self.reason_ids[row].tolist())
        return list(zip(names, self.shares[row].tolist(), strict=True))

    def _similar(self, row: int) -> str:
        return ", ".join(f"{name} ({share:.2f})" for name, share in self._pairs(row))

    def _named(self, row: int, sign: int) -> str:
        """Return the items that speak for a score, or against it, with their shares."""
        return ", ".join(
            f"{name} ({_percent(abs(share))})" for name, share in self._pairs(row) if sign * share > 0
        )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
