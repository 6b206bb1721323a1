from __future__ import annotations

import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hashgnn._files import atomic_directory, atomic_file, drop_cut_line
from hashgnn.errors import StorageError


def test_a_file_is_replaced_only_when_the_block_ends_well(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with atomic_file(target) as temporary:
        temporary.write_text("one")
    with pytest.raises(RuntimeError), atomic_file(target) as temporary:
        temporary.write_text("two")
        raise RuntimeError
    assert target.read_text() == "one"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "model"
    for name in ("a", "b"):
        with atomic_directory(target) as temporary:
            (temporary / name).write_text(name)
    assert [path.name for path in target.iterdir()] == ["b"]
    with pytest.raises(RuntimeError), atomic_directory(target) as temporary:
        (temporary / "c").write_text("c")
        raise RuntimeError
    assert [path.name for path in target.iterdir()] == ["b"]
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("number", "reason"), [(errno.ENOSPC, "the disk is full"), (errno.EACCES, "Permission denied")]
)
def test_a_failed_write_says_why_and_leaves_nothing(tmp_path: Path, number: int, reason: str) -> None:
    target = tmp_path / "a.txt"
    with pytest.raises(StorageError) as caught, atomic_file(target):
        raise OSError(number, "Permission denied" if number == errno.EACCES else "No space left on device")
    assert str(caught.value) == f"{target}: could not be written, {reason}; nothing was changed"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", [False, True])
def test_what_a_killed_process_left_is_removed_by_the_next_write(tmp_path: Path, folder: bool) -> None:
    left = tmp_path / ".a.x1.tmp"
    code = (
        "import os, sys; from pathlib import Path; from hashgnn import _files\n"
        f"with _files.{'atomic_directory' if folder else 'atomic_file'}(Path(sys.argv[1])):\n"
        "    os.kill(os.getpid(), 9)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=False)
    assert ended.returncode == -signal.SIGKILL
    if folder:
        left.mkdir()
        (left / "half").write_text("half")
    else:
        left.write_text("half")
    (tmp_path / ".ab.x1.tmp").write_text("of another name")
    assert len(list(tmp_path.iterdir())) == 3
    with (atomic_directory if folder else atomic_file)(tmp_path / "a") as temporary:
        assert {path.name for path in tmp_path.iterdir()} == {".ab.x1.tmp", temporary.name}


def test_two_writers_of_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    target = tmp_path / "a"
    with atomic_file(target) as one, atomic_file(target) as other:
        one.write_text("one")
        other.write_text("other")
    assert target.read_text() == "one"  # its block ended last
    with atomic_directory(tmp_path / "b") as one, atomic_directory(tmp_path / "b") as other:
        (one / "one").touch()
        (other / "other").touch()
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["one"]
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_a_folder_that_must_not_be_replaced_takes_the_place_of_an_empty_one_only(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    with atomic_directory(target, replace=False) as temporary:
        (temporary / "a").touch()
    with (
        pytest.raises(StorageError, match="File exists"),
        atomic_directory(target, replace=False) as temporary,
    ):
        (temporary / "b").touch()
    assert [path.name for path in target.iterdir()] == ["a"]
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("content", "left"),
    [
        (b"", b""),
        (b'{"e": 1}\n', b'{"e": 1}\n'),
        (b'{"e": 1}\n{"e": 2', b'{"e": 1}\n'),
        (b'{"e": 1}\n{"', b'{"e": 1}\n'),
        (b'{"e": 1', b""),
        (b"notes of mine", b"notes of mine\n"),
        (b'{"e": 1}\nnotes', b'{"e": 1}\nnotes\n'),
    ],
)
def test_a_line_that_was_cut_short_goes_and_other_text_stays(
    tmp_path: Path, content: bytes, left: bytes
) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    removed = drop_cut_line(path, b'{"e": ')
    assert path.read_bytes() == left
    assert removed == max(0, len(content) - len(left))
