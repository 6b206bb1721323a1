"""Kernels of hashgnn.index, hashgnn.graph and hashgnn.nn; the classes there check and document what is passed here."""

from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]
_Lists = tuple[_Array, _Array] | None
_Result = tuple[_Array, _Array, _Array, _Array | None]  # positions, scores, counts, distances

BLOCK: int
MAX_BITS: int
MAX_CODES: int
MAX_ROW_ENTRIES: int

def simd() -> str: ...
def row_step(bits: int) -> int: ...
def row_entries(n_bytes: int, bits: int) -> int: ...
def words_of(n_codes: int, n_bits: int) -> int: ...
def near_words_of(n_codes: int, n_bits: int) -> int: ...
def pack(packed: _Array, words: _Array, first: int) -> None: ...
def unpack(words: _Array, first: int, packed: _Array) -> None: ...

class SearchArguments:
    def __init__(
        self,
        k: int,
        biased: bool,
        top: float,
        block_per_query: _Lists,
        allow_per_query: _Lists,
        allow_all: tuple[int, _Array] | None,
        n_threads: int,
        share: float = 1.0,
    ) -> None: ...
    def check_filter(self, n_queries: int, n_codes: int) -> None: ...

class QuantisedTable:
    def __init__(
        self,
        bits: int,
        n_entries: int,
        rows: _Array,
        of_items: _Array,
        of_queries: _Array,
        centre: _Array,
    ) -> None: ...
    def __len__(self) -> int: ...
    def quantise(self, embeddings: _Array, rows: _Array, n_threads: int) -> None: ...

class Stages:
    def __init__(
        self,
        n_candidates: int,
        quantised: QuantisedTable | None,
        n_refined: int,
        floats: _Array | None,
        scale: _Array | None,
    ) -> None: ...

class CodeTable:
    n_bits: int
    def __init__(
        self, n_bits: int, segments: list[tuple[_Array, _Array | None, _Array | None, int]]
    ) -> None: ...
    def __len__(self) -> int: ...
    def search_codes(self, queries: _Array, arguments: SearchArguments) -> _Result: ...
    def search_floats(self, queries: _Array, n_planes: int, arguments: SearchArguments) -> _Result: ...
    def search_hierarchical(
        self,
        queries: _Array,
        embeddings: _Array,
        stages: Stages,
        arguments: SearchArguments,
    ) -> _Result: ...

class InvertedTable:
    def __init__(
        self,
        n_bits: int,
        n_codes: int,
        first_blocks: _Array,
        words: _Array,
        penalty: _Array | None,
        alive: _Array,
        positions: _Array,
        rows: _Array | None = None,
    ) -> None: ...
    has_penalty: bool
    n_own_bytes: int
    def allowed(self, mask: tuple[int, _Array], room: int = 0) -> InvertedTable: ...
    def grown(
        self,
        lists: InvertedTable,
        extra: InvertedTable | None,
        gone: _Array,
        added: _Array,
        later: _Array,
        n_codes: int,
    ) -> tuple[InvertedTable, _Array]: ...

class ListMeans:
    n_bytes: int
    def __init__(self, lists: InvertedTable) -> None: ...

def allowed_list(
    lists: InvertedTable, extra: InvertedTable | None, mask: tuple[int, _Array], room: int = 0
) -> InvertedTable: ...
def search_inverted_codes(
    lists: InvertedTable,
    extra: InvertedTable | None,
    centroids: CodeTable,
    n_probe: int,
    queries: _Array,
    arguments: SearchArguments,
) -> _Result: ...
def search_inverted_floats(
    lists: InvertedTable,
    extra: InvertedTable | None,
    centroids: CodeTable,
    means: ListMeans | None,
    n_probe: int,
    queries: _Array,
    n_planes: int,
    arguments: SearchArguments,
) -> _Result: ...
def search_inverted_hierarchical(
    lists: InvertedTable,
    extra: InvertedTable | None,
    centroids: CodeTable,
    n_probe: int,
    queries: _Array,
    embeddings: _Array,
    stages: Stages,
    arguments: SearchArguments,
) -> _Result: ...
def choose_rows(
    codes: _Array,
    n_chosen: int,
    relevance: _Array,
    penalty: _Array,
    groups: _Array,
    caps: _Array,
    k: int,
) -> tuple[_Array, _Array]: ...

class CentreTable:
    n_bytes: int
    def __init__(self, rows: _Array, radii: _Array | None = None) -> None: ...
    def nearest(self, embeddings: _Array, n_centres: int, n_threads: int, n_groups: int = 16) -> _Array: ...

def add_to_lists(embeddings: _Array, lists: _Array, sums: _Array, counts: _Array) -> None: ...
def search_listed(
    lists: InvertedTable,
    extra: InvertedTable | None,
    centres: CentreTable,
    n_probe: int,
    quantised: QuantisedTable,
    embeddings: _Array,
    n_refined: int,
    floats: _Array | None,
    scale: _Array | None,
    arguments: SearchArguments,
) -> _Result: ...

class HashTables:
    n_bytes: int
    def __init__(self, packed: _Array, n_tables: int) -> None: ...

def search_hashed(
    tables: HashTables, codes: CodeTable, extra: _Array, queries: _Array, arguments: SearchArguments
) -> _Result: ...

class LargestTable:
    def __init__(self, columns: _Array, values: _Array) -> None: ...
    def gather(self, items: _Array, places: _Array, gram: _Array) -> None: ...

class NeighbourTable:
    n_nodes: int
    def __init__(self, starts: _Array, indices: _Array) -> None: ...
    def draw(
        self, parents: _Array, fan_out: int, seed: int
    ) -> tuple[_Array, _Array, _Array, _Array, _Array]: ...
    def has_edges(self, from_nodes: _Array, to_nodes: _Array) -> _Array: ...

def log_sigmoids(
    scores: _Array,
    levels: _Array,
    temperature: float,
    log_counts: _Array | None,
    n_above: _Array,
    n_threads: int,
) -> None: ...
def times_derivatives(
    values: _Array, turned: _Array, temperature: float, log_counts: _Array | None, n_threads: int
) -> None: ...
def drop_repeats(items: _Array, n_items: int, n_threads: int) -> None: ...
def score_pairs(queries: _Array, table: _Array, items: _Array, scores: _Array, n_threads: int) -> None: ...
def refine_codes(
    queries: _Array,
    items: _Array,
    wanted: _Array,
    weights: _Array,
    bias: _Array,
    k: int,
    temperature: float,
    least_curvature: float,
    signs: _Array,
    n_threads: int,
) -> tuple[float, int]: ...
