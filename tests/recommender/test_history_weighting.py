"""Histories that are weighed: the same words in the library, the service and the command."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from hashgnn.cli import main
from hashgnn.data import HistoryWeighting
from hashgnn.errors import ParameterError
from hashgnn.recommender import HashGNN
from hashgnn.state import save_state
from hashgnn.testing.states import random_state

HISTORY = ["i1", "i2", "i3", "i4", "i5"]


@pytest.fixture(scope="module")
def model() -> HashGNN:
    return HashGNN.from_state(random_state())


def test_the_last_items_are_folded_in_and_all_are_seen(model: HashGNN) -> None:
    found = model.recommend_for_history([HISTORY], k=30, history_weighting={"last_n": 2}).lists()[0]
    short = model.recommend_for_history([HISTORY[-2:]], k=30, block=HISTORY[:3]).lists()[0]
    assert found == short
    assert not set(HISTORY) & set(found)


def test_weights_are_those_of_the_fold_in_rule(model: HashGNN) -> None:
    state = model.state_
    table = state.fold_in.arrays["item_table"]
    weights = 0.5 ** (np.arange(5)[::-1] / 2)
    expected = (weights[:, None] * table[1:6]).sum(axis=0) / np.sqrt(weights.sum())
    queries = model.fitted.queries_of_histories(
        model.fitted.seen[np.array([0])],
        weights=HistoryWeighting(position_half_life=2).matrix([np.arange(1, 6)], None, state.n_items),
    )
    np.testing.assert_allclose(queries.entities.embeddings[0], expected, rtol=1e-4, atol=1e-6)


def test_times_say_what_the_session_is(model: HashGNN) -> None:
    times = [[0, 10, 5000, 5010, 5020]]
    session = model.recommend_for_history([HISTORY], timestamps=times, history_weighting={"session": "10m"})
    last = model.recommend_for_history([HISTORY], history_weighting={"last_n": 3})
    assert session.lists() == last.lists()


def test_users_are_folded_in_from_what_they_did_lately(model: HashGNN) -> None:
    since = pl.DataFrame(
        {
            "user_id": ["u1"] * 3 + ["new"],
            "item_id": ["i9", "i3", "i4", "i5"],
            "timestamp": [100, 5000, 4000, 1],
        }
    )
    options: Any = {"since_training": since, "on_unknown": "fold_in", "k": 30, "filter_seen": False}
    rows = model.recommend(["u1", "u2", "new"], history_weighting={"last_n": 1}, **options).lists()
    expected = model.recommend_for_history([["i3"], ["i5"]], k=30, filter_seen=False).lists()
    assert [rows[0], rows[2]] == expected
    assert rows[1] == model.recommend(["u2"], k=30, filter_seen=False).lists()[0]
    plain = model.recommend(["u1"], **options).lists()[0]
    assert plain != rows[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"history_weighting": {"session": 5}}, "session needs the time of each item of a history, got none"),
        ({"timestamps": [[1] * 5]}, "timestamps must be None without history_weighting"),
        (
            {"timestamps": [[1]], "history_weighting": {"last_n": 1}},
            "timestamps must be a finite number for each",
        ),
        (
            {"timestamps": [], "history_weighting": {"last_n": 1}},
            "timestamps must have one list per history, 1",
        ),
        (
            {"timestamps": [["x"] * 5], "history_weighting": {"last_n": 1}},
            "timestamps must be numbers of seconds",
        ),
        (
            {"timestamps": [[float("nan")] * 5], "history_weighting": {"last_n": 1}},
            "timestamps must be a finite number",
        ),
    ],
)
def test_bad_arguments(model: HashGNN, options: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        model.recommend_for_history([HISTORY], **options)


def test_users_need_times(model: HashGNN) -> None:
    with pytest.raises(ParameterError, match="history_weighting needs since_training"):
        model.recommend(["u1"], history_weighting={"last_n": 1})
    since = pl.DataFrame({"user_id": ["u1"], "item_id": ["i9"]})
    with pytest.raises(ParameterError, match="history_weighting needs the times of since_training, got none"):
        model.recommend(["u1"], since_training=since, history_weighting={"last_n": 1})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, model: HashGNN) -> Path:
    path = tmp_path_factory.mktemp("models") / "v1"
    save_state(model.state_, path)
    return path


def test_the_command_weighs_a_history(
    folder: Path, model: HashGNN, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hashgnn", "recommend", str(folder), *words])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    options = ("--last-n", "3", "--position-half-life", "2")
    code, said, _ = run("--history", ",".join(HISTORY), *options, "--json")
    weighting = {"last_n": 3, "position_half_life": 2}
    expected = model.recommend_for_history([HISTORY], history_weighting=weighting).lists()[0]
    assert code == 0
    assert json.loads(said)["results"][0]["item_ids"] == expected
    code, _, error = run("--users", "u1", "--last-n", "3")
    needs = "--history, --histories or --since-training"
    assert (code, error) == (2, f"hashgnn: --last-n needs {needs}, whose order it counts by\n")
    code, _, error = run("--history", "i1,i2", "--session", "30m")
    assert (code, error) == (2, "hashgnn: --session needs the times of --histories or --since-training\n")
    code, _, error = run("--history", "i1,i2", "--age-half-life", "soon")
    assert code == 2
    assert error.startswith(
        "hashgnn: age_half_life must be a number and one of s, m, h, d, w, as 90d, got 'soon'"
    )


def test_the_command_weighs_histories_of_a_file(
    folder: Path,
    model: HashGNN,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(*words: object) -> str:
        monkeypatch.setattr(sys, "argv", ["hashgnn", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert not ended.value.code, printed.err
        return printed.out

    times = [0, 10, 5000, 5010, 5020]
    rows = [
        {"user_id": "new", "item_id": item, "timestamp": time}
        for item, time in zip(HISTORY, times, strict=True)
    ]
    pl.DataFrame(rows).sample(fraction=1.0, shuffle=True, seed=3).write_csv(tmp_path / "events.csv")
    weighting: Any = {"session": "10m", "position_half_life": 2}
    options = ("--histories", tmp_path / "events.csv", "--session", "10m", "--position-half-life", "2")
    given: Any = {"timestamps": [times], "history_weighting": weighting}
    expected = model.recommend_for_history([HISTORY], **given).lists()[0]
    said = run("recommend", folder, *options, "--json")
    assert json.loads(said)["results"][0]["item_ids"] == expected
    run("recommend", folder, *options, "-o", tmp_path / "lists", "--workers", "1")
    assert pl.read_parquet(tmp_path / "lists/*.parquet")["item_id"].to_list() == expected
    run("encode", folder, *options, "-o", tmp_path / "codes.parquet", "--workers", "1")
    code = model.fold_in_users([HISTORY], **given).codes.packed[0]
    assert pl.read_parquet(tmp_path / "codes.parquet")["code"].to_list() == [code.tobytes()]
