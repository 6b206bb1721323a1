"""``Recommendations``: ranked items in external ids, one row per user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from hashgnn._frames import FrameLibrary, to_frame
from hashgnn._types import Array
from hashgnn.answering.ruled_search import RuleEffects, with_effects
from hashgnn.data import IdMap
from hashgnn.data._id_kinds import printed
from hashgnn.data.item_columns import ItemTable, of_ids
from hashgnn.data.table_files import Writable, check_table_file, write_table
from hashgnn.errors import DataError, ParameterError
from hashgnn.ranking import Matches
from hashgnn.recommender._notebook import recommendations_html


@dataclass(frozen=True, eq=False)
class Recommendations:
    """The result of a query: for each row, the best first, in external ids.

    A row has fewer than ``k`` results where fewer candidates exist. Only the first ``counts[row]`` entries
    of a row are results; the rest is padding.

    Attributes
    ----------
    query_ids : ndarray of shape (n,)
        What each row answers: a user id; an item id for ``similar_items``; the place in the list of
        histories for ``recommend_for_history``.
    ids : ndarray of shape (n, k)
        External ids. Integer ids are padded with -1, all others (dtype object) with ``None``.
    scores : ndarray of shape (n, k), float32
        Descending, in the unit of the search way; higher is better. Padded with -inf. Under rules they are
        boosted, and with ``diversity`` in the order of the choice.
    counts : ndarray of shape (n,), int64
        Results of each row.
    columns : tuple of str
        Names of the two id columns in a table.
    effects : RuleEffects or None
        What rules did to the answer: scores and ranks before them, items that passed the filter, items that
        each cap kept out. None without rules.

    Examples
    --------
    >>> import numpy as np
    >>> recs = Recommendations(
    ...     np.array(["u1"], object), np.array([[7, 3, -1]]), np.array([[2.0, 1.0, -np.inf]]), np.array([2])
    ... )
    >>> recs.to_arrow().to_pylist()[1]
    {'user_id': 'u1', 'item_id': 3, 'rank': 2, 'score': 1.0}
    """

    query_ids: Array
    ids: Array
    scores: Array
    counts: Array
    columns: tuple[str, str] = ("user_id", "item_id")
    effects: RuleEffects | None = None

    @classmethod
    def from_matches(
        cls,
        found: Matches,
        query_ids: Array,
        ids: IdMap,
        columns: tuple[str, str] = ("user_id", "item_id"),
        effects: RuleEffects | None = None,
    ) -> Recommendations:
        """Return matches with external ids in the place of positions.

        Parameters
        ----------
        found : Matches of n rows
        query_ids : ndarray of shape (n,)
        ids : IdMap
            Of the results.
        columns : tuple of str
        effects : RuleEffects, optional
        """
        result = ids.at(found.positions)
        return cls(query_ids, result, found.scores, found.counts, columns, effects)

    def __len__(self) -> int:
        return len(self.query_ids)

    def __repr__(self) -> str:
        return f"Recommendations(n={len(self)}, k={self.ids.shape[1]}, results={int(self.counts.sum())})"

    def _repr_html_(self) -> str:
        return recommendations_html(self.columns, self.query_ids.tolist(), self.lists())

    def lists(self) -> list[list[Any]]:
        """Return the ids of each row as a Python list, without padding."""
        rows: list[list[Any]] = self.ids.tolist()
        return [row[:count] for row, count in zip(rows, self.counts.tolist(), strict=True)]

    def to_arrow(
        self, *, items: ItemTable | None = None, title: str | Sequence[str] | None = None
    ) -> pa.Table:
        """Return one row a result: the two id columns, ``rank`` (int32, from 1) and ``score`` (float32).

        Ids that are tuples are written in their printed form, as JSON lists. Under rules there are also
        ``base_rank`` (int32, null where it lies further down than was searched) and ``base_score``.

        Parameters
        ----------
        items : str, Path, pyarrow.Table or data frame, optional
            A table of items, with their ids in ``item_id``, to take titles from.
        title : str or list of str, optional
            Columns of ``items`` that stand next to the result's id; ``None`` takes ``title`` or ``name``. An item
            without a row there has null.

        Raises
        ------
        DataError
            If ids of one side are of several types, as no column of a table can be, or ``items`` cannot be read.
        ParameterError
            If ``title`` is no column of ``items``.
        """
        k = self.ids.shape[1]
        real = np.arange(k) < self.counts[:, None]
        ranks = np.broadcast_to(np.arange(1, k + 1, dtype=np.int32), real.shape)
        query_name, result_name = self.columns
        found = self.ids[real]
        table = pa.table(
            {
                query_name: id_column(query_name, np.repeat(self.query_ids, self.counts)),
                result_name: id_column(result_name, found),
                "rank": pa.array(ranks[real]),
                "score": pa.array(self.scores[real].astype(np.float32)),
            }
        )
        if self.effects is not None:
            table = with_effects(table, self.effects, real)
        if items is None:
            if title is not None:
                raise ParameterError(f"title needs items, a table to take it from, got {title!r} alone")
            return table
        return of_ids(table, result_name, found, items, title)

    def to_frame(
        self,
        backend: FrameLibrary = "pandas",
        *,
        items: ItemTable | None = None,
        title: str | Sequence[str] | None = None,
    ) -> Any:
        """Return the table of :meth:`to_arrow` as a data frame.

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow"}, default="pandas"
            A library that is installed.
        items, title
            As for :meth:`to_arrow`.
        """
        return to_frame(self.to_arrow(items=items, title=title), backend)

    def write(
        self,
        target: Writable,
        *,
        format: str | None = None,
        overwrite: bool = False,
        items: ItemTable | None = None,
        title: str | Sequence[str] | None = None,
    ) -> None:
        """Write the table of :meth:`to_arrow` to a file that appears whole or not at all.

        Parameters
        ----------
        target : str, Path or binary file object
            A file, an address such as ``s3://bucket/list.csv`` (extra ``cloud``), or an object to write bytes to.
        format : {"parquet", "csv", "jsonl"}, optional
            ``None`` follows from the suffix.
        overwrite : bool, default=False
            Replace a file that exists.
        items, title
            As for :meth:`to_arrow`.

        Raises
        ------
        ParameterError
            If the file exists and may not be replaced, or its format does not follow from the suffix.
        DataError
            As for :meth:`to_arrow`.
        StorageError
            If writing failed, as on a full disk; what was at ``target`` is as it was.

        Examples
        --------
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from hashgnn import HashGNN
        >>> from hashgnn.testing.states import random_state
        >>> recs = HashGNN.from_state(random_state()).recommend(["u3"], k=1)
        >>> with TemporaryDirectory() as folder:
        ...     recs.write(Path(folder, "list.csv"))
        ...     print(Path(folder, "list.csv").read_text().splitlines()[0])
        "user_id","item_id","rank","score"
        """
        check_table_file(target, format=format, overwrite=overwrite)
        table = self.to_arrow(items=items, title=title)
        write_table(table, target, format=format, overwrite=overwrite)


def id_column(name: str, ids: Array) -> pa.Array:
    """Return ids as a column; tuples in their printed form, as their parts may be of several types."""
    if ids.dtype == object and len(ids) and all(isinstance(value, tuple) for value in ids):
        return pa.array([printed(value) for value in ids], pa.string())
    if ids.dtype == object and not len(ids):
        return pa.array([], pa.string())  # of no type, which files do not hold
    try:
        return pa.array(ids)
    except (pa.ArrowException, OverflowError, UnicodeError):
        raise DataError(f"{name} holds ids that no table column can hold together; use lists()") from None
