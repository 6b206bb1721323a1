"""``RowQuantiser``: embeddings turned and rounded to rows of few bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hashgnn import _native
from hashgnn._checks import check_int, check_matrix, check_threads
from hashgnn._types import Array
from hashgnn.errors import ParameterError

#: Bits of an entry of a quantised row.
ROW_BITS = (2, 3, 4, 8)

_SAMPLE = 65536  # rows that the directions are learned from
_RIDGE = 1e-4  # of the mean variance, added to every direction: later queries may differ from the sample
_BLOCK = 65536  # rows that are checked and turned at a time
_LARGEST = 1e15  # squares of such entries still add up in float32


@dataclass(frozen=True, eq=False)
class RowQuantiser:
    """Turns embeddings and rounds them to 2, 3, 4 or 8 bits an entry; queries are turned to fit.

    Directions of the embeddings are scaled so that queries and embeddings have the same variance in each. The
    leading ones are kept where a row has no room for all. A random rotation then spreads what they hold
    evenly over the entries. Each row has a factor of its own, by which the product of the row with its own
    embedding is exact: products are not pulled towards zero.

    Attributes
    ----------
    bits : int
        Of an entry: 2, 3, 4 or 8.
    n_bytes : int
        Of a row, a multiple of 16, for 3 bits of 48, its factor included.
    n_entries : int
        Directions that are kept.
    of_items, of_queries : ndarray of shape (width, n_columns), float32
        What embeddings and queries are multiplied by. Columns behind ``n_entries`` are zeros.
    centre : ndarray of shape (width,), float32
        The mean embedding.

    References
    ----------
    Gao and Long, *RaBitQ*, SIGMOD 2024, and Gao et al., *Practical and Asymptotically Optimal Quantization*,
    SIGMOD 2025: rotation, steps by row and the factor. Moore, *Principal Component Analysis in Linear
    Systems*, 1981: the balanced directions.
    """

    bits: int
    n_bytes: int
    n_entries: int
    of_items: Array
    of_queries: Array
    centre: Array

    @classmethod
    def fit(
        cls,
        embeddings: Array,
        *,
        bits: int,
        n_bytes: int | None = None,
        queries: Array | None = None,
        rng: int = 0,
    ) -> RowQuantiser:
        """Learn the directions from embeddings, and from queries where there are some.

        Parameters
        ----------
        embeddings : ndarray of shape (n, width), float
        bits : {2, 3, 4, 8}
        n_bytes : int, optional
            Of a row, a multiple of 16, for 3 bits of 48. ``None`` takes as many as keep every direction.
        queries : ndarray of shape (n_queries, width), float32, optional
            A sample of the queries to come; without one, all directions count the same.
        rng : int, default=0
            Draws the rotation.
        """
        return Directions.of(embeddings, queries).quantiser(bits, n_bytes, rng=rng)

    @property
    def width(self) -> int:
        """Width of the embeddings."""
        return len(self.centre)

    def quantise(self, embeddings: Any, n_threads: int = 1) -> Array:
        """Return the rows of embeddings, shape (n, n_bytes), uint8.

        Raises
        ------
        ParameterError
            If an embedding is not finite, too large, or of another width.
        """
        source = np.asarray(embeddings)
        rows = row_array(len(source), self.n_bytes)
        for start in range(0, len(source), _BLOCK):
            part = slice(start, start + _BLOCK)
            floats = check_matrix("embeddings", source[part], dtype=np.float32, n_columns=self.width)
            largest = float(np.abs(floats).max(initial=0.0))
            if largest > _LARGEST:
                raise ParameterError(
                    f"embeddings must be at most {_LARGEST:g} for rows of few bits, got {largest:g}"
                )
            self.table(rows[:0]).quantise(np.ascontiguousarray(floats), rows[part], check_threads(n_threads))
        return rows

    def decoded(self, rows: Array) -> Array:
        """Return what rows stand for, in the turned space, shape (n, n_entries), float32."""
        packed, j = np.ascontiguousarray(rows), np.arange(self.n_entries)
        entries = np.zeros((len(packed), self.n_entries), np.int16)
        for first, end, bits, shift in self._sections():
            room = end - first
            part = packed[:, first + j % room] >> (bits * (j // room)).astype(np.uint8)
            entries |= (part & (2**bits - 1)).astype(np.int16) << shift
        factor: Array = packed[:, -4:].copy().view("<f4")
        found: Array = factor * (2 * entries - (2**self.bits - 1)).astype(np.float32)
        return found

    def _sections(self) -> tuple[tuple[int, int, int, int], ...]:
        """Return first byte, end, bits and shift of each part of a row; see docs/reference/index-format.md."""
        end = self.n_bytes - 4
        if self.bits != 3:
            return ((0, end, self.bits, 0),)
        third = self.n_bytes // 3
        return (0, third, 1, 2), (third, end, 2, 0)

    def table(self, rows: Array) -> _native.QuantisedTable:
        """Return rows for the kernels."""
        return _native.QuantisedTable(
            self.bits, self.n_entries, rows, self.of_items, self.of_queries, self.centre
        )


@dataclass(frozen=True, eq=False)
class Directions:
    """The directions in which embeddings and queries have the same variance, the leading one first.

    Attributes
    ----------
    of_items, of_queries : ndarray of shape (width, width), float64
        Columns are directions; one transposed times the other is the identity.
    weights : ndarray of shape (width,), float64
        Root mean square of the products that a direction makes.
    centre : ndarray of shape (width,), float32
    """

    of_items: Array
    of_queries: Array
    weights: Array
    centre: Array

    @classmethod
    def of(cls, embeddings: Any, queries: Array | None) -> Directions:
        """Learn the directions from embeddings, a sample of them where they are many, and queries."""
        items = _sample(embeddings)
        if not len(items):
            raise ParameterError("embeddings must hold at least one row to learn directions from, got 0")
        centre = items.mean(axis=0)
        width = len(centre)
        moment_of_queries = (
            np.eye(width) if queries is None or not len(queries) else _second_moment(_sample(queries))
        )
        of_item, of_query = (
            np.linalg.cholesky(_with_ridge(moment))
            for moment in (_second_moment(items - centre), moment_of_queries)
        )
        left, weights, right = np.linalg.svd(of_query.T @ of_item)
        scale = 1 / np.sqrt(weights)
        return cls((of_query @ left) * scale, (of_item @ right.T) * scale, weights, centre.astype(np.float32))

    def quantiser(self, bits: int, n_bytes: int | None, *, rng: int) -> RowQuantiser:
        """Return the quantiser that keeps as many directions as rows have room for."""
        if bits not in ROW_BITS:
            raise ParameterError(f"bits must be 2, 3, 4 or 8, got {bits!r}")
        width, step = len(self.centre), _native.row_step(bits)
        whole = row_bytes_of(width, bits)
        if n_bytes is not None:
            check_int("n_bytes", n_bytes, minimum=step)
            if n_bytes % step:
                raise ParameterError(
                    f"n_bytes must be a multiple of {step} for {bits} bits an entry, got {n_bytes}"
                )
        size = whole if n_bytes is None else min(whole, n_bytes)
        kept = min(width, _native.row_entries(size, bits))
        turned, _ = np.linalg.qr(np.random.default_rng(rng).standard_normal((kept, kept)))
        n_columns = -(-kept // 16) * 16
        maps = [np.zeros((width, n_columns), np.float32) for _ in range(2)]
        for matrix, directions in zip(maps, (self.of_items, self.of_queries), strict=True):
            matrix[:, :kept] = directions[:, :kept] @ turned
        return RowQuantiser(bits, size, kept, maps[0], maps[1], self.centre)


def row_bytes_of(width: int, bits: int) -> int:
    """Return the bytes of a row that keeps so many entries, or as many as a row may."""
    step = _native.row_step(bits)
    size = step
    while _native.row_entries(size, bits) < min(width, _native.MAX_ROW_ENTRIES):
        size += step
    return size


def row_array(n: int, n_bytes: int) -> Array:
    """Return room for rows, shape (n, n_bytes), uint8, that begins on a cache line."""
    raw = np.empty(n * n_bytes + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + n * n_bytes].reshape(n, n_bytes)


def _sample(table: Any) -> Array:
    array = np.asarray(table)
    step = max(1, len(array) // _SAMPLE)
    rows: Array = array[::step].astype(np.float64)
    if not np.isfinite(rows).all():
        raise ParameterError("embeddings and queries must be finite, got NaN or infinity")
    return rows


def _second_moment(rows: Array) -> Array:
    moment: Array = rows.T @ rows / len(rows)
    return moment


def _with_ridge(moment: Array) -> Array:
    mean = float(np.trace(moment)) / len(moment)
    ridge = _RIDGE * mean if mean > 0 else 1.0
    regular: Array = moment + ridge * np.eye(len(moment))
    return regular
