"""``recommend --all``, ``similar --all`` and ``encode`` into a folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashgnn import HashGNN
from hashgnn.batch import read_manifest
from hashgnn.testing.states import random_state

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    HashGNN.from_state(random_state(40, 30)).save(folder)
    return folder


def test_recommend_all_into_a_folder(saved: Path, run: Run, tmp_path: Path) -> None:
    model, out = HashGNN.load(saved), tmp_path / "out"
    words = ("recommend", saved, "--all", "-k", "3", "-o", out, "--part-rows", "16", "--workers", "1")
    code, printed, said = run(*words)
    assert code == 0
    assert printed.startswith(f"{out}: 3 files, ")
    assert said == f"{out}: 120 results for 40 users in 3 parts\n"
    table = pq.read_table(out).replace_schema_metadata(None)
    assert table.equals(model.recommend(model.user_ids, k=3).to_arrow())
    assert read_manifest(out)["results"] == 120
    code, printed, said = run(*words, "--json", "--quiet")
    found = json.loads(printed)
    assert (code, said, found["n_parts"], found["n_made"], found["n_rows"]) == (0, "", 3, 0, 40)


def test_options_reach_the_answers(saved: Path, run: Run, tmp_path: Path) -> None:
    model = HashGNN.load(saved)
    pq.write_table(pa.table({"user_id": ["u1"], "item_id": ["i4"]}), tmp_path / "new.parquet")
    words = (
        "--all",
        "-k",
        "2",
        "--search",
        "biased",
        "--allow",
        "i1,i2,i3,i4",
        "--block",
        "i2",
        "--workers",
        "1",
    )
    more = ("--no-filter-seen", "--since-training", tmp_path / "new.parquet", "-q")
    code, printed, said = run("recommend", saved, *words, *more, "-o", tmp_path / "out")
    assert (code, said) == (0, "")
    assert printed.startswith(f"{tmp_path / 'out'}: 1 files, ")
    expected = model.recommend(
        model.user_ids,
        k=2,
        search="biased",
        allow=["i1", "i2", "i3", "i4"],
        block=["i2"],
        filter_seen=False,
        since_training=pa.table({"user_id": ["u1"], "item_id": ["i4"]}),
    )
    assert pq.read_table(tmp_path / "out").replace_schema_metadata(None).equals(expected.to_arrow())


def test_histories_similar_and_encode(saved: Path, run: Run, tmp_path: Path) -> None:
    model = HashGNN.load(saved)
    (tmp_path / "histories").mkdir()
    table = pa.table({"user_id": [7, 8], "history": [["i1", "nothing"], ["i2", "i3"]]})
    pq.write_table(table, tmp_path / "histories/a.parquet")
    histories = ("--histories", tmp_path / "histories", "--on-unknown", "skip", "--workers", "1")
    assert run("recommend", saved, *histories, "-k", "2", "-o", tmp_path / "out", "-q")[0] == 0
    found = pq.read_table(tmp_path / "out")
    expected = model.recommend_for_history([["i1"], ["i2", "i3"]], k=2)
    assert found["user_id"].to_pylist() == [7, 7, 8, 8]
    assert found["item_id"].to_pylist() == expected.ids.reshape(-1).tolist()
    assert run("encode", saved, *histories, "-o", tmp_path / "codes", "-q")[0] == 0
    codes = model.fold_in_users([["i1"], ["i2", "i3"]]).codes.packed
    assert pq.read_table(tmp_path / "codes")["code"].to_pylist() == [code.tobytes() for code in codes]
    alone = ("--workers", "1", "-q")
    assert run("similar", saved, "--all", "items", "-k", "2", "-o", tmp_path / "similar", *alone)[0] == 0
    similar = pq.read_table(tmp_path / "similar").replace_schema_metadata(None)
    assert similar.equals(model.similar_items(model.item_ids, k=2).to_arrow())
    assert run("encode", saved, "--all", "items", "-o", tmp_path / "items", *alone)[0] == 0
    assert pq.read_table(tmp_path / "items")["item_id"].to_pylist() == model.item_ids.tolist()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("recommend", "--all"), "--all needs an output, -o FOLDER or -o FILE.csv"),
        (("recommend", "--all", "--histories", "h", "-o", "out"), "recommend needs one of"),
        (
            ("recommend", "--users", "u1", "-o", "out"),
            "output must end in .parquet, .csv or .jsonl, got 'out'; pass --format csv for a file",
        ),
        (("recommend", "--users", "u1", "--engine", "ray"), "--engine needs --all or --histories with -o"),
        (
            ("recommend", "--all", "-o", "out", "--engine", "dask"),
            "engine must be one of 'local', 'ray', 'spark'",
        ),
        (
            ("recommend", "--all", "-o", "out", "--address", "a:1"),
            "address must be None with --engine local",
        ),
        (("recommend", "--all", "-o", "out", "-k", "0"), "k must be an integer >= 1, got 0"),
        (("recommend", "--histories", "nowhere", "-o", "out"), "nowhere: there is no such file or folder"),
        (("recommend", "--all", "--since-training", "nowhere", "-o", "out"), "nowhere"),
        (
            ("similar", "--all", "items"),
            "--all must be items or users, with -o FOLDER or -o FILE.csv, got 'items'",
        ),
        (
            ("similar", "--all", "films", "-o", "out"),
            "--all must be items or users, with -o FOLDER or -o FILE.csv, got 'films'",
        ),
        (("similar", "--item", "i1", "-o", "out"), "output must end in .parquet, .csv or .jsonl, got 'out'"),
        (("encode", "-o", "out"), "encode needs either --all or --histories, got both or none"),
        (("encode", "--all", "films", "-o", "out"), "--all must be users or items, got 'films'"),
    ],
)
def test_wrong_options_are_one_sentence_and_write_nothing(
    saved: Path,
    run: Run,
    words: tuple[str, ...],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    command, *rest = words
    code, printed, said = run(command, saved, *rest)
    assert (code, printed, said.count("\n")) == (2, "", 1)
    assert sentence in said
    assert list(tmp_path.iterdir()) == []
