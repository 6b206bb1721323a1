"""Everything public survives pickle, copies, and the ways of multiprocessing; or refuses in one sentence."""

from __future__ import annotations

import copy
import io
import mmap
import multiprocessing
import pickle
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.sending.objects import (
    REFUSED,
    answer_of_inherited,
    answer_of_sent,
    answers,
    covers,
    objects,
    public_classes,
)
from tests.servers import store_url

from hashgnn import HashGNN
from hashgnn.errors import ParameterError
from hashgnn.index import (
    FaissBinaryHNSW,
    HammingIndex,
    InvertedFile,
    MutableIndex,
    TorchHammingIndex,
    load_index,
)
from hashgnn.serving.store import InteractionStore
from hashgnn.state import load_state, save_state
from hashgnn.testing.states import random_state

NAMES = tuple(objects())
SECONDS = 120  # a lost answer is a failure, never a hang


def _out_of_band(value: Any) -> Any:
    """Send the bytes of arrays beside the pickle, read-only, as Dask and Ray do."""
    buffers: list[pickle.PickleBuffer] = []
    sent = pickle.dumps(value, 5, buffer_callback=buffers.append)
    return pickle.loads(sent, buffers=[bytes(buffer.raw()) for buffer in buffers])


WAYS: dict[str, Callable[[Any], Any]] = {
    "pickle 2": lambda value: pickle.loads(pickle.dumps(value, 2)),
    "pickle highest": lambda value: pickle.loads(pickle.dumps(value, pickle.HIGHEST_PROTOCOL)),
    "pickle 5 with read-only buffers": _out_of_band,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "copy of a copy": lambda value: copy.deepcopy(pickle.loads(pickle.dumps(value))),
}


@pytest.fixture(scope="module", autouse=True)
def _objects_end() -> Iterator[None]:
    yield
    objects.cache_clear()


@pytest.fixture(scope="module")
def spawned() -> Iterator[Any]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        yield pool


@pytest.fixture(scope="module")
def forked() -> Iterator[Any]:
    objects()  # before the fork
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads exist: of NumPy, of Arrow
        pool = multiprocessing.get_context("fork").Pool(1)
    with pool:
        yield pool


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NAMES)
def test_a_copy_answers_as_the_original(name: str, way: str) -> None:
    value = objects()[name]
    assert answers(WAYS[way](value)) == answers(value)


def test_joblib_keeps_every_object_and_its_workers_get_it(tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib")
    for name, value in objects().items():
        file = io.BytesIO()
        joblib.dump(value, file)
        file.seek(0)
        assert answers(joblib.load(file)) == answers(value), name
    # Arrays above ``max_nbytes`` reach the workers as mapped files.
    run = joblib.Parallel(n_jobs=2, max_nbytes=64, temp_folder=tmp_path)
    found = run(joblib.delayed(answer_of_sent)(value) for value in objects().values())
    assert found == [answers(value) for value in objects().values()]


@pytest.mark.parametrize("name", NAMES)
def test_a_spawned_process_answers_as_this_one(name: str, spawned: Any) -> None:
    value = objects()[name]
    assert spawned.apply_async(answer_of_sent, (value,)).get(SECONDS) == answers(value)


@pytest.mark.parametrize("name", NAMES)
def test_a_forked_process_answers_as_this_one(name: str, forked: Any) -> None:
    value = objects()[name]
    assert forked.apply_async(answer_of_inherited, (name,)).get(SECONDS) == answers(value)
    assert forked.apply_async(answer_of_sent, (value,)).get(SECONDS) == answers(value)


def test_every_public_class_is_in_the_table() -> None:
    made = list(objects().values())
    missing = [cls for cls in public_classes() if not any(covers(value, cls) for value in made)]
    assert {cls.__name__ for cls in missing} == REFUSED


def test_an_error_of_a_worker_arrives(spawned: Any) -> None:
    with pytest.raises(ParameterError, match="k must be an integer >= 1, got 0"):
        spawned.apply_async(_search_nothing).get(SECONDS)


def _search_nothing() -> None:
    state = random_state()
    HammingIndex(state.items.codes).search(state.users.codes, 0)


@pytest.mark.parametrize("name", [name for name in NAMES if isinstance(objects()[name], MutableIndex)])
def test_a_copy_of_an_index_changes_alone(name: str) -> None:
    original = objects()[name]
    before = answers(original)
    for copied in (copy.copy(original), copy.deepcopy(original), pickle.loads(pickle.dumps(original))):
        copied.remove([0])
        assert not copied.alive()[0]
    assert answers(original) == before


def test_what_was_mapped_is_sent_by_value(tmp_path: Path) -> None:
    save_state(random_state(rng=1), tmp_path / "model")
    model = HashGNN.from_state(load_state(tmp_path / "model"))
    expected, sent = answers(model), pickle.dumps(model)
    save_state(random_state(rng=2), tmp_path / "model", overwrite=True)
    assert answers(pickle.loads(sent)) == expected
    shutil.rmtree(tmp_path / "model")
    assert answers(pickle.loads(sent)) == expected


def test_a_mapped_index_is_sent_by_value(tmp_path: Path) -> None:
    codes = random_state(item_ids=300).items.codes
    InvertedFile(codes, n_lists=8).save(tmp_path / "index")
    sent = pickle.dumps(load_index(tmp_path / "index"))
    (tmp_path / "index").unlink()
    assert pickle.loads(sent).codes() == codes


def test_no_mapped_array_shows_its_file_to_joblib(tmp_path: Path) -> None:
    # joblib sends an ``np.memmap``, and views of one, by path and offset: a worker would read what is there then.
    save_state(random_state(), tmp_path / "model")
    state = load_state(tmp_path / "model")
    segments = state.items.index.snapshot().segments  # type: ignore[union-attr]
    for array in (
        state.users.codes.packed,
        state.users.embeddings,
        state.seen.indices,
        state.users.ids.ids,
        segments[0].words,
        segments[0].penalty,
    ):
        owner: Any = array
        while owner is not None:
            assert not isinstance(owner, np.memmap | mmap.mmap)
            owner = getattr(owner, "base", None)


def test_caches_are_left_behind() -> None:
    fresh = HashGNN.from_state(random_state())
    size = len(pickle.dumps(fresh))
    answers(fresh)
    assert len(pickle.dumps(fresh)) < 1.2 * size + 4000


def test_codes_and_bias_of_a_copied_side_stay_in_their_index(tmp_path: Path) -> None:
    save_state(random_state(), tmp_path / "model")
    copied = pickle.loads(pickle.dumps(load_state(tmp_path / "model")))
    assert copied.items.index is copied.items.codes.index
    assert HashGNN.from_state(copied)._model.item_index is copied.items.index  # type: ignore[union-attr]


def test_received_words_begin_on_a_cache_line() -> None:
    index = pickle.loads(pickle.dumps(HammingIndex(random_state(item_ids=300).items.codes)))
    assert all(segment.words.ctypes.data % 64 == 0 for segment in index.snapshot().segments)


@pytest.mark.parametrize("kind", [FaissBinaryHNSW, TorchHammingIndex])
def test_an_index_of_another_library_refuses(kind: Any) -> None:
    pytest.importorskip("faiss" if kind is FaissBinaryHNSW else "torch")
    options = {} if kind is FaissBinaryHNSW else {"device": "cpu"}
    index = kind(random_state(item_ids=300).items.codes, **options)
    sentence = f"a {kind.__name__} cannot be copied or sent to another process; send the codes"
    for send in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(ParameterError, match=sentence):
            send(index)


@pytest.mark.parametrize("kind", ["file", "server"])
def test_a_store_refuses(tmp_path: Path, kind: str) -> None:
    store = InteractionStore.open(tmp_path / "store.db" if kind == "file" else store_url())
    try:
        for send in (pickle.dumps, copy.deepcopy):
            with pytest.raises(ParameterError, match="open its path or address there"):
                send(store)
    finally:
        store.close()


def test_read_only_arrays_stay_read_only() -> None:
    state = pickle.loads(pickle.dumps(random_state(item_ids=[3, 1, 2])))
    for array in (state.items.ids.ids, state.items.codes.packed, state.items.bias.penalty):
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            array[0] = np.uint8(1)


def test_the_rows_of_sent_interactions_stay_read_only() -> None:
    sent = pickle.loads(pickle.dumps(objects()["Interactions"]))
    assert not any(array.flags.writeable for array in (sent.user_index, sent.item_index, sent.weight))
