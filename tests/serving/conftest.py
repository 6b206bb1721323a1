"""A small saved model and a client of its service."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet
import pytest

from hashgnn.serving import ServiceSettings, create_app
from hashgnn.serving.models.service import Service
from hashgnn.state import save_state
from hashgnn.testing.states import random_state

with warnings.catch_warnings():
    # It asks for another HTTP client than the one that is pinned.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

N_ITEMS = 30


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "v1"
    save_state(random_state(20, N_ITEMS, rng=3), folder)
    return folder


@pytest.fixture(scope="session")
def titles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Titles of all items but the last."""
    path = tmp_path_factory.mktemp("titles") / "items.parquet"
    rows = {
        "movie": [f"i{n}" for n in range(N_ITEMS - 1)],
        "title": [f"The Number {n}" if n % 2 else f"Evening {n}" for n in range(N_ITEMS - 1)],
        "year": list(range(1990, 1990 + N_ITEMS - 1)),
    }
    pyarrow.parquet.write_table(pa.table(rows), path)
    return path


@pytest.fixture
def open_client() -> Callable[[ServiceSettings], Iterator[httpx.Client]]:
    """Yield a client of a service with given settings."""

    def opened(settings: ServiceSettings) -> Iterator[httpx.Client]:
        with TestClient(create_app(settings.model_copy(update={"log_requests": False}))) as client:
            yield client

    return opened


@pytest.fixture
def service() -> Callable[[Any], Service]:
    """Return the service behind a client."""
    return lambda client: client.app.service


@pytest.fixture
def client(model_folder: Path, titles: Path, open_client: Any) -> Iterator[httpx.Client]:
    yield from open_client(ServiceSettings(model=model_folder, items=titles, item_id="movie", watch=0))
