"""Rules on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from hashgnn import HashGNN
from hashgnn.state import save_state
from hashgnn.testing.states import random_state

Run = Callable[..., tuple[int, str, str]]
CSV = "sku,price,brand,in_stock\n" + "".join(
    f"i{n},{n}.5,b{n % 3},{'true' if n % 2 else 'false'}\n" for n in range(30)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rules")
    save_state(random_state(20, 30, rng=3), folder / "v1")
    (folder / "items.csv").write_text(CSV)
    return folder


def test_the_answer_is_that_of_the_library(run: Run, folder: Path) -> None:
    table = ("--items", folder / "items.csv", "--item-id", "sku")
    rules = ("--where", "in_stock and price < 25", "--boost", "brand = 'b1': 1.5", "--boost", "price < 5:+2")
    code, out, _ = run(
        "recommend", folder / "v1", "--users", "u1,u2", "-k", "4", *table, *rules, "--max-per", "brand=2",
        "--diversity", "0.3", "--now", "2026-01-01", "--json",
    )  # fmt: skip
    assert code == 0
    model = HashGNN.load(folder / "v1").with_item_table(folder / "items.csv", item_id="sku")
    found = model.recommend(
        ["u1", "u2"],
        k=4,
        where="in_stock and price < 25",
        boost={"brand = 'b1'": 1.5, "price < 5": "+2"},
        max_per={"brand": 2},
        diversity=0.3,
    )
    rows = json.loads(out)["results"]
    assert [row["item_ids"] for row in rows] == found.lists()
    assert found.effects is not None
    assert [[rank or 0 for rank in row["base_ranks"]] for row in rows] == found.effects.base_ranks.tolist()
    assert [row["rules"]["allowed"] for row in rows] == [found.effects.n_allowed] * 2
    assert [row["rules"]["capped"]["brand"] for row in rows] == found.effects.n_capped["brand"].tolist()


def test_a_table_shows_ranks_before_and_notes_say_what_was_kept_out(run: Run, folder: Path) -> None:
    code, out, err = run(
        "recommend", folder / "v1", "--history", "i1,i2", "-k", "3", "--items", folder / "items.csv",
        "--item-id", "sku", "--where", "price < 10", "--max-per", "brand=1",
    )  # fmt: skip
    assert code == 0
    assert "rank before" in out.splitlines()[0]
    assert "where lets 10 items through; max_per brand kept" in err


def test_files_and_similar_items_keep_the_rules(run: Run, folder: Path, tmp_path: Path) -> None:
    table = ("--items", folder / "items.csv", "--item-id", "sku", "--where", "price < 9")
    code, _, _ = run("recommend", folder / "v1", "--all", "-k", "3", *table, "-o", tmp_path / "r.parquet")
    assert code == 0
    written = pq.read_table(tmp_path / "r.parquet")
    assert {int(item[1:]) for item in written["item_id"].to_pylist()} <= set(range(9))
    assert written.column_names[-2:] == ["base_rank", "base_score"]
    code, out, _ = run("similar", folder / "v1", "--item", "i20", "-k", "3", *table, "--json")
    assert code == 0
    assert all(int(item[1:]) < 9 for item in json.loads(out)["results"][0]["similar_item_ids"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--where", "prise < 3"], "where: the items have no column 'prise'; did you mean 'price'?"),
        (["--boost", "price"], "--boost must be EXPR:X, as \"price < 30: 1.2\", got 'price'"),
        (["--boost", "price < 3: x"], "boost must have factors above 0"),
        (
            ["--boost", "price < 3: 2", "--boost", "price < 3: 3"],
            "--boost names 'price < 3' twice; name it once",
        ),
        (["--max-per", "brand"], "--max-per must be COLUMN=N, as brand=2, got 'brand'"),
        (["--max-per", "brand=two"], "--max-per must be COLUMN=N, as brand=2, got 'two' for N"),
        (["--diversity", "3"], "diversity must be"),
    ],
)
def test_a_wrong_rule_ends_with_one_sentence(
    run: Run, folder: Path, options: list[str], sentence: str
) -> None:
    code, out, err = run(
        "recommend",
        folder / "v1",
        "--users",
        "u1",
        "--items",
        folder / "items.csv",
        "--item-id",
        "sku",
        *options,
    )
    assert (code, out) == (2, "")
    assert sentence in err
    assert "Traceback" not in err


def test_a_folder_keeps_the_rules(run: Run, folder: Path, tmp_path: Path) -> None:
    table = (
        "--items",
        folder / "items.csv",
        "--item-id",
        "sku",
        "--where",
        "price < 20",
        "--max-per",
        "brand=1",
    )
    everyone = ("--all", "-k", "3", *table, "--workers", "1")
    out = tmp_path / "folder"
    code, _, err = run("recommend", folder / "v1", *everyone, "-o", out)
    assert code == 0, err
    model = HashGNN.load(folder / "v1").with_item_table(folder / "items.csv", item_id="sku")
    rules: dict[str, Any] = {"k": 3, "where": "price < 20", "max_per": {"brand": 1}}
    expected = model.recommend(model.user_ids, **rules).to_arrow()
    assert pq.read_table(out).replace_schema_metadata(None).equals(expected)
    code, _, err = run("recommend", folder / "v1", *everyone, "-o", out, "--diversity", "0.2")
    assert code == 2
    assert "holds the answers to another request, with another --diversity; name another folder" in err
    code, _, err = run("similar", folder / "v1", "--all", "items", *everyone[1:], "-o", tmp_path / "similar")
    assert code == 0, err
    expected = model.similar_items(model.item_ids, **rules).to_arrow()
    assert pq.read_table(tmp_path / "similar").replace_schema_metadata(None).equals(expected)


def test_what_rules_cannot_do_is_said_before_anything_is_written(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    code, _, err = run("recommend", folder / "v1", "--all", "--where", "price < 3", "-o", tmp_path / "folder")
    assert code == 2
    assert "attach one with with_item_table, --items FILE, or in the folder of the model" in err
    assert not list(tmp_path.iterdir())
    code, _, err = run("recommend", folder / "v1", "--users", "u1", "--where", "price < 3")
    assert code == 2
    assert "attach one with with_item_table, --items FILE, or in the folder of the model" in err
    code, _, err = run("similar", folder / "v1", "--user", "u1", "--diversity", "0.2")
    assert code == 2
    assert "rules are for items similar to --item" in err


def test_fit_keeps_the_table_in_the_folder(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    lines = "".join(f"u{n % 12},i{(n * 7) % 15}\n" for n in range(120))
    (tmp_path / "events.csv").write_text("user_id,item_id\n" + lines)
    (tmp_path / "items.csv").write_text(CSV)
    quick = (
        "--set",
        "embedding_dim=16",
        "--set",
        "teacher.rank=8",
        "--set",
        "teacher.k=10",
        "--threads",
        "1",
    )
    code, _, err = run(
        "fit", tmp_path / "events.csv", "-o", tmp_path / "v1", "--bits", "16", "--epochs", "1", *quick,
        "--items", tmp_path / "items.csv", "--item-id", "sku",
    )  # fmt: skip
    assert code == 0, err
    code, out, _ = run(
        "recommend",
        tmp_path / "v1",
        "--users",
        "u1",
        "--where",
        "price < 5",
        "--no-filter-seen",
        "--json",
        "-k",
        "5",
    )
    assert code == 0
    assert sorted(json.loads(out)["results"][0]["item_ids"]) == [f"i{n}" for n in range(5)]
    (tmp_path / "bad.csv").write_text("sku,price\nnone,1\n")
    code, _, err = run(
        "fit",
        tmp_path / "events.csv",
        "-o",
        tmp_path / "v2",
        *quick,
        "--items",
        tmp_path / "bad.csv",
        "--item-id",
        "sku",
    )
    assert code == 2
    assert "bad.csv: the table of items must name items of the model in 'sku', none of 1 rows does" in err
    assert not (tmp_path / "v2").exists()
