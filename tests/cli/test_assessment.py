from __future__ import annotations

import json
import re
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hashgnn as hg
from hashgnn.testing.states import random_state


@pytest.fixture
def files(tmp_path):
    state = random_state()
    hg.HashGNN.from_state(state).save(tmp_path / "model")
    free = np.argwhere(state.seen.toarray() == 0)
    rows = free[np.sort(np.random.default_rng(0).choice(len(free), 120, replace=False))]
    users, items = state.users.ids.ids, state.items.ids.ids
    pq.write_table(
        pa.table({"user_id": users[rows[:, 0]], "item_id": items[rows[:, 1]]}), tmp_path / "test.parquet"
    )
    titles = {
        "item_id": items,
        "title": [f"Title of {one}" for one in items],
        "kind": ["a", "b", "c"] * (len(items) // 3) + ["a"] * (len(items) % 3),
    }
    pq.write_table(pa.table(titles), tmp_path / "items.parquet")
    return tmp_path


def command(files, *more):
    return ("evaluate", files / "model", "--test", files / "test.parquet", "--k", "5", *more)


def test_a_model_is_printed_next_to_its_baselines(run, files):
    code, out, err = run(*command(files, "--baselines", "popularity,itemknn"))
    assert code == 0, err
    assert out.splitlines()[0].startswith("Codes keep ")
    for part in (
        "popularity",
        "itemknn",
        "gini@5",
        "p-values of paired tests over the same users",
        "recall@5 by history of users",
    ):
        assert part in out


def test_the_document_holds_the_numbers(run, files):
    options = (
        "--baselines",
        "ease",
        "--items",
        files / "items.parquet",
        "--segments",
        "kind",
        "--json",
        "-q",
    )
    code, out, err = run(*command(files, *options))
    assert code == 0, err
    document = json.loads(out)
    plain = json.loads(run(*command(files, "--json", "-q"))[1])
    assert document["metrics"]["hamming"]["recall@5"] == plain["metrics"]["hamming"]["recall@5"]
    assert set(document["baselines"]) == {"ease"}
    kinds = {row["value"] for row in document["segments"] if row["segments"] == "kind"}
    assert kinds == {"a", "b", "c"}
    assert "calibration@5" in document["metrics"]["hamming"]
    assert "verdict" not in plain


def test_the_report_is_written_with_titles_and_never_over_a_file_unasked(run, files):
    page = files / "report.html"
    options = ("--report", page, "--items", files / "items.parquet", "--baselines", "popularity")
    code, out, err = run(*command(files, *options))
    assert code == 0, err
    assert f"report: {page}" in out
    text = page.read_text(encoding="utf-8")
    assert "Title of" in text
    assert "Codes keep" in text
    assert "<script" not in text
    page.write_text("mine")
    code, _, err = run(*command(files, *options))
    assert code == 2
    assert "exists; pass --overwrite to replace it" in err
    assert page.read_text() == "mine"
    assert run(*command(files, *options, "--overwrite"))[0] == 0
    assert "Codes keep" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--baselines", "popular"), "baseline must be one of .* did you mean 'popularity'"),
        (("--segments", "kind"), "no table was given"),
        (("--title", "name", "--beyond"), "--title needs --items FILE"),
        (("--report", "."), "--report must be a file"),
        (("--items", "gone.parquet"), "gone.parquet"),
    ],
)
def test_a_wrong_option_is_one_sentence(run, files, options, message):
    code, out, err = run(*command(files, *options, "-q"))
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert re.search(message, err)


def test_a_table_of_other_items_is_named_with_its_file(run, files):
    pq.write_table(pa.table({"item_id": ["nobody's"], "title": ["x"]}), files / "other.parquet")
    code, _, err = run(*command(files, "--items", files / "other.parquet", "-q"))
    assert code == 2
    assert "other.parquet: " in err


def test_without_matplotlib_the_report_has_no_plots_and_says_so(run, files, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    report = files / "report.html"
    code, _, err = run(*command(files, "--baselines", "popularity", "--report", report))
    assert code == 0, err
    assert "the report will have no plots: a plot needs the package matplotlib" in err
    assert "popularity" in report.read_text()
    assert "<svg" not in report.read_text()
