from __future__ import annotations

import errno
import hashlib
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashgnn.data.datasets import _download
from hashgnn.data.datasets._checksums import Checksum
from hashgnn.data.datasets._download import RemoteFile, download
from hashgnn.errors import FetchError, StorageError

BODY = np.random.default_rng(0).bytes(200_000)


def remote(*urls: str, body: bytes = BODY, max_bytes: int = 1 << 20) -> RemoteFile:
    return RemoteFile("f.bin", urls, Checksum("sha256", hashlib.sha256(body).hexdigest()), max_bytes)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def file(server: Any) -> RemoteFile:
    server.files["/f.bin"] = BODY
    return remote(f"{server.url}/f.bin")


@pytest.mark.parametrize("states_length", [True, False])
def test_a_file_is_fetched_whole(server: Any, file: RemoteFile, tmp_path: Path, states_length: bool) -> None:
    server.states_length = states_length
    assert download(file, tmp_path).read_bytes() == BODY
    assert names(tmp_path) == ["f.bin"]


def test_an_existing_file_is_not_requested_again(server: Any, file: RemoteFile, tmp_path: Path) -> None:
    download(file, tmp_path)
    download(file, tmp_path)
    assert server.requests == [("/f.bin", None)]


def test_a_damaged_file_in_the_cache_is_replaced(server: Any, file: RemoteFile, tmp_path: Path) -> None:
    (tmp_path / "f.bin").write_bytes(BODY[:-1] + b"x")
    assert download(file, tmp_path).read_bytes() == BODY


def test_a_transfer_goes_on_where_an_earlier_one_ended(server: Any, file: RemoteFile, tmp_path: Path) -> None:
    (tmp_path / "f.bin.part").write_bytes(BODY[:1234])
    assert download(file, tmp_path).read_bytes() == BODY
    assert server.requests == [("/f.bin", "bytes=1234-")]


def test_a_transfer_that_is_cut_off_goes_on_by_itself(server: Any, file: RemoteFile, tmp_path: Path) -> None:
    server.faults = ["cut"]
    assert download(file, tmp_path).read_bytes() == BODY
    assert server.requests == [("/f.bin", None), ("/f.bin", "bytes=100000-")]


def test_a_server_without_ranges_sends_the_file_anew(server: Any, file: RemoteFile, tmp_path: Path) -> None:
    server.knows_ranges = False
    server.faults = ["cut"]
    assert download(file, tmp_path).read_bytes() == BODY


def test_a_server_that_always_cuts_gives_an_error_and_keeps_what_came(
    server: Any, file: RemoteFile, tmp_path: Path
) -> None:
    server.knows_ranges = False
    server.faults = ["cut"] * 3
    with pytest.raises(FetchError, match="the connection ended after 100000 of 200000 bytes"):
        download(file, tmp_path)
    assert names(tmp_path) == ["f.bin.part"]


def test_wrong_bytes_are_thrown_away_and_fetched_once_more(
    server: Any, file: RemoteFile, tmp_path: Path
) -> None:
    server.faults = ["damage"]
    assert download(file, tmp_path).read_bytes() == BODY
    assert server.requests == [("/f.bin", None)] * 2


def test_a_part_of_another_file_does_not_spoil_the_fetch(
    server: Any, file: RemoteFile, tmp_path: Path
) -> None:
    (tmp_path / "f.bin.part").write_bytes(b"x" * 1000)
    assert download(file, tmp_path).read_bytes() == BODY


def test_a_part_longer_than_the_file_is_thrown_away(server: Any, file: RemoteFile, tmp_path: Path) -> None:
    (tmp_path / "f.bin.part").write_bytes(b"x" * 300_000)
    assert download(file, tmp_path).read_bytes() == BODY
    assert server.requests == [("/f.bin", "bytes=300000-"), ("/f.bin", None)]


def test_an_answer_with_another_range_is_not_appended(server: Any, file: RemoteFile, tmp_path: Path) -> None:
    (tmp_path / "f.bin.part").write_bytes(BODY[:1234])
    server.faults = ["shifted"]
    assert download(file, tmp_path).read_bytes() == BODY


def test_bytes_that_never_match_are_an_error(server: Any, tmp_path: Path) -> None:
    server.files["/f.bin"] = BODY
    with pytest.raises(FetchError) as caught:
        download(remote(f"{server.url}/f.bin", body=b"other"), tmp_path)
    assert str(caught.value) == (
        f"f.bin could not be fetched: {server.url}/f.bin: the sha256 checksum of the received file does not match"
    )
    assert names(tmp_path) == []


def test_a_missing_file_is_an_error_and_the_next_address_is_tried(server: Any, tmp_path: Path) -> None:
    server.files["/f.bin"] = BODY
    two = remote(f"{server.url}/no.bin", f"{server.url}/f.bin")
    assert download(two, tmp_path).read_bytes() == BODY
    with pytest.raises(FetchError, match=r"no\.bin: HTTP 404$"):
        download(remote(f"{server.url}/no.bin", body=b""), tmp_path)


def test_a_server_that_says_nothing_is_given_up(server: Any, file: RemoteFile, tmp_path: Path) -> None:
    server.faults = ["stall"]
    with pytest.raises(FetchError, match=r"no answer within 0\.1 s"):
        download(file, tmp_path, timeout=0.1)


def test_without_a_server_the_error_says_so(tmp_path: Path, server: Any) -> None:
    with pytest.raises(FetchError, match="the connection was refused"):
        download(remote("http://127.0.0.1:9/f.bin"), tmp_path)
    with pytest.raises(FetchError, match="the host name is not known; is there a network"):
        download(remote("https://host.invalid/f.bin"), tmp_path)


@pytest.mark.parametrize("states_length", [True, False])
def test_more_bytes_than_the_limit_are_refused(server: Any, tmp_path: Path, states_length: bool) -> None:
    server.files["/f.bin"] = BODY
    server.states_length = states_length
    with pytest.raises(FetchError, match="the limit of 150000"):
        download(remote(f"{server.url}/f.bin", max_bytes=150_000), tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("url", ["http://example.com/f.bin", "file:///etc/hostname", "ftp://127.0.0.1/f"])
def test_only_https_is_followed(url: str, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="only https addresses are followed"):
        download(remote(url), tmp_path)


def test_a_redirect_to_an_unsafe_address_is_refused(server: Any, file: RemoteFile, tmp_path: Path) -> None:
    server.faults = ["redirect"]
    with pytest.raises(FetchError, match=r"only https addresses are followed, got http://example\.com"):
        download(file, tmp_path)


def test_a_full_disk_is_named(
    server: Any, file: RemoteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_download, "sync", full)
    with pytest.raises(StorageError, match=r"f\.bin: could not be written, the disk is full"):
        download(file, tmp_path)


def test_a_git_blob_checksum_is_what_git_says(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(BODY)
    git = subprocess.run(["git", "hash-object", path], capture_output=True, text=True, check=True)
    assert Checksum("git-blob", git.stdout.strip()).matches(path)
    assert not Checksum("git-blob", "0" * 40).matches(path)
    assert not Checksum("md5", hashlib.md5(b"").hexdigest()).matches(tmp_path / "missing")
    assert Checksum("md5", hashlib.md5(BODY).hexdigest()).matches(path)
