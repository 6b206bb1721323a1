"""The named data sets: sources, expected contents and terms of use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hashgnn.data.datasets._checksums import Checksum
from hashgnn.data.datasets._download import RemoteFile
from hashgnn.data.datasets._packages import PackageFile
from hashgnn.data.datasets._tables import Tables
from hashgnn.data.datasets.lightgcn import read_train_and_test
from hashgnn.data.datasets.movielens import read_ml_1m_zip, read_ml_100k_wheel, read_ml_100k_zip


@dataclass(frozen=True)
class Route:
    """One way to a data set: files, and how to read them.

    Attributes
    ----------
    source : str
        The publisher, in words.
    files : tuple of RemoteFile or PackageFile
    read : callable
        Takes the paths of the files, in order.
    """

    source: str
    files: tuple[RemoteFile | PackageFile, ...]
    read: Callable[[Sequence[Path]], Tables]


@dataclass(frozen=True)
class Dataset:
    """The catalogue entry of a data set, known before it is fetched.

    Attributes
    ----------
    name, description, licence : str
    n_users, n_items, n_interactions, n_test : int
        Published counts; the data read must match them. ``n_interactions`` includes the ``n_test``
        held-out rows.
    routes : tuple of Route
        Tried in this order.
    """

    name: str
    description: str
    licence: str
    n_users: int
    n_items: int
    n_interactions: int
    n_test: int
    routes: tuple[Route, ...]


_GROUPLENS = "https://files.grouplens.org/datasets/movielens"
_GROUPLENS_LICENCE = (
    "GroupLens: research use; no redistribution and no commercial use without permission; "
    "cite Harper and Konstan, 2015, doi:10.1145/2827872"
)
_REPOSITORIES = (
    "https://raw.githubusercontent.com/gusye1234/LightGCN-PyTorch/master/data",
    "https://raw.githubusercontent.com/kuandeng/LightGCN/master/Data",
)
_MEGABYTE = 1 << 20


def _movielens_zip(name: str, sha256: str, max_bytes: int, read: Callable[[Sequence[Path]], Tables]) -> Route:
    file = RemoteFile(name, (f"{_GROUPLENS}/{name}",), Checksum("sha256", sha256), max_bytes)
    return Route("GroupLens", (file,), read)


def _ngcf_split(
    name: str,
    description: str,
    licence: str,
    counts: tuple[int, int, int, int],
    train: Checksum,
    test: Checksum,
) -> Dataset:
    """Describe a set in NGCF's split: users, items, interactions and held-out rows are its counts."""
    files = tuple(
        RemoteFile(file, tuple(f"{root}/{name}/{file}" for root in _REPOSITORIES), checksum, 64 * _MEGABYTE)
        for file, checksum in (("train.txt", train), ("test.txt", test))
    )
    route = Route("the LightGCN repository", files, read_train_and_test)
    return Dataset(name, description, licence, *counts, routes=(route,))


_ALL = (
    Dataset(
        name="movielens-100k",
        description="film ratings with titles, years and genres",
        licence=_GROUPLENS_LICENCE,
        n_users=943,
        n_items=1_682,
        n_interactions=100_000,
        n_test=0,
        routes=(
            _movielens_zip(
                "ml-100k.zip",
                "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
                16 * _MEGABYTE,
                read_ml_100k_zip,
            ),
            Route(
                "the copy in the PyPI package recbole 1.2.1",
                (
                    PackageFile(
                        "recbole==1.2.1",
                        "recbole-1.2.1-py3-none-any.whl",
                        Checksum(
                            "sha256", "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
                        ),
                    ),
                ),
                read_ml_100k_wheel,
            ),
        ),
    ),
    Dataset(
        name="movielens-1m",
        description="film ratings with titles, years and genres",
        licence=_GROUPLENS_LICENCE,
        n_users=6_040,
        n_items=3_706,
        n_interactions=1_000_209,
        n_test=0,
        routes=(
            _movielens_zip(
                "ml-1m.zip",
                "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
                32 * _MEGABYTE,
                read_ml_1m_zip,
            ),
        ),
    ),
    _ngcf_split(
        "gowalla",
        "check-ins at places, split by NGCF",
        "none stated; cite Cho, Myers and Leskovec, KDD 2011, and Wang et al., SIGIR 2019",
        (29_858, 40_981, 1_027_370, 217_242),
        train=Checksum("git-blob", "a27782bd7a1d4d0744148dc0460ea94da74763f2"),
        test=Checksum("git-blob", "9ed5af4b5d21511f33740b4e22e3852f45671800"),
    ),
    _ngcf_split(
        "yelp2018",
        "visits to businesses, split by NGCF",
        "the Yelp dataset's terms: academic use; cite Wang et al., SIGIR 2019",
        (31_668, 38_048, 1_561_406, 324_147),
        train=Checksum("git-blob", "cda12361055ba448ae4bd1070f6000c16dea8f22"),
        test=Checksum("md5", "0d57d7399862c32152b045ec5d2698e7"),
    ),
    _ngcf_split(
        "amazon-book",
        "book reviews, split by NGCF",
        "none stated; cite He and McAuley, WWW 2016, and Wang et al., SIGIR 2019",
        (52_643, 91_599, 2_984_108, 603_378),
        train=Checksum("git-blob", "6ef55159c5f1fd7f6d86eb9ff290d0cc2854ac99"),
        test=Checksum("md5", "30f8ccfea18d25007ba9fb9aba4e174d"),
    ),
)

DATASETS: dict[str, Dataset] = {dataset.name: dataset for dataset in _ALL}


def list_datasets() -> list[Dataset]:
    """Return the catalogue entry of each named data set, without a download.

    Examples
    --------
    >>> [dataset.name for dataset in list_datasets()]
    ['movielens-100k', 'movielens-1m', 'gowalla', 'yelp2018', 'amazon-book']
    """
    return list(DATASETS.values())
