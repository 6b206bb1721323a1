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
from hashgnn.index.faiss_hnsw import FaissBinaryHNSW
from hashgnn.index.hamming import HammingIndex
from hashgnn.index.hierarchical import HierarchicalIndex
from hashgnn.index.inverted_file import InvertedFile
from hashgnn.index.multi_index import MultiIndexHashing
from hashgnn.index.stores.index_file import read_kind

# Up to this many codes a scan takes a fraction of a millisecond, so missing results buys nothing.
SCAN_LIMIT = 500_000
_TUNING_QUERIES = 64
_TUNING_K = 100


@dataclass(frozen=True)
class _Request:
    """The arguments of :func:`build_index`."""

    codes: BinaryCodes
    item_bias: ItemBias | None
    index_recall: float
    queries: BinaryCodes | None
    n_threads: int
    scan_limit: int
    options: Mapping[str, Any]


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
    scans = request.index_recall == 1 or len(request.codes) <= request.scan_limit
    return _exact(request) if scans else _inverted_file(request)


# A new kind of index has a row here, and one in the second table where it can be saved.
INDEXES: Registry[Callable[[_Request], CandidateIndex]] = Registry(
    "kind",
    {
        "auto": _auto,
        "exact": _exact,
        "multi-index": _multi_index,
        "inverted-file": _inverted_file,
        "hnsw": _hnsw,
    },
)
SAVED_INDEXES: Registry[type[MutableIndex[Any]]] = Registry(
    "kind of a saved index",
    {index.kind: index for index in (HammingIndex, MultiIndexHashing, InvertedFile, HierarchicalIndex)},
)


def build_index(
    codes: BinaryCodes,
    kind: str = "auto",
    *,
    item_bias: ItemBias | None = None,
    index_recall: float = 1.0,
    queries: BinaryCodes | None = None,
    n_threads: int = 1,
    scan_limit: int | None = None,
    **options: Any,
) -> CandidateIndex:
    """Build an index; ``repr`` of the result says which.

    Parameters
    ----------
    codes : BinaryCodes of shape (n_codes, n_bits)
    kind : {"auto", "exact", "multi-index", "inverted-file", "hnsw"}, default="auto"
        ``"auto"`` takes the exact scan up to ``scan_limit`` codes, or where ``index_recall`` is 1, and the
        inverted file beyond. ``"hnsw"`` is that of faiss, which has no item bias and no filters.
    item_bias : ItemBias or None, default=None
    index_recall : float, default=1.0
        Share of the exact best 100 that a search should find, in ``(0, 1]``. An inverted file is tuned to
        reach it.
    queries : BinaryCodes or None, default=None
        A sample of queries to tune with. ``None`` takes some of the codes, which are easier to find than
        real queries may be.
    n_threads : int, default=1
        Threads that cluster and tune an inverted file; an exact scan and multi-index hashing need none.
    scan_limit : int or None, default=None
        Largest number of codes that ``"auto"`` scans. ``None`` takes 500,000.
    **options
        Passed to the index.

    Examples
    --------
    >>> import numpy as np
    >>> build_index(BinaryCodes(np.zeros((3, 2), np.uint8)))
    HammingIndex(n=3, n_bits=16, item_bias=False)
    """
    build = INDEXES[kind]
    recall = check_float("index_recall", index_recall, minimum=0, maximum=1, open_minimum=True)
    limit = check_int("scan_limit", SCAN_LIMIT if scan_limit is None else scan_limit, minimum=0)
    return build(_Request(codes, item_bias, recall, queries, n_threads, limit, options))


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
