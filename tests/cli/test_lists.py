"""Lists in files: every command that gives lists, their formats, titles, and files that exist."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashgnn import HashGNN
from hashgnn.data import read_table
from hashgnn.testing.states import random_state

Run = Callable[..., tuple[int, str, str]]
ALONE = ("--workers", "1", "-q")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    HashGNN.from_state(random_state(40, 30)).save(folder)
    return folder


@pytest.fixture
def here(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with titles and prices of all items but the last."""
    items = [f"i{number}" for number in range(29)]
    table = pa.table({"item_id": items, "title": [f"Title, {item}" for item in items], "price": range(29)})
    pq.write_table(table, tmp_path / "titles.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(path: Path | str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_table(path).to_pylist()
    return found


def is_near(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> bool:
    """Compare rows whose scores were decimals on the way."""
    numbers = [[row.pop("score") for row in part] for part in (found, expected)]
    return found == expected and bool(np.allclose(*numbers, rtol=1e-6))


@pytest.mark.parametrize("name", ["x.parquet", "x.csv", "x.jsonl", "x.csv.gz", "x.pq"])
def test_lists_of_users_in_every_format(saved: Path, here: Path, run: Run, name: str) -> None:
    code, out, err = run("recommend", saved, "--users", "u3,u1", "-k", "4", "-o", name)
    assert (code, out, err) == (0, "", f"{name}: 8 recommendations for 2 users\n")
    expected = HashGNN.load(saved).recommend(["u3", "u1"], k=4).to_arrow().to_pylist()
    assert is_near(rows(name), expected)


def test_titles_stand_next_to_the_items(saved: Path, here: Path, run: Run) -> None:
    words = ("recommend", saved, "--users", "u3", "-k", "30", "--no-filter-seen", "--items", "titles.parquet")
    assert run(*words, "-o", "x.csv", "-q")[0] == 0
    found = rows("x.csv")
    assert list(found[0]) == ["user_id", "item_id", "title", "rank", "score"]
    assert {row["item_id"]: row["title"] or None for row in found} == {
        **{f"i{number}": f"Title, i{number}" for number in range(29)},
        "i29": None,
    }
    assert run(*words, "-o", "x.parquet", "--title", "price,title", "-q")[0] == 0
    table = pq.read_table("x.parquet")
    assert table.column_names == ["user_id", "item_id", "price", "title", "rank", "score"]
    assert table["price"].type == pa.int64()
    _, out, _ = run(*words, "--json")
    (one,) = json.loads(out)["results"]
    assert one["title"] == [None if item == "i29" else f"Title, {item}" for item in one["item_ids"]]
    _, out, _ = run(*words, "--title", "price")
    line = next(line for line in out.splitlines() if line.split()[2:3] == ["i7"])
    assert line.split()[3] == "7"


def test_histories_from_files_of_every_form(saved: Path, here: Path, run: Run) -> None:
    model = HashGNN.load(saved)
    lists = [["i1", "i2"], ["i3"]]
    expected = model.recommend_for_history(lists, k=3)
    pq.write_table(pa.table({"user_id": [7, 8], "history": lists}), "a.parquet")
    Path("b.jsonl").write_text('{"user_id": 7, "history": ["i1", "i2"]}\n{"user_id": 8, "history": ["i3"]}\n')
    Path("c.csv").write_text("user_id,item_id\n7,i1\n8,i3\n7,i2\n")
    Path("d.csv").write_text('user_id,history\n7,"[""i1"",""i2""]"\n8,"[""i3""]"\n')
    for name in ("a.parquet", "b.jsonl", "c.csv", "d.csv"):
        words = ("recommend", saved, "--histories", name, "-k", "3")
        code, out, err = run(*words, "--json")
        assert (code, err) == (0, "")
        found = json.loads(out)["results"]
        assert [row["user_id"] for row in found] == [7, 8]
        assert [row["item_ids"] for row in found] == expected.lists()
        for target in (f"{name}.out.csv", f"{name}.out"):
            code, _, err = run(*words, "-o", target, *ALONE)
            assert (code, err) == (0, "")
        table = pq.read_table(f"{name}.out")
        assert table["user_id"].to_pylist() == [7, 7, 7, 8, 8, 8]
        assert table["item_id"].to_pylist() == [item for row in expected.lists() for item in row]
        assert [row["item_id"] for row in rows(f"{name}.out.csv")] == table["item_id"].to_pylist()
    assert [path.name for path in here.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("h.csv", "who,what\n1,i1\n", "h.csv: histories must have a column 'history' of lists, or 'user_id'"),
        ("h.csv", "history\n i1 i2\n", 'history must be a JSON list of item ids, as ["i1","i2"], got'),
        ("h.jsonl", '{"history": 7}\n', "the column 'history' must hold lists of item ids, got int64"),
        ("h.csv", "user_id,item_id\n1,nothing\n", "'nothing'; pass --on-unknown skip to leave them out"),
        ("h.parquet", "no parquet", "h.parquet"),
    ],
)
def test_a_wrong_file_of_histories_is_one_sentence(
    saved: Path, here: Path, run: Run, name: str, text: str, sentence: str
) -> None:
    Path(name).write_text(text)
    for target in ((), ("-o", "out"), ("-o", "out.csv")):
        code, out, err = run("recommend", saved, "--histories", name, *target, *(ALONE if target else ()))
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert sentence in err
    assert sorted(path.name for path in here.iterdir()) == sorted([name, "titles.parquet"])


def test_similar_for_items_and_users_from_a_file(saved: Path, here: Path, run: Run) -> None:
    model = HashGNN.load(saved)
    Path("ids.txt").write_text("i5\n\ni2\n")
    words = ("--item-file", "ids.txt", "-k", "3")
    code, _, err = run("similar", saved, *words, "--items", "titles.parquet", "-o", "x.parquet")
    assert (code, err) == (0, "x.parquet: 6 results for 2 items\n")
    table = pq.read_table("x.parquet")
    assert table.column_names == ["item_id", "similar_item_id", "title", "rank", "score"]
    assert table["similar_item_id"].to_pylist() == [
        item for row in model.similar_items(["i5", "i2"], k=3).lists() for item in row
    ]
    Path("users.txt").write_text("u5\n")
    code, out, _ = run("similar", saved, "--user-file", "users.txt", "-k", "3", "--json")
    assert json.loads(out)["results"][0]["similar_user_ids"] == model.similar_users(["u5"], k=3).lists()[0]


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_all_into_one_file(saved: Path, here: Path, run: Run, suffix: str) -> None:
    model = HashGNN.load(saved)
    name = f"x.{suffix}"
    words = ("recommend", saved, "--all", "-k", "3", "--part-rows", "16", "--workers", "2", "-o", name)
    code, out, err = run(*words)
    assert (code, err) == (0, f"{name}: 120 results for 40 users in 3 parts\n")
    assert out.startswith(f"{here / name}: 120 rows, ")
    assert is_near(rows(name), model.recommend(model.user_ids, k=3).to_arrow().to_pylist())
    assert sorted(path.name for path in here.iterdir()) == ["titles.parquet", name]
    code, _, err = run(*words)
    assert (code, err) == (2, f"hashgnn: {here / name}: exists; pass --overwrite to replace it\n") or (
        code,
        err,
    ) == (2, f"hashgnn: {name}: exists; pass --overwrite to replace it\n")
    assert run(*words, "--overwrite", "--items", "titles.parquet", "-q")[0] == 0
    assert [*rows(name)[0]] == ["user_id", "item_id", "title", "rank", "score"]
    assert run("similar", saved, "--all", "items", "-k", "2", "-o", f"s.{suffix}", *ALONE)[0] == 0
    assert is_near(rows(f"s.{suffix}"), model.similar_items(model.item_ids, k=2).to_arrow().to_pylist())
    assert run("encode", saved, "--all", "items", "-o", f"e.{suffix}", *ALONE)[0] == 0
    codes = read_table(f"e.{suffix}")
    expected = [code.tobytes() for code in model.encode(item_ids=model.item_ids).codes.packed]
    assert codes["item_id"].to_pylist() == model.item_ids.tolist()
    assert [
        code if suffix == "parquet" else bytes.fromhex(code) for code in codes["code"].to_pylist()
    ] == expected


def test_a_folder_with_titles_and_another_request(saved: Path, here: Path, run: Run) -> None:
    words = ("recommend", saved, "--all", "-k", "3", "-o", "out", *ALONE)
    assert run(*words)[0] == 0
    titled = (*words, "--items", "titles.parquet")
    code, _, err = run(*titled)
    assert code == 2
    assert err.endswith("another --items, title; name another folder, or pass --overwrite to replace it\n")
    assert "title" not in pq.read_table("out").column_names
    assert run(*titled, "--overwrite")[0] == 0
    table = pq.read_table("out")
    known = {f"i{number}": f"Title, i{number}" for number in range(29)}
    assert table["title"].to_pylist() == [known.get(item) for item in table["item_id"].to_pylist()]
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("buy milk")
    code, _, err = run(*words[:-4], "mine", "--overwrite", *ALONE)
    assert (code, "exists and holds no batch of hashgnn" in err) == (2, True)
    assert Path("mine/notes.txt").read_text() == "buy milk"


def test_evaluate_and_stats_write_tables(saved: Path, here: Path, run: Run) -> None:
    state = HashGNN.load(saved).state_
    pq.write_table(
        pa.table({"user_id": ["u1", "u2", "u3"], "item_id": ["i1", "i2", "i3"]}), "held_out.parquet"
    )
    words = ("evaluate", saved, "--test", "held_out.parquet", "--k", "5", "-q")
    code, out, _ = run(*words, "-o", "quality.csv", "--json")
    metrics = json.loads(out)["metrics"]
    assert code == 0
    for row in rows("quality.csv"):
        assert metrics[row["search"]][row["metric"]] == pytest.approx(row["value"])
    assert run(*words, "-o", "quality.csv")[0] == 2
    assert run(*words, "-o", "quality.csv", "--overwrite", "--beyond")[0] == 0
    assert {row["method"] for row in rows("quality.csv")} == {"hashgnn"}
    code, out, _ = run(*words, "-o", "-")
    assert out.splitlines()[0].startswith('"search","metric","value"')
    assert state.n_users == 40
    code, out, _ = run("data", "stats", "held_out.parquet", "-o", "s.jsonl", "-q")
    assert rows("s.jsonl")[0]["n_users"] == 3
    assert run("data", "stats", "held_out.parquet", "-o", "s.jsonl")[0] == 2


def test_stdout_gets_the_file_alone(saved: Path, here: Path, run: Run) -> None:
    words = [sys.executable, "-m", "hashgnn", "recommend", str(saved), "-k", "2", "-o", "-"]
    done = subprocess.run([*words, "--users", "u1"], capture_output=True, check=True, text=True)
    assert done.stdout.splitlines()[0] == '"user_id","item_id","rank","score"'
    assert (len(done.stdout.splitlines()), done.stderr) == (3, "")
    done = subprocess.run([*words, "--all", "--format", "jsonl"], capture_output=True, check=True, text=True)
    assert len([json.loads(line) for line in done.stdout.splitlines()]) == 80
    parquet = subprocess.run(
        [*words, "--users", "u1", "--format", "parquet"], capture_output=True, check=True
    )
    assert pq.read_table(pa.BufferReader(parquet.stdout)).num_rows == 2
    left = subprocess.run(
        ["bash", "-c", f"{' '.join(words)} --users u1 | true"], capture_output=True, check=False
    )
    assert b"Traceback" not in left.stderr
    full = subprocess.run(
        ["bash", "-c", f"{' '.join(words)} --users u1 > /dev/full"], capture_output=True, check=False
    )
    assert full.returncode == 2
    assert b"No space left on device" in full.stderr
    assert full.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("recommend", "--users", "u1", "-o", "titles.parquet"), "titles.parquet: exists; pass --overwrite"),
        (("recommend", "--users", "u1", "-o", "x.tsv"), "output must end in .parquet, .csv or .jsonl"),
        (("recommend", "--users", "u1", "-o", "x", "--format", "xml"), "format must be one of 'parquet'"),
        (("recommend", "--users", "u1", "--format", "csv"), "--format needs --output FILE"),
        (("recommend", "--users", "u1", "--overwrite"), "--overwrite needs --output FILE"),
        (("recommend", "--users", "u1", "--title", "title"), "--title needs --items FILE"),
        (("recommend", "--all", "-o", "x", "--title", "title"), "title needs items"),
        (
            ("recommend", "--users", "u1", "--items", "titles.parquet", "--title", "colour"),
            "'colour' must be a column of the table of items, 'title', 'price'",
        ),
        (
            ("recommend", "--all", "-o", "x.csv", "--items", "titles.parquet", "--title", "colour"),
            "'colour' must be a column of the table of items",
        ),
        (("recommend", "--users", "u1", "--items", "gone.csv"), "gone.csv"),
        (("recommend", "--all", "-o", "x.csv", "--items", "gone.csv"), "gone.csv"),
        (("recommend", "--users", "u1", "-o", "x.csv", "-k", "0"), "k must be an integer >= 1, got 0"),
        (("recommend", "--users", "nobody", "-o", "new/x.csv"), "not in the training data"),
        (
            ("similar", "--user", "u1", "--items", "titles.parquet"),
            "--items needs --item, --item-file or --all",
        ),
        (("similar", "--item-file", "gone.txt"), "gone.txt: cannot be read"),
        (("encode", "--all", "items", "-o", "titles.parquet"), "titles.parquet: exists; pass --overwrite"),
        (("encode", "--all", "items", "-o", "-"), "--output must be a file or a folder for encode"),
    ],
)
def test_what_cannot_be_written_is_one_sentence_and_writes_nothing(
    saved: Path, here: Path, run: Run, words: tuple[str, ...], sentence: str
) -> None:
    before = {path.name: path.stat().st_size for path in here.rglob("*")}
    code, out, err = run(words[0], saved, *words[1:])
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sentence in err
    assert {path.name: path.stat().st_size for path in here.rglob("*")} == before


@pytest.mark.parametrize(
    "ids",
    [
        [*range(100, 112)],
        [f'a,"{number}"\n☕' for number in range(12)],
        [uuid.UUID(int=number) for number in range(12)],
        [bytes([number, 255]) for number in range(12)],
        [datetime.date(2024, 1, 1 + number) for number in range(12)],
        [("shop, 1", number) for number in range(12)],
    ],
    ids=lambda ids: type(ids[0]).__name__,
)
@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_ids_of_every_kind_and_a_k_beyond_the_catalogue(
    ids: list[Any], suffix: str, run: Run, tmp_path: Path
) -> None:
    from hashgnn.data import IdMap

    model = HashGNN.from_state(random_state(ids, ids))
    recs = model.recommend(ids[:3], k=len(ids))
    recs.write(tmp_path / f"x.{suffix}")
    model.recommend_all(tmp_path / f"all.{suffix}", k=len(ids), n_workers=1, progress=False)
    known = IdMap(ids)
    for name, users in ((f"x.{suffix}", ids[:3]), (f"all.{suffix}", ids)):
        table = read_table(tmp_path / name, text=() if known.kind == "int" else ("user_id", "item_id"))
        expected = model.recommend(users, k=len(ids))
        found = known.index_of(table["item_id"].to_pylist())
        assert found.tolist() == known.index_of([item for row in expected.lists() for item in row]).tolist()
        places = known.index_of(table["user_id"].to_pylist())
        assert places.tolist() == np.repeat(known.index_of(users), expected.counts).tolist()


def test_nothing_left_to_recommend_is_a_file_with_a_header(saved: Path, here: Path, run: Run) -> None:
    words = ("recommend", saved, "--users", "u1", "--allow", "i1", "--block", "i1")
    for name in ("x.csv", "x.parquet", "x.jsonl"):
        code, _, err = run(*words, "-o", name, "--items", "titles.parquet")
        assert code == 0
        assert "1 of 1 users have no item left to recommend" in err
    assert Path("x.csv").read_text() == '"user_id","item_id","title","rank","score"\n'
    assert pq.read_table("x.parquet").schema.field("item_id").type == pa.string()
    assert Path("x.jsonl").read_text() == ""
    for name in ("all.csv", "all.parquet"):
        assert run("recommend", saved, "--all", *words[4:], "-o", name, *ALONE)[0] == 0
    assert Path("all.csv").read_text() == '"user_id","item_id","rank","score"\n'
