"""How many processors a process may use, and how its threads wait."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hashgnn import _processors
from hashgnn._processors import available_processors, processor_quota


def group(root: Path, path: str, **files: str) -> None:
    folder = root / path
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text + "\n")


@pytest.mark.parametrize(
    ("membership", "groups", "quota"),
    [
        ("0::/", {".": {"cpu__max": "150000 100000"}}, 1.5),
        ("0::/", {".": {"cpu__max": "max 100000"}}, None),
        ("0::/a/b", {"a": {"cpu__max": "200000 100000"}, "a/b": {"cpu__max": "max 100000"}}, 2.0),
        ("0::/a/b", {"a": {"cpu__max": "200000 100000"}, "a/b": {"cpu__max": "50000 100000"}}, 0.5),
        ("0::/of/the/host", {".": {"cpu__max": "300000 100000"}}, 3.0),
        (
            "4:cpu,cpuacct:/job\n3:memory:/job",
            {"cpu/job": {"cpu__cfs_quota_us": "400000", "cpu__cfs_period_us": "100000"}},
            4.0,
        ),
        ("1:cpu:/", {"cpu": {"cpu__cfs_quota_us": "-1", "cpu__cfs_period_us": "100000"}}, None),
        ("0::/", {".": {"cpu__max": "nonsense"}}, None),
        ("0::/", {}, None),
    ],
)
def test_the_quota_of_a_container_is_read(
    membership: str, groups: dict[str, dict[str, str]], quota: float | None, tmp_path: Path
) -> None:
    for path, files in groups.items():
        group(tmp_path / "groups", path, **files)
    (tmp_path / "self").write_text(membership + "\n")
    assert processor_quota(tmp_path / "groups", tmp_path / "self") == quota


def test_where_there_are_no_control_groups_there_is_no_quota(tmp_path: Path) -> None:
    assert processor_quota(tmp_path, tmp_path / "missing") is None


def test_the_fewest_of_affinity_quota_and_variable_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(_processors, "processor_quota", lambda: None)
    assert available_processors() == 8
    monkeypatch.setattr(_processors, "processor_quota", lambda: 2.5)
    assert available_processors() == 3
    monkeypatch.setattr(_processors, "processor_quota", lambda: 0.2)
    assert available_processors() == 1
    monkeypatch.setattr(_processors, "processor_quota", lambda: None)
    for value, count in (("4", 4), ("4,2", 4), ("16", 8), ("0", 1), ("many", 8), ("", 8)):
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        assert available_processors() == count, value


def waiting(code: str, **variables: str) -> list[str]:
    """Return what the process has in its variables of waiting after some code, in a process of its own."""
    kept = {key: value for key, value in os.environ.items() if key not in _processors._WAITING}
    said = "import os; print([os.environ.get(name) for name in ('OMP_WAIT_POLICY', 'KMP_BLOCKTIME')])"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{said}"],
        env={**kept, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()[-1:]


PASSIVE = ["['PASSIVE', '0']"]
COMMAND = "import sys; sys.argv = ['hashgnn', '--version']\nfrom hashgnn.cli import main\ntry: main()\nexcept SystemExit: pass"


@pytest.mark.parametrize(
    "code",
    [
        COMMAND,
        "import hashgnn.training",
        "import hashgnn.nn",
        "from hashgnn._extras import require; require('torch', extra='train', purpose='a test')",
    ],
)
def test_threads_wait_passively_before_torch_is_loaded(code: str) -> None:
    pytest.importorskip("torch")
    assert waiting(code) == PASSIVE


def test_a_process_that_does_not_train_is_left_as_it_is() -> None:
    assert waiting("import hashgnn; hashgnn.HashGNN; hashgnn.evaluate") == ["[None, None]"]


@pytest.mark.parametrize(
    ("name", "value", "left"),
    [
        ("OMP_WAIT_POLICY", "ACTIVE", "['ACTIVE', None]"),
        ("KMP_BLOCKTIME", "200", "[None, '200']"),
        ("GOMP_SPINCOUNT", "100", "[None, None]"),
    ],
)
def test_what_the_user_has_set_stays(name: str, value: str, left: str) -> None:
    assert waiting(COMMAND, **{name: value}) == [left]
