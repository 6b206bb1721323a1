"""Models, codes and indexes on the workers of Dask and of Ray, by value and by path."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.sending.objects import answer_of_sent, answers, objects

from hashgnn import HashGNN
from hashgnn.errors import ParameterError
from hashgnn.index import HammingIndex, load_index
from hashgnn.state import load_state, save_state
from hashgnn.testing.states import random_state

SECONDS = 120
Send = Callable[..., Any]  # calls a function on a worker and returns what it answers


def _dask() -> Iterator[Send]:
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own start
        cluster = distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
        )
        client = distributed.Client(cluster)
        try:
            yield lambda call, *given: client.submit(call, *given, pure=False).result(SECONDS)
        finally:
            client.close()
            cluster.close()


def _ray() -> Iterator[Send]:
    # Without these it listens on the address of the network and reports its use. RAY_AUTH_MODE is left as it is:
    # a process that changes it between two sessions loses the actors of the second.
    settings = {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }
    os.environ.update(settings)
    ray = pytest.importorskip("ray", reason="ray is not installed; it is the extra ray")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
        remote = ray.remote(_called)

        def send(call: Any, *given: Any) -> Any:
            # What is put into the object store comes out as read-only views of shared memory.
            return ray.get(remote.remote(call, *(ray.put(one) for one in given)), timeout=SECONDS)

        try:
            yield send
        finally:
            ray.shutdown()


def _called(call: Any, *given: Any) -> Any:
    return call(*given)


@pytest.fixture(scope="module", params=[_dask, _ray], ids=["dask", "ray"])
def send(request: pytest.FixtureRequest) -> Iterator[Send]:
    yield from request.param()


@pytest.fixture(scope="module", autouse=True)
def _objects_end() -> Iterator[None]:
    yield
    objects.cache_clear()


@pytest.mark.slow
def test_every_public_object_answers_on_a_worker_as_here(send: Send) -> None:
    for name, value in objects().items():
        assert send(answer_of_sent, value) == answers(value), name


@pytest.mark.slow
def test_what_a_worker_makes_comes_back(send: Send) -> None:
    model = HashGNN.from_state(random_state())
    users = model.user_ids[:5].tolist()
    found = send(_recommend, model, users)
    np.testing.assert_array_equal(found.ids, model.recommend(users, k=4).ids)
    state = random_state(rng=3)
    assert answers(send(HashGNN.from_state, state)) == answers(HashGNN.from_state(state))


@pytest.mark.slow
def test_a_model_and_an_index_open_on_a_worker_by_their_path(send: Send, tmp_path: Path) -> None:
    state = random_state(item_ids=300, n_bits=24)
    save_state(state, tmp_path / "model")
    index = HammingIndex(state.items.codes, state.items.bias)
    index.save(tmp_path / "index")
    expected = answers(HashGNN.load(tmp_path / "model"))
    assert send(_answer_of_path, tmp_path / "model") == expected
    assert send(_answer_of_path, str(tmp_path / "model")) == expected
    assert send(_answer_of_index, tmp_path / "index") == answers(load_index(tmp_path / "index"))


@pytest.mark.slow
def test_a_mapped_model_is_sent_by_value_and_not_by_its_file(send: Send, tmp_path: Path) -> None:
    save_state(random_state(rng=1), tmp_path / "model")
    model = HashGNN.from_state(load_state(tmp_path / "model"))
    expected = answers(model)
    save_state(random_state(rng=2), tmp_path / "model", overwrite=True)
    assert send(answer_of_sent, model) == expected


@pytest.mark.slow
def test_an_index_that_a_worker_received_can_be_changed_there(send: Send) -> None:
    index = HammingIndex(random_state(item_ids=300, n_bits=24).items.codes)
    before = answers(index)
    assert send(_removed, index) == (299, 300)
    assert answers(index) == before


@pytest.mark.slow
def test_an_error_of_a_worker_arrives_as_its_class(send: Send) -> None:
    with pytest.raises(ParameterError, match="k must be an integer >= 1, got 0"):
        send(_search_nothing, random_state())


def _recommend(model: HashGNN, users: list[Any]) -> Any:
    return model.recommend(users, k=4)


def _answer_of_path(path: Any) -> Any:
    return answers(HashGNN.load(path))


def _answer_of_index(path: Path) -> Any:
    return answers(load_index(path))


def _removed(index: Any) -> tuple[int, int]:
    index.remove([7])
    return int(index.alive().sum()), len(index.alive())


def _search_nothing(state: Any) -> None:
    HammingIndex(state.items.codes).search(state.users.codes, 0)
