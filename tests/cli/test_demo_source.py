"""The roads of the demo to its data: a public set from wherever it came, or generated data."""

from __future__ import annotations

import pyarrow as pa
import pytest

from hashgnn.cli._demo import source
from hashgnn.cli._demo.generated import GENRES, generate
from hashgnn.cli._output import Output
from hashgnn.data import Interactions
from hashgnn.data.datasets import LoadedDataset
from hashgnn.errors import FetchError, StorageError

OUT = Output(as_json=False, quiet=False)


def found(name: str, **options: object) -> LoadedDataset:
    assert name == "movielens-100k"
    items = pa.table({"item_id": [7, 9], "title": ["Alien", "unknown"], "year": pa.array([1979, None])})
    rows = Interactions.from_arrays([1, 2], [7, 9], weight=[5.0, 1.0])
    return LoadedDataset(name, rows, None, None, items, "a shelf", "none")


def test_titles_have_their_year_where_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "fetch", found)
    loaded = source.load_source(OUT, offline=False)
    assert loaded.titles == {7: "Alien (1979)", 9: "unknown"}
    assert (loaded.name, loaded.where_from, loaded.is_generated) == ("MovieLens-100K", "a shelf", False)
    assert source.as_implicit(loaded.interactions).csr.data.tolist() == [1, 1]


@pytest.mark.parametrize("error", [FetchError("no host answers"), StorageError("the cache is full")])
def test_where_nothing_can_be_fetched_the_reason_is_said_and_data_are_generated(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(name: str, **options: object) -> LoadedDataset:
        raise error

    monkeypatch.setattr(source, "fetch", fails)
    monkeypatch.setattr(source, "generate", lambda rng: generate(20, 60, rng=rng))
    loaded = source.load_source(OUT, offline=False)
    assert loaded.is_generated
    assert len(loaded.interactions) > 100
    assert set(loaded.interactions.item_ids.ids.tolist()) <= set(loaded.titles)
    assert all(title.split()[:2][1] in GENRES for title in loaded.titles.values())
    said = capsys.readouterr()
    assert said.err == f"[generated data] {error}; using generated data instead\n"
    assert said.out == ""


def test_offline_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_fetch(name: str, **options: object) -> LoadedDataset:
        raise AssertionError("the network was used")

    monkeypatch.setattr(source, "fetch", no_fetch)
    monkeypatch.setattr(source, "generate", lambda rng: generate(20, 60, rng=rng))
    assert source.load_source(OUT, offline=True).is_generated


def test_generated_data_hold_tastes_that_can_be_learned() -> None:
    table, titles = generate(200, 300, rng=0)
    rows = Interactions.from_frame(table)
    assert rows.n_merged == 0
    genre_of = [titles[item].split()[1] for item in rows.item_ids.ids[rows.item_index].tolist()]
    liked: dict[int, dict[str, int]] = {}
    for user, genre in zip(rows.user_index.tolist(), genre_of, strict=True):
        liked.setdefault(user, {}).setdefault(genre, 0)
        liked[user][genre] += 1
    # Three genres of ten: spread evenly they would hold three tenths.
    shares = [sum(sorted(counts.values())[-3:]) / sum(counts.values()) for counts in liked.values()]
    assert sum(shares) / len(shares) > 0.6
