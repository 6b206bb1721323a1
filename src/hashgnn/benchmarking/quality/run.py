"""``compare_quality``: every cell of a comparison, in a folder from which a killed run goes on."""

from __future__ import annotations

import json
import platform
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from hashgnn._addresses import path_of
from hashgnn._checks import check_bits, check_choice, check_int, check_threads
from hashgnn._files import atomic_file
from hashgnn._progress import progress as progress_bar
from hashgnn.answering import SEARCH_WAYS
from hashgnn.baselines.coded import WAYS as CODED_WAYS
from hashgnn.benchmarking.quality._fitting import FitOptions, fit_method
from hashgnn.benchmarking.quality.cells import Cell, Result, digest, read_result, write_result
from hashgnn.benchmarking.quality.data_sets import DataSet
from hashgnn.benchmarking.quality.methods import Method
from hashgnn.errors import DataWarning, HashGNNError, ParameterError, StorageError
from hashgnn.evaluation import UserMetric, evaluate, parse_metric
from hashgnn.index import scores

_CELLS, _FLOATS, _MANIFEST = "cells", "floats", "manifest.json"


@dataclass(frozen=True)
class Plan:
    """The methods, data sets and widths of a comparison.

    Attributes
    ----------
    methods : sequence of Method
        With different names; the order of tables.
    bits, seeds : sequence of int
    metrics : sequence of str
        The first is the one that is tested and drawn.
    search : sequence of str or None
        Search ways, of which each method is searched by those it has: ``scaled`` or ``hamming`` stands for ``biased``
        where there is no item bias, and float models are always searched by ``float``. ``None`` is all of them.
    oversampling : int
        Hierarchical search re-ranks so many candidates for each result of the largest cut.
    """

    methods: Sequence[Method]
    bits: Sequence[int] = (32,)
    seeds: Sequence[int] = (0, 1, 2)
    metrics: Sequence[str] = ("recall@20", "ndcg@20")
    search: Sequence[str] | None = None
    oversampling: int = 5

    def __post_init__(self) -> None:
        for name in ("methods", "bits", "seeds", "metrics"):
            entries = list(getattr(self, name))
            keys = [entry.name for entry in entries] if name == "methods" else entries
            if not entries or len(set(keys)) < len(keys):
                raise ParameterError(f"{name} must hold one entry or more, each once, got {keys}")
        for width in self.bits:
            check_bits(width)
        for seed in self.seeds:
            check_int("seeds", seed, minimum=0)
        for metric in self.metrics:
            if not isinstance(parse_metric(metric), UserMetric):
                raise ParameterError(f"metrics must be those of single users, got {metric!r}")
        for way in self.search or ():
            check_choice("search", way, tuple(dict.fromkeys((*SEARCH_WAYS, *CODED_WAYS))))
        check_int("oversampling", self.oversampling, minimum=1)

    def cells(self, data: Sequence[DataSet]) -> Iterator[tuple[Cell, Method, DataSet]]:
        """Yield every cell: the first seed of everything first, so that a run cut short compares all."""
        for seed in self.seeds:
            for one in data:
                for method in self.methods:
                    for n_bits in self.bits if method.has_codes else (None,):
                        yield self._cell(one, method, n_bits, seed), method, one

    def _cell(self, data: DataSet, method: Method, n_bits: int | None, seed: int) -> Cell:
        identity = {
            "data": data.fingerprint,
            "method": method.describe(n_bits),
            "metrics": sorted(self.metrics),
            "search": None if self.search is None else sorted(self.search),
            "oversampling": self.oversampling,
            "scoring": scores.SCORING,
        }
        return Cell(data.name, method.name, n_bits, seed, digest(identity))


def compare_quality(
    folder: str | Path,
    plan: Plan,
    data: Sequence[DataSet],
    *,
    n_threads: int = 1,
    progress: bool | None = None,
    on_done: Callable[[Result], None] | None = None,
    on_failed: Callable[[Cell, HashGNNError], None] | None = None,
    only_read: bool = False,
) -> list[Result]:
    """Fit and evaluate every cell of a plan that the folder does not hold yet.

    Each cell is one JSON file under ``cells`` and a parquet file of its values user by user; both are
    written whole or not at all. The same call goes on where another was killed, within a recipe's fit after its
    last whole epoch. A plan with more methods, widths, seeds or data sets takes over what is there. A cell is identified by the digest of its
    data, its settings and the version of the scores. A cell of a changed recipe is measured again.

    Parameters
    ----------
    folder : path
    plan : Plan
    data : sequence of DataSet
        With different names.
    n_threads : int, default=1
        Of torch.
    progress : bool or None, default=None
        ``None`` shows a bar where stderr is a terminal.
    on_done : callable, optional
        Called with every result as it is made.
    on_failed : callable, optional
        Called with a cell that cannot be measured and the reason: embeddings too narrow for a binariser, say,
        or faiss not installed. The others are measured all the same; ``None`` raises.
    only_read : bool, default=False
        Fit nothing; return what is there.

    Returns
    -------
    list of Result
        In the order of the plan.
    """
    names = [one.name for one in data]
    if not data or len(set(names)) < len(names):
        raise ParameterError(f"data must hold one data set or more, each name once, got {names}")
    root = path_of(folder)
    if root.exists() and not root.is_dir():
        raise ParameterError(f"{root}: must be a folder to write results to, and is a file")
    coded = [method.source for method in plan.methods if method.coder is not None]
    options = FitOptions(root / _FLOATS, check_threads(n_threads), coded)
    cells = list(plan.cells(data))
    found = {cell: read_result(root / _CELLS, cell) for cell, _, _ in cells}
    if not only_read:
        _write_manifest(root, plan, data, n_threads)
        with progress_bar("Comparing", len(cells), enabled=progress) as advance:
            for cell, method, one in cells:
                advance(0, note=str(cell))
                if found[cell] is None:
                    try:
                        _measure(root / _CELLS, cell, method, one, plan, options)
                    except HashGNNError as error:
                        if on_failed is None or isinstance(error, StorageError):
                            raise
                        on_failed(cell, error)
                    found[cell] = read_result(root / _CELLS, cell)
                    if on_done is not None and (result := found[cell]) is not None:
                        on_done(result)
                advance(1)
    return [result for result in found.values() if result is not None]


def _measure(
    folder: Path, cell: Cell, method: Method, data: DataSet, plan: Plan, options: FitOptions
) -> None:
    fitted = fit_method(method, data, cell.n_bits, cell.seed, options)
    ways = _ways(tuple(fitted.model.search_ways), plan.search)
    with warnings.catch_warnings():
        # Said once, when the data were read; here it would come with every cell.
        warnings.simplefilter("ignore", DataWarning)
        result = evaluate(
            fitted.model,
            data.train,
            data.test,
            metrics=list(plan.metrics),
            search=ways,
            oversampling=plan.oversampling,
            n_bootstrap=0,
            n_timed=0,
            progress=False,
        )
    values = {
        "family": method.family,
        "settings": method.describe(cell.n_bits),
        "n_users": result.n_users,
        "metrics": result.metrics,
        "expected": result.expected,
        "bytes_per_item": dict(result.bytes_per_item),
        "processor_seconds": fitted.processor_seconds,
        "training": fitted.training,
        "versions": _versions(),
    }
    write_result(folder, cell, values, result.user_index, result.per_user)


def _ways(known: Sequence[str], wanted: Sequence[str] | None) -> list[str]:
    """Return the search ways to evaluate; a model has at least its last one, ``float``."""
    if wanted is None:
        return list(known)
    chosen = set(wanted)
    if "biased" in wanted and "biased" not in known:
        chosen.add("scaled" if "scaled" in known else "hamming")
    return [way for way in known if way in chosen] or list(known[-1:])


def _write_manifest(root: Path, plan: Plan, data: Sequence[DataSet], n_threads: int) -> None:
    """Write the last plan, for readers; cells are found by their digests."""
    document: Mapping[str, Any] = {
        "data": [
            {"name": one.name, "source": one.source, "fingerprint": one.fingerprint, **one.train.statistics()}
            | {"n_test": len(one.test)}
            for one in data
        ],
        "methods": {method.name: method.describe(None) for method in plan.methods},
        **{name: list(getattr(plan, name)) for name in ("bits", "seeds", "metrics")},
        "search": None if plan.search is None else list(plan.search),
        "oversampling": plan.oversampling,
        "n_threads": n_threads,
        "machine": platform.machine(),
        "versions": _versions(),
    }
    with atomic_file(root / _MANIFEST) as temporary:
        temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("hashgnn", "numpy", "scipy", "torch", "faiss-cpu"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def with_settings(plan: Plan, settings: Mapping[str, Any]) -> Plan:
    """Return the plan with settings added to every method that trains by a recipe."""
    return replace(plan, methods=[method.with_settings(settings) for method in plan.methods])
