"""A comparison from end to end on generated data: cells, tables, what a kill leaves."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hashgnn.benchmarking.quality import Plan, compare_quality, load_data_set, parse_method, table_rows
from hashgnn.cli import main
from hashgnn.errors import ParameterError
from hashgnn.index import scores
from hashgnn.training.validation import Validator

TINY = "embedding_dim=16+optimizer.epochs=20+teacher=none+objective.observed_target=all+objective.item_share=1+objective.min_steps=30+optimizer.batch_size=16"
METHODS = f"ours=default+{TINY},lsh:spectral+dim=16,floats=spectral+dim=8"
METRICS = "recall@5,ndcg@5"


def command(folder: Path, files: Path, *more: str) -> list[str]:
    data = f"two={files / 'train.parquet'},{files / 'test.parquet'}"
    given = ["--data", data, "--methods", METHODS, "--bits", "16", "--metrics", METRICS, "--seeds", "2"]
    return ["hashgnn", "benchmark", "quality", "-o", str(folder), *given, "--no-plots", *more]


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        monkeypatch.setenv(variable, os.environ.get(variable, "1"))

    def called(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", list(words))
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return called


def figures(folder: Path) -> list[dict[str, str]]:
    """Return the rows of a run's table but for the seconds."""
    with (folder / "table.csv").open() as file:
        return [{key: row[key] for key in row if key != "processor_seconds"} for row in csv.DictReader(file)]


def test_a_killed_run_goes_on_and_ends_with_the_table_of_an_undisturbed_one(
    files: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run(*command(whole, files, "--quiet"))[0] == 0
    words = [sys.executable, "-m", *command(killed, files, "--quiet")]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(killed.glob("cells/*.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in killed.glob("cells/*.json")}
    assert done
    assert run(*command(killed, files, "--quiet"))[0] == 0
    assert figures(killed) == figures(whole)
    assert {path: path.stat().st_mtime_ns for path in done} == done  # nothing was measured twice
    assert len(figures(whole)) == 5 + 4 + 1  # ours with its bias, codes over floats, floats


def test_the_table_is_the_mean_of_the_cells_and_the_cells_of_their_users(
    files: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    code, printed, _ = run(*command(tmp_path / "run", files, "--json"))
    document = json.loads(printed)
    assert code == 0
    assert (document["n_cells"], document["n_measured"], document["failed"]) == (6, 6, [])
    cells = [json.loads(path.read_text()) for path in (tmp_path / "run/cells").glob("*.json")]
    for row in document["rows"]:
        own = [cell for cell in cells if cell["cell"]["method"] == row["method"]]
        values = [cell["metrics"][row["search"]]["recall@5"] for cell in own]
        assert row["n_seeds"] == len(own) == 2
        assert row["means"]["recall@5"] == pytest.approx(np.mean(values), abs=1e-12)
        assert row["deviations"]["recall@5"] == pytest.approx(np.std(values, ddof=1), abs=1e-12)
    data = load_data_set("groups", files.parent)
    plan = Plan([parse_method("floats=spectral+dim=8")], seeds=[0], metrics=METRICS.split(","))
    (result,) = compare_quality(tmp_path / "other", plan, [data], progress=False)
    users, values = result.per_user("float", "recall@5")
    assert result.values["metrics"]["float"]["recall@5"] == pytest.approx(values.mean(), abs=1e-6)
    assert (users == np.unique(data.test.user_index)).all()


def test_a_code_learns_the_groups_and_a_report_reads_what_is_there(
    files: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    folder = tmp_path / "run"
    code, _, said = run(*command(folder, files, "--no-fit"))
    assert code == 2
    assert "holds no cell of this comparison; run it without --no-fit" in said
    assert run(*command(folder, files, "--search", "biased"))[0] == 0
    code, printed, said = run(*command(folder, files, "--search", "biased", "--no-fit"))
    assert code == 0
    assert "ours against the others, recall@5, test t, p adjusted by Holm's method" in printed
    rows = {row["method"]: row for row in figures(folder)}
    # About 5 of its group's 12 items are unseen by each user, so finding them all is the optimum.
    assert float(rows["ours"]["recall@5"]) > 0.75
    assert not list(folder.glob("plots/*"))


def test_what_cannot_be_measured_is_left_out_and_said(
    files: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    pytest.importorskip("faiss")
    given = ["--methods", "pq:spectral+dim=16,floats=spectral", "--json", "--seeds", "1"]
    code, printed, said = run(*command(tmp_path / "run", files, *given))
    document = json.loads(printed)
    assert code == 0
    assert (document["n_cells"], document["n_measured"]) == (2, 1)
    assert document["failed"][0]["reason"] == "embeddings must have at least 256 rows, got 24"
    assert (
        "two, pq:spectral+dim=16, 16 bits, seed 0: left out; embeddings must have at least 256 rows" in said
    )


def test_a_hash_layer_trained_separately_leaves_the_floats_as_they_are(files: Path, tmp_path: Path) -> None:
    data = load_data_set("groups", files.parent)
    methods = [
        parse_method("floats=spectral+dim=64"),
        parse_method("separate+optimizer.batch_size=32+optimizer.epochs=3:spectral+dim=64"),
    ]
    plan = Plan(methods, bits=[16], seeds=[0], metrics=["recall@5"])
    floats, separate = compare_quality(tmp_path, plan, [data], progress=False)
    assert separate.values["metrics"]["float"] == floats.values["metrics"]["float"]
    assert separate.values["metrics"]["hamming"] != floats.values["metrics"]["float"]
    assert separate.values["training"]["epochs"] == 3


def test_floats_of_a_recipe_are_as_wide_as_the_codes_made_of_them(files: Path, tmp_path: Path) -> None:
    """The continuous model and what codes it share one fit for each width."""
    data = load_data_set("groups", files.parent)
    methods = [parse_method(name) for name in ("continuous", "continuous-lsh", "continuous-separate")]
    settings = {"optimizer.epochs": 2, "optimizer.batch_size": 64, "validation.metric": "recall@5"}
    plan = Plan(
        [one.with_settings(settings) for one in methods], bits=[16, 32], seeds=[0], metrics=["recall@5"]
    )
    results = compare_quality(tmp_path, plan, [data], progress=False)
    assert len(list((tmp_path / "floats").iterdir())) == 2
    for place, n_bits in enumerate((16, 32)):
        of_width = results[place::2]
        assert [one.values["bytes_per_item"]["float"] for one in of_width] == [4 * n_bits] * 3
        assert len({one.values["metrics"]["float"]["recall@5"] for one in of_width}) == 1
        assert [len(one.values["training"]["history"]) for one in of_width] == [2, 2, 2]


def test_a_killed_fit_goes_on_after_its_last_epoch(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load_data_set("groups", files.parent)
    settings = {"optimizer.epochs": 4, "optimizer.batch_size": 64, "validation.metric": "recall@5"}
    plan = Plan([parse_method("paper").with_settings(settings)], bits=[16], seeds=[0], metrics=["recall@5"])
    (whole,) = compare_quality(tmp_path / "whole", plan, [data], progress=False)
    validate = Validator.__call__
    n_validated = []

    def die(self: object, model: object) -> object:
        n_validated.append(1)
        if len(n_validated) == 3:
            raise KeyboardInterrupt
        return validate(self, model)  # type: ignore[arg-type]

    monkeypatch.setattr(Validator, "__call__", die)
    with pytest.raises(KeyboardInterrupt):
        compare_quality(tmp_path / "killed", plan, [data], progress=False)
    assert len(list(tmp_path.glob("killed/fits/*/checkpoint.safetensors"))) == 1
    (resumed,) = compare_quality(tmp_path / "killed", plan, [data], progress=False)
    assert len(n_validated) == 5  # the third epoch was trained again, the first two were not
    assert resumed.values["metrics"] == whole.values["metrics"]
    assert resumed.values["training"]["epochs"] == 4
    assert not list(tmp_path.glob("*/fits/*"))


def test_a_cell_of_other_settings_or_scores_is_another_cell(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load_data_set("groups", files.parent)
    for dim in (4, 8, 4):
        plan = Plan([parse_method(f"floats=spectral+dim={dim}")], seeds=[0], metrics=["recall@5"])
        compare_quality(tmp_path, plan, [data], progress=False)
    assert len(list(tmp_path.glob("cells/*.json"))) == 2
    assert len(table_rows(compare_quality(tmp_path, plan, [data], only_read=True))) == 1
    monkeypatch.setattr(scores, "SCORING", scores.SCORING + 1)
    assert compare_quality(tmp_path, plan, [data], only_read=True) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bits": [12]}, "n_bits must be a positive multiple of 8, got 12"),
        ({"seeds": [0, 0]}, r"seeds must hold one entry or more, each once, got \[0, 0\]"),
        ({"metrics": ["coverage@5"]}, "metrics must be those of single users, got 'coverage@5'"),
        ({"search": ["fast"]}, "search must be one of 'hamming', .*, got 'fast'"),
    ],
)
def test_a_plan_that_breaks_a_rule_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        Plan([parse_method("gf-cf")], **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--suite", "all"], "--suite must be one of 'paper', 'default', 'learned', .*, got 'all'"),
        (
            ["--seeds", "x"],
            "--seeds must be a number of seeds >= 1, got 'x'; name single seeds with --seed-list",
        ),
        (
            ["--seeds", "2,"],
            "--seeds must be a number of seeds >= 1, got '2,'; name single seeds with --seed-list",
        ),
        (["--seed-list", "2,x"], "--seed-list must be integers >= 0 like 32,64, got 'x'"),
        (["--reference", "none"], "--reference must be one of 'ours', .*, got 'none'"),
        (["--data", "nowhere"], "data must be a folder under HASHGNN_DATA"),
    ],
)
def test_bad_input_is_one_sentence(
    files: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]], more: list[str], message: str
) -> None:
    code, printed, said = run(*command(tmp_path / "run", files, *more))
    assert (code, printed) == (2, "")
    assert re.search(message, said.splitlines()[-1])
    assert not (tmp_path / "run").exists()


def test_a_rival_that_learns_codes_is_measured_at_each_width_by_both_of_its_ways(
    files: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    data = f"two={files / 'train.parquet'},{files / 'test.parquet'}"
    rival = "bgch+epochs=20+batch_size=32+learning_rate=0.03"
    words = ["--data", data, "--methods", rival, "--bits", "16,24", "--metrics", METRICS, "--seeds", "1"]
    code, _, _ = run("hashgnn", "benchmark", "quality", "-o", str(tmp_path), *words, "--no-plots", "--quiet")
    assert code == 0
    rows = {(row["n_bits"], row["search"]): row for row in figures(tmp_path)}
    assert set(rows) == {(width, way) for width in ("16", "24") for way in ("scaled", "hamming")}
    assert [float(rows["24", way]["bytes_per_item"]) for way in ("scaled", "hamming")] == [15, 3]
    assert all(float(row["recall@5"]) > 0.4 for row in rows.values())
    only = ["-o", str(tmp_path / "biased"), "--search", "biased"]
    assert run("hashgnn", "benchmark", "quality", *only, *words, "--no-plots", "--quiet")[0] == 0
    assert {row["search"] for row in figures(tmp_path / "biased")} == {"scaled"}
