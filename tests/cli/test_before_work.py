"""What the end of a command needs is checked before its work begins, so that no work is thrown away."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Run

MISSING_FILE = "gone.parquet"  # read only when the checks are over


def without(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert importlib.util.find_spec(package) is None


@pytest.mark.parametrize(
    ("command", "package", "sentence"),
    [
        (("fit", MISSING_FILE, "-o", "model"), "torch", "fit needs the package torch, of the extra train"),
        (("update", MISSING_FILE, MISSING_FILE, "-o", "model"), "torch", "update needs the package torch"),
        (("tune", MISSING_FILE, "-o", "mine.toml"), "torch", "tuning needs the package torch"),
        (
            ("tune", MISSING_FILE, "-o", "mine.toml"),
            "optuna",
            "tuning needs the package optuna, of the extra tune",
        ),
        (("demo", "--offline"), "torch", "the demo needs the package torch"),
        (("benchmark", "search", "--plot", "p.png"), "matplotlib", "a plot needs the package matplotlib"),
    ],
)
def test_a_package_that_is_not_there(
    command: tuple[str, ...],
    package: str,
    sentence: str,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    without(package, monkeypatch)
    code, out, err = run(*command)
    assert (code, out) == (2, "")
    assert err.startswith(f"hashgnn: {sentence}")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        ("recommend", "gone", "--all", "-o", "FILE"),
        ("tune", MISSING_FILE, "-o", "FILE"),
        ("interactions", "export", "gone.db", "-o", "FILE"),
        ("benchmark", "search", "--plot", "FILE"),
    ],
)
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("folder", "must be a file to write, and is a folder"),
        ("file/out", "is not a folder that may be written"),
    ],
)
def test_a_file_that_could_not_be_written(
    command: tuple[str, ...],
    name: str,
    sentence: str,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    suffix = {"recommend": ".parquet", "tune": ".toml", "interactions": ".parquet", "benchmark": ".png"}[
        command[0]
    ]
    (tmp_path / f"folder{suffix}").mkdir()
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*(f"{name}{suffix}" if word == "FILE" else word for word in command))
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [("data", "fetch", "movielens-100k", "-o", "file/out"), ("benchmark", "quality", "-o", "file/out")],
)
def test_a_folder_that_could_not_be_made(
    command: tuple[str, ...], run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*command)
    assert (code, out) == (2, "")
    assert "cannot be made, " in err
    assert "is not a folder that may be written" in err


def test_the_demo_refuses_a_report_that_could_not_be_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "demo" / "report.html").mkdir(parents=True)
    code, out, err = run("demo", "--offline", "-o", tmp_path / "demo")
    assert (code, out) == (2, "")
    assert "report.html: must be a file to write, and is a folder" in err
    code, _, err = run("demo", "--offline", "-o", tmp_path / "other", "--threads", "0")
    assert (code, err) == (2, "hashgnn: --threads must be an integer >= 1, got 0\n")


def test_a_comparison_without_matplotlib_is_made_without_plots(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without("matplotlib", monkeypatch)
    rows = "\n".join(f"{user},{item}" for user in range(12) for item in range(9) if (user + item) % 2)
    (tmp_path / "events.csv").write_text(f"user_id,item_id\n{rows}\n")
    arguments: list[Any] = [
        "--data",
        f"mine={tmp_path / 'events.csv'}",
        "--methods",
        "popularity",
        "--seeds",
        "1",
    ]
    code, out, err = run("benchmark", "quality", "-o", tmp_path / "run", *arguments, "--bits", "8")
    assert code == 0
    assert err.splitlines()[0].startswith("no plots are drawn: a plot needs the package matplotlib")
    assert "popularity" in out
    assert not (tmp_path / "run" / "plots").exists()
