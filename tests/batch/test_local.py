"""The engine ``local``, and what is the same for every engine: the folder, its manifest, going on, refusing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.batch.conftest import Fatal, files

from hashgnn import HashGNN
from hashgnn.answering.batch_job import BatchJob
from hashgnn.batch import PartWriter, read_manifest, run_batch
from hashgnn.batch.local import run_local
from hashgnn.errors import DataError, EngineError, MissingExtraError, ParameterError, ResultWarning
from hashgnn.testing.states import random_state


def test_the_files_hold_what_recommend_answers(
    model: HashGNN, whole: dict[str, bytes], tmp_path: Path
) -> None:
    result = model.recommend_all(tmp_path / "out", k=5, part_rows=15, n_workers=2, progress=False)
    assert files(tmp_path / "out") == whole
    table = pq.read_table(tmp_path / "out").replace_schema_metadata(None)
    assert table.equals(model.recommend(model.user_ids, k=5).to_arrow())
    assert (result.n_rows, result.n_results, result.n_parts, result.n_made) == (150, 750, 10, 10)
    manifest = read_manifest(tmp_path / "out")
    assert (manifest["rows"], manifest["results"], len(manifest["files"])) == (150, 750, 10)
    assert manifest["bytes"] == result.n_bytes == sum(len(whole[name]) for name in manifest["files"])


def test_threads_and_their_number_change_no_file(
    model: HashGNN, whole: dict[str, bytes], tmp_path: Path
) -> None:
    model.recommend_all(tmp_path / "out", k=5, part_rows=15, n_workers=1, n_threads=2, progress=False)
    assert files(tmp_path / "out") == whole


def test_killed_workers_change_nothing(fatal: Fatal, whole: dict[str, bytes], tmp_path: Path) -> None:
    job = fatal(tmp_path / "out", 0, 4, 9)
    run_batch(job, tmp_path / "out", n_workers=2, progress=False)
    assert len(list((tmp_path / "marks").iterdir())) == 3
    assert files(tmp_path / "out") == whole


def test_a_worker_that_is_killed_from_outside_changes_nothing(
    job: BatchJob, whole: dict[str, bytes], tmp_path: Path
) -> None:
    killed = []
    writer = PartWriter(job, str(tmp_path))
    for record in run_local(writer, range(job.n_parts), 1):
        if record["part"] in (
            2,
            6,
        ):  # the process that made it is alive, and waits for its next part or makes it
            killed += kill_workers()
    assert len(killed) == 2
    assert parts(tmp_path) == {name: content for name, content in whole.items() if name != "_manifest.json"}


def kill_workers() -> list[int]:
    """Kill the workers of this process; on a busy machine /proc may not show one at once."""
    until = time.monotonic() + 30
    while not (found := workers_of(os.getpid())) and time.monotonic() < until:
        time.sleep(0.05)
    for worker in found:
        os.kill(worker, signal.SIGKILL)
    return found


def workers_of(process: int) -> list[int]:
    """The workers that a process has started."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if b"hashgnn.batch.worker" in words and parent == process:
            found.append(int(entry.name))
    return found


def test_a_part_that_kills_every_process_is_given_up_and_the_others_stay(
    fatal: Fatal, whole: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    job = fatal(out, 7, times=3)
    with pytest.raises(EngineError, match="part 7 was given up, 3 processes were killed while they made it"):
        run_batch(job, out, n_workers=1, progress=False)
    assert "part-00007.parquet" not in files(out)
    assert "_manifest.json" not in files(out)
    with pytest.raises(DataError, match="is not finished"):
        read_manifest(out)
    result = run_batch(job, out, n_workers=1, progress=False)
    assert result.n_made == 1
    assert files(out) == whole


def test_a_stopped_run_goes_on(model: HashGNN, whole: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["recommend", str(model._path), "--all", "-o", str(out), "-k", "5", "--part-rows", "15"]
    process = subprocess.Popen([sys.executable, "-m", "hashgnn", *arguments, "--workers", "1", "-q"])
    limit = time.monotonic() + 60
    while not (out / "part-00001.parquet").exists() and time.monotonic() < limit:
        time.sleep(0.001)
    process.kill()
    process.wait()
    there = [name for name in files(out) if name.startswith("part-")]
    assert {name: whole[name] for name in there} == {name: files(out)[name] for name in there}
    wait_for_lock(out)
    result = model.recommend_all(out, k=5, part_rows=15, n_workers=1, progress=False)
    assert result.n_made <= 8
    assert files(out) == whole


def wait_for_lock(folder: Path) -> None:
    """Wait for the worker of a killed run, which ends with the part that it was making."""
    limit = time.monotonic() + 60
    while any(path.name.endswith(".tmp") for path in folder.iterdir()) and time.monotonic() < limit:
        time.sleep(0.05)


def test_damaged_and_missing_parts_are_made_again(
    model: HashGNN, whole: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name, content in whole.items():
        (out / name).write_bytes(content)
    (out / "part-00003.parquet").write_bytes(whole["part-00003.parquet"][:-9])
    (out / "part-00004.parquet").write_bytes(whole["part-00005.parquet"])
    (out / "part-00008.parquet").unlink()
    with pytest.raises(DataError, match=r"part-00003.parquet: is missing or has another size"):
        read_manifest(out)
    result = model.recommend_all(out, k=5, part_rows=15, n_workers=1, progress=False)
    assert result.n_made == 3
    assert files(out) == whole
    again = model.recommend_all(out, k=5, part_rows=15, progress=False)
    assert (again.n_made, again.n_results) == (0, 750)


def test_another_request_is_refused_and_nothing_changes(
    model: HashGNN, whole: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    model.recommend_all(out, k=5, part_rows=15, n_workers=1, progress=False)
    for options, named in (
        ({"k": 6}, "k"),
        ({"search": "hamming"}, "search"),
        ({"block": model.item_ids[:2]}, "block"),
        ({"filter_seen": False, "oversampling": 2}, "filter_seen, oversampling"),
    ):
        with pytest.raises(
            ParameterError, match=f"the answers to another request, with another {named}; name"
        ):
            model.recommend_all(out, **{"k": 5, "part_rows": 15, **options})
    with pytest.raises(ParameterError, match="with another k, side, task"):
        model.encode_all(out, side="item", part_rows=15)
    assert files(out) == whole


def test_a_folder_that_is_something_else_is_refused(model: HashGNN, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(
        ParameterError, match="exists and holds no batch of hashgnn; name a new or an empty folder"
    ):
        model.recommend_all(tmp_path)
    with pytest.raises(ParameterError, match="must be a folder, this is a file"):
        model.recommend_all(tmp_path / "notes.txt")
    assert files(tmp_path) == {"notes.txt": b"mine"}


def test_two_runs_do_not_write_to_one_folder(job: BatchJob, tmp_path: Path) -> None:
    from hashgnn.batch.folder import OutputFolder

    with OutputFolder(tmp_path / "out", job).opened():
        with pytest.raises(ParameterError, match="another run is writing to this folder; wait for its end"):
            run_batch(job, tmp_path / "out", progress=False)
        assert [*files(tmp_path / "out")] == ["_request.json"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"engine": "dask"}, "engine must be one of 'local', 'ray', 'spark', got 'dask'"),
        ({"n_workers": 0}, "n_workers must be an integer >= 1, got 0"),
        ({"n_threads": 0}, "n_threads must be an integer >= 1, got 0"),
        ({"address": "localhost:1"}, 'address must be None with engine="local"'),
        ({"part_rows": 0}, "part_rows must be an integer >= 1, got 0"),
        ({"k": 0}, "k must be an integer >= 1, got 0"),
        ({"search": "nearest"}, "search must be one of"),
        ({"on_unknown": "ask"}, "on_unknown must be one of"),
        ({"allow": "i1"}, "allow must be one list of item ids for everyone, got 'i1'"),
        ({"block": [["i1"]]}, "block must be one list of item ids for everyone"),
        (
            {"allow": ["i1", "nothing"]},
            "1 of 2 item ids of allow are not in the training data, 'nothing' first",
        ),
    ],
)
def test_a_wrong_argument_writes_nothing(
    model: HashGNN, options: dict[str, object], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises((ParameterError, KeyError), match=sentence):
        model.recommend_all(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("engine", "package"), [("ray", "ray"), ("spark", "pyspark")])
def test_a_missing_extra_is_one_sentence(
    model: HashGNN, engine: str, package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    sentence = rf'engine="{engine}" needs the package {package}, of the extra {engine}; install it with: pip install '
    with pytest.raises(MissingExtraError, match=sentence):
        model.recommend_all(tmp_path / "out", engine=engine)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_one_sentence_and_the_run_goes_on_later(
    model: HashGNN, whole: dict[str, bytes], tmp_path: Path
) -> None:
    out, largest = tmp_path / "out", max(len(content) for content in whole.values())
    assert largest > 2048
    words = f"-m hashgnn recommend {model._path} --all -o {out} -k 5 --part-rows 15 --workers 1 -q"
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 2; exec {sys.executable} {words}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "could not be written" in done.stderr
    assert not out.exists() or all(whole[name] == content for name, content in parts(out).items())
    model.recommend_all(out, k=5, part_rows=15, n_workers=1, progress=False)
    assert files(out) == whole


def parts(folder: Path) -> dict[str, bytes]:
    return {name: content for name, content in files(folder).items() if name.startswith("part-")}


def test_a_model_that_was_replaced_is_refused(tmp_path: Path) -> None:
    HashGNN.from_state(random_state(30, 20)).save(tmp_path / "model")
    model = HashGNN.load(tmp_path / "model")
    request = model.batch_request(k=3, part_rows=10)
    HashGNN.from_state(random_state(30, 20, rng=1)).save(tmp_path / "model", overwrite=True)
    with pytest.raises(ValueError, match="holds another model than when the batch began"):
        run_batch(BatchJob(request, 30), tmp_path / "out", n_workers=1, progress=False)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ParameterError, match="a model must lie in a folder for workers to open it"):
        model.batch_request()


def test_a_model_that_lies_in_no_folder_answers_too(tmp_path: Path) -> None:
    model = HashGNN.from_state(random_state(30, 20))
    model.recommend_all(tmp_path / "out", k=3, part_rows=10, n_workers=2, progress=False)
    table = pq.read_table(tmp_path / "out").replace_schema_metadata(None)
    assert table.equals(model.recommend(model.user_ids, k=3).to_arrow())
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    again = model.recommend_all(tmp_path / "out", k=3, part_rows=10, progress=False)
    assert again.n_made == 0


def test_users_with_nothing_left_are_counted(tmp_path: Path) -> None:
    state = random_state(8, 5, density=1.0)
    model = HashGNN.from_state(state)
    with pytest.warns(ResultWarning, match="8 of 8 users have no item left; the files hold no row of them"):
        result = model.recommend_all(tmp_path / "out", k=3, n_workers=1, progress=False)
    assert (result.n_rows, result.n_results, result.n_empty) == (8, 0, 8)
    assert pq.read_table(tmp_path / "out").schema.names == ["user_id", "item_id", "rank", "score"]


def test_progress_is_lines_and_quiet_is_silent(
    model: HashGNN, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model.recommend_all(tmp_path / "a", k=5, n_workers=1, progress=False)
    assert capsys.readouterr() == ("", "")
    model.recommend_all(tmp_path / "b", k=5, n_workers=1)
    assert capsys.readouterr().err == f"{tmp_path / 'b'}: 750 results for 150 users in 1 parts\n"


def test_ctrl_c_ends_the_workers_and_the_run_goes_on(model: HashGNN, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["recommend", str(model._path), "--all", "-o", str(out), "-k", "5", "--part-rows", "1", "-q"]
    with subprocess.Popen(
        [sys.executable, "-m", "hashgnn", *arguments, "--workers", "1"], stderr=subprocess.PIPE, text=True
    ) as process:
        limit = time.monotonic() + 60
        while not (out / "part-00001.parquet").exists() and time.monotonic() < limit:
            time.sleep(0.001)
        workers = workers_of(process.pid)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "hashgnn: interrupted\n")
    assert [worker for worker in workers if Path(f"/proc/{worker}").exists()] == []
    assert 2 <= len(parts(out)) < 150
    model.recommend_all(out, k=5, part_rows=1, n_workers=1, progress=False)
    table = pq.read_table(out).replace_schema_metadata(None)
    assert table.equals(model.recommend(model.user_ids, k=5).to_arrow())


def test_a_folder_in_work_has_no_manifest(
    model: HashGNN, whole: dict[str, bytes], fatal: Fatal, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name, content in whole.items():
        (out / name).write_bytes(content)
    (out / "part-00007.parquet").unlink()
    with pytest.raises(EngineError, match="part 7 was given up"):
        run_batch(fatal(out, 7, times=3), out, n_workers=1, progress=False)
    with pytest.raises(DataError, match="is not finished"):
        read_manifest(out)
    model.recommend_all(out, k=5, part_rows=15, n_workers=1, progress=False)
    assert files(out) == whole


def test_the_request_is_kept_as_text(model: HashGNN, whole: dict[str, bytes]) -> None:
    manifest = json.loads(whole["_manifest.json"])
    assert manifest["kind"] == "hashgnn batch"
    assert manifest["request"]["model"] == model.state_.checksum
    assert manifest["request"]["k"] == 5
    assert np.sum([entry["results"] for entry in manifest["files"].values()]) == 750
