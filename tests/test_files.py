from __future__ import annotations

import errno
from pathlib import Path

import pytest

from hashgnn._files import atomic_directory, atomic_file
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
