"""A signal ends a command in order, with its sentence and exit code; a second one ends it at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashgnn.cli._output import Output
from hashgnn.cli._signals import Stopped, StopSignals, hangup_ends_as_sigterm, stop_explained
from hashgnn.serving.store import InteractionStore
from hashgnn.state import save_state
from hashgnn.testing.states import random_state

CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}
SAID = {"SIGINT": "interrupted", "SIGTERM": "stopped by SIGTERM", "SIGHUP": "stopped by SIGHUP"}
LONG = ["--set", "optimizer.epochs=2000", "--set", "optimizer.batch_size=32", "--threads", "1"]
Run = Callable[..., tuple[int, str, str]]
QUICK = ["--bits", "16", "--set", "embedding_dim=8", "--set", "teacher.rank=8", "--set", "teacher.k=5"]


def number_of(name: str) -> signal.Signals:
    return signal.Signals[name]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("signals")
    rng = np.random.default_rng(0)
    table = pa.table({"user_id": rng.integers(0, 60, 3000), "item_id": rng.integers(0, 50, 3000)})
    pq.write_table(table, place / "events.parquet")
    save_state(random_state(20, 30), place / "model")
    rows = "".join(f"u{n % 20},i{n % 30}\n" for n in range(60))
    (place / "test.csv").write_text(f"user_id,item_id\n{rows}")
    with InteractionStore.open(place / "store.db") as store:
        store.append(["u1"], ["i1"])
    return place


def start(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "hashgnn", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def stopped(
    process: subprocess.Popen[str], number: signal.Signals, ready: Callable[[], bool]
) -> tuple[int, str, str]:
    """Send a signal when a command is at work; return its exit code and what it printed."""
    with process:
        until = time.monotonic() + 120
        while process.poll() is None and not ready():
            assert time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(number)
        out, said = process.communicate(timeout=120)
    return process.returncode, out, said


@pytest.mark.parametrize("name", CODES)
def test_the_first_signal_raises_and_the_handlers_are_put_back(name: str) -> None:
    number = number_of(name)
    before = signal.getsignal(number)
    with pytest.raises(Stopped), StopSignals() as signals:
        signal.raise_signal(number)
    assert signal.getsignal(number) is before
    assert (signals.exit_code, signals.sentence) == (CODES[name], SAID[name])


@pytest.mark.parametrize("name", CODES)
def test_after_the_first_signal_the_next_one_has_its_default_action(name: str) -> None:
    with StopSignals():
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(number_of(name)) == signal.SIG_DFL


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            hangup_ends_as_sigterm()
            signal.raise_signal(signal.SIGHUP)
        assert signals.received is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_hangup_does_what_sigterm_does_where_a_command_asks_for_it() -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    hangup = signal.getsignal(signal.SIGHUP)
    try:
        hangup_ends_as_sigterm()
        signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGHUP, hangup)
    assert received == [signal.SIGTERM]


def test_what_is_kept_is_said_once_by_the_innermost_block(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(as_json=False, quiet=False)
    with (
        pytest.raises(KeyboardInterrupt),
        stop_explained(out, lambda: "outer"),
        stop_explained(out, lambda: "inner"),
    ):
        raise KeyboardInterrupt
    assert capsys.readouterr().err == "inner\n"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_fit_keeps_the_last_whole_epoch_and_says_so(folder: Path, tmp_path: Path, name: str) -> None:
    model = tmp_path / "v1"
    process = start("fit", folder / "events.parquet", "-o", model, *QUICK, *LONG)
    checkpoint = tmp_path / ".v1.checkpoint" / "checkpoint.safetensors"
    code, _, said = stopped(process, number_of(name), checkpoint.exists)
    assert (code, said.splitlines()[-2:]) == (
        CODES[name],
        [
            "the last whole epoch is kept; run the same command with --resume to continue",
            f"hashgnn: {SAID[name]}",
        ],
    )
    assert {path.name for path in tmp_path.iterdir()} == {".v1.checkpoint", "v1.log.jsonl"}
    assert [path.name for path in checkpoint.parent.iterdir()] == ["checkpoint.safetensors"]


@pytest.mark.slow
def test_a_second_fit_to_the_same_folder_is_told_who_is_at_work(folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "v1"
    words = ["fit", folder / "events.parquet", "-o", model, *QUICK, *LONG]
    with start(*words) as first:
        while first.poll() is None and not (tmp_path / ".v1.checkpoint" / "checkpoint.safetensors").exists():
            time.sleep(0.01)
        for more in ([], ["--resume"], ["--overwrite"]):
            with start(*words, *more) as second:
                said = second.communicate(timeout=120)[1]
            assert second.returncode == 2, said
            assert f"v1: process {first.pid} on " in said
            assert said.endswith("; wait until it has ended, or name another folder\n")
        assert first.poll() is None
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=120)
        assert first.returncode == 143


@pytest.mark.slow
def test_tune_says_that_the_trials_are_kept(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    recipe = tmp_path / "mine.toml"
    process = start("tune", folder / "events.parquet", "-o", recipe, *QUICK, *LONG)
    first_trial = tmp_path / "mine.tune" / "trials" / "0000.jsonl"
    code, _, said = stopped(process, signal.SIGTERM, first_trial.exists)
    assert (code, said.splitlines()[-2:]) == (
        143,
        [
            f"{tmp_path / 'mine.tune'}: keeps the trials that have ended; run the same command to continue",
            "hashgnn: stopped by SIGTERM",
        ],
    )
    assert [path.name for path in tmp_path.iterdir()] == ["mine.tune"]


@pytest.mark.parametrize(
    ("at_work", "words", "kept"),
    [
        (
            "hashgnn.recommender.HashGNN.recommend_all",
            ["recommend", "{0}/model", "--all", "-o", "{1}/all.parquet"],
            "{1}/all.parquet: is as it was; parts that are whole are kept; run the same command again to go on",
        ),
        (
            "hashgnn.recommender.HashGNN.recommend",
            ["recommend", "{0}/model", "--users", "u1", "-o", "{1}/list.csv"],
            "{1}/list.csv: is as it was; run the same command again",
        ),
        (
            "hashgnn.recommender.HashGNN.recommend",
            ["recommend", "{0}/model", "--users", "u1"],
            "nothing was printed; run the same command again",
        ),
        (
            "hashgnn.evaluation.evaluate",
            ["evaluate", "{0}/model", "--test", "{0}/test.csv", "--k", "5"],
            "nothing was measured to the end; run the same command again",
        ),
        (
            "hashgnn.benchmarking.benchmark_search",
            ["benchmark", "search", "--items", "1000", "--peers", "none"],
            "nothing was measured to the end; run the same command again",
        ),
        (
            "hashgnn.benchmarking.quality.compare_quality",
            [
                "benchmark",
                "quality",
                "--data",
                "a={0}/test.csv,{0}/test.csv",
                "--methods",
                "default",
                "-o",
                "{0}",
            ],
            "{0}: keeps the cells that are measured; run the same command to continue",
        ),
        (
            "hashgnn.cli._demo.run.run_demo",
            ["demo", "--offline", "-o", "{1}/demo"],
            "the demo has not ended; run the same command again",
        ),
        (
            "hashgnn.recommender.HashGNN.update",
            ["update", "{0}/model", "{0}/test.csv", "-o", "{1}/v2"],
            "no epoch had ended, and nothing is kept; run the same command again",
        ),
        (
            "hashgnn.serving.store.sqlite_store.SQLiteStore.export",
            ["interactions", "export", "{0}/store.db", "-o", "{1}/new.parquet"],
            "{1}/new.parquet: is as it was; run the same command again",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
@pytest.mark.parametrize("name", CODES)
def test_other_commands_say_how_to_go_on(
    folder: Path,
    tmp_path: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    at_work: str,
    words: list[str],
    kept: str,
    name: str,
) -> None:
    monkeypatch.setattr(at_work, lambda *args, **options: signal.raise_signal(number_of(name)))
    before = signal.getsignal(number_of(name))
    code, out, said = run(*(word.format(folder, tmp_path) for word in words))
    assert (code, out) == (CODES[name], "")
    assert said.splitlines()[-2:] == [kept.format(folder, tmp_path), f"hashgnn: {SAID[name]}"]
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(number_of(name)) is before


@pytest.mark.parametrize("name", CODES)
def test_with_debug_the_exit_code_is_the_same(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(
        "hashgnn.recommender.HashGNN.recommend", lambda *_, **__: signal.raise_signal(number_of(name))
    )
    code, _, said = run("recommend", folder / "model", "--users", "u1", "--debug")
    assert (code, said) == (CODES[name], "nothing was printed; run the same command again\n")
