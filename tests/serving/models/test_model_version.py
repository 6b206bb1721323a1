"""Opening a version: what is read, what is tried, how a replaced folder is noticed."""

from __future__ import annotations

from collections import Counter
from io import BufferedReader
from pathlib import Path
from typing import Any

import pytest

from hashgnn.errors import ArtifactError
from hashgnn.recommender import HashGNN
from hashgnn.serving.models import model_version
from hashgnn.serving.models.model_version import open_version
from hashgnn.serving.models.reload_requests import ReloadMailbox
from hashgnn.serving.models.version_manager import folder_mark
from hashgnn.serving.wire.schemas import ReloadRequest
from hashgnn.state import artifact, save_state
from hashgnn.testing.states import random_state


def test_a_version_has_the_mark_of_its_folder(model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(model_folder)
    version = open_version(tmp_path / "link")
    assert version.mark == folder_mark(tmp_path / "link") == folder_mark(model_folder)
    assert (version.name, len(version.mark[1])) == ("v1", 64)


def test_a_mark_changes_with_the_model_and_with_a_broken_manifest(tmp_path: Path) -> None:
    marks = set()
    for seed in (1, 2):
        save_state(random_state(5, 6, rng=seed), tmp_path / "v", overwrite=True)
        marks.add(folder_mark(tmp_path / "v"))
    for text in ("", "{}"):
        (tmp_path / "v" / artifact.MANIFEST).write_text(text)
        marks.add(folder_mark(tmp_path / "v"))
    assert len(marks) == 4


def test_opening_reads_the_manifest_once_and_its_verification_once(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: Counter[str] = Counter()
    open_regular = artifact.open_regular

    def counted(path: Path, *, follow: bool = True) -> BufferedReader:
        reads[path.name] += 1
        return open_regular(path, follow=follow)

    monkeypatch.setattr(artifact, "open_regular", counted)
    open_version(model_folder)
    assert reads[artifact.MANIFEST] == 2


def test_the_self_test_builds_no_second_model(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("a second model was built")

    monkeypatch.setattr(HashGNN, "from_state", refuse)
    assert open_version(model_folder).name == "v1"


def test_a_folder_that_is_replaced_meanwhile_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "v1"
    save_state(random_state(5, 6, rng=1), folder)

    def replaced(path: Path, **options: Any) -> Any:
        opened = artifact.open_artifact(path, **options)
        return type(opened)(**{**vars(opened), "checksum": "0" * 64})

    monkeypatch.setattr(model_version, "open_artifact", replaced)
    with pytest.raises(ArtifactError, match="was replaced while it was opened; reload once more"):
        open_version(folder)


def test_a_reload_request_reaches_the_other_workers_once(tmp_path: Path) -> None:
    one, other = ReloadMailbox(tmp_path), ReloadMailbox(tmp_path)
    assert other.unread() is None
    for share in (0.5, 0.25):
        request = ReloadRequest(version="v1", next_version="v2", share=share)
        one.post(request)
        assert one.unread() is None
        assert other.unread() == request
        assert other.unread() is None
    alone = ReloadMailbox(None)
    alone.post(ReloadRequest())
    assert alone.unread() is None
