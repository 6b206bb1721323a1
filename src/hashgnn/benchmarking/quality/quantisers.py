"""Quantisers of float embeddings: what other ways keep of the same floats in how many bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hashgnn._checks import check_int
from hashgnn._extras import require
from hashgnn._types import Array
from hashgnn.codes.binarisers import ProductQuantizer
from hashgnn.errors import ParameterError
from hashgnn.index.scores import float_scores

_ITERATIONS = 25  # of k-means and of the rotation, as faiss has them
_CENTRES = 256  # one byte names one
_CALIBRATED = 1024  # rows, as turbovec's pages advise
_BASES = 4  # that turbovec is probed with, as it rounds queries
_LENGTH = 4  # bytes that turbovec keeps of an item in addition to its bits


class QuantisedItems(ABC):
    """Item embeddings in few bytes, searched by float queries."""

    @property
    @abstractmethod
    def bytes_per_item(self) -> float:
        """Bytes that the library keeps of an item."""

    @abstractmethod
    def scores(self, queries: Array) -> Array:
        """Return estimates (n, n_items) float32 of inner products with float queries (n, dim)."""


class _Decoded(QuantisedItems):
    """Rows that the bytes stand for, and what each adds to every estimate."""

    def __init__(self, decoded: Array, n_bytes: float, added: Array | None = None) -> None:
        self._decoded, self._bytes, self._added = decoded, n_bytes, added

    @property
    def bytes_per_item(self) -> float:
        return self._bytes

    def scores(self, queries: Array) -> Array:
        scores = float_scores(queries, self._decoded)
        return scores if self._added is None else scores + self._added


def _decoded(
    search: Callable[[Array, int], tuple[Array, Array]],
    n_items: int,
    dim: int,
    n_bytes: float,
    n_bases: int = 1,
) -> QuantisedItems:
    """Return the rows that an index's bytes stand for, where its estimates are affine in the query.

    Queries along the axes tell what each item adds. Where a library rounds queries, the mean over several bases has lost
    that rounding.
    """

    def scores(queries: Array) -> Array:
        found, positions = search(queries, n_items)
        result = np.empty((len(queries), n_items), np.float32)
        np.put_along_axis(result, positions.astype(np.int64), found, axis=1)
        return result

    added = scores(np.zeros((1, dim), np.float32))
    rows = np.zeros((n_items, dim), np.float32)
    rng = np.random.default_rng(0)
    for number in range(n_bases):
        basis = np.linalg.qr(rng.normal(size=(dim, dim)))[0] if number else np.eye(dim)
        basis = np.ascontiguousarray(basis, np.float32)
        rows += (scores(basis) - added).T @ basis / np.float32(n_bases)
    return _Decoded(rows, n_bytes, added)


def _pq(items: Array, n_bits: int, seed: int) -> QuantisedItems:
    """Product quantisation in as many bits as a code has (Jégou et al., PAMI 2011)."""
    quantiser = ProductQuantizer.fit(items, n_bits=n_bits, rng=seed)
    return _Decoded(quantiser.decode(quantiser.encode(items)), quantiser.n_bytes)


def _opq(items: Array, n_bits: int, seed: int, *, n_bytes: int | None = None) -> QuantisedItems:
    """Product quantisation after a learned rotation (Ge et al., CVPR 2013), by faiss."""
    faiss = _faiss()
    size, dim = n_bits // 8 if n_bytes is None else check_int("n_bytes", n_bytes, minimum=1), items.shape[1]
    if dim % size:
        raise ParameterError(f"n_bytes of opq must divide the width of the embeddings, {dim}, got {size}")
    if len(items) < _CENTRES:
        raise ParameterError(f"opq needs {_CENTRES} items or more, got {len(items)}")
    rotation, between = faiss.OPQMatrix(dim, size), faiss.ProductQuantizer(dim, size, 8)
    product = faiss.IndexPQ(dim, size, 8, faiss.METRIC_INNER_PRODUCT)
    rotation.pq, rotation.niter = between, _ITERATIONS
    for clustering in (between.cp, product.pq.cp):
        clustering.seed, clustering.min_points_per_centroid = seed % 2**31, 1
    index = faiss.IndexPreTransform(rotation, product)
    rows = np.ascontiguousarray(items, np.float32)
    index.train(rows)
    return _Decoded(index.sa_decode(index.sa_encode(rows)), size)


def _rabitq(items: Array, n_bits: int, seed: int, *, bits: int = 1) -> QuantisedItems:
    """Bits of a random rotation with unbiased estimates (Gao, Long, SIGMOD 2024 and 2025), by faiss."""
    faiss, dim = _faiss(), items.shape[1]
    check_int("bits", bits, minimum=1, maximum=9)
    rotation = faiss.RandomRotationMatrix(dim, dim)
    rotation.init(seed % 2**31)
    own = faiss.IndexRaBitQ(dim, faiss.METRIC_INNER_PRODUCT, bits)
    own.qb = 0  # queries as they are, which is its best
    index = faiss.IndexPreTransform(rotation, own)
    rows = np.ascontiguousarray(items, np.float32)
    index.train(rows)
    index.add(rows)
    return _decoded(index.search, len(items), items.shape[1], float(own.code_size))


def _turboquant(items: Array, n_bits: int, seed: int, *, bits: int = 2) -> QuantisedItems:
    """TurboQuant (Zandieh et al., 2025), by turbovec, whose rotation is its own."""
    turbovec = require("turbovec", extra="rivals", purpose="this method")
    check_int("bits", bits, minimum=2, maximum=4)
    rows = np.ascontiguousarray(items, np.float32)
    index = turbovec.TurboQuantIndex(dim=items.shape[1], bit_width=bits)
    index.calibrate(rows[np.random.default_rng(seed).permutation(len(rows))[:_CALIBRATED]])
    index.add(rows)
    index.prepare()
    return _decoded(index.search, len(items), items.shape[1], bits * items.shape[1] / 8 + _LENGTH, _BASES)


def _faiss() -> Any:
    faiss = require("faiss", extra="benchmark", purpose="this method")
    faiss.omp_set_num_threads(1)
    return faiss


#: How embeddings are quantised, by the name of the coder.
QUANTISERS: Mapping[str, Callable[..., QuantisedItems]] = {
    "opq": _opq,
    "pq": _pq,
    "rabitq": _rabitq,
    "turboquant": _turboquant,
}


def quantise(name: str, items: Array, *, n_bits: int, seed: int, **settings: Any) -> QuantisedItems:
    """Quantise item embeddings.

    Parameters
    ----------
    name : str
        A name of ``QUANTISERS``.
    items : ndarray of shape (n_items, dim), float32
    n_bits : int
        Width of the codes that are compared: the size where the quantiser has none of its own.
    seed : int
    **settings
        ``bits`` a dimension for ``rabitq`` (1 to 9) and ``turboquant`` (2, 3 or 4), ``n_bytes`` an item for ``opq``.

    Raises
    ------
    MissingExtraError
        If the library is not installed.
    ParameterError
        If a setting does not fit the embeddings.
    """
    return QUANTISERS[name](items, n_bits, seed, **settings)
