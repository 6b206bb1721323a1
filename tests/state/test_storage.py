from __future__ import annotations

import errno
import mmap
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ArtifactDamagedError, ArtifactError, ParameterError, StorageError
from hashgnn.index import HammingIndex
from hashgnn.state import ModelState, artifact, load_state, save_state
from hashgnn.testing.states import random_state


def assert_same(one: ModelState, other: ModelState) -> None:
    assert one.config == other.config
    for side, expected in ((one.users, other.users), (one.items, other.items)):
        assert side.ids.ids.tolist() == expected.ids.ids.tolist()
        assert side.codes == expected.codes
        np.testing.assert_array_equal(side.embeddings, expected.embeddings)
    assert (one.items.bias is None) == (other.items.bias is None)
    if one.items.bias is not None and other.items.bias is not None:
        np.testing.assert_array_equal(one.items.bias.values(), other.items.bias.values())
    np.testing.assert_array_equal(one.seen.toarray(), other.seen.toarray())
    history = one.seen[:3]
    np.testing.assert_array_equal(
        one.projection.users(one.fold_in.users(history)), other.projection.users(other.fold_in.users(history))
    )
    assert (one.data_statistics, one.metrics, one.training) == (
        other.data_statistics,
        other.metrics,
        other.training,
    )


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("item_bias", [True, False])
def test_a_state_is_read_back_equal(tmp_path: Path, mmap: bool, item_bias: bool) -> None:
    state = random_state(item_bias=item_bias)
    save_state(state, tmp_path / "v1")
    assert_same(load_state(tmp_path / "v1", mmap=mmap), state)


def test_a_mapped_state_reads_its_tables_from_the_files(tmp_path: Path) -> None:
    save_state(random_state(), tmp_path / "v1")
    state = load_state(tmp_path / "v1")

    def maps_a_file(array: Any) -> bool:
        while isinstance(array, np.ndarray | memoryview):
            array = array.base if isinstance(array, np.ndarray) else array.obj
        return isinstance(array, mmap.mmap)

    for table in (
        state.users.embeddings,
        state.items.embeddings,
        state.users.codes.packed,
        state.seen.indices,
        state.seen.indptr,
    ):
        assert maps_a_file(table)
        assert not table.flags.writeable
    assert not maps_a_file(load_state(tmp_path / "v1", mmap=False).items.embeddings)


def test_item_codes_are_searched_where_they_lie_in_the_file(tmp_path: Path) -> None:
    state = random_state(5, 3000, n_bits=16)
    save_state(state, tmp_path / "v1")
    loaded = load_state(tmp_path / "v1")
    assert isinstance(loaded.items.index, HammingIndex)
    segment = loaded.items.index.snapshot().segments[0]
    for array in (segment.words, segment.penalty):
        assert not array.flags.owndata
        assert not array.flags.writeable
    assert "_all" not in vars(loaded.items.codes)
    rows = np.array([2999, 0, 7])
    assert loaded.items.codes[rows] == state.items.codes[rows]
    assert loaded.items.codes[::500] == state.items.codes[::500]
    assert "_all" not in vars(loaded.items.codes)  # some rows were unpacked, not all
    assert loaded.items.codes == state.items.codes
    with pytest.raises(ParameterError, match=r"got 3; use codes\[3:4\]"):
        loaded.items.codes[3]


def test_other_codes_or_another_bias_leave_the_index_behind(tmp_path: Path) -> None:
    save_state(random_state(5, 9, n_bits=16), tmp_path / "v1")
    items = load_state(tmp_path / "v1").items
    assert items.index is not None
    assert replace(items, codes=items.codes[:]).index is None
    assert replace(items, bias=items.bias[:]).index is None


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_damage_to_any_file_is_an_error(data: st.DataObject, saved: Path) -> None:
    name = data.draw(st.sampled_from(sorted(file.name for file in saved.iterdir())))
    whole = (saved / name).read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    cut = data.draw(st.booleans())
    flipped = bytes([whole[at] ^ data.draw(st.integers(1, 255))])
    try:
        (saved / name).write_bytes(whole[:at] if cut else whole[:at] + flipped + whole[at + 1 :])
        with pytest.raises(ArtifactError) as caught:
            load_state(saved, verify=True)
        assert str(caught.value).startswith(f"{saved}: ")
        assert "\n" not in str(caught.value)
        with suppress(ArtifactError):  # sizes alone cannot tell; but whatever fails must fail clearly
            load_state(saved)
    finally:
        (saved / name).write_bytes(whole)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "v1"
    save_state(random_state(6, 7, n_bits=8, dim=2), path)
    return path


def test_a_file_swapped_for_that_of_another_model_is_an_error(tmp_path: Path) -> None:
    save_state(random_state(rng=1), tmp_path / "v1")
    save_state(random_state(rng=2), tmp_path / "v2")
    shutil.copy(tmp_path / "v2" / "item_index.hgx", tmp_path / "v1")
    with pytest.raises(ArtifactDamagedError, match=r"checksum of item_index\.hgx does not match"):
        load_state(tmp_path / "v1", verify=True)


def test_parts_that_do_not_fit_together_are_an_error_even_with_right_checksums(tmp_path: Path) -> None:
    path = tmp_path / "v1"
    save_state(random_state(5, 9, n_bits=16), path)
    document = artifact.open_artifact(path).document
    with artifact.write_artifact(tmp_path / "v2", document) as folder:
        for file in path.iterdir():
            if file.name != artifact.MANIFEST:
                shutil.copy(file, folder)
        codes = BinaryCodes(np.zeros((8, 2), np.uint8))
        HammingIndex(codes, ItemBias(np.zeros(8, np.uint8), 0.0)).save(folder / "item_index.hgx")
    with pytest.raises(
        ArtifactDamagedError, match="codes must have one row per id, 9, got 8; the folder was"
    ):
        load_state(tmp_path / "v2")
    with artifact.write_artifact(
        tmp_path / "v3", {**document, "config": {"n_bits": 16, "colour": 1}}
    ) as folder:
        for file in path.iterdir():
            if file.name != artifact.MANIFEST:
                shutil.copy(file, folder)
    with pytest.raises(ArtifactDamagedError, match="colour is not a setting"):
        load_state(tmp_path / "v3")


def changed(state: ModelState, **parts: Any) -> ModelState:
    """Return a state with other parts: ``seen``, ``users__codes`` and so on."""
    for name, part in parts.items():
        side, _, field = name.partition("__")
        state = replace(state, **{side: replace(getattr(state, side), **{field: part}) if field else part})
    return state


def test_a_state_whose_parts_do_not_fit_is_refused() -> None:
    state = random_state(5, 9, n_bits=16, dim=4)
    short = BinaryCodes(np.zeros((8, 2), np.uint8))
    for parts, said in (
        ({"items__codes": short}, "codes must have one row per id, 9, got 8"),
        (
            {"users__codes": BinaryCodes(np.zeros((5, 1), np.uint8))},
            "n_bits of users.codes must be 16, got 8",
        ),
        ({"items__bias": None}, "presence of items.bias must be True, got False"),
        ({"users__bias": ItemBias(np.zeros(5, np.uint8), 0.0)}, "users.bias must be None: only items have"),
        ({"items__bias": ItemBias(np.zeros(3, np.uint8), 0.0)}, "bias must have one value per id, 9, got 3"),
        ({"users__embeddings": np.zeros((5, 3), np.float32)}, "width of users.embeddings must be 4, got 3"),
        (
            {"items__embeddings": np.zeros((8, 4), np.float32)},
            r"embeddings must have one row per id, 9, got \(8",
        ),
        ({"items__embeddings": np.zeros((9, 4))}, "embeddings must have dtype float32, got float64"),
        ({"seen": state.seen[:4]}, r"shape of seen must be \(5, 9\), got \(4, 9\)"),
    ):
        with pytest.raises(ParameterError, match=said):
            changed(state, **parts)


@pytest.mark.parametrize(
    ("indptr", "indices", "said"),
    [
        ([0, 2, 2, 4], [0, 1, 5, 6], "columns of seen must be in"),
        ([0, 2, 2, 4], [1, 0, 2, 3], "columns of seen must ascend in each row"),
        ([0, 2, 2, 4], [1, 1, 2, 3], "columns of seen must ascend in each row"),
        ([0, 3, 2, 4], [0, 1, 2, 3], "row pointers of seen must ascend"),
        ([0, 196, 1 - 2**31, 0], [], "row pointers of seen must ascend"),  # its steps do not fit 32 bits
    ],
)
def test_broken_seen_lists_are_refused(indptr: list[int], indices: list[int], said: str) -> None:
    state = random_state(3, 6, n_bits=8)
    seen = state.seen.copy()
    seen.indptr, seen.indices = np.array(indptr, np.int32), np.array(indices, np.int32)
    seen.data = np.ones(len(indices), np.float32)
    with pytest.raises(ParameterError, match=said):
        changed(state, seen=seen)
    seen.indptr, seen.indices = np.array([0, 2, 2, 4], np.int32), np.array([4, 5, 0, 1], np.int32)
    seen.data = np.ones(4, np.float32)
    assert changed(state, seen=seen).seen[2].indices.tolist() == [0, 1]


def test_a_state_with_nan_is_not_saved(tmp_path: Path) -> None:
    state = random_state()
    table = state.items.embeddings.copy()
    table[3, 1] = np.nan
    with pytest.raises(ParameterError, match="items.embeddings must be finite, got NaN or infinity in row 3"):
        save_state(changed(state, items__embeddings=table), tmp_path / "v1")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_at_any_write_leaves_the_old_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = random_state(rng=1), random_state(rng=2)
    save_state(old, tmp_path / "v1")
    real = os.fsync

    def save_with_failure_at(fails_at: int) -> tuple[int, bool]:
        """Return the number of calls that sync to the disk, and whether the save failed."""
        n_calls = 0

        def fsync(descriptor: int) -> None:
            nonlocal n_calls
            n_calls += 1
            if n_calls == fails_at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fsync)
            try:
                save_state(new, tmp_path / "v1", overwrite=True)
            except StorageError:
                return n_calls, True
        return n_calls, False

    outcomes = []
    n_calls, _ = save_with_failure_at(0)
    for fails_at in range(1, n_calls + 1):
        save_state(old, tmp_path / "v1", overwrite=True)
        _, failed = save_with_failure_at(fails_at)
        assert [file.name for file in tmp_path.iterdir()] == ["v1"]
        assert_same(load_state(tmp_path / "v1"), old if failed else new)
        outcomes.append(failed)
    assert sum(outcomes) > 15


FULL_DISK = """
import resource, signal, sys
from hashgnn.state import save_state
from hashgnn.testing.states import random_state

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    save_state(random_state(rng=2), sys.argv[1], overwrite=True)
except BaseException as error:
    print(type(error).__name__, str(error))
"""


@pytest.mark.parametrize("n_bytes", [10, 200, 800, 1500])
def test_a_write_that_the_system_refuses_leaves_the_old_model(tmp_path: Path, n_bytes: int) -> None:
    state = random_state(rng=1)
    save_state(state, tmp_path / "v1")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "v1"), str(n_bytes)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(
        f"StorageError {tmp_path / 'v1'}: could not be written, File too large; nothing"
    )
    assert [file.name for file in tmp_path.iterdir()] == ["v1"]
    assert_same(load_state(tmp_path / "v1"), state)


SAVE_FOREVER = """
import sys
from hashgnn.state import save_state
from hashgnn.testing.states import random_state

states = [random_state(rng=seed) for seed in (1, 2)]
print("ready", flush=True)
while True:
    for state in states:
        save_state(state, sys.argv[1], overwrite=True)
"""


@pytest.mark.slow
def test_a_kill_during_save_leaves_one_of_the_two_models(tmp_path: Path) -> None:
    path = tmp_path / "v1"
    states = [random_state(rng=seed) for seed in (1, 2)]
    save_state(states[0], path)
    rng = np.random.default_rng(0)
    for _ in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", SAVE_FOREVER, str(path)], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            time.sleep(rng.uniform(0.0, 0.2))
            writer.send_signal(signal.SIGKILL)
        loaded = load_state(path)
        expected = [state for state in states if state.items.codes == loaded.items.codes]
        assert len(expected) == 1
        assert_same(loaded, expected[0])


def test_the_same_model_is_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = random_state()
    save_state(state, tmp_path / "first")
    moved = datetime(2031, 1, 1, tzinfo=UTC)
    later = type("later", (datetime,), {"now": classmethod(lambda cls, zone: moved)})
    monkeypatch.setattr(artifact, "datetime", later)
    for name, same in (("again", state), ("read", load_state(tmp_path / "first")), ("more", state)):
        save_state(same, tmp_path / name)
    expected = {file.name: file.read_bytes() for file in (tmp_path / "first").iterdir()}
    for name in ("again", "read", "more"):
        assert {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} == expected
