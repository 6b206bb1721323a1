from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from hashgnn import _files
from hashgnn.errors import (
    ArtifactDamagedError,
    ArtifactError,
    ArtifactVersionError,
    ParameterError,
    StorageError,
)
from hashgnn.state import artifact
from hashgnn.state.artifact import MANIFEST, open_artifact, read_artifact, write_artifact

DOCUMENT = {"config": {"n_bits": 8, "name": "é"}, "metrics": {"recall@20": np.float32(0.5)}}


def write(path: Path, content: bytes = b"some bytes", *, overwrite: bool = False) -> Path:
    with write_artifact(path, DOCUMENT, overwrite=overwrite) as folder:
        (folder / "a.bin").write_bytes(content)
        (folder / "b.bin").write_bytes(content * 2)
    return path


def read_files(opened: artifact.Artifact) -> dict[str, bytes]:
    return {name: opened.file(name).read_bytes() for name in opened.sizes}


def edit_manifest(path: Path, **changes: object) -> None:
    """Change entries and write a right checksum, as somebody who knows the format would."""
    manifest = {**json.loads((path / MANIFEST).read_text()), **changes}
    del manifest["checksum"]
    (path / MANIFEST).write_text(artifact._manifest_text(manifest))


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    opened = open_artifact(write(tmp_path / "v1"))
    assert opened.document == {"config": {"n_bits": 8, "name": "é"}, "metrics": {"recall@20": 0.5}}
    assert opened.sizes == {"a.bin": 10, "b.bin": 20}
    assert opened.file("a.bin").read_bytes() == b"some bytes"
    assert opened.library_versions["numpy"] == np.__version__
    assert opened.created.endswith("+00:00")


def test_the_checksum_of_the_manifest_can_be_worked_out_by_hand(tmp_path: Path) -> None:
    text = (write(tmp_path / "v1") / MANIFEST).read_text()
    checksum = json.loads(text)["checksum"]
    assert hashlib.sha256(text.replace(checksum, "0" * 64).encode()).hexdigest() == checksum


def test_every_flipped_byte_and_every_truncation_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "v1")
    for file in sorted(path.iterdir()):
        whole = file.read_bytes()
        for at in range(len(whole)):
            for flip in (1, 32, 128):
                file.write_bytes(whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :])
                with pytest.raises(ArtifactError):
                    open_artifact(path)
            file.write_bytes(whole[:at])
            with pytest.raises(ArtifactError):
                open_artifact(path)
        file.write_bytes(whole)
    open_artifact(path)


def test_a_changed_file_is_named_with_the_cause(tmp_path: Path) -> None:
    path = write(tmp_path / "v1")
    (path / "a.bin").write_bytes(b"SOME bytes")
    with pytest.raises(ArtifactDamagedError) as caught:
        open_artifact(path)
    assert str(caught.value) == (
        f"{path}: checksum of a.bin does not match its manifest; the file is damaged or was edited"
    )
    assert open_artifact(path, verify=False).sizes["a.bin"] == 10
    (path / "a.bin").write_bytes(b"some")
    for verify in (True, False):
        with pytest.raises(
            ArtifactDamagedError, match=r"a\.bin has 4 bytes, its manifest says 10; the file is"
        ):
            open_artifact(path, verify=verify)
    (path / "a.bin").unlink()
    with pytest.raises(ArtifactDamagedError, match=r"a\.bin is missing$"):
        open_artifact(path)


def test_a_folder_of_a_later_format_asks_for_a_newer_library(tmp_path: Path) -> None:
    path = write(tmp_path / "v1")
    edit_manifest(path, format_version=3)
    with pytest.raises(
        ArtifactVersionError,
        match=r"was written by version \S+ of hashgnn in format 3, .* install a newer hashgnn$",
    ):
        open_artifact(path)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"there is no such folder$"):
        open_artifact(tmp_path / "none")
    with pytest.raises(ArtifactError, match=r"not a saved hashgnn model, it has no manifest\.json$"):
        open_artifact(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match=r"a saved model is a folder, this is a file$"):
        open_artifact(tmp_path / "file")
    (tmp_path / MANIFEST).write_text('{"kind": "photo album"}')
    with pytest.raises(ArtifactError, match=r"its manifest\.json has the kind 'photo album'$"):
        open_artifact(tmp_path)
    (tmp_path / MANIFEST).write_text("[" * 100_000)
    with pytest.raises(ArtifactDamagedError, match="manifest.json cannot be read, it nests deeper than 32"):
        open_artifact(tmp_path)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", ".hidden", "a/b", ""])
def test_a_manifest_cannot_name_a_file_outside_its_folder(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "v1")
    edit_manifest(path, files={name: {"bytes": 1, "sha256": "0" * 64}})
    with pytest.raises(
        ArtifactDamagedError, match=r"in manifest\.json files.* must match pattern .* it was edited$"
    ):
        open_artifact(path)


@pytest.mark.parametrize("entry", [None, {}, {"bytes": "10"}, {"bytes": 10}, {"bytes": 10, "sha256": 3}])
def test_a_file_without_its_size_or_checksum_is_an_error(tmp_path: Path, entry: object) -> None:
    path = write(tmp_path / "v1")
    edit_manifest(path, files={"a.bin": entry})
    with pytest.raises(ArtifactDamagedError, match=r"a\.bin"):
        open_artifact(path)


def test_an_error_of_the_reader_names_the_folder(tmp_path: Path) -> None:
    path = write(tmp_path / "v1")

    def read(opened: artifact.Artifact) -> None:
        raise ParameterError("codes must have 8 bits, got 16")

    with pytest.raises(ArtifactDamagedError) as caught:
        read_artifact(path, read)
    assert str(caught.value) == (
        f"{path}: its files do not fit together, codes must have 8 bits, got 16; the folder was edited"
    )
    with pytest.raises(ArtifactDamagedError, match=r"its manifest names no file c\.bin$"):
        read_artifact(path, lambda opened: opened.file("c.bin"))


def test_a_reader_overtaken_by_a_writer_starts_again(tmp_path: Path) -> None:
    path = write(tmp_path / "v1", b"old")
    calls = []

    def read(opened: artifact.Artifact) -> dict[str, bytes]:
        first = opened.file("a.bin").read_bytes()
        if not calls:
            write(path, b"new", overwrite=True)
        calls.append(first)
        return {"a.bin": first, "b.bin": opened.file("b.bin").read_bytes()}

    assert read_artifact(path, read) == {"a.bin": b"new", "b.bin": b"newnew"}
    assert calls == [b"old", b"new"]


def test_only_a_saved_model_or_an_empty_folder_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "v1"
    path.mkdir()
    write(path, b"one")
    with pytest.raises(ArtifactError, match=r"holds a saved model; pass overwrite=True to replace it$"):
        write(path, b"two")
    assert read_artifact(path, read_files)["a.bin"] == b"one"
    write(path, b"two", overwrite=True)
    assert read_artifact(path, read_files)["a.bin"] == b"two"
    (path / "a.bin").write_bytes(b"damaged")
    write(path, b"three", overwrite=True)
    assert read_artifact(path, read_files)["a.bin"] == b"three"

    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "1.jpg").write_text("")
    for manifest in (None, "not JSON", '{"kind": "photo album"}'):
        if manifest:
            (photos / MANIFEST).write_text(manifest)
        with pytest.raises(ArtifactError, match="exists and is not a saved hashgnn model"):
            write(photos, overwrite=True)
    assert (photos / "1.jpg").exists()


def test_a_link_stays_a_link_to_the_new_model(tmp_path: Path) -> None:
    write(tmp_path / "v1", b"one")
    (tmp_path / "current").symlink_to("v1")
    write(tmp_path / "current", b"two", overwrite=True)
    assert (tmp_path / "current").is_symlink()
    assert read_artifact(tmp_path / "v1", read_files)["a.bin"] == b"two"


@pytest.mark.parametrize("value", [float("nan"), object(), {1, 2}])
def test_a_document_that_is_not_json_is_refused_before_anything_is_written(
    tmp_path: Path, value: object
) -> None:
    with (
        pytest.raises(ParameterError, match="document must hold JSON values only"),
        write_artifact(tmp_path / "v1", {"metrics": value}),
    ):
        pass
    with (
        pytest.raises(ParameterError, match="must not use the names of the manifest, got 'files'"),
        write_artifact(tmp_path / "v1", {"files": {}}),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("exchange", [True, False])
def test_a_full_disk_leaves_the_old_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    path = write(tmp_path / "v1", b"old")
    if not exchange:
        monkeypatch.setattr(_files, "_exchange", lambda one, other: False)

    def full(*args: object, **settings: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for broken in ("write_text", "chmod"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, broken, full)
            with pytest.raises(StorageError) as caught:
                write(path, b"new", overwrite=True)
        assert str(caught.value) == f"{path}: could not be written, the disk is full; nothing was changed"
        assert read_artifact(path, read_files)["a.bin"] == b"old"
        assert list(tmp_path.iterdir()) == [path]
    write(path, b"new", overwrite=True)
    assert read_artifact(path, read_files)["a.bin"] == b"new"


# One process imports the library; a copy of it is killed before each system call in turn.
SYSTEM_CALLS = """
import os, signal, sys
from pathlib import Path
from hashgnn import _files
from hashgnn.state.artifact import read_artifact, write_artifact

path = Path(sys.argv[1])
if sys.argv[2] != "exchange":
    _files._exchange = lambda one, other: False
watched = {"open", "os.rename", "os.mkdir", "os.chmod", "os.remove", "os.rmdir", "os.scandir", "ctypes.dlopen"}

def write(content, hook=None):
    with write_artifact(path, {}, overwrite=True) as folder:
        (folder / "a.bin").write_bytes(content)
        if hook is not None:
            sys.addaudithook(hook)
        (folder / "b.bin").write_bytes(content * 2)

def killed_at(deadline):
    calls = 0

    def count(event, arguments):
        nonlocal calls
        if event in watched:
            calls += 1
            if calls == deadline:
                os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        write(b"new", count)
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0

for deadline in range(1, 200):
    write(b"old")
    died = killed_at(deadline)
    found = read_artifact(path, lambda opened: [opened.file(name).read_bytes().decode() for name in opened.sizes])
    print(died, *found)
    if not died:
        break
"""


@pytest.mark.slow
@pytest.mark.parametrize("exchange", ["exchange", "renames"])
def test_a_crash_before_any_system_call_leaves_the_old_or_the_new_model(
    tmp_path: Path, exchange: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SYSTEM_CALLS, str(tmp_path / "v1"), exchange],
        capture_output=True,
        text=True,
        check=True,
    )
    outcomes = [line.split() for line in done.stdout.splitlines()]
    assert {tuple(found) for _, *found in outcomes} == {("old", "oldold"), ("new", "newnew")}
    assert len(outcomes) > 5
    assert outcomes[0] == ["True", "old", "oldold"]
    assert outcomes[-1] == ["False", "new", "newnew"]


REWRITE = """
import sys
from pathlib import Path
from hashgnn.state.artifact import write_artifact

content = 0
while True:
    content += 1
    with write_artifact(Path(sys.argv[1]), {}, overwrite=True) as folder:
        for name in "ab":
            (folder / name).write_bytes(str(content).encode() * 10_000)
    print(content, flush=True)
"""


@pytest.mark.slow
def test_a_kill_at_a_random_moment_leaves_a_whole_model(tmp_path: Path) -> None:
    path = tmp_path / "v1"
    rng = np.random.default_rng(0)
    for _ in range(10):
        with subprocess.Popen([sys.executable, "-c", REWRITE, str(path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            deadline = time.monotonic() + rng.uniform(0, 0.1)
            while time.monotonic() < deadline:  # readers are served while the model is replaced
                files = read_artifact(path, read_files)
                assert files["a"] == files["b"]
            writer.kill()
        files = read_artifact(path, read_files)
        assert files["a"] == files["b"]


def fails(opened: artifact.Artifact) -> None:
    raise ParameterError("depth is not a setting")


@pytest.mark.parametrize("version", ["99.0", "99.0.1.dev3+g12"])
def test_what_a_newer_version_wrote_and_this_cannot_read_names_that_version(
    tmp_path: Path, version: str
) -> None:
    path = write(tmp_path / "v1")
    edit_manifest(path, library_versions={"hashgnn": version})
    sentence = (
        f"was written by version {version} of hashgnn, .* depth is not a setting; install version {version}"
    )
    with pytest.raises(ArtifactVersionError, match=re.escape(sentence).replace(r"\.\*", ".*")):
        read_artifact(path, fails)


@pytest.mark.parametrize("versions", [{"hashgnn": "0.0.1"}, {"hashgnn": "new"}, {}])
def test_what_no_newer_version_wrote_was_edited(tmp_path: Path, versions: object) -> None:
    path = write(tmp_path / "v1")
    edit_manifest(path, library_versions=versions)
    with pytest.raises(ArtifactDamagedError, match="depth is not a setting; the folder was edited"):
        read_artifact(path, fails)


def test_of_two_saves_to_a_new_folder_at_once_one_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "v1"
    sentence = "v1: holds a saved model; pass overwrite=True to replace it"
    with pytest.raises(ArtifactError, match=sentence), write_artifact(target, DOCUMENT) as folder:
        (folder / "a.bin").write_bytes(b"late")
        write(target, b"first")
    assert read_files(open_artifact(target))["a.bin"] == b"first"
    assert list(tmp_path.iterdir()) == [target]


def test_of_two_saves_at_once_that_may_replace_the_last_one_stands_whole(tmp_path: Path) -> None:
    target = tmp_path / "v1"
    with write_artifact(target, DOCUMENT, overwrite=True) as folder:
        (folder / "a.bin").write_bytes(b"late")
        write(target, b"first", overwrite=True)
    assert read_files(open_artifact(target)) == {"a.bin": b"late"}
    assert list(tmp_path.iterdir()) == [target]


def test_a_save_never_replaces_what_is_no_model_also_where_it_comes_meanwhile(tmp_path: Path) -> None:
    target = tmp_path / "v1"
    sentence = "v1: exists and is not a saved hashgnn model"
    with pytest.raises(ArtifactError, match=sentence), write_artifact(target, DOCUMENT, overwrite=True):
        target.mkdir()
        (target / "mine.txt").write_text("kept")
    assert [path.name for path in target.iterdir()] == ["mine.txt"]


def test_savers_in_many_threads_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    target = tmp_path / "v1"

    def save(number: int) -> bool:
        try:
            write(target, b"%d" % number)
        except ArtifactError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        saved = list(pool.map(save, range(24)))
    assert sum(saved) == 1
    assert read_files(open_artifact(target))["a.bin"] == b"%d" % saved.index(True)
