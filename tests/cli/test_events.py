"""Types of events, ages and forms of files on the command line, from the log of a shop to the next version."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hashgnn.recommender import HashGNN
from hashgnn.serving.store import InteractionStore

Run = Callable[..., tuple[int, str, str]]
QUICK = (
    "--bits",
    "16",
    "--epochs",
    "2",
    "--set",
    "embedding_dim=16",
    "--set",
    "teacher.rank=8",
    "--set",
    "teacher.k=5",
)
ALONE = ("--threads", "1", "--device", "cpu")
EVENTS = ("--event-column", "what", "--event-weights", "view=1, cart=3,purchase=5,test=0")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 30 users with a type and a time of each event."""
    rng = np.random.default_rng(0)
    lines = ["user_id,item_id,what,time"]
    for user in range(30):
        for item in rng.permutation(20)[:8]:
            what = ("view", "view", "cart", "purchase")[rng.integers(4)]
            lines.append(f"{user},i{item},{what},2024-05-{1 + rng.integers(28):02}T12:00:00Z")
    lines.append("99,i0,test,2024-05-01T12:00:00Z")
    path = tmp_path_factory.mktemp("log") / "log.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_fit_update_and_evaluate_weigh_events_and_ages_alike(log: Path, tmp_path: Path, run: Run) -> None:
    folder = tmp_path / "v1"
    code, _, err = run("fit", log, "-o", folder, *EVENTS, "--half-life", "7d", *QUICK, *ALONE)
    assert code == 0, err
    model = HashGNN.load(folder)
    assert 99 not in model.user_ids
    assert model.weighting is not None
    assert model.weighting.event_weights == {"view": 1, "cart": 3, "purchase": 5, "test": 0}
    assert model.weighting.half_life == 7 * 86_400
    code, out, _ = run("inspect", folder, "--json")
    assert json.loads(out)["weighting"] == model.weighting.to_dict()

    with InteractionStore.open(tmp_path / "new.db") as store:
        store.append([1, 2, 3], ["i0", "i0", "fresh"], [1_717_200_000] * 3, events=["cart", "purchase", None])
    assert run("interactions", "export", tmp_path / "new.db", "-o", tmp_path / "new.parquet")[0] == 0
    code, _, err = run("update", folder, tmp_path / "new.parquet", "--epochs", "1", *ALONE)
    assert code == 0, err
    assert "event is empty in 1 of 3 rows; they count as an event of weight 1" in err
    updated = HashGNN.load(tmp_path / "v2")
    row = updated.state_.seen[np.flatnonzero(updated.user_ids == 2)[0]].toarray()[0]
    assert row[np.flatnonzero(updated.item_ids == "i0")[0]] >= 5
    assert updated.weighting is not None
    assert updated.weighting.reference_time == 1_717_200_000 * 1e6

    code, out, err = run(
        "evaluate", folder, "--test", log, "--train", log, "--event-column", "what", "--k", "5"
    )
    assert (code, "holds no item to be found" in err) == (2, True)  # every event of the log was trained on
    code, _, err = run("update", folder, log, "--event-column", "what", "--event-weights", "view=2", *ALONE)
    assert (code, "event 'view' must weigh 1, as in the known interactions, got 2" in err) == (2, True)
    code, _, err = run("update", folder, log, "--event-column", "what", "--half-life", "1d", *ALONE)
    assert (code, "half_life must be 604800 seconds" in err) == (2, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--event-column", "what", "--event-weights", "view=1"),
            "what must be one of 'view', got 'purchase' in ",
        ),
        (("--event-column", "what"), "event_weights must be given with a column of events"),
        (("--event-weights", "view=1"), "column 'event' is missing"),
        (
            ("--event-weights", "view"),
            "--event-weights must be types and weights like view=1,purchase=5, got 'view'",
        ),
        (
            ("--event-weights", "view=many"),
            "--event-weights must be types and weights like view=1,purchase=5",
        ),
        (("--event-weights", "view=1,view=2"), "--event-weights names 'view' twice"),
        (
            ("--half-life", "90 days"),
            "half_life must be a number and one of s, m, h, d, w, as 90d, got '90 days'",
        ),
        (("--half-life", "1d", "--time", "user_id"), "user and timestamp must be different columns"),
        (
            ("--half-life", "1d", "--reference-time", "soon"),
            "reference_time must be a number, a date, a time or",
        ),
        (("--max-decompressed", "lots"), "--max-decompressed must be a size like 500MB"),
        (("--delimiter", ",,"), "delimiter must be one ASCII character"),
        (("--decimal", "-"), "decimal must be one of '.', ','"),
        (("--decimal", ",", "--delimiter", ","), "decimal and delimiter must be different characters"),
    ],
)
def test_wrong_options_are_one_sentence(log: Path, run: Run, options: tuple[str, ...], message: str) -> None:
    code, out, err = run("data", "stats", log, *options)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_stats_weigh_nothing_that_weighs_0(log: Path, run: Run) -> None:
    code, out, _ = run(
        "data", "stats", log, *EVENTS, "--half-life", "7d", "--reference-time", "2024-06-01", "--json"
    )
    figures = json.loads(out)
    assert (code, figures["n_users"], figures["weighted"]) == (0, 30, True)


def test_the_form_of_a_file_can_be_said(tmp_path: Path, run: Run) -> None:
    (tmp_path / "e.csv").write_text("user_id!item_id!weight\n1!2!1,5\n")
    code, out, err = run("data", "stats", tmp_path / "e.csv", "--delimiter", "!", "--decimal", ",", "--json")
    assert (code, json.loads(out or "{}").get("n_interactions"), err.count("error")) == (0, 1, 0)
    (tmp_path / "e.csv.gz").write_bytes(gzip.compress(b"user_id,item_id\n" + b"1,2\n" * 1000))
    code, _, err = run("data", "stats", tmp_path / "e.csv.gz", "--max-decompressed", "1kB")
    assert (code, "becomes more than 1000 bytes when it is decompressed" in err) == (2, True)
    assert run("data", "stats", tmp_path / "e.csv.gz", "--max-decompressed", "4.1 KiB")[0] == 0


def test_tune_searches_with_the_weights(log: Path, tmp_path: Path, run: Run) -> None:
    pytest.importorskip("optuna")
    options = ("--bits", "16", "--set", "embedding_dim=16", "--set", "teacher.rank=8", "--set", "teacher.k=5")
    short = ("--trials", "1", "--set", "optimizer.epochs=1", "--device", "cpu")
    command = ("tune", log, "-o", tmp_path / "mine.toml", *options, *short)
    code, _, err = run(*command, *EVENTS)
    assert code == 0, err
    code, _, err = run(
        *command, "--event-column", "what", "--event-weights", "view=1,cart=3,purchase=6,test=0"
    )
    assert (code, "holds a search with other data" in err) == (2, True)
