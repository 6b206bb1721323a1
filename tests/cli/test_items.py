"""``hashgnn items``: new items into a saved model, and out of a service's store into the next training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashgnn.data import FeatureVocabulary
from hashgnn.recommender import HashGNN
from hashgnn.serving.store import InteractionStore, NewItem
from hashgnn.state import save_state
from hashgnn.testing.states import random_state

Run = Callable[..., tuple[int, str, str]]
VOCABULARY = FeatureVocabulary({"genre": ("Drama", "War")}, {"year": (1990.0, 5.0)})


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_state(random_state(), tmp_path / "v1")
    return tmp_path / "v1"


def write(path: Path, **columns: list[object]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_items_are_added_by_their_first_users(model: Path, tmp_path: Path, run: Run) -> None:
    first = write(tmp_path / "f.parquet", user_id=["u1", "u2", "u3"], item_id=["new", "new", "newer"])
    code, said, _ = run("items", "add", model, "-o", tmp_path / "v2", "--interactions", first, "--json")
    assert code == 0
    document = json.loads(said)
    assert (document["added"], document["known"], document["n_items"]) == (2, 0, 32)
    expected = HashGNN.load(model).add_items(["new", "newer"], [["u1", "u2"], ["u3"]])
    found = HashGNN.load(tmp_path / "v2", verify=True)
    assert sorted(found.item_ids.tolist()) == sorted(expected.item_ids.tolist())
    assert found.encode(item_ids=["new"]).codes == expected.encode(item_ids=["new"]).codes
    code, said, _ = run("recommend", tmp_path / "v2", "--history", "new,i2", "-k", "3", "--json")
    assert (
        json.loads(said)["results"][0]["item_ids"]
        == found.recommend_for_history([["new", "i2"]], 3).lists()[0]
    )


def test_items_are_added_by_their_features(tmp_path: Path, run: Run) -> None:
    save_state(random_state(features=VOCABULARY), tmp_path / "v1")
    table = write(tmp_path / "t.parquet", item_id=["a", "b"], genre=["War", None], year=[1999, 2001])
    code, _, error = run("items", "add", tmp_path / "v1", "-o", tmp_path / "v2", "--item-features", table)
    assert code == 0, error
    rows = [{"genre": "War", "year": 1999}, {"genre": None, "year": 2001}]
    expected = HashGNN.load(tmp_path / "v1").add_items(["a", "b"], item_features=rows)
    found = HashGNN.load(tmp_path / "v2")
    assert found.encode(item_ids=["a", "b"]).codes == expected.encode(item_ids=["a", "b"]).codes


def test_faults_are_one_sentence_and_write_nothing(model: Path, tmp_path: Path, run: Run) -> None:
    first = write(tmp_path / "f.parquet", user_id=["u1", "w"], item_id=["new", "i3"])

    def fault(*words: object) -> str:
        code, _, error = run("items", "add", model, "-o", tmp_path / "v2", *words)
        assert code == 2
        assert error.splitlines()[-1].startswith("hashgnn: ")
        assert not (tmp_path / "v2").exists()
        return error.splitlines()[-1]

    assert "must name a file of new items, got neither" in fault()
    assert "1 of 2 user ids are not in the training data: 'w'; pass --on-unknown skip" in fault(
        "--interactions", first
    )
    assert "1 of 2 item ids are in the model already: 'i3'; pass --on-known skip" in fault(
        "--interactions", first, "--on-unknown", "skip"
    )
    assert "on_known must be one of 'error', 'skip', got 'maybe'" in fault(
        "--interactions", first, "--on-known", "maybe"
    )
    table = write(tmp_path / "t.parquet", item_id=["a"], genre=["War"])
    assert "item_features must be None" in fault("--item-features", table)
    assert "has no column 'item_id'" in fault("--item-features", write(tmp_path / "x.parquet", name=["a"]))
    twice = write(tmp_path / "y.parquet", item_id=["a", "a"])
    assert "item_id must be unique, got 1 repeated" in fault("--item-features", twice)
    code, said, _ = run(
        "items", "add", model, "-o", tmp_path / "v2", "--interactions", first, "--on-unknown", "skip",
        "--on-known", "skip", "--json",
    )  # fmt: skip
    assert (code, json.loads(said)["added"], json.loads(said)["known"]) == (0, 1, 1)
    code, _, error = run("items", "add", model, "-o", tmp_path / "v2", "--interactions", first)
    assert (code, "holds a saved model; pass --overwrite" in error) == (2, True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    code, _, error = run(
        "items", "add", model, "-o", tmp_path / "other", "--interactions", first, "--overwrite"
    )
    assert (code, "is not a saved model" in error) == (2, True)
    assert (tmp_path / "other" / "mine.txt").read_text() == "mine"


def test_items_of_a_service_are_exported_deleted_and_cleared(model: Path, tmp_path: Path, run: Run) -> None:
    store = tmp_path / "events.db"
    code, _, error = run("items", "export", store, "-o", tmp_path / "out.parquet")
    assert (code, "there is no such file" in error) == (2, True)
    InteractionStore.open(store).close()
    code, _, error = run("items", "export", store, "-o", tmp_path / "out.parquet")
    assert (code, (tmp_path / "out.parquet").exists(), "nothing to export" in error) == (0, False, True)
    with InteractionStore.open(store) as opened:
        opened.items.add(
            [
                NewItem("a", ("u1", "u2"), {"genre": ["War", "Drama"], "year": 1999}),
                NewItem("b", ("u1",), {"genre": "War"}),
                NewItem("i3"),
            ]
        )
    code, said, _ = run("items", "export", store, "-o", tmp_path / "out.parquet", "--json")
    assert (code, json.loads(said)["features"]) == (0, ["genre", "year"])
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == [
        {"item_id": "a", "first_users": ["u1", "u2"], "genre": ["War", "Drama"], "year": 1999},
        {"item_id": "b", "first_users": ["u1"], "genre": ["War"], "year": None},
        {"item_id": "i3", "first_users": [], "genre": None, "year": None},
    ]
    code, said, _ = run("items", "delete", store, "--item", "b", "--json")
    assert json.loads(said) == {"removed": 1, "kept": 2}
    code, said, _ = run("items", "delete", store, "--item", "never", "--json")
    assert (code, json.loads(said)["removed"]) == (0, 0)
    code, said, _ = run("items", "clear", store, "--model", model, "--json")
    assert json.loads(said) == {"removed": 1, "kept": 1}
    with InteractionStore.open(store) as opened:
        assert [one.item for one in opened.items.after(0)[0]] == ["a"]


def test_attributes_come_from_a_file_and_go_into_one(model: Path, tmp_path: Path, run: Run) -> None:
    table = {
        "item_id": [f"i{n}" for n in range(30)],
        "price": [float(n) for n in range(30)],
        "code": ["x"] * 30,
    }
    HashGNN.load(model).with_item_table(pa.table(table)).save(tmp_path / "v1t")
    first = write(tmp_path / "f.parquet", user_id=["u1", "u2"], item_id=["new", "newer"])
    (tmp_path / "a.csv").write_text("item_id,price,code,genre\nnew,100,007,War\nnewer,,8,\ni3,5,9,\n")
    words = ["-o", tmp_path / "v2", "--interactions", first, "--attributes", tmp_path / "a.csv"]
    code, _, error = run("items", "add", tmp_path / "v1t", *words)
    assert code == 0, error
    found = HashGNN.load(tmp_path / "v2")
    for where, expected in (
        ("price = 100 and code = '007'", "new"),
        ("code = '8' and price is null", "newer"),
    ):
        code, said, error = run("recommend", tmp_path / "v2", "--users", "u5", "--where", where, "--json")
        assert json.loads(said)["results"][0]["item_ids"] == [expected], error
        assert found.recommend(["u5"], where=where).lists() == [[expected]]
    assert found.item_attributes is not None
    assert found.item_attributes.filter("code = '9'").count == 0  # a known item stays as it is
    faults: list[tuple[Path, str, str]] = [
        (
            model,
            "item_id,price\nnew,1\n",
            "--attributes needs a model with a table of items, and OLD has none",
        ),
        (tmp_path / "v1t", "item_id,price\nnew,x\n", "attributes of row 0: price must be a number, got 'x'"),
        (
            tmp_path / "v1t",
            "item_id,prise\nnew,1\n",
            "must have columns of OLD's table of items, which has price, code",
        ),
        (tmp_path / "v1t", "sku,price\nnew,1\n", "has no column 'item_id', its columns are sku, price"),
        (tmp_path / "v1t", "item_id,price\nnew,1\nnew,2\n", "must have one row an item, got several"),
    ]
    for old, text, sentence in faults:
        (tmp_path / "a.csv").write_text(text)
        words = ["-o", tmp_path / "v3", "--interactions", first, "--attributes", tmp_path / "a.csv"]
        code, _, error = run("items", "add", old, *words)
        assert (code, (tmp_path / "v3").exists()) == (2, False)
        assert sentence in error.splitlines()[-1]


def test_the_export_has_the_attributes_as_they_are_now(model: Path, tmp_path: Path, run: Run) -> None:
    store = tmp_path / "events.db"
    with InteractionStore.open(store) as opened:
        given = {"price": 9.5, "tags": ["x"], "genre": "Drama"}
        opened.items.add([NewItem("a", ("u1",), {"genre": "War"}, given), NewItem("b"), NewItem("i3")])
        opened.write_attributes([("a", "price", "8"), ("b", "genre", '"Sci"'), ("i4", "price", "1")])
    out, rows = tmp_path / "out.parquet", tmp_path / "rows.parquet"
    code, said, _ = run("items", "export", store, "-o", out, "--attributes", rows, "--json")
    document = json.loads(said)
    assert (code, document["count"], document["features"]) == (0, 3, ["genre"])
    assert (document["attributes_path"], sorted(document["attributes"])) == (
        str(rows),
        ["genre", "price", "tags"],
    )
    assert pq.read_table(out).column_names == ["item_id", "first_users", "genre"]
    assert pq.read_table(rows).select(["item_id", "genre", "price", "tags"]).to_pylist() == [
        {"item_id": "a", "genre": "Drama", "price": 8, "tags": ["x"]},
        {"item_id": "b", "genre": "Sci", "price": None, "tags": None},
        {"item_id": "i3", "genre": None, "price": None, "tags": None},
    ]
    code, said, _ = run("items", "delete", store, "--item", "a", "--json")
    assert json.loads(said)["removed"] == 1
    with InteractionStore.open(store) as opened:
        opened.write_attributes([("i3", "price", "7")])
    run("items", "clear", store, "--model", model)
    with InteractionStore.open(store) as opened:
        values = [(item, name, value) for _, item, name, value in opened.attributes_since(0, 9)]
    assert values == [("b", "genre", '"Sci"'), ("i4", "price", "1"), ("i3", "price", "7")]  # that of i3 stays


@pytest.mark.slow
def test_a_new_item_goes_from_the_service_into_the_next_version(tmp_path: Path, run: Run) -> None:
    pytest.importorskip("torch")
    n = 40
    events = write(
        tmp_path / "events.parquet",
        user_id=[f"u{k // 6}" for k in range(6 * n)],
        item_id=[f"i{(7 * k + k // 9) % 30}" for k in range(6 * n)],
    )
    films = write(
        tmp_path / "films.parquet",
        item_id=[f"i{k}" for k in range(30)],
        genre=["War" if k % 2 else "Drama" for k in range(30)],
    )
    quick = ["--bits", "16", "--threads", "1", "--device", "cpu", "--quiet", "--set", "embedding_dim=8"]
    quick += ["--set", "teacher=none", "--set", "objective.observed_target=all"]
    shop = write(tmp_path / "shop.parquet", item_id=["i0", "i1"], price=[1.5, 2.5], genre=["War", None])
    words = ["fit", events, "-o", tmp_path / "v1", "--item-features", films, "--epochs", "2", *quick]
    words += ["--items", shop]
    assert run(*words)[0] == 0
    store = tmp_path / "events.db"
    with InteractionStore.open(store) as opened:
        users = tuple(f"u{k}" for k in range(12))
        opened.items.add([NewItem("new", users, {"genre": "Sci"}, {"price": 9, "genre": "Space"})])
    new, items = tmp_path / "new.parquet", tmp_path / "new-films.parquet"
    assert run("interactions", "export", store, "-o", new)[0] == 0
    rows = tmp_path / "rows.parquet"
    assert run("items", "export", store, "-o", items, "--attributes", rows)[0] == 0
    both = pa.concat_tables(
        [pq.read_table(films), pq.read_table(items).select(["item_id", "genre"])],
        promote_options="permissive",
    )
    pq.write_table(both, tmp_path / "all.parquet")
    code, _, error = run("update", tmp_path / "v1", new, "-o", tmp_path / "v2", "--threads", "1", "--quiet")
    assert (code, "item_features must be given, the model was trained with genre" in error) == (2, True)
    words = ["update", tmp_path / "v1", new, "-o", tmp_path / "v2", "--epochs", "1", "--threads", "1"]
    words += ["--item-features", tmp_path / "all.parquet", "--quiet", "--attributes"]
    code, _, error = run(*words, write(tmp_path / "bad.parquet", item_id=["new"], price=["x"]))
    assert (code, "attributes of row 0: price must be a number, got 'x'" in error) == (2, True)
    assert not (tmp_path / "v2").exists()
    code, _, error = run(*words, rows)
    assert code == 0, error
    found = HashGNN.load(tmp_path / "v2")
    assert "new" in found.item_ids
    assert found.state_.items.features is not None
    assert found.state_.items.features.categories == {"genre": ("Drama", "Sci", "War")}
    for where, expected in (("price = 9 and genre = 'Space'", "new"), ("genre = 'War'", "i0")):
        assert found.recommend(["u39"], k=1, where=where, filter_seen=False).lists() == [[expected]]
    code, said, _ = run("items", "clear", store, "--model", tmp_path / "v2", "--json")
    assert json.loads(said) == {"removed": 1, "kept": 0}
