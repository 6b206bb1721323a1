"""Data sets of a comparison: by name from a folder, from their publishers, or any files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from hashgnn._checks import quote_some
from hashgnn.data import Interactions, read_interactions, split
from hashgnn.data.datasets import fetch
from hashgnn.data.datasets.catalogue import DATASETS
from hashgnn.errors import DataError, ParameterError

_PAIRS = (("train", "test"), ("base", "test"))
_WHOLE = "interactions"
_TEST_SHARE = 0.2
_SPLIT_SEED = 0
FOLDER_VARIABLE = "HASHGNN_DATA"
# The short names, which the suites use too, of sets that their publishers have.
_SHORT = {"ml-100k": "movielens-100k", "ml-1m": "movielens-1m"}


@dataclass(frozen=True, eq=False)
class DataSet:
    """Training and test interactions over the same ids; every pair weighs 1, as not all methods know weights.

    Attributes
    ----------
    name : str
    train, test : Interactions
    source : str
        Where they came from, and how they were split.
    """

    name: str
    train: Interactions
    test: Interactions
    source: str

    def __post_init__(self) -> None:
        for name in ("train", "test"):
            object.__setattr__(self, name, replace(getattr(self, name), weight=None, weighting=None))

    @cached_property
    def fingerprint(self) -> str:
        """Digest of both parts, hex."""
        digest = hashlib.sha256()
        for part in (self.train, self.test):
            for array in (part.csr.indptr, part.csr.indices):
                digest.update(np.ascontiguousarray(array, np.int64).tobytes())
        return digest.hexdigest()


def load_data_set(text: str, folder: str | Path | None = None, *, progress: bool | None = None) -> DataSet:
    """Read a data set as it is named on the command line.

    Parameters
    ----------
    text : str
        ``NAME``: the folder of that name under ``folder``, with its files of training and test interactions
        (``train.*`` and ``test.*``, or ``X_train.*`` and ``X_test.*``), or one file ``interactions.*``, of
        which a fifth of each user's rows, drawn with seed 0, is the test part; where there is no such folder,
        a public data set that :func:`hashgnn.data.datasets.fetch` knows (``ml-1m`` is short for
        ``movielens-1m``, ``ml-100k`` for ``movielens-100k``). ``NAME/X`` chooses one of several
        splits. ``NAME=TRAIN,TEST`` and ``NAME=FILE`` take files in any format that
        :func:`~hashgnn.data.read_interactions` reads.
    folder : path or None, default=None
        ``None`` takes the environment variable ``HASHGNN_DATA``.
    progress : bool or None, default=None
        Of a download.

    Returns
    -------
    DataSet
        Test rows of users and items outside the training part are left out, with a warning.

    Raises
    ------
    ParameterError
        If the name cannot be found, or its folder holds several splits.
    DataError
        If a file is not usable.
    """
    name, given, files = text.partition("=")
    if given:
        return _of_files(_checked_name(name), [Path(file.strip()) for file in files.split(",")])
    name, _, chosen = text.partition("/")
    root = folder if folder is not None else os.environ.get(FOLDER_VARIABLE)
    place = None if root is None else Path(root) / _checked_name(name)
    if place is not None and place.is_dir():
        return _of_folder(text, place, chosen)
    published = _SHORT.get(name, name)
    if published in DATASETS and not chosen:
        return _published(name, published, progress)
    where = f"{FOLDER_VARIABLE} is not set" if place is None else f"there is no folder {place}"
    raise ParameterError(
        f"data must be a folder under {FOLDER_VARIABLE}, NAME=TRAIN,TEST or one of "
        f"{quote_some(DATASETS, len(DATASETS))}, got {text!r}; {where}"
    )


def _checked_name(name: str) -> str:
    if not name or name in (".", "..") or "/" in name or "\\" in name:
        raise ParameterError(f"a data set's name must be a plain word, got {name!r}")
    return name


def _of_files(name: str, files: list[Path]) -> DataSet:
    if len(files) == 1:
        return _halved(name, read_interactions(files[0]), str(files[0]))
    if len(files) != 2:
        raise ParameterError(
            f"data must be NAME=TRAIN,TEST or NAME=FILE, got {len(files)} files for {name!r}"
        )
    return _paired(name, *files)


def _of_folder(text: str, folder: Path, chosen: str) -> DataSet:
    pairs = {label: (train, test) for label, train, test in _pairs(folder) if not chosen or label == chosen}
    if len(pairs) > 1:
        raise ParameterError(
            f"{folder} holds {len(pairs)} splits; choose one by {text}/NAME, NAME being "
            f"{quote_some(pairs, len(pairs))}"
        )
    if pairs:
        return _paired(text, *next(iter(pairs.values())))
    whole = sorted(folder.glob(f"{_WHOLE}.*"))
    if chosen or not whole:
        wanted = (
            f"{chosen}_train.* and {chosen}_test.*" if chosen else "train.* and test.*, or interactions.*"
        )
        raise DataError(f"{folder}: holds no {wanted}")
    return _halved(text, read_interactions(whole[0]), whole[0].name)


def _pairs(folder: Path) -> Iterator[tuple[str, Path, Path]]:
    """Yield label, training and test file of each split in a folder."""
    for first, second in _PAIRS:
        for train in sorted([*folder.glob(f"{first}.*"), *folder.glob(f"*_{first}.*")]):
            label = train.name.split(".")[0].removesuffix(first).rstrip("_")
            tests = sorted(folder.glob(f"{label}_{second}.*" if label else f"{second}.*"))
            if tests:
                yield label or first, train, tests[0]


def _paired(name: str, train: Path, test: Path) -> DataSet:
    first = read_interactions(train)
    second = read_interactions(test, user_ids=first.user_ids, item_ids=first.item_ids, on_unknown="skip")
    return DataSet(name, first, second, f"{train.name} and {test.name}")


def _halved(name: str, interactions: Interactions, source: str) -> DataSet:
    train, test = split.random(interactions, _TEST_SHARE, rng=_SPLIT_SEED)
    return DataSet(name, train, test, f"{source}, a fifth of each user's rows held out, seed {_SPLIT_SEED}")


def _published(name: str, published: str, progress: bool | None) -> DataSet:
    found = fetch(published, progress=progress)
    if found.train is None or found.test is None:
        return _halved(name, found.interactions, found.source)
    return DataSet(name, found.train, found.test, found.source)
