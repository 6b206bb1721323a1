"""A service within a memory budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hashgnn.errors import ParameterError
from hashgnn.serving import ServiceSettings
from hashgnn.state import save_state
from hashgnn.testing.states import random_state


def test_a_service_finds_within_its_budget_what_all_floats_find(
    tmp_path: Path, open_client: Any, service: Any
) -> None:
    save_state(random_state(20, 3000, dim=32, density=0.01, rng=3), tmp_path / "v1")
    answers = []
    for budget in (None, 60):
        settings = ServiceSettings(model=tmp_path / "v1", watch=0, index_recall=0.99, bytes_per_item=budget)
        for client in open_client(settings):
            ranked = service(client).active.current.fitted.ranked_items
            assert (ranked is None) == (budget is None)
            way = "float" if budget is None else "hierarchical"
            body = {"users": ["u1", "u2"], "k": 20, "search": way}
            answer = client.post("/v1/recommend", json=body)
            assert answer.status_code == 200
            answers.append([[item["id"] for item in row["items"]] for row in answer.json()["results"]])
    for exact, found in zip(*answers, strict=True):
        assert len(set(exact) & set(found)) >= 19


def test_a_budget_that_cannot_be_met_ends_the_start_in_one_sentence(tmp_path: Path, open_client: Any) -> None:
    save_state(random_state(20, 300, rng=3), tmp_path / "v1")
    settings = ServiceSettings(model=tmp_path / "v1", watch=0, bytes_per_item=3)
    with pytest.raises(ParameterError, match="bytes_per_item must be at least"):
        for _ in open_client(settings):
            pass
