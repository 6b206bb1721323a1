"""Training on several processes of this machine: real ones, which talk by Gloo and are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.training.quick import QUICK
from torch import distributed

from hashgnn import HashGNN
from hashgnn._launched import Launched
from hashgnn.data import Interactions, generate_interactions, prepare_interactions
from hashgnn.errors import CallbackError, EngineError, MissingExtraError, ParameterError
from hashgnn.runs import Callback, Run
from hashgnn.training.callbacks.checkpoint import FILE_NAME
from hashgnn.training.workers import joining
from hashgnn.training.workers.board import Board

SETTINGS = {
    **QUICK,
    "optimizer.epochs": 4,
    "teacher.rank": 8,
    "teacher.k": 5,
    "objective.min_steps": 4,
    "validation.share": 0.1,
    "validation.patience": 99,
}


@pytest.fixture(scope="module")
def events() -> Interactions:
    return generate_interactions(200, 80, 3000, rng=0)


@pytest.fixture
def undisturbed(events: Interactions) -> HashGNN:
    return fitted(events, n_workers=2)


def fitted(events: Interactions, **options: Any) -> HashGNN:
    given = {"rng": 7, "device": "cpu", "n_threads": 1, "progress": False, **options}
    return HashGNN(**SETTINGS).fit(events, **given)


def assert_same(one: HashGNN, other: HashGNN) -> None:
    for side in ("users", "items"):
        ours, theirs = getattr(one.state_, side), getattr(other.state_, side)
        assert ours.codes == theirs.codes
        assert np.array_equal(ours.embeddings, theirs.embeddings)
    assert [entry["loss"] for entry in one.state_.training["history"]] == [
        entry["loss"] for entry in other.state_.training["history"]
    ]


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


class Hooks(Callback):
    """Count the hooks, and do something after an epoch."""

    def __init__(self, epoch: int = 0, what: Any = None) -> None:
        self.epoch, self.what = epoch, what
        self.calls: list[str] = []

    def on_start(self, run: Run) -> None:
        self.calls.append(f"start {run.epoch}")

    def on_epoch_end(self, run: Run) -> None:
        self.calls.append(f"epoch {run.epoch}")
        if run.epoch == self.epoch:
            self.what(run)

    def on_end(self, run: Run) -> None:
        self.calls.append("end")


def the_helper() -> int:
    (helper,) = [
        pid
        for pid in children_of(os.getpid())
        if b"workers.helper" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    return helper


def kill_a_helper(run: Run) -> None:
    os.kill(the_helper(), signal.SIGKILL)


def test_one_seed_and_one_number_of_processes_give_one_model(
    events: Interactions, undisturbed: HashGNN, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    hooks = Hooks()
    again = fitted(events, n_workers=2, callbacks=[hooks], progress=None, log_path=tmp_path / "log.jsonl")
    assert_same(again, undisturbed)
    assert again.state_.training["n_workers"] == 2
    assert hooks.calls == ["start 0", "epoch 1", "epoch 2", "epoch 3", "epoch 4", "end"]
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["start", "objective", *["epoch"] * 4, "end"]
    printed = capfd.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 5  # a line an epoch, and the last one
    # The losses of one process alone, from another sample of what is relaxed.
    alone = fitted(events).state_.training["history"]
    for ours, theirs in zip(again.state_.training["history"], alone, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("path", [None, Path("/dev/shm/hashgnn-training-of-another-machine")])
def test_processes_that_share_no_memory_send_and_learn_the_same(
    path: Path | None, events: Interactions, undisturbed: HashGNN, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Board, "make", lambda size: path)
    assert_same(fitted(events, n_workers=2), undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("shard_from", [1, 10_000])
def test_a_run_whose_helper_was_killed_goes_on_to_the_same_model(
    shard_from: int, events: Interactions, tmp_path: Path
) -> None:
    options = {"n_workers": 2, "shard_from": shard_from, "checkpoint_dir": tmp_path}
    whole = fitted(events, n_workers=2, shard_from=shard_from)
    with pytest.raises(EngineError) as error:
        fitted(events, **options, callbacks=[Hooks(2, kill_a_helper)])
    assert str(error.value) == (
        "process 1 of the training was killed by SIGKILL; the same run with resume=True goes on from its checkpoint"
    )
    hooks = Hooks()
    resumed = fitted(events, **options, resume=True, callbacks=[hooks])
    assert_same(resumed, whole)
    assert hooks.calls == ["start 2", "epoch 3", "epoch 4", "end"]


def test_a_callback_may_train_alone_and_stop_all_processes(events: Interactions) -> None:
    inner: list[HashGNN] = []

    def train_and_stop(run: Run) -> None:
        inner.append(fitted(events))
        with pytest.raises(ParameterError, match="n_workers and engine must be left out"):
            fitted(events, n_workers=2)
        run.stop()

    model = fitted(events, n_workers=2, callbacks=[Hooks(2, train_and_stop)])
    assert model.state_.training["epochs"] == 2
    assert inner[0].state_.training["epochs"] == 4
    assert "n_workers" not in inner[0].state_.training


def test_an_error_ends_all_processes(events: Interactions) -> None:
    def fail(run: Run) -> None:
        raise RuntimeError("no more")

    with pytest.raises(CallbackError, match="no more"):
        fitted(events, n_workers=2, callbacks=[Hooks(1, fail)])
    assert not [
        p for p in children_of(os.getpid()) if b"workers.helper" in Path(f"/proc/{p}/cmdline").read_bytes()
    ]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"n_workers": 0}, "n_workers must be an integer >= 1, got 0"),
        ({"n_workers": 201}, "n_workers must be at most the 200 users with interactions, got 201"),
        ({"engine": "spark"}, "engine must be one of 'local', 'ray', got 'spark'"),
        ({"address": "h:1", "n_workers": 2}, 'address must be None with engine="local"'),
    ],
)
def test_wrong_workers_are_one_sentence(options: dict[str, Any], sentence: str, events: Interactions) -> None:
    with pytest.raises(ParameterError) as error:
        fitted(events, **options)
    assert str(error.value) == sentence


def test_a_missing_ray_is_one_sentence(events: Interactions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match='engine="ray" needs the package ray, of the extra ray'):
        fitted(events, engine="ray", n_workers=2)


def torchrun(events: Interactions, folder: Path, *options: str) -> list[str]:
    """Return the command that trains on two processes to a folder."""
    folder.mkdir()
    table = folder / "events.csv"
    users, items = events.user_ids.ids[events.user_index], events.item_ids.ids[events.item_index]
    rows = "\n".join(f"{user},{item}" for user, item in zip(users, items, strict=True))
    table.write_text(f"user_id,item_id\n{rows}\n")
    settings = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        *options,
    ]
    fit = ["-m", "hashgnn", "fit", str(table), "-o", str(folder / "model"), "--seed", "7", "--threads", "1"]
    return [*launcher, *fit, "--device", "cpu", *settings]


@pytest.mark.slow
def test_torchrun_starts_a_killed_rank_again_and_ends_with_the_same_model(
    events: Interactions, tmp_path: Path, undisturbed: HashGNN
) -> None:
    quiet = subprocess.run(torchrun(events, tmp_path / "whole"), capture_output=True, text=True, timeout=300)
    assert quiet.returncode == 0, quiet.stderr
    said = quiet.stderr.splitlines()
    assert sum(line.startswith("training: epoch") for line in said) == 4
    assert sum("saved after 4 epochs" in line for line in said) == 1
    folder = tmp_path / "killed"
    process = subprocess.Popen(
        torchrun(events, folder, "--max-restarts", "2"), stderr=subprocess.PIPE, text=True
    )
    checkpoint = folder / ".model.checkpoint" / FILE_NAME
    deadline = time.monotonic() + 240
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    helpers = [p for p in children_of(process.pid) if b"RANK=1\0" in Path(f"/proc/{p}/environ").read_bytes()]
    assert helpers, "the run ended before it could be killed"
    os.kill(helpers[0], signal.SIGKILL)
    _, report = process.communicate(timeout=300)
    assert process.returncode == 0, report
    whole, killed = (HashGNN.load(tmp_path / name / "model") for name in ("whole", "killed"))
    assert_same(killed, whole)
    assert_same(killed, undisturbed)
    assert not checkpoint.exists()


def test_processes_that_are_started_again_do_not_find_the_addresses_of_those_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    placed = {"RANK": 0, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": kept.port}
    for name, value in {**placed, "TORCHELASTIC_USE_AGENT_STORE": True}.items():  # as torchrun does
        monkeypatch.setenv(name, str(value))
    first, again = (joining._store_of(Launched(0, 2, n_restarts=number)) for number in (0, 1))
    first.set("address", "of a process that is gone")
    assert first.check(["address"])
    assert not again.check(["address"])


def test_a_process_group_that_is_destroyed_leaves_no_threads(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from hashgnn.training.workers.local import join_local
import torch
from torch import distributed

def names():
    return [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]

join_local(0, 1, Path(sys.argv[1]), "gloo")
distributed.all_reduce(torch.ones(3))  # by then one of its threads runs, and has its name
assert "pt_gloo_runloop" in names()
weight = torch.nn.Parameter(torch.ones(3))
weight.grad = torch.ones(3)
torch.optim.Adam([weight]).step()
distributed.destroy_process_group()
print([name for name in names() if "gloo" in name])
"""
    ended = subprocess.run(
        [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, timeout=300
    )
    assert (ended.stdout, ended.returncode) == ("[]\n", 0), ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("where", ["in both", "in the second"])
def test_an_error_under_torchrun_is_said_once(where: str, events: Interactions, tmp_path: Path) -> None:
    folder = tmp_path / "wrong"
    command = torchrun(events, folder)
    if where == "in both":
        command += ["--set", "validation.metric=nothing@5"]
        sentence = "hashgnn: metrics must be names like"
    else:
        # The second process reads a file that is not there, as on a machine without it.
        (folder / "events.csv").rename(folder / "events-0.csv")
        place = command.index("-m", 4)
        fit = " ".join(f"'{word}'" for word in command[place:]).replace("events.csv'", "events-'$RANK'.csv'")
        command = [*command[:place], "--no-python", "bash", "-c", f"{sys.executable} {fit}"]
        sentence = f"hashgnn: {folder / 'events-1.csv'}"
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.returncode != 0
    said = [line for line in ended.stderr.splitlines() if line.startswith("hashgnn: ")]
    assert len(said) == 1, said
    assert said[0].startswith(sentence)
    assert not (folder / "model").exists()


class KillTheOther(Callback):
    """Kill the other process of Ray Train after an epoch, once."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def on_epoch_end(self, run: Run) -> None:
        if run.epoch < 2 or self._mark.exists():
            return
        self._mark.touch()
        for pid in children_of(os.getppid()):  # those of this raylet, and of no other
            name = Path(f"/proc/{pid}/cmdline").read_bytes()
            if pid != os.getpid() and b"TrainWorker" in name:
                os.kill(pid, signal.SIGKILL)


def test_helpers_map_interactions_that_lie_in_a_folder(events: Interactions, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "user": [f"u{number}" for number in events.user_index],
            "item": [f"i{number}" for number in events.item_index],
        }
    )
    frame.to_parquet(tmp_path / "events.parquet")
    stored = prepare_interactions(tmp_path / "events.parquet", tmp_path / "prepared", progress=False)
    mapped: list[str] = []

    def look(run: Run) -> None:
        mapped.append(Path(f"/proc/{the_helper()}/maps").read_text())

    found = fitted(stored, n_workers=2, callbacks=[Hooks(1, look)])
    assert_same(found, fitted(Interactions.from_frame(frame), n_workers=2))
    (of_helper,) = mapped
    assert str(tmp_path / "prepared") in of_helper


@pytest.mark.slow
def test_ray_trains_the_same_model_and_starts_a_killed_process_again(
    events: Interactions, undisturbed: HashGNN, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray", reason="needs the extra 'ray'")
    calm = fitted(events, engine="ray", n_workers=2, progress=None)
    assert_same(calm, undisturbed)
    printed = [line for line in capfd.readouterr().err.splitlines() if line.startswith("training:")]
    assert len(printed) == 5
    mark = tmp_path / "killed"
    killed = fitted(
        events,
        engine="ray",
        n_workers=2,
        checkpoint_dir=tmp_path / "checkpoint",
        callbacks=[KillTheOther(mark)],
    )
    assert mark.exists()
    assert_same(killed, undisturbed)
    with pytest.raises(ParameterError, match="metric"):
        HashGNN(**{**SETTINGS, "validation.metric": "nothing@5"}).fit(
            events, engine="ray", n_workers=2, progress=False
        )
