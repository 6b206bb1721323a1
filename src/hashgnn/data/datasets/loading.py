"""``fetch``: a named data set, from the cache or its public sources, verified, as ``Interactions``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hashgnn._cache import cache_folder, locked
from hashgnn._checks import check_choice, check_float
from hashgnn.data.datasets._download import RemoteFile, download
from hashgnn.data.datasets._packages import PackageFile, download_package
from hashgnn.data.datasets._tables import Tables
from hashgnn.data.datasets.catalogue import DATASETS, Dataset, Route
from hashgnn.data.interactions import Interactions
from hashgnn.errors import FetchError


@dataclass(frozen=True)
class LoadedDataset:
    """A data set, ready to use.

    Attributes
    ----------
    name : str
    interactions : Interactions
        Every row, held-out ones included.
    train, test : Interactions or None
        The publisher's split, on the id maps of ``interactions``; ``None`` where there is none.
    items : pyarrow.Table or None
        Columns item_id (int64), title (string), year (int16, null where unknown), genres (list of
        string); one row per item of the publisher's list, rated or not.
    source : str
        Where the files came from.
    licence : str
        The terms of use, in short.
    is_generated : bool
        False for every public set; a generated stand-in says True.
    """

    name: str
    interactions: Interactions
    train: Interactions | None
    test: Interactions | None
    items: pa.Table | None
    source: str
    licence: str
    is_generated: bool = False

    @property
    def item_titles(self) -> dict[int, str]:
        """Titles by item id; empty where the set has none."""
        if self.items is None:
            return {}
        return dict(zip(self.items["item_id"].to_pylist(), self.items["title"].to_pylist(), strict=True))


def fetch(
    name: str,
    *,
    cache_dir: str | Path | None = None,
    progress: bool | None = None,
    timeout: float = 10.0,
    base_url: str | None = None,
) -> LoadedDataset:
    """Fetch a public data set, or take it from the cache.

    Files are checked against pinned checksums each time, cached or not, and the data against the
    published counts. A damaged file in the cache is fetched again.

    Parameters
    ----------
    name : str
        One of the names of :func:`list_datasets`.
    cache_dir : path or None, default=None
        Where files are kept; ``None`` takes ``HASHGNN_CACHE``, else the user's cache folder.
    progress : bool or None, default=None
        ``None`` shows a bar where stderr is a terminal; ``False`` never.
    timeout : float, default=10.0
        Seconds to wait for a connection and for each block of bytes.
    base_url : str or None, default=None
        A mirror with the files directly under this address; then no other server is contacted.

    Returns
    -------
    LoadedDataset

    Raises
    ------
    ParameterError
        If there is no data set of this name.
    FetchError
        If no source gave the right files; the message gives each source and its answer.
    StorageError
        If the cache cannot be written.
    """
    dataset = DATASETS[check_choice("name", name, DATASETS)]
    timeout = check_float("timeout", timeout, minimum=0, open_minimum=True)
    routes = dataset.routes if base_url is None else tuple(_mirrored(dataset.routes, base_url))
    folder = cache_folder(cache_dir) / "datasets" / dataset.name
    with locked(folder):
        reasons = []
        # Cached files need no network, whichever source they came from.
        for route in sorted(routes, key=lambda route: not _is_cached(route, folder)):
            try:
                paths = [_bring(file, folder, timeout, progress) for file in route.files]
            except FetchError as error:
                reasons.append(str(error))
                continue
            return _load(dataset, route, route.read(paths))
    raise FetchError(f"{dataset.name} could not be fetched; {'; '.join(reasons)}")


def _mirrored(routes: tuple[Route, ...], base_url: str) -> list[Route]:
    mirrored = []
    for route in routes:
        files = [file for file in route.files if isinstance(file, RemoteFile)]
        if len(files) == len(route.files):
            root = base_url.rstrip("/")
            moved = tuple(replace(file, urls=(f"{root}/{file.name}",)) for file in files)
            mirrored.append(replace(route, source=root, files=moved))
    return mirrored


def _bring(file: RemoteFile | PackageFile, folder: Path, timeout: float, progress: bool | None) -> Path:
    if isinstance(file, RemoteFile):
        return download(file, folder, timeout=timeout, show_progress=progress)
    path = folder / file.name
    return path if file.checksum.matches(path) else download_package(file, folder)


def _is_cached(route: Route, folder: Path) -> bool:
    return all(file.checksum.matches(folder / file.name) for file in route.files)


def _load(dataset: Dataset, route: Route, tables: Tables) -> LoadedDataset:
    train, test = tables.interactions, tables.test
    n_test = 0 if test is None else len(test)
    every = train if test is None else pa.concat_tables([train, test])
    found = (*(pc.count_distinct(every[name]).as_py() for name in ("user_id", "item_id")), len(every), n_test)
    published = (dataset.n_users, dataset.n_items, dataset.n_interactions, dataset.n_test)
    if found != published:
        raise FetchError(
            f"{dataset.name}: users, items, interactions and held-out rows must be {published}, got {found}"
        )
    interactions = Interactions.from_frame(every)
    split: tuple[Interactions | None, Interactions | None] = (None, None)
    if test is not None:
        held_out = _rows_of(interactions, test)
        split = interactions.subset(~held_out), interactions.subset(held_out)
    return LoadedDataset(dataset.name, interactions, *split, tables.items, route.source, dataset.licence)


def _rows_of(interactions: Interactions, table: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Mark the rows of ``interactions`` whose pair is in ``table``."""
    users = interactions.user_ids.index_of(table["user_id"].to_numpy()).astype(np.int64)
    items = interactions.item_ids.index_of(table["item_id"].to_numpy()).astype(np.int64)
    own = interactions.user_index.astype(np.int64) * interactions.n_items + interactions.item_index
    return np.isin(own, users * interactions.n_items + items)
