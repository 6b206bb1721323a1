"""Rules over items in an engine: a part of its contract."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hashgnn.engines import export_model
from hashgnn.errors import ResultWarning
from hashgnn.recommender import HashGNN
from hashgnn.rules import parse
from hashgnn.testing.states import random_state

_N_ITEMS = 400
_NOW = 1769_000_000
_NASTY = [
    "x' OR '1'='1",
    "\\' OR 1=1 --",
    "'; DROP TABLE items; --",
    'a" or 1 == 1 or "',
    "%s %(k)s 100%",
    "{} {0} `stock`",
    "back\\slash\\",
    "na\u00efve \u2603\n\ttwo lines",
]
_WHERE = [
    "price < 0.3",
    "not price < 0.3",
    "price >= 0.2 and (stock > 3 or is_new)",
    "not (price >= 0.2 and (stock > 3 or is_new))",
    "stock < 2.5",
    "not stock = 2.5 and stock != 3",
    "stock in (1, 2, 3.0, -3)",
    "not stock in (1, 2)",
    "price between 0.25 and 0.5",
    "is_new = false",
    "not is_new",
    "kind = 'book'",
    "not kind = 'book'",
    "kind in ('book', 'Film')",
    "not kind in ('book', 'Film')",
    "kind is null",
    "not kind is null and price is not null",
    "kind < 'a'",
    "kind >= 'b'",
    "price < list_price",
    "not price < list_price",
    "kind like 'bo%'",
    "not kind like 'bo%'",
    "kind like '%i_m'",
    "added >= now - 30d",
    "not added >= now - 30d",
    "added < '2026-01-01'",
    "added in ('2026-01-01', '2026-01-02')",
    "price < 1e301",
]
_NOT_OF = {
    "postgresql": {"price < 1e301"},
    "lancedb": {"price < 1e301"},
    "milvus": {
        "price < 1e301",
        "kind is null",
        "kind like '%i_m'",
        "not kind like 'bo%'",
        "price < list_price",
        "not price < list_price",
        *(where for where in _WHERE if "added" in where),
    },
}


class RulesInEngines:
    """Items that ``where`` finds by a condition of the engine are those that it finds by a table of items."""

    def test_a_rule_becomes_a_condition_with_the_same_answers(self, tmp_path: Path, target: str) -> None:
        own, there = self._ruled(tmp_path, target)
        items, index = own.item_attributes, there.engine_index
        assert items is not None
        assert index is not None
        left_out = _NOT_OF[index.engine.dialect]
        for where in _WHERE:
            left = index.condition(parse(where), _NOW, items.filter(where, now=_NOW))
            assert (left is None) == (where in left_out), where
            for way in own.search_ways:
                rules: dict[str, Any] = {"where": where, "search": way, "now": _NOW}
                same_answers(*(_recommended(model, ["u1", "u2"], k=15, **rules) for model in (own, there)))
        limits: list[Any] = []
        search = index.engine.search

        def seen(*arguments: Any, **options: Any) -> Any:
            limits.extend(arguments[3])
            return search(*arguments, **options)

        index.engine.search = seen  # type: ignore[method-assign]
        for lists in ({}, {"allow": [f"i{number}" for number in range(90)]}):
            there.recommend(["u1"], k=5, where="price < 0.3", search="biased", **lists)  # type: ignore[arg-type]
        assert [limit.where is not None for limit in limits] == [True, False]
        assert [limit.allow is not None for limit in limits] == [False, True]
        index.engine.search = search  # type: ignore[method-assign]
        rules = {
            "where": "price < 0.4",
            "max_per": {"kind": 3},
            "diversity": 0.2,
            "boost": {"stock > 4": 1.5},
        }
        for names in (["where", "max_per"], ["where", "diversity"], ["where", "boost"], list(rules)):
            some = {name: rules[name] for name in names}
            same_answers(own.recommend(["u1"], k=15, **some), there.recommend(["u1"], k=15, **some))
        similar: dict[str, Any] = {"where": "not stock > 3", "search": "hamming"}
        same_answers(own.similar_items(["i5"], k=15, **similar), there.similar_items(["i5"], k=15, **similar))
        both: dict[str, Any] = {"where": "stock > 3", "allow": [f"i{n}" for n in range(90)], "block": ["i1"]}
        same_answers(own.recommend(["u1"], k=15, **both), there.recommend(["u1"], k=15, **both))

    def test_no_value_of_a_rule_ends_its_quotes(self, tmp_path: Path, target: str) -> None:
        own, there = self._ruled(tmp_path, target)
        index = there.engine_index
        assert index is not None
        for value in _NASTY:
            quoted = value.replace("'", "''")
            for where, count in (
                (f"kind = '{quoted}'", 20),
                (f"kind in ('{quoted}', 'no kind')", 20),
                (f"kind != '{quoted}' and kind is not null", _N_ITEMS - 20 - 40),
                (f"kind = 'no {quoted}'", 0),
            ):
                found = index.condition(parse(where), 0.0)
                is_said = index.engine.dialect != "milvus" or value.isprintable()
                assert (found is not None) == is_said, where
                assert found is None or found.count == count, where
                nasty: dict[str, Any] = {"k": 25, "where": where, "search": "hamming"}
                same_answers(*(_recommended(model, ["u1"], **nasty) for model in (own, there)))
        assert len(HashGNN.load(tmp_path / "v1", engine=target).engine_index or []) == _N_ITEMS

    def test_values_that_differ_from_those_of_the_engine_count(self, tmp_path: Path, target: str) -> None:
        _, there = self._ruled(tmp_path, target)
        items, index = there.item_attributes, there.engine_index
        assert items is not None
        assert index is not None
        rules: dict[str, Any] = {"k": 5, "where": "stock = 77", "search": "biased", "filter_seen": False}
        items.update({"i3": {"stock": 77}, "i8": {"stock": 77}})
        assert sorted(there.recommend(["u1"], **rules).lists()[0]) == ["i3", "i8"]
        # The same where a model comes with another table than the export had, or with more columns.
        other = pa.table({"item_id": ["i4", "i9"], "stock": [77, 77], "brand": ["a", "b"]})
        model = there.with_item_table(other)
        assert sorted(model.recommend(["u1"], **rules).lists()[0]) == ["i4", "i9"]
        assert model.recommend(["u1"], **{**rules, "where": "brand = 'b'"}).lists() == [["i9"]]

    def _ruled(self, tmp_path: Path, target: str) -> tuple[HashGNN, HashGNN]:
        """Save and export a model with a table of items; return it, and the one whose items are in the engine."""
        rng, n = np.random.default_rng(0), _N_ITEMS
        price = np.where(rng.random(n) < 0.1, np.nan, rng.random(n).round(3))
        kinds: list[str | None] = [*_NASTY * 20, *[None] * 40]
        kinds += ["book", "Film"] * ((n - len(kinds)) // 2)
        table = pa.table(
            {
                "item_id": [f"i{number}" for number in range(n)],
                "price": pa.array(price),
                "list_price": pa.array(price + rng.normal(size=n).round(2), mask=rng.random(n) < 0.1),
                "kind": [kinds[place] for place in rng.permutation(n)],
                "stock": pa.array(rng.integers(-3, 9, n), mask=rng.random(n) < 0.1),
                "is_new": pa.array(rng.random(n) < 0.3, mask=rng.random(n) < 0.2),
                "added": pa.array(
                    (_NOW - rng.integers(0, 90 * 86_400, n)).astype("int64") * 10**6,
                    pa.timestamp("us", "UTC"),
                ),
            }
        )
        pq.write_table(table, tmp_path / "items.parquet")
        HashGNN.from_state(random_state(10, n)).with_item_table(table).save(tmp_path / "v1")
        export_model(tmp_path / "v1", target, attributes=tmp_path / "items.parquet")
        return HashGNN.load(tmp_path / "v1"), HashGNN.load(tmp_path / "v1", engine=target)


def _recommended(model: HashGNN, users: list[str], **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResultWarning)  # nothing may be left
        return model.recommend(users, **options)


def same_answers(one: Any, other: Any) -> None:
    """Fail unless two answers are the same, scores to the last bit."""
    assert one.lists() == other.lists()
    np.testing.assert_array_equal(one.scores, other.scores)
    np.testing.assert_array_equal(one.counts, other.counts)
