"""Which searches are short enough to run in the event loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from hashgnn.serving import ServiceSettings
from hashgnn.serving.wire.schemas import RecommendRequest, SimilarItemsRequest
from hashgnn.state import save_state
from hashgnn.testing.states import random_state


def test_a_search_is_short_by_the_bytes_that_it_reads(
    client: httpx.Client, service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = service(client)
    assert running.is_short(RecommendRequest(users=["u1"], k=30))
    assert not running.is_short(RecommendRequest(users=["u1"] * 100, k=30))
    assert running.is_short(SimilarItemsRequest(items=["i1"], k=5))
    state = running.active.current.state
    monkeypatch.setattr("hashgnn.serving.models.service._SHORT_BYTES", 3 * state.n_items * state.n_bits // 8)
    ways = {
        way: running.is_short(RecommendRequest(users=["u1"], search=way)) for way in ("biased", "asymmetric")
    }
    assert ways == {"biased": True, "asymmetric": False}  # four planes of a float query


@pytest.mark.parametrize(("index_recall", "is_short"), [(1.0, False), (0.2, True)])
def test_a_search_in_lists_counts_the_lists_that_it_reads(
    index_recall: float,
    is_short: bool,
    tmp_path: Path,
    open_client: Any,
    service: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = random_state(20, 3000, rng=3)
    save_state(state, tmp_path / "v1")
    monkeypatch.setattr("hashgnn.index.build.SCAN_LIMIT", 1000)
    monkeypatch.setattr("hashgnn.serving.models.service._SHORT_BYTES", state.n_items * state.n_bits // 16)
    for client in open_client(ServiceSettings(model=tmp_path / "v1", watch=0, index_recall=index_recall)):
        running = service(client)
        assert running.is_short(RecommendRequest(users=["u1"], search="biased")) is is_short
        assert not running.is_short(RecommendRequest(users=["u1"], search="float"))
