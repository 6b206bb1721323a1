"""``hashgnn explain`` and ``hashgnn recommend --explain``: the reasons of the library, in words and as JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from hashgnn import HashGNN
from hashgnn.state import save_state
from hashgnn.testing.states import random_state


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_state(random_state(), tmp_path / "v1")
    return tmp_path / "v1"


def test_explain_prints_the_reasons_of_a_user(run: Any, folder: Path) -> None:
    code, printed, notes = run("explain", folder, "--user", "u3", "--item", "i4")
    assert code == 0
    (columns, ((reasons, against),)) = HashGNN.load(folder).explain("u3", "i4").table()
    heading, _, row = printed.splitlines()
    assert columns == ["because of", "in spite of"]
    assert re.split(r"  +", heading.strip())[-2:] == columns
    assert re.split(r"  +", row.strip())[-2:] == [reasons, against]
    assert printed.count("because of") == printed.count("in spite of") == 1  # the heading says it
    assert "the parts of all items of the history and the rest add up to the score" in notes


def test_explain_as_json_has_the_numbers(run: Any, folder: Path) -> None:
    code, printed, _ = run(
        "explain",
        folder,
        "--history",
        "i1,i2,i9",
        "--item",
        "i4,i5",
        "--reasons",
        2,
        "--search",
        "biased",
        "--json",
    )
    assert code == 0
    document = json.loads(printed)
    found = HashGNN.load(folder).explain(["i1", "i2", "i9"], ["i4", "i5"], 2, search="biased")
    (result,) = document["results"]
    assert (document["search"], result["kind"]) == ("biased", "sum")
    assert "user_id" not in result
    for row, item in enumerate(result["items"]):
        assert item["id"] == found.item_ids[row]
        assert [reason["id"] for reason in item["reasons"]] == found.reason_ids[row].tolist()
        parts = sum(reason["part"] for reason in item["reasons"])
        assert parts + item["others"] + item["rest"] == pytest.approx(item["score"])


def test_recommend_explains_each_row(run: Any, folder: Path) -> None:
    code, printed, _ = run("recommend", folder, "--users", "u3,u5", "-k", 4, "--explain", "--json")
    assert code == 0
    results = json.loads(printed)["results"]
    model = HashGNN.load(folder)
    assert [row["user_id"] for row in results] == ["u3", "u5"]
    lists = model.recommend(["u3", "u5"], k=4).lists()
    assert [[item["id"] for item in row["items"]] for row in results] == lists
    assert results[1]["items"][0]["reasons"][0]["id"] == model.explain("u5", lists[1][0]).reason_ids[0, 0]


def test_recommend_explains_a_history_and_what_is_popular(run: Any, folder: Path) -> None:
    code, printed, _ = run("recommend", folder, "--history", "i1,i2", "-k", 3, "--explain")
    assert code == 0
    assert printed.count("history") == 3
    assert printed.count("because of") <= 1
    assert re.search(r"i[12] \(\d+ %\)", printed)
    code, printed, _ = run(
        "recommend", folder, "--users", "nobody", "--on-unknown", "popular", "-k", 2, "--explain"
    )
    assert code == 0
    assert "users have it" in printed
    assert "in spite of" not in printed
    code, printed, _ = run(
        "recommend", folder, "--users", "u3,nobody", "--on-unknown", "popular", "-k", 2, "--explain"
    )
    assert code == 0
    lines = printed.splitlines()
    assert "because of" in lines[0]
    assert [("users have it" in line) for line in lines[2:]] == [False, False, True, True]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--item", "i4"), "explain needs one of --user and --history, got 0 of them"),
        (("--item", "i4", "--user", "u1", "--history", "i1"), "got 2 of them"),
        (("--item", "i4", "--user", "u1,u2"), "--user must be one id, got 2"),
        (("--item", "gone", "--user", "u1"), "item ids are not in the training data"),
        (("--item", "i4", "--user", "nobody"), "user ids are not in the training data"),
        (("--item", "i4", "--user", "u1", "--reasons", "0"), "must be"),
    ],
)
def test_what_cannot_be_explained_is_bad_input(
    run: Any, folder: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    code, printed, notes = run("explain", folder, *arguments)
    assert (code, printed) == (2, "")
    assert sentence in notes


def test_reasons_are_printed_and_not_written(run: Any, folder: Path, tmp_path: Path) -> None:
    code, _, notes = run("recommend", folder, "--users", "u3", "--explain", "-o", tmp_path / "out.parquet")
    assert code == 2
    assert "--explain prints its reasons" in notes
    assert not (tmp_path / "out.parquet").exists()
