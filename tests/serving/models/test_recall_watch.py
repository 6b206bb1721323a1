"""Answered lists are searched exactly in the background: within bounds, and a bad index shows."""

from __future__ import annotations

import dataclasses
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from hashgnn.answering import FittedModel
from hashgnn.index import InvertedFile
from hashgnn.ranking import CandidateFilter
from hashgnn.serving import ServiceSettings
from hashgnn.serving.models.popularity_shift import LEAST, PopularityShift, jensen_shannon
from hashgnn.serving.models.recall_watch import CAPACITY, RecallWatch, Sample, share_found
from hashgnn.serving.models.watch_metrics import WatchMetrics
from hashgnn.state import IndexedCodes, ModelState, save_state
from hashgnn.testing.states import random_state


class Version:
    def __init__(self, state: ModelState) -> None:
        self.fitted = FittedModel(state)
        self.shift = PopularityShift(self.fitted.popularity)


@pytest.fixture(scope="module")
def version() -> Version:
    return Version(random_state())


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


Offer = Callable[..., None]


@pytest.fixture
def offer(version: Version) -> Offer:
    """Answer the first users and offer the answer."""

    def offered(watch: RecallWatch, search: str = "biased", **queries: Any) -> None:
        asked = version.fitted.queries_of_users(np.arange(3), **queries)
        options = version.fitted.items_for_users.options(5, search)
        candidates = CandidateFilter(block_per_query=asked.seen)
        found = version.fitted.recommend(asked, options, candidates)
        watch.offer(version, asked, options, candidates, found)

    return offered


def wait_for(true: Callable[[], Any], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, f"not so after {seconds} seconds"
        time.sleep(0.01)


def test_sampling_is_bounded_however_many_requests_come(registry: CollectorRegistry, offer: Offer) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(sample: Sample, metrics: WatchMetrics) -> None:
        begun.set()
        go_on.wait(120)

    watch = RecallWatch(1.0, 1.0, WatchMetrics(registry), slow)
    offer(watch)
    assert begun.wait(120)
    for _ in range(300):  # while the first one is still being searched
        offer(watch)
    assert watch.waiting == CAPACITY
    dropped = registry.get_sample_value("hashgnn_recall_samples_total", {"outcome": "dropped"})
    assert dropped == 300 - CAPACITY
    go_on.set()
    measured = lambda: registry.get_sample_value("hashgnn_recall_samples_total", {"outcome": "measured"})  # noqa: E731
    wait_for(lambda: measured() == CAPACITY + 1)
    watch.close()
    offer(watch)
    assert watch.waiting == 0


def test_the_pause_after_a_search_keeps_the_share_of_a_processor(
    registry: CollectorRegistry, offer: Offer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(sample: Sample, metrics: WatchMetrics) -> None:
        end = time.process_time() + 0.003
        while time.process_time() < end:
            pass

    watch = RecallWatch(1.0, 0.02, WatchMetrics(registry), work)
    pauses: list[float] = []
    monkeypatch.setattr(watch._ending, "wait", pauses.append)
    for _ in range(3):
        offer(watch)
    wait_for(lambda: len(pauses) == 3)
    watch.close()
    used = registry.get_sample_value("hashgnn_recall_cpu_seconds_total")
    assert used is not None
    assert used >= 0.009
    assert sum(pauses) == pytest.approx(used * 49)  # 2 % work, 98 % pause


def test_a_search_that_fails_does_not_end_the_watch(registry: CollectorRegistry, offer: Offer) -> None:
    calls: list[int] = []

    def fails(sample: Sample, metrics: WatchMetrics) -> None:
        calls.append(len(calls))
        if len(calls) < 3:
            raise RuntimeError("a mistake")

    watch = RecallWatch(1.0, 1.0, WatchMetrics(registry), fails)
    for _ in range(3):
        offer(watch)
    wait_for(lambda: len(calls) == 3)
    watch.close()
    assert registry.get_sample_value("hashgnn_recall_samples_total", {"outcome": "failed"}) == 2


def test_so_many_requests_are_sampled_as_the_rate_says(registry: CollectorRegistry, offer: Offer) -> None:
    seen: list[Sample] = []
    watch = RecallWatch(0.25, 1.0, WatchMetrics(registry), lambda sample, metrics: seen.append(sample))
    watch._random = random.Random(4)
    for _ in range(400):
        offer(watch)
        wait_for(lambda: not watch.waiting)
    watch.close()
    assert 70 <= len(seen) <= 130
    off = RecallWatch(0.0, 1.0, WatchMetrics(CollectorRegistry()), lambda sample, metrics: seen.clear())
    for _ in range(50):
        offer(off)
    assert off.waiting == 0
    assert seen


def test_a_row_of_an_answer_is_measured_with_its_own_filter(
    registry: CollectorRegistry, version: Version
) -> None:
    kept: list[Sample] = []
    watch = RecallWatch(1.0, 1.0, WatchMetrics(registry), lambda sample, metrics: kept.append(sample))
    asked = version.fitted.queries_of_users(np.array([-1, 4, -1, 7]), on_unknown="popular")
    options = version.fitted.items_for_users.options(5, "biased")
    candidates = CandidateFilter(block_per_query=asked.seen)
    found = version.fitted.recommend(asked, options, candidates)
    for _ in range(40):
        watch.offer(version, asked, options, candidates, found)  # type: ignore[arg-type]
        wait_for(lambda: not watch.waiting)
    watch.close()
    lists = {tuple(sample.positions.tolist()) for sample in kept}
    assert lists == {
        tuple(found.lists()[1]),
        tuple(found.lists()[3]),
    }  # popular rows are searched by no index
    for sample in kept:
        again = version.fitted.items_for_users.search(sample.entity, options, sample.candidates)
        assert again.lists() == [sample.positions.tolist()]


def test_a_tied_item_counts_as_found() -> None:
    scores = np.array([5.0, 3.0, 3.0, 3.0, -np.inf, 1.0])
    assert share_found(scores, np.array([0, 3]), 2) == 1.0
    assert share_found(scores, np.array([0, 5]), 2) == 0.5
    assert share_found(scores, np.array([4]), 2) == 0.0
    assert share_found(np.full(3, -np.inf), np.array([], np.int64), 2) is None
    assert share_found(scores, np.array([0, 1, 2, 3, 5]), 6) == 1.0  # fewer candidates than k


# --- the service ----------------------------------------------------------------------------------------------


def in_lists(n_probe: int) -> ModelState:
    """A model of many items in lists, of which a search reads few."""
    state = random_state(40, 4000, n_bits=64, dim=8, density=0.005, rng=1)
    index = InvertedFile(state.items.codes, state.items.bias, n_lists=64, n_probe=n_probe)
    codes = IndexedCodes(index)
    items = dataclasses.replace(state.items, codes=codes, bias=codes.bias)
    return dataclasses.replace(state, items=items, index_recall=0.9)


def watching(folder: Path, open_client: Any, **settings: Any) -> Iterator[httpx.Client]:
    options = {"watch": 0, "recall_sample": 1.0, "recall_cpu": 1.0, **settings}
    yield from open_client(ServiceSettings(model=folder, **options))


def metrics_of(client: httpx.Client) -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def measured(client: httpx.Client) -> float:
    return metrics_of(client).get('hashgnn_recall_samples_total{outcome="measured"}', 0)


def ask(client: httpx.Client, **body: Any) -> Any:
    """Ask for recommendations, and wait until a sample of the answer has been measured."""
    before = measured(client)
    answer = client.post("/v1/recommend", json=body)
    assert answer.status_code == 200
    wait_for(lambda: measured(client) == before + 1)
    return answer.json()["results"]


def mean_of(client: httpx.Client, name: str, search: str) -> float:
    found = metrics_of(client)
    labels = f'{{search="{search}"}}'
    return found[f"{name}_sum{labels}"] / found[f"{name}_count{labels}"]


@pytest.mark.parametrize(("n_probe", "low", "high"), [(1, 0.0, 0.6), (64, 1.0, 1.0)])
def test_an_index_that_reads_too_few_lists_shows(
    tmp_path: Path, open_client: Any, n_probe: int, low: float, high: float
) -> None:
    save_state(in_lists(n_probe), tmp_path / "v1")
    for client in watching(tmp_path / "v1", open_client):
        for place in range(30):
            ask(client, users=[f"u{place}"], k=10, search="biased")
        assert low <= mean_of(client, "hashgnn_index_recall", "biased") <= high


def test_agreement_with_floats_is_that_of_the_lists(model_folder: Path, open_client: Any) -> None:
    for client in watching(model_folder, open_client):
        shares = []
        for place in range(12):
            lists = {}
            for search in ("hamming", "float"):
                (row,) = ask(client, users=[f"u{place}"], k=5, search=search)
                lists[search] = {item["id"] for item in row["items"]}
            shares.append(len(lists["hamming"] & lists["float"]) / 5)
        assert mean_of(client, "hashgnn_float_agreement", "hamming") == pytest.approx(np.mean(shares))
        assert mean_of(client, "hashgnn_index_recall", "hamming") == 1.0  # a scan is exact
        assert not [
            name for name in metrics_of(client) if "index_recall" in name and 'search="float"' in name
        ]


@pytest.mark.parametrize("search", ["hamming", "biased", "asymmetric", "hierarchical"])
def test_a_scan_is_found_to_be_exact_by_every_way(model_folder: Path, open_client: Any, search: str) -> None:
    for client in watching(model_folder, open_client):
        for place in range(8):
            ask(client, users=[f"u{place}"], k=7, search=search, block=["i3"], oversampling=2)
        assert mean_of(client, "hashgnn_index_recall", search) == 1.0


def test_ids_that_the_model_does_not_know_are_counted(
    model_folder: Path, tmp_path: Path, open_client: Any
) -> None:
    settings = ServiceSettings(model=model_folder, interactions=tmp_path / "events.db", watch=0)
    for client in open_client(settings):
        client.post("/v1/recommend", json={"users": ["u1", "nobody", "u2"]})
        client.post("/v1/recommend", json={"histories": [["i1", "gone"], ["gone", "lost"]]})
        client.post("/v1/similar-items", json={"items": ["i1", "gone"]})
        client.post("/v1/explain", json={"user": "nobody", "items": ["i1"]})
        client.post("/v1/encode", json={"histories": [["i1", "gone"]]})
        rows = [{"user": "u1", "item": "i1"}, {"user": "new", "item": "a novelty"}]
        for _ in range(2):
            headers = {"Idempotency-Key": "once"}
            client.post("/v1/interactions", json={"interactions": rows}, headers=headers)
        found = metrics_of(client)
        counts = {
            (side, route, known): found.get(
                f'hashgnn_ids_total{{known="{known}",route="/v1/{route}",side="{side}"}}', 0
            )
            for side in ("user", "item")
            for route in ("recommend", "similar-items", "explain", "encode", "interactions")
            for known in ("yes", "no")
        }
        expected = {
            ("user", "recommend", "yes"): 2, ("user", "recommend", "no"): 1,
            ("item", "recommend", "yes"): 1, ("item", "recommend", "no"): 3,
            ("item", "similar-items", "yes"): 1, ("item", "similar-items", "no"): 1,
            ("user", "explain", "no"): 1, ("item", "explain", "yes"): 1,
            ("item", "encode", "yes"): 1, ("item", "encode", "no"): 1,
            ("user", "interactions", "yes"): 1, ("user", "interactions", "no"): 1,
            ("item", "interactions", "yes"): 1, ("item", "interactions", "no"): 1,
        }  # fmt: skip
        assert {key: count for key, count in counts.items() if count} == expected
        assert found["hashgnn_interactions_repeated_total"] == 1


def test_interactions_that_differ_from_the_training_shift(
    model_folder: Path, tmp_path: Path, open_client: Any
) -> None:
    name = 'hashgnn_popularity_shift{of="recorded"}'
    for client in open_client(
        ServiceSettings(model=model_folder, interactions=tmp_path / "events.db", watch=0)
    ):
        row = {"user": "u1", "item": "a novelty"}
        client.post("/v1/interactions", json={"interactions": [row] * (LEAST - 1)})
        assert name not in metrics_of(client)  # too few to say
        client.post("/v1/interactions", json={"interactions": [row]})
        assert metrics_of(client)[name] == pytest.approx(1.0)


def test_the_age_of_the_model_is_since_it_was_made_and_since_it_was_opened(
    client: httpx.Client, service: Any
) -> None:
    version = service(client).active.current
    found = metrics_of(client)
    now = time.time()
    assert found["hashgnn_model_age_seconds"] == pytest.approx(now - version.created_seconds, abs=60)
    assert found["hashgnn_model_loaded_age_seconds"] == pytest.approx(now - version.loaded, abs=60)
    object.__setattr__(version, "loaded", version.loaded - 1000)
    service(client)._publish_versions()
    assert metrics_of(client)["hashgnn_model_loaded_age_seconds"] >= 1000


# --- the shift of popularity ----------------------------------------------------------------------------------


def test_groups_have_equal_shares_of_the_training() -> None:
    popularity = np.random.default_rng(0).zipf(1.5, 5000).clip(max=2000)
    shift = PopularityShift(popularity)
    mass = np.bincount(shift._group[:-1], weights=popularity) / popularity.sum()
    assert len(mass) == 20
    assert mass == pytest.approx(np.full(20, 0.05), abs=0.03)
    head = shift._group[:-1][np.argsort(-popularity, kind="stable")]
    assert (np.diff(head) >= 0).all()


def test_items_drawn_as_in_training_are_near_and_others_are_far() -> None:
    rng = np.random.default_rng(0)
    popularity = rng.integers(1, 100, 1000)
    drawn = rng.choice(1000, 3000, p=popularity / popularity.sum())
    shift = PopularityShift(popularity)
    assert shift.distance("served") is None
    shift.count("served", drawn)
    near = shift.distance("served")
    assert near is not None
    assert near < 0.07
    shift.count("recorded", np.argsort(popularity)[rng.integers(0, 100, 3000)])  # of the least popular
    far = shift.distance("recorded")
    assert far is not None
    assert far > 0.6


def test_what_is_long_ago_weighs_little() -> None:
    shift = PopularityShift(np.ones(100, np.int64))
    shift.count("recorded", np.full(9_000, -1))
    for _ in range(20):
        shift.count("recorded", np.arange(100).repeat(100))
    now = shift.distance("recorded")
    assert now is not None
    assert now < 0.05


def test_the_distance_is_that_of_scipy() -> None:
    from scipy.spatial.distance import jensenshannon

    p, q = np.random.default_rng(0).dirichlet(np.ones(21), 2)
    p[3] = 0
    p /= p.sum()
    assert jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q, base=2))


@pytest.mark.parametrize("popularity", [np.zeros(0, np.int64), np.zeros(5, np.int64), np.ones(1, np.int64)])
def test_a_catalogue_without_interactions_has_a_shift_too(popularity: np.ndarray) -> None:
    shift = PopularityShift(popularity)
    shift.count("recorded", np.full(LEAST, -1))
    found = shift.distance("recorded")
    assert found is not None
    assert 0 <= found <= 1


def test_names_of_metrics_are_of_the_service(client: httpx.Client) -> None:
    text = client.get("/metrics").text
    for name in ("index_recall", "float_agreement", "recall_samples_total", "ids_total", "popularity_shift"):
        assert re.search(rf"^# HELP hashgnn_{name} ", text, re.MULTILINE), name
