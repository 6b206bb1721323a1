from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hashgnn.benchmarking.quality import SUITES, data_sets, load_data_set
from hashgnn.data import read_interactions
from hashgnn.data.datasets import LoadedDataset
from hashgnn.data.datasets.catalogue import DATASETS
from hashgnn.errors import DataError, ParameterError


def test_files_given_by_path_and_a_folder_by_name_are_the_same_data(files: Path) -> None:
    given = load_data_set(f"mine={files / 'train.parquet'}, {files / 'test.parquet'}")
    named = load_data_set("groups", files.parent)
    assert (given.name, named.name) == ("mine", "groups")
    assert given.fingerprint == named.fingerprint
    assert given.train.user_ids is given.test.user_ids


def test_the_folder_of_data_sets_may_be_named_by_the_environment(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HASHGNN_DATA", str(files.parent))
    assert len(load_data_set("groups").test) > 0


def test_one_file_is_split_the_same_way_each_time(files: Path) -> None:
    one, other = (load_data_set(f"whole={files / 'train.parquet'}") for _ in range(2))
    assert one.fingerprint == other.fingerprint
    held = len(one.test) / (len(one.train) + len(one.test))
    assert held == pytest.approx(0.2, abs=0.03)


def test_one_of_several_splits_must_be_chosen(files: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for label in ("a", "b"):
        for part in ("train", "test"):
            shutil.copy(files / f"{part}.parquet", folder / f"split_{label}_{part}.parquet")
    with pytest.raises(
        ParameterError, match="holds 2 splits; choose one by many/NAME, NAME being 'split_a', 's"
    ):
        load_data_set("many", tmp_path)
    assert len(load_data_set("many/split_b", tmp_path).test) > 0
    with pytest.raises(DataError, match=r"many: holds no c_train\.\* and c_test\.\*"):
        load_data_set("many/c", tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", "data must be a folder under HASHGNN_DATA, NAME=TRAIN,TEST or one of 'movielens-100k'"),
        ("..", "a data set's name must be a plain word, got '..'"),
        ("a/b=c", "a data set's name must be a plain word, got 'a/b'"),
        ("a=b,c,d", "data must be NAME=TRAIN,TEST or NAME=FILE, got 3 files for 'a'"),
    ],
)
def test_what_cannot_be_found_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=message):
        load_data_set(text, tmp_path)


def test_a_folder_without_interactions_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: holds no train\.\* and test\.\*, or interactions\.\*"):
        load_data_set("empty", tmp_path)


def test_every_set_of_a_suite_can_be_had_where_there_is_no_folder(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: list[str] = []

    def published(name: str, **options: object) -> LoadedDataset:
        wanted.append(name)
        assert name in DATASETS
        rows = read_interactions(files / "train.parquet")
        return LoadedDataset(name, rows, None, None, None, "a shelf", "none")

    monkeypatch.delenv("HASHGNN_DATA", raising=False)
    monkeypatch.setattr(data_sets, "fetch", published)
    for suite in SUITES.values():
        assert [load_data_set(name).name for name in suite.data] == list(suite.data)
    assert set(wanted) == {"movielens-1m", "gowalla"}
    assert load_data_set("ml-100k").source.startswith("a shelf")
    assert wanted[-1] == "movielens-100k"
