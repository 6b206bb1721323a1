"""Which index suits, and which index a file holds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashgnn._addresses import path_of
from hashgnn._checks import check_float, check_int
from hashgnn._registry import Registry
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ArtifactError, ParameterError
from hashgnn.index.base import CandidateIndex, MutableIndex
from hashgnn.index.budget import hierarchical_within
from hashgnn.index.faiss_hnsw import FaissBinaryHNSW
from hashgnn.index.hamming import HammingIndex
from hashgnn.index.hierarchical import HierarchicalIndex
from hashgnn.index.inverted_file import InvertedFile
from hashgnn.index.multi_index import MultiIndexHashing
from hashgnn.index.stores.embedded_codes import EmbeddedCodes
from hashgnn.index.stores.index_file import read_kind

# Up to this many codes a scan takes a fraction of a millisecond, so missing results buys nothing.
SCAN_LIMIT = 500_000
_TUNING_QUERIES = 64
_TUNING_K = 100


@dataclass(frozen=True)
class _Request:
    """The arguments of :func:`build_index`."""

    entries: BinaryCodes | EmbeddedCodes
    item_bias: ItemBias | None
    index_recall: float
    sample: BinaryCodes | EmbeddedCodes | None
    bytes_per_item: float | None
    n_threads: int
    scan_limit: int
    options: Mapping[str, Any]

    @property
    def codes(self) -> BinaryCodes:
        return self.entries.codes if isinstance(self.entries, EmbeddedCodes) else self.entries

    @property
    def queries(self) -> BinaryCodes | None:
        return self.sample.codes if isinstance(self.sample, EmbeddedCodes) else self.sample

    @property
    def scans(self) -> bool:
        return self.index_recall == 1 or len(self.codes) <= self.scan_limit


def _exact(request: _Request) -> CandidateIndex:
    return HammingIndex(request.codes, request.item_bias, **request.options)


def _multi_index(request: _Request) -> CandidateIndex:
    return MultiIndexHashing(request.codes, request.item_bias, **request.options)


def _inverted_file(request: _Request) -> CandidateIndex:
    codes, n_threads = request.codes, request.n_threads
    index = InvertedFile(codes, request.item_bias, n_threads=n_threads, **request.options)
    sample = codes[:: max(1, len(codes) // _TUNING_QUERIES)] if request.queries is None else request.queries
    index.tune(
        sample[:_TUNING_QUERIES],
        min(_TUNING_K, len(codes)),
        index_recall=request.index_recall,
        n_threads=n_threads,
    )
    return index


def _hnsw(request: _Request) -> CandidateIndex:
    if request.item_bias is not None:
        raise ParameterError("item_bias must be None for kind='hnsw'; widen the codes by it instead")
    return FaissBinaryHNSW(request.codes, **request.options)


def _auto(request: _Request) -> CandidateIndex:
    return _exact(request) if request.scans else _inverted_file(request)


def _hierarchical(request: _Request) -> CandidateIndex:
    entries, sample, n_threads = request.entries, request.sample, request.n_threads
    for name, given in (("codes", entries), ("queries", sample)):
        if not isinstance(given, EmbeddedCodes):
            raise ParameterError(
                f"{name} must be EmbeddedCodes for kind='hierarchical', got {type(given).__name__}"
            )
    assert isinstance(entries, EmbeddedCodes)
    assert isinstance(sample, EmbeddedCodes)
    coarse: HammingIndex | InvertedFile
    if request.scans:
        coarse = HammingIndex(entries.codes, request.item_bias, **request.options)
    else:
        coarse = InvertedFile(entries.codes, request.item_bias, n_threads=n_threads, **request.options)
    k = min(_TUNING_K, len(entries))
    if request.bytes_per_item is not None:
        return hierarchical_within(
            coarse,
            entries.embeddings,
            sample,
            bytes_per_item=request.bytes_per_item,
            index_recall=request.index_recall,
            k=k,
            n_threads=n_threads,
        )
    index = HierarchicalIndex(coarse, entries.embeddings)
    index.tune(sample[:_TUNING_QUERIES], k, index_recall=request.index_recall, n_threads=n_threads)
    return index


# A new kind of index has a row here, and one in the second table where it can be saved.
INDEXES: Registry[Callable[[_Request], CandidateIndex]] = Registry(
    "kind",
    {
        "auto": _auto,
        "exact": _exact,
        "multi-index": _multi_index,
        "inverted-file": _inverted_file,
        "hierarchical": _hierarchical,
        "hnsw": _hnsw,
    },
)
SAVED_INDEXES: Registry[type[MutableIndex[Any]]] = Registry(
    "kind of a saved index",
    {index.kind: index for index in (HammingIndex, MultiIndexHashing, InvertedFile, HierarchicalIndex)},
)


def build_index(
    codes: BinaryCodes | EmbeddedCodes,
    kind: str = "auto",
    *,
    item_bias: ItemBias | None = None,
    index_recall: float = 1.0,
    queries: BinaryCodes | EmbeddedCodes | None = None,
    bytes_per_item: float | None = None,
    n_threads: int = 1,
    scan_limit: int | None = None,
    **options: Any,
) -> CandidateIndex:
    """Build an index; ``repr`` of the result says which.

    Parameters
    ----------
    codes : BinaryCodes of shape (n_codes, n_bits), or EmbeddedCodes for ``"hierarchical"``
    kind : {"auto", "exact", "multi-index", "inverted-file", "hierarchical", "hnsw"}, default="auto"
        ``"auto"`` takes the exact scan up to ``scan_limit`` codes, or where ``index_recall`` is 1, and the
        inverted file beyond. ``"hierarchical"`` ranks what the same finds again. ``"hnsw"`` is that of faiss,
        which has no item bias and no filters.
    item_bias : ItemBias or None, default=None
    index_recall : float, default=1.0
        Share of the exact best 100 that a search should find, in ``(0, 1]``: by code, of a hierarchical index
        by inner product. An inverted file and a hierarchical index are tuned to reach it.
    queries : BinaryCodes, EmbeddedCodes or None, default=None
        A sample of queries to tune with. ``None`` takes some of the codes, which are easier to find than
        real queries may be. A hierarchical index needs some.
    bytes_per_item : float or None, default=None
        Memory that a hierarchical index may take. ``None``: what codes and floats take.
    n_threads : int, default=1
        Threads that cluster and tune an inverted file; an exact scan and multi-index hashing need none.
    scan_limit : int or None, default=None
        Largest number of codes that ``"auto"`` scans. ``None`` takes 500,000.
    **options
        Passed to the index.

    See Also
    --------
    load_index : Opens one that was saved.

    Examples
    --------
    >>> import numpy as np
    >>> build_index(BinaryCodes(np.zeros((3, 2), np.uint8)))
    HammingIndex(n=3, n_bits=16, item_bias=False)
    """
    build = INDEXES[kind]
    if kind != "hierarchical" and bytes_per_item is not None:
        raise ParameterError(
            f"bytes_per_item must be None but for kind='hierarchical', got {bytes_per_item!r} for kind={kind!r}"
        )
    if kind != "hierarchical" and not isinstance(codes, BinaryCodes):
        raise ParameterError(f"codes must be BinaryCodes for kind={kind!r}, got {type(codes).__name__}")
    recall = check_float("index_recall", index_recall, minimum=0, maximum=1, open_minimum=True)
    limit = check_int("scan_limit", SCAN_LIMIT if scan_limit is None else scan_limit, minimum=0)
    return build(_Request(codes, item_bias, recall, queries, bytes_per_item, n_threads, limit, options))


def load_index(
    path: str | Path, *, verify: bool = False, kinds: Collection[str] | None = None
) -> MutableIndex[Any]:
    """Open a saved index of any kind, memory-mapped; the header of the file says which kind it is.

    Nothing is clustered, tuned or packed again. Only the hash tables of :class:`MultiIndexHashing` are made
    anew.

    Parameters
    ----------
    path : str or Path
        What ``save`` of an index wrote.
    verify : bool, default=False
        Compare the checksums of all sections, which reads the whole file. The checksum of the header is
        always compared.
    kinds : collection of str, optional
        Kinds that the caller has a use for; a file of another one is refused unopened. ``None`` takes all.

    Raises
    ------
    ArtifactError, ArtifactVersionError, ArtifactDamagedError
        If the file is missing, foreign, of an unknown kind or format version, truncated or edited.

    See Also
    --------
    build_index : Makes a new one.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     HammingIndex(BinaryCodes(np.zeros((3, 2), np.uint8))).save(f"{folder}/items.hgx")
    ...     load_index(f"{folder}/items.hgx")
    HammingIndex(n=3, n_bits=16, item_bias=False)
    """
    kind, known = read_kind(path_of(path)), SAVED_INDEXES if kinds is None else kinds
    if kind not in known:
        expected = "this library knows" if kinds is None else "needed here is"
        raise ArtifactError(
            f"{path}: it holds an index of the kind {kind!r:.80}, {expected} {', '.join(map(repr, known))}"
        )
    return SAVED_INDEXES[kind].load(path, verify=verify)
