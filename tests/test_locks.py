"""One process at a time: a lock names its holder, and ends with it, however it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hashgnn._locks import check_free, held
from hashgnn.errors import StorageError

HOLDER = """
import sys, time
from pathlib import Path
from hashgnn._locks import held
with held(Path(sys.argv[1]), "tuning", "name another file"):
    print("held", flush=True)
    time.sleep(600)
"""


def holder(target: Path) -> subprocess.Popen[str]:
    """Start a process that holds a lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(target)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_refusal_names_who_holds_the_lock_since_when_and_the_remedy(tmp_path: Path) -> None:
    target = tmp_path / "study"
    with holder(target) as process:
        try:
            for ask in (lambda: check_free(target, "name another"), lambda: _hold(target, "name another")):
                with pytest.raises(StorageError) as refused:
                    ask()
                assert re.fullmatch(
                    rf"{re.escape(str(target))}: process {process.pid} on {re.escape(socket.gethostname())} has "
                    r"been tuning there since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00; wait until it has ended, or "
                    "name another",
                    str(refused.value),
                )
        finally:
            process.kill()


def test_a_killed_holder_stops_nobody_and_its_file_is_removed(tmp_path: Path) -> None:
    target = tmp_path / "study"
    with holder(target) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert [path.name for path in tmp_path.iterdir()] == [".study.lock"]
    check_free(target, "wait")
    _hold(target, "wait")
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_free_again_after_its_block_and_after_an_error_in_it(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(RuntimeError), held(tmp_path / "a", "training", "wait"):
            raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_the_same_process_cannot_hold_a_lock_twice(tmp_path: Path) -> None:
    with held(tmp_path / "a", "training", "wait"):
        with pytest.raises(StorageError, match=f"process {os.getpid()} on .* has been training there"):
            _hold(tmp_path / "a", "wait")
        _hold(tmp_path / "b", "wait")


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"pid": 1}', b"\xff" * 5000])
def test_a_note_that_cannot_be_read_still_refuses(tmp_path: Path, content: bytes) -> None:
    with held(tmp_path / "a", "training", "wait"):
        (tmp_path / ".a.lock").write_bytes(content)
        with pytest.raises(StorageError, match="another process is at work there; wait until it has ended"):
            check_free(tmp_path / "a", "do else")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_neither_keeps_nor_frees_the_lock_of_its_parent(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with held(tmp_path / "a", "training", "wait"):
        child = os.fork()
        if child == 0:  # lives on when the parent has left the block
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
        with pytest.raises(StorageError):
            _hold(tmp_path / "a", "wait")
    _hold(tmp_path / "a", "wait")
    os.close(writing)
    os.close(reading)
    assert os.waitpid(child, 0)[1] == 0


def test_a_link_or_a_folder_in_the_place_of_the_lock_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    (tmp_path / ".a.lock").symlink_to(tmp_path / "mine")
    (tmp_path / ".b.lock").mkdir()
    for name in ("a", "b"):
        with pytest.raises(StorageError, match=rf"\.{name}\.lock: could not be written"):
            _hold(tmp_path / name, "wait")
    assert (tmp_path / "mine").read_text() == "kept"


def _hold(target: Path, remedy: str) -> None:
    with held(target, "training", remedy):
        pass


def test_a_folder_whose_parent_may_not_be_written_holds_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mounted"
    folder.mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with held(folder, "training", "wait"):
        assert [path.name for path in folder.iterdir()] == [".lock"]
        with pytest.raises(
            StorageError, match=f"mounted: process {os.getpid()} on .* has been training there"
        ):
            check_free(folder, "wait")
    assert [path.name for path in tmp_path.rglob("*")] == ["mounted"]
