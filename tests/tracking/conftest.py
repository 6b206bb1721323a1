from __future__ import annotations

from pathlib import Path

import pytest
from tests.tracking.runs import Store


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of the test's own, in which MLflow sends nothing to its makers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("DO_NOT_TRACK", "true")
    return tmp_path


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/store.db"


@pytest.fixture
def store(database: str, place: Path) -> Store:
    """An experiment of the test's own in a store that the tests share, as making one takes seconds."""
    return Store(database, place.name)
