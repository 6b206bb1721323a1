"""A service whose items are in an engine: it answers as without one, and an engine that fails is no fault of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.servers import postgres_url

from hashgnn.engines import export_model, open_engine
from hashgnn.errors import EngineError
from hashgnn.serving import ServiceSettings
from hashgnn.serving.models.model_version import open_version

_QUERY = {"users": ["u3"], "k": 7}


@pytest.fixture
def url() -> str:
    return postgres_url("served")


@pytest.fixture
def there(model_folder: Path, open_client: Any, url: str) -> Iterator[httpx.Client]:
    export_model(model_folder, url, replace=True)
    yield from open_client(ServiceSettings(model=model_folder, watch=0, engine=url))


def test_it_answers_as_without_one(there: httpx.Client, model_folder: Path, open_client: Any) -> None:
    here = next(open_client(ServiceSettings(model=model_folder, watch=0)))
    for search in ("hierarchical", "biased", "hamming", "asymmetric"):
        body = {**_QUERY, "search": search}
        one, other = (client.post("/v1/recommend", json=body).json() for client in (there, here))
        assert one["results"] == other["results"]


def test_an_engine_that_fails_is_503_without_its_address(there: httpx.Client, url: str) -> None:
    assert there.post("/v1/recommend", json=_QUERY).status_code == 200
    engine: Any = open_engine(url)
    with engine._pool.connect() as connection:
        connection.execute("DROP VIEW served; DROP TABLE served_versions")
    answer = there.post("/v1/recommend", json=_QUERY)
    assert answer.status_code == 503
    assert answer.json()["detail"] == "the engine that holds the items cannot answer now"
    assert answer.headers["retry-after"] == "1"
    assert there.get("/health/live").status_code == 200


def test_a_version_that_the_engine_does_not_hold_is_not_opened(model_folder: Path) -> None:
    with pytest.raises(EngineError, match="holds no finished export"):
        open_version(model_folder, engine=postgres_url("nothing_served"))
