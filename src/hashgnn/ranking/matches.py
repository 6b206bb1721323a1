"""``Matches``: the result of every search, model, baseline and evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hashgnn._types import Array

_SHOWN = 5  # rows and results of a row that ``repr`` shows


@dataclass(frozen=True, eq=False)
class Matches:
    """The best positions of each query, best first; ties go to the smaller position.

    Attributes
    ----------
    positions : ndarray of shape (n_queries, k), int64
        Positions in the index, or item indices; -1 where a query has fewer than ``k`` results.
    scores : ndarray of shape (n_queries, k), float32 or float64
        Higher is better, in the unit of the search; -inf where there is no result.
    counts : ndarray of shape (n_queries,), int64
        Results of each query: fewer than ``k`` where filters leave fewer.
    distances : ndarray of shape (n_queries, k), int32, or None
        Differing bits, without the item bias; -1 where there is no result. None where floats decide.

    Examples
    --------
    >>> Matches(np.array([[4, 2], [7, -1]]), np.array([[16.0, 12.0], [8.0, -np.inf]]), np.array([2, 1]))
    Matches(n_queries=2, k=2), position (score):
      0: 4 (16), 2 (12)
      1: 7 (8)
    """

    positions: Array
    scores: Array
    counts: Array
    distances: Array | None = None

    @classmethod
    def empty(cls, n_queries: int, k: int) -> Matches:
        """Return room for the results of so many queries, all of them padding."""
        return cls(
            np.full((n_queries, k), -1, np.int64),
            np.full((n_queries, k), -np.inf, np.float32),
            np.zeros(n_queries, np.int64),
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Matches]) -> Matches:
        """Return the rows of all parts, one part after the other; all have the same ``k``."""
        if len(parts) == 1:
            return parts[0]
        distances = [part.distances for part in parts if part.distances is not None]
        return cls(
            np.concatenate([part.positions for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.counts for part in parts]),
            np.concatenate(distances) if len(distances) == len(parts) else None,
        )

    def padded(self, k: int) -> Matches:
        """Return the same results with padding up to ``k`` columns; as they are where there are as many."""
        more = k - self.k
        if more <= 0:
            return self
        columns = ((0, 0), (0, more))
        return Matches(
            np.pad(self.positions, columns, constant_values=-1),
            np.pad(self.scores, columns, constant_values=-np.inf),
            self.counts,
            None if self.distances is None else np.pad(self.distances, columns, constant_values=-1),
        )

    @property
    def k(self) -> int:
        """Results that were requested of each query."""
        return int(self.positions.shape[1])

    @property
    def valid(self) -> Array:
        """Which entries are results and not padding, shape (n_queries, k), bool."""
        mask: Array = np.arange(self.k) < self.counts[:, None]
        return mask

    @property
    def is_finite(self) -> bool:
        """Whether the score of every result is a finite number; padding does not count."""
        return bool(np.isfinite(self.scores).all() or np.isfinite(self.scores[self.valid]).all())

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, rows: int | slice | Array) -> Matches:
        """Return the results of some queries; a number gives those of one query, still as ``Matches``."""
        chosen = [rows] if isinstance(rows, int | np.integer) else rows
        distances = None if self.distances is None else self.distances[chosen]
        return Matches(self.positions[chosen], self.scores[chosen], self.counts[chosen], distances)

    def lists(self) -> list[list[int]]:
        """Return the positions of each query as Python lists, without padding."""
        rows: list[list[int]] = self.positions.tolist()
        return [row[:count] for row, count in zip(rows, self.counts.tolist(), strict=True)]

    def __repr__(self) -> str:
        lines = [f"Matches(n_queries={len(self)}, k={self.k}), position (score):"]
        for row, found in enumerate(self[:_SHOWN].lists()):
            scores = self.scores[row].tolist()
            pairs = [
                f"{position} ({score:.6g})"
                for position, score in zip(found[:_SHOWN], scores[:_SHOWN], strict=False)
            ]
            more = [f"… {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
            lines.append(f"  {row}: {', '.join(pairs + more) or 'no results'}")
        if len(self) > _SHOWN:
            lines.append(f"  … {len(self) - _SHOWN} more queries")
        return "\n".join(lines)
