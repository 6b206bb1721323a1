"""Rules in batches: the lists of the call for some users, in every process, and a part of the request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from hashgnn import HashGNN
from hashgnn.answering import BatchAnswers
from hashgnn.batch import read_manifest
from hashgnn.errors import DataError, ParameterError
from hashgnn.testing.states import random_state

RULES: list[dict[str, Any]] = [
    {"where": "in_stock and price < 25"},
    {"boost": {"brand = 'b1'": 1.5, "price < 5": "+2", "price >= 30": 0.5}},
    {"max_per": {"brand": 1, "in_stock": 3}},
    {"diversity": 0.4},
    {"where": "added >= now - 20d", "now": "2026-01-31"},
    {"where": "'new' in tags", "boost": {"in_stock": 2}, "max_per": {"brand": 2}, "diversity": 0.2},
]


def item_table(n: int = 40, *, item_id: str = "item_id") -> pa.Table:
    return pa.table(
        {
            item_id: [f"i{number}" for number in range(n)],
            "title": [f"Item {number}" for number in range(n)],
            "price": [number + 0.5 if number % 7 else None for number in range(n)],
            "brand": [f"b{number % 4}" for number in range(n)],
            "in_stock": [number % 3 != 0 for number in range(n)],
            "tags": [["new"] if number % 2 else [] for number in range(n)],
            "added": pa.array(
                [1769_000_000 - number * 86_400 for number in range(n)], pa.timestamp("s", "UTC")
            ),
        }
    )


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> HashGNN:
    """A saved model whose folder holds a table of items."""
    folder = tmp_path_factory.mktemp("shop") / "model"
    HashGNN.from_state(random_state(60, 40, rng=3)).with_item_table(item_table()).save(folder)
    return HashGNN.load(folder)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make parts in this process."""
    from hashgnn.batch import run

    def in_this_process(writer: Any, numbers: list[int], n_workers: int) -> Any:
        return (writer.write(number) for number in numbers)

    monkeypatch.setattr(run, "run_local", in_this_process)


def table_at(path: Path) -> pa.Table:
    return pq.read_table(path).replace_schema_metadata(None)


def made(model: HashGNN, out: Path, verb: str = "recommend_all", **options: Any) -> pa.Table:
    getattr(model, verb)(out, part_rows=7, progress=False, **options)
    return table_at(out)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("rules", RULES, ids=[" ".join(rules) for rules in RULES])
@pytest.mark.parametrize("search", ["hamming", "hierarchical", "float"])
def test_lists_are_those_of_the_call_for_some(
    shop: HashGNN, tmp_path: Path, rules: dict[str, Any], search: str
) -> None:
    found = made(shop, tmp_path / "users", k=5, search=search, **rules)
    assert found.equals(shop.recommend(shop.user_ids, k=5, search=search, **rules).to_arrow())
    assert not found.equals(shop.recommend(shop.user_ids, k=5, search=search).to_arrow())
    similar = made(shop, tmp_path / "items", "similar_all", k=5, search=search, **rules)
    assert similar.equals(shop.similar_items(shop.item_ids, k=5, search=search, **rules).to_arrow())
    rows = [shop.item_ids[start : start + 3].tolist() for start in range(20)]
    pq.write_table(pa.table({"history": rows}), tmp_path / "histories.parquet")
    options = {"k": 5, "search": search, **rules}
    folded = made(shop, tmp_path / "folded", histories=tmp_path / "histories.parquet", **options)
    assert folded.equals(shop.recommend_for_history(rows, **options).to_arrow())
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "folded",
        "histories.parquet",
        "items",
        "users",
    ]


@pytest.mark.timeout(300)
def test_processes_of_this_machine_make_the_same_lists(shop: HashGNN, tmp_path: Path) -> None:
    rules = RULES[-1]
    found = made(shop, tmp_path / "out", k=5, n_workers=2, **rules)
    assert found.equals(shop.recommend(shop.user_ids, k=5, **rules).to_arrow())
    shop.recommend_all(tmp_path / "one.csv", k=5, n_workers=1, progress=False, **rules)
    written = pyarrow.csv.read_csv(tmp_path / "one.csv")
    assert written["item_id"].to_pylist() == found["item_id"].to_pylist()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.csv", "out"]


@pytest.mark.usefixtures("here")
def test_where_the_table_comes_from(shop: HashGNN, tmp_path: Path) -> None:
    plain = HashGNN.from_state(random_state(60, 40, rng=3))
    rules: dict[str, Any] = {"k": 4, "where": "price < 20", "max_per": {"brand": 2}}
    expected = shop.recommend(shop.user_ids, **rules).to_arrow()
    attached = plain.with_item_table(item_table())
    assert made(attached, tmp_path / "attached", **rules).equals(expected)
    pyarrow.csv.write_csv(item_table().drop_columns(["tags"]), tmp_path / "items.csv")
    from_file = made(plain, tmp_path / "file", items=tmp_path / "items.csv", **rules)
    assert from_file.drop_columns(["title"]).equals(expected)
    assert from_file["title"].to_pylist()[:2] == [
        f"Item {item[1:]}" for item in expected["item_id"].to_pylist()[:2]
    ]
    # Ids in a column of another name, an attribute with the usual one, and no title.
    other = item_table(item_id="sku").drop_columns(["title"])
    other = other.append_column("item_id", pa.array([f"code {n % 2}" for n in range(40)]))
    pq.write_table(other, tmp_path / "other.parquet")
    options: dict[str, Any] = {**rules, "where": "price < 20 and item_id = 'code 1'"}
    named = made(plain, tmp_path / "named", items=tmp_path / "other.parquet", item_id="sku", **options)
    assert named.equals(
        plain.with_item_table(other, item_id="sku").recommend(plain.user_ids, **options).to_arrow()
    )
    # The file that a call names comes before the folder; a table that was given to the model before the file.
    cheap = item_table().set_column(2, "price", pa.array([float(number == 3) * 100 for number in range(40)]))
    pq.write_table(cheap, tmp_path / "cheap.parquet")
    chosen = made(shop, tmp_path / "chosen", items=tmp_path / "cheap.parquet", **rules).drop_columns(
        ["title"]
    )
    assert chosen.equals(shop.with_item_table(cheap).recommend(shop.user_ids, **rules).to_arrow())
    both = made(attached, tmp_path / "both", items=tmp_path / "cheap.parquet", **rules).drop_columns(
        ["title"]
    )
    assert both.equals(expected)


@pytest.mark.usefixtures("here")
def test_a_changed_price_is_seen(shop: HashGNN, tmp_path: Path) -> None:
    model = shop.with_item_table(item_table())
    attributes = model.item_attributes
    assert attributes is not None
    attributes.update({"i8": {"price": 500.0, "in_stock": True}})
    found = made(model, tmp_path / "out", k=5, where="price > 400", filter_seen=False)
    assert set(found["item_id"].to_pylist()) == {"i8"}


@pytest.mark.usefixtures("here")
def test_rules_are_a_part_of_the_request(shop: HashGNN, tmp_path: Path) -> None:
    rules: dict[str, Any] = {"where": "price < 20", "boost": {"in_stock": 1.5}, "max_per": {"brand": 2}}
    out = tmp_path / "out"
    first = shop.recommend_all(out, k=4, part_rows=7, progress=False, **rules)
    request = read_manifest(out)["request"]
    assert {name: request[name] for name in rules} == rules
    assert request["item_table"]
    assert not {"now", "diversity"} & set(request)
    assert shop.recommend_all(out, k=4, part_rows=7, progress=False, **rules).n_made == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    for other, differs in [
        ({**rules, "where": "price < 21"}, "where"),
        ({**rules, "boost": {"in_stock": 1.4}}, "boost"),
        ({**rules, "max_per": {"brand": 1}}, "max_per"),
        ({**rules, "diversity": 0.1}, "diversity"),
        ({}, "boost, item_table, max_per, where"),
    ]:
        with pytest.raises(
            ParameterError, match=f"another request, with another {differs}; name another folder"
        ):
            shop.recommend_all(out, k=4, part_rows=7, progress=False, **other)
    dearer = item_table().set_column(2, "price", pa.array([1.0] * 40))
    with pytest.raises(ParameterError, match="with another item_table; name"):
        shop.with_item_table(dearer).recommend_all(out, k=4, part_rows=7, progress=False, **rules)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    # Columns that no rule looks at do not count.
    retitled = item_table().set_column(1, "title", pa.array(["new title"] * 40))
    again = shop.with_item_table(retitled).recommend_all(out, k=4, part_rows=7, progress=False, **rules)
    assert (again.n_made, again.n_parts) == (0, first.n_parts)
    replaced = shop.recommend_all(out, k=4, part_rows=7, progress=False, overwrite=True)
    assert replaced.n_made == replaced.n_parts


@pytest.mark.usefixtures("here")
def test_a_run_that_goes_on_keeps_its_moment(
    shop: HashGNN, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hashgnn.batch import run

    day = 86_400.0
    clock = {"now": 1769_000_040.0 // 60 * 60}
    monkeypatch.setattr("hashgnn.answering.batch_rules.present_minute", lambda: clock["now"])
    rules: dict[str, Any] = {"k": 4, "where": "added >= now - 20d", "part_rows": 7, "progress": False}
    whole = run.run_local

    def stopped(writer: Any, numbers: list[int], n_workers: int) -> Any:
        yield from (writer.write(number) for number in numbers[:3])
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "run_local", stopped)
    with pytest.raises(KeyboardInterrupt):
        shop.recommend_all(tmp_path / "out", **rules)
    clock["now"] += 10 * day
    monkeypatch.setattr(run, "run_local", whole)
    with pytest.raises(ParameterError, match="with another now, where; name"):
        shop.recommend_all(tmp_path / "out", **{**rules, "where": "added >= now - 10d"})
    with pytest.raises(ParameterError, match="with another now; name"):
        shop.recommend_all(tmp_path / "out", **rules, now="2026-02-01")
    result = shop.recommend_all(tmp_path / "out", **rules)
    assert result.n_made == result.n_parts - 3
    moment = read_manifest(tmp_path / "out")["request"]["now"]
    assert moment == "2026-01-21T12:54:00+00:00"
    expected = shop.recommend(shop.user_ids, k=4, where=rules["where"], now=moment).to_arrow()
    assert table_at(tmp_path / "out").equals(expected)
    # A folder that is whole is not taken for the answers of another day.
    with pytest.raises(ParameterError, match="with another now; name another folder"):
        shop.recommend_all(tmp_path / "out", **rules)
    assert shop.recommend_all(tmp_path / "out", **rules, now=moment).n_made == 0


@pytest.mark.usefixtures("here")
def test_wrong_rules_leave_nothing_behind(shop: HashGNN, tmp_path: Path) -> None:
    plain = HashGNN.from_state(random_state(60, 40, rng=3))

    def call(model: HashGNN, **rules: Any) -> None:
        model.recommend_all(tmp_path / "out", progress=False, **rules)

    with pytest.raises(ParameterError, match="no column 'prise'; did you mean 'price'"):
        call(shop, where="prise < 3")
    with pytest.raises(ParameterError, match="max_per: price must hold text"):
        call(shop, max_per={"price": 1})
    with pytest.raises(ParameterError, match="need a table of items, and this model has none"):
        call(plain, where="price < 3")
    with pytest.raises(DataError, match="must have the id column 'sku'"):
        pq.write_table(item_table(), tmp_path / "items.parquet")
        call(plain, where="price < 3", items=tmp_path / "items.parquet", item_id="sku")
    with pytest.raises(
        ParameterError, match="where must be left out where no items are ranked; rules are for items"
    ):
        shop.similar_all(tmp_path / "out", side="user", where="price < 3", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["items.parquet"]


def test_a_pipeline_of_your_own_takes_rules(shop: HashGNN, tmp_path: Path) -> None:
    users = shop.user_ids[:9]
    batch = pa.record_batch({"user_id": users.tolist()})
    rules: dict[str, Any] = RULES[-1]
    expected = shop.recommend(users, k=4, **rules).to_arrow()
    answers = BatchAnswers(shop.batch_request(k=4, **rules))
    assert answers(batch).equals(expected)
    assert "base_rank" in answers.schema.names
    pq.write_table(item_table(item_id="sku"), tmp_path / "items.parquet")
    named = shop.batch_request(k=4, items=tmp_path / "items.parquet", item_id="sku", **rules)
    assert BatchAnswers(named)(batch).equals(expected)
    attached = shop.with_item_table(item_table().slice(0, 3))
    from_file = attached.batch_request(k=4, items=tmp_path / "items.parquet", item_id="sku", **rules)
    assert BatchAnswers(from_file)(batch).equals(expected)
    with pytest.raises(ParameterError, match="must lie in a file for workers to open it; pass items"):
        attached.batch_request(k=4, where="price < 3")
    pq.write_table(item_table(39, item_id="sku"), tmp_path / "items.parquet")
    from hashgnn.answering import batch_answers

    batch_answers._bound.cache_clear()
    with pytest.raises(DataError, match="was changed after the batch had begun"):
        BatchAnswers(named)(batch)
