"""The contract of an engine in a measurement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hashgnn._types import Array
from hashgnn.benchmarking.search.workload import Workload
from hashgnn.index import CandidateFilter

Rows = slice | Array

INDEX_RECALL = 0.95  # that approximate searches are tuned to, where no other is requested
N_CANDIDATES = 500  # of a scan that is re-ranked, where no index recall is requested


def writable(array: Array) -> Array:
    """Return an array that torch takes without a warning: itself, or a copy where it is read-only."""
    return array if array.flags.writeable else array.copy()


@dataclass(frozen=True)
class Threads:
    """How many threads build an engine, and with how many it searches."""

    build: int
    search: int


@dataclass(frozen=True)
class Built:
    """An engine that is ready to search.

    Attributes
    ----------
    search : callable of (rows, k)
        Positions found for some of the queries, shape (n, k), int64; -1 where there is none.
    n_bytes : float
        What the engine keeps for all items.
    compares : {"codes", "biased codes", "float queries", "floats"}
        What its results are the best by; its index recall is taken against the exact best by that.
    set_breadth : callable of int, or None
        How far an approximate search looks: lists, or nodes of a graph. None: there is nothing to set.
    breadths : tuple of int
        Smallest and largest breadth worth a try.
    set_candidates : callable of int, or None
        How many candidates are re-ranked by floats. None: there is nothing to set.
    candidates : int or None
        The number that is set where no index recall is requested. None: it is tuned then too.
    search_filtered : callable of (rows, k, CandidateFilter), or None
        Search with seen items left out inside. None: the engine cannot, and more has to be fetched.
    """

    search: Callable[[Rows, int], Array]
    n_bytes: float
    compares: str
    set_breadth: Callable[[int], None] | None = None
    breadths: tuple[int, int] = (1, 1)
    set_candidates: Callable[[int], None] | None = None
    candidates: int | None = None
    search_filtered: Callable[[Rows, int, CandidateFilter], Array] | None = None


@dataclass(frozen=True)
class Engine:
    """An engine by name.

    Attributes
    ----------
    name : str
    ours : str or None
        The engine of ours that it is compared with. None: the fastest of ours that compares floats and reaches
        the requested index recall.
    build : callable of (Workload, k, Threads) to Built
    needs_bias : bool, default=False
        Whether it takes part only where the workload has an item bias.
    needs_gpu : bool, default=False
        Whether it takes part only where torch has a GPU.
    is_ours : bool, default=False
    load : callable, optional
        Imports what it is made of, or raises :class:`MissingExtraError`, or :class:`EngineError` where it cannot
        run on this machine.
    """

    name: str
    ours: str | None
    build: Callable[[Workload, int, Threads], Built]
    needs_bias: bool = False
    needs_gpu: bool = False
    is_ours: bool = False
    load: Callable[[], Any] = lambda: None
