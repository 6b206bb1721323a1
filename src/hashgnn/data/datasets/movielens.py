"""Readers of the MovieLens files: GroupLens's own forms and RecBole's."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from hashgnn.data.datasets._archives import read_member
from hashgnn.data.datasets._tables import ITEM_SCHEMA, Tables
from hashgnn.errors import FetchError

# SHA-256 of u.data. RecBole's copy has the same rows under a header line.
ML_100K_ROWS = "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490"

# The order of the flags in u.item; "unknown" says that there is no genre.
_GENRES = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
]

# A film made for video has "(V)" after its year.
_TITLE_AND_YEAR = re.compile(r"^(?P<title>.*?)\s*\((?P<year>\d{4})\)(?:\s*\(V\))?$")

Item = tuple[int, str, int | None, list[str]]


def read_ml_100k_zip(paths: Sequence[Path]) -> Tables:
    """Read MovieLens-100K from GroupLens's zip file."""
    rows = read_member(paths[0], "ml-100k/u.data")
    items = read_member(paths[0], "ml-100k/u.item").decode("latin-1")
    return Tables(_ml_100k_rows(paths[0], rows), items=_item_table(_from_u_item(items)))


def read_ml_100k_wheel(paths: Sequence[Path]) -> Tables:
    """Read MovieLens-100K from the copy inside RecBole's wheel."""
    folder = "recbole/dataset_example/ml-100k/ml-100k"
    _, _, rows = read_member(paths[0], f"{folder}.inter").partition(b"\n")
    items = read_member(paths[0], f"{folder}.item").decode("utf-8")
    return Tables(_ml_100k_rows(paths[0], rows), items=_item_table(_from_recbole(items)))


def read_ml_1m_zip(paths: Sequence[Path]) -> Tables:
    """Read MovieLens-1M from GroupLens's zip file."""
    rows = read_member(paths[0], "ml-1m/ratings.dat").replace(b"::", b"\t")
    items = read_member(paths[0], "ml-1m/movies.dat").decode("latin-1")
    return Tables(_rating_table(rows), items=_item_table(_from_movies_dat(items)))


def split_title(text: str) -> tuple[str, int | None]:
    """Take the year off a title.

    Examples
    --------
    >>> split_title("Usual Suspects, The (1995)")
    ('Usual Suspects, The', 1995)
    >>> split_title("unknown")
    ('unknown', None)
    """
    match = _TITLE_AND_YEAR.match(text.strip())
    return (match["title"], int(match["year"])) if match else (text.strip(), None)


def _ml_100k_rows(path: Path, rows: bytes) -> pa.Table:
    if hashlib.sha256(rows).hexdigest() != ML_100K_ROWS:
        raise FetchError(f"{path}: its interactions are not those of MovieLens-100K, their SHA-256 differs")
    return _rating_table(rows)


def _rating_table(rows: bytes) -> pa.Table:
    types = {"user_id": pa.int64(), "item_id": pa.int64(), "weight": pa.float32(), "timestamp": pa.int64()}
    return pyarrow.csv.read_csv(
        io.BytesIO(rows),
        read_options=pyarrow.csv.ReadOptions(column_names=list(types)),
        parse_options=pyarrow.csv.ParseOptions(delimiter="\t"),
        convert_options=pyarrow.csv.ConvertOptions(column_types=types),
    )


def _from_u_item(text: str) -> Iterable[Item]:
    for line in text.splitlines():
        fields = line.split("|")
        flags = zip(_GENRES[1:], fields[6:], strict=True)
        yield int(fields[0]), *split_title(fields[1]), [genre for genre, flag in flags if flag == "1"]


def _from_recbole(text: str) -> Iterable[Item]:
    for line in text.splitlines()[1:]:
        number, title, year, genres = line.split("\t")
        title, year_in_title = split_title(title)
        known = int(year) if year.isdecimal() else year_in_title
        # Item 267 has no name; this copy spells that "unkonwn".
        name = "unknown" if title == "unkonwn" else title
        yield int(number), name, known, [genre for genre in genres.split() if genre != "unknown"]


def _from_movies_dat(text: str) -> Iterable[Item]:
    for line in text.splitlines():
        number, title, genres = line.split("::")
        yield int(number), *split_title(title), genres.split("|")


def _item_table(items: Iterable[Item]) -> pa.Table:
    columns = zip(*items, strict=True)
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, ITEM_SCHEMA, strict=True)],
        ITEM_SCHEMA,
    )
