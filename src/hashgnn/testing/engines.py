"""The contract of an engine that keeps items: subclass it in a test module and name a URL."""

from __future__ import annotations

import copy
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.codes.item_bias import widened_rows
from hashgnn.engines import EngineIndex, export_model, open_engine, sync_model
from hashgnn.engines.attributes import Attributes
from hashgnn.engines.base import EngineVersion
from hashgnn.engines.rows import ItemRows
from hashgnn.errors import EngineError, ParameterError
from hashgnn.ranking import CandidateFilter
from hashgnn.recommender import HashGNN
from hashgnn.state import ModelState, load_state, save_state
from hashgnn.testing.engine_rules import RulesInEngines, same_answers
from hashgnn.testing.states import random_state

_N_ITEMS = 400
_DIM = 6


def index_over(url: str, codes: BinaryCodes, bias: ItemBias | None = None) -> EngineIndex:
    """Return an index over codes that were written to an engine, in place of what is there."""
    engine = open_engine(url)
    held = engine.versions()
    n = len(codes)
    n_extra = 0 if bias is None else max(8, -(-int(bias.penalty.max(initial=0)) // 8) * 8)
    version = EngineVersion(
        layout=1,
        number=held[-1].number + 1 if held else 1,
        checksum=f"{n:064x}",
        n_items=n,
        n_bits=codes.n_bits,
        n_extra=n_extra,
        top=None if bias is None else bias.top,
        dim=_DIM,
        index=engine.index,
        floats="none",
    )
    biased = None if bias is None else widened_rows(codes.packed, bias.penalty, n_extra)
    rows = ItemRows(np.arange(n), [f"i{at}" for at in range(n)], codes, biased, None, None)
    engine.create(version, iter([rows]), replace=True)
    return EngineIndex(engine, version)


def changed_state(state: ModelState, rng: int, n_changed: int = 9) -> ModelState:
    """Return a model some of whose items have other codes, embeddings and biases."""
    generator = np.random.default_rng(rng)
    rows = generator.permutation(state.n_items)[:n_changed]
    packed, table = state.items.codes.packed.copy(), np.array(state.items.embeddings)
    packed[rows] ^= np.uint8(255)
    table[rows] = generator.normal(size=(n_changed, table.shape[1]))
    bias = state.items.bias
    if bias is not None:
        penalty = bias.penalty.copy()
        penalty[rows[0]] = (int(penalty[rows[0]]) + 3) % 8
        bias = ItemBias(penalty, bias.top)
    items = replace(state.items, codes=BinaryCodes(packed), embeddings=table, bias=bias)
    return replace(state, items=items, checksum=None)


class EngineContract(RulesInEngines, ABC):
    """The contract of every engine: versions, filters, and what happens when something fails.

    Attributes
    ----------
    keeps_replaced : bool
        Whether a reader goes on with its own version after that was replaced, instead of being refused.
    """

    keeps_replaced: ClassVar[bool] = False

    @abstractmethod
    def url(self, name: str, **options: object) -> str:
        """Return the URL of a table or collection, with more options; the engine keeps it between calls."""

    @abstractmethod
    def unreachable(self) -> str:
        """Return the URL of an engine that is not there."""

    @pytest.fixture
    def target(self, request: pytest.FixtureRequest) -> str:
        """Return a URL that no other test uses."""
        name = "".join(letter if letter.isalnum() else "_" for letter in request.node.name.lower())
        return self.url(f"{name[-30:].strip('_')}")

    @pytest.mark.parametrize("form", ["biased", "plain", "ties", "relaxed"])
    def test_its_lists_are_those_of_the_model(self, tmp_path: Path, target: str, form: str) -> None:
        forms: dict[str, dict[str, Any]] = {
            "biased": {},
            "plain": {"item_bias": False},
            "ties": {"n_bits": 8, "dim": 2, "coarse": True},
            "relaxed": {"float_embedding": "relaxed"},
        }
        own, there = self._pair(random_state(30, _N_ITEMS, **forms[form]), tmp_path / "v1", target)
        assert there.search_ways == own.search_ways
        for way in own.search_ways:
            same_answers(
                own.recommend(own.user_ids, k=25, search=way), there.recommend(own.user_ids, k=25, search=way)
            )
        histories = [own.item_ids[:4].tolist(), own.item_ids[7:9].tolist()]
        same_answers(own.recommend_for_history(histories), there.recommend_for_history(histories))
        for way in ("hamming", "hierarchical"):
            items = own.item_ids[:12].tolist()
            same_answers(own.similar_items(items, search=way), there.similar_items(items, search=way))

    @pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 0.99])
    def test_filters_of_any_size_leave_k_results(self, tmp_path: Path, target: str, share: float) -> None:
        own, there = self._pair(random_state(10, 2000), tmp_path / "v1", target)
        rng = np.random.default_rng(0)
        allow = own.item_ids[rng.random(2000) < share].tolist()
        k = min(10, len(allow))
        for options in (  # each leaves k items at least
            {"allow": allow},
            {"block": allow},
            {"allow": allow, "block": allow[: len(allow) - k]},
        ):
            arguments: dict[str, Any] = dict(options)
            mine = own.recommend(own.user_ids, k=k, filter_seen=False, **arguments)
            assert (mine.counts == k).all()
            same_answers(mine, there.recommend(own.user_ids, k=k, filter_seen=False, **arguments))

    def test_conditions_on_attributes_are_those_of_an_allow_list(self, tmp_path: Path, target: str) -> None:
        state = random_state(10, _N_ITEMS)
        attributes = self._attributes(tmp_path / "a.parquet", state)
        save_state(state, tmp_path / "v1")
        export_model(tmp_path / "v1", target, attributes=tmp_path / "a.parquet")
        there = HashGNN.load(tmp_path / "v1", engine=target).engine_index
        assert there is not None
        assert there.version.attributes["price"] == "float"
        own = HashGNN.load(tmp_path / "v1").item_index
        price = np.array([np.nan if value is None else value for value in attributes["price"].to_pylist()])
        kind = np.array(attributes["kind"].to_pylist())
        queries = state.users.codes
        block = CandidateFilter.from_lists(block_per_query=[range(0, _N_ITEMS, 2)] * len(queries))
        for condition, mask in (
            ("price < 0.02", price < 0.02),
            ("price < 0.5", price < 0.5),
            ("kind == 'book'" if there.engine.name == "Milvus" else "kind = 'book'", kind == "book"),
        ):
            for chosen in (CandidateFilter(), block):
                limit = replace_mask(chosen, mask)
                mine = own.search(queries, 20, candidates=limit)
                found = there.where(condition).search(queries, 20, candidates=chosen)
                np.testing.assert_array_equal(found.positions, mine.positions)
                np.testing.assert_array_equal(found.counts, mine.counts)
        with pytest.raises(ParameterError, match="where must be a condition"):
            there.where("no such thing at all").search(queries, 5)
        with pytest.raises(ParameterError, match="where must be a condition"):
            there.where(" ")

    def test_a_condition_needs_attributes(self, tmp_path: Path, target: str) -> None:
        _, there = self._pair(random_state(5, 20), tmp_path / "v1", target)
        assert there.engine_index is not None
        with pytest.raises(ParameterError, match="where needs attributes, and this export has none"):
            there.engine_index.where("price < 1")

    def test_nothing_is_there_before_an_export_and_no_other_version(
        self, tmp_path: Path, target: str
    ) -> None:
        save_state(random_state(5, 30), tmp_path / "v1")
        save_state(random_state(5, 30, rng=1), tmp_path / "v2")
        with pytest.raises(EngineError, match="holds no finished export; run hashgnn export"):
            HashGNN.load(tmp_path / "v1", engine=target)
        export_model(tmp_path / "v1", target)
        with pytest.raises(EngineError, match=r"holds version \w{12} of the model, and this one is version"):
            HashGNN.load(tmp_path / "v2", engine=target)
        with pytest.raises(EngineError, match=r"holds version \w{12} already; bring it up to date with sync"):
            export_model(tmp_path / "v2", target)
        HashGNN.load(tmp_path / "v1", engine=target)

    @pytest.mark.parametrize("replaces", [False, True])
    def test_half_an_export_is_none(self, tmp_path: Path, target: str, replaces: bool) -> None:
        old, new = random_state(8, 60), random_state(8, _N_ITEMS, rng=1)
        save_state(new, tmp_path / "v2")
        answers = None
        if replaces:
            own, there = self._pair(old, tmp_path / "v1", target)
            answers = own.recommend(own.user_ids, k=20)
        engine = open_engine(target)
        version = _version_of(load_state(tmp_path / "v2"), engine.index, 2 if replaces else 1)
        with pytest.raises(RuntimeError, match="a cable was cut"):
            engine.create(version, _cut(load_state(tmp_path / "v2"), version), replace=replaces)
        engine.close()
        if answers is None:
            with pytest.raises(EngineError, match="holds no finished export"):
                HashGNN.load(tmp_path / "v2", engine=target)
            export_model(tmp_path / "v2", target)
        else:
            same_answers(answers, there.recommend(own.user_ids, k=20))
            same_answers(answers, HashGNN.load(tmp_path / "v1", engine=target).recommend(own.user_ids, k=20))
            export_model(tmp_path / "v2", target, replace=True)
            self._is_refused_or_thesame_answers(there, own)
        later, own = HashGNN.load(tmp_path / "v2", engine=target), HashGNN.load(tmp_path / "v2")
        same_answers(own.recommend(own.user_ids, k=20), later.recommend(own.user_ids, k=20))

    def test_a_sync_writes_what_changed_and_readers_see_their_own_version(
        self, tmp_path: Path, target: str
    ) -> None:
        first = random_state(12, _N_ITEMS)
        states = [
            first,
            changed_state(first, 1),
            random_state(12, _N_ITEMS + 50, rng=2),
            random_state(12, 77, rng=3),
        ]
        paths = [tmp_path / f"v{number}" for number in range(len(states))]
        for state, path in zip(states, paths, strict=True):
            save_state(state, path)
        export_model(paths[0], target)
        readers = [HashGNN.load(paths[0], engine=target)]
        own = [HashGNN.load(path) for path in paths]
        written = []
        for number in range(1, len(paths)):
            made = sync_model(paths[number - 1], paths[number], target)
            written.append((made.n_written, made.n_gone))
            readers.append(HashGNN.load(paths[number], engine=target))
            for at in (number - 1, number):
                users = own[at].user_ids
                for way in ("hamming", "biased", "hierarchical"):
                    mine = own[at].recommend(users, k=30, search=way)
                    same_answers(mine, readers[at].recommend(users, k=30, search=way))
                same_answers(
                    own[at].similar_items(own[at].item_ids[:5].tolist()),
                    readers[at].similar_items(own[at].item_ids[:5].tolist()),
                )
        assert written == [(9, 0), (_N_ITEMS + 50, 0), (77, _N_ITEMS + 50 - 77)]
        for at in (0, 1):
            self._is_refused_or_thesame_answers(readers[at], own[at])
            with pytest.raises(EngineError, match="this one is version"):
                HashGNN.load(paths[at], engine=target)
        again = sync_model(paths[-2], paths[-1], target)
        assert (again.n_written, again.n_gone) == (0, 0)

    def test_a_sync_that_fails_changes_nothing_and_can_be_run_again(
        self, tmp_path: Path, target: str
    ) -> None:
        first = random_state(8, _N_ITEMS)
        own, there = self._pair(first, tmp_path / "v1", target)
        save_state(changed_state(first, 1, n_changed=200), tmp_path / "v2")
        mine = own.recommend(own.user_ids, k=20, search="biased")
        engine = open_engine(target)
        held = engine.versions()[-1]
        after = load_state(tmp_path / "v2")
        version = _version_of(after, held.index, held.number + 1, n_extra=held.n_extra)
        with pytest.raises(RuntimeError, match="a cable was cut"):
            engine.change(held, version, np.arange(_N_ITEMS), _cut(after, version))
        engine.close()
        same_answers(mine, there.recommend(own.user_ids, k=20, search="biased"))
        with pytest.raises(EngineError, match="this one is version"):
            HashGNN.load(tmp_path / "v2", engine=target)
        sync_model(tmp_path / "v1", tmp_path / "v2", target)
        same_answers(mine, there.recommend(own.user_ids, k=20, search="biased"))
        new, loaded = HashGNN.load(tmp_path / "v2"), HashGNN.load(tmp_path / "v2", engine=target)
        same_answers(new.recommend(own.user_ids, k=20), loaded.recommend(own.user_ids, k=20))

    def test_searches_during_syncs_see_one_version(self, tmp_path: Path, target: str) -> None:
        states = [random_state(4, 150, rng=number) for number in range(4)]
        for number, state in enumerate(states):
            save_state(state, tmp_path / f"v{number}")
        export_model(tmp_path / "v0", target)
        done, faults = threading.Event(), list[str]()

        def watch() -> None:
            try:
                look()
            except Exception as error:
                faults.append(repr(error))

        def look() -> None:
            number = 0
            while not done.is_set():
                own = HashGNN.load(tmp_path / f"v{number}")
                try:
                    there = HashGNN.load(tmp_path / f"v{number}", engine=target)
                    found = there.recommend(own.user_ids, k=40, search="biased")
                except EngineError:
                    number = (number + 1) % len(states)
                    continue
                mine = own.recommend(own.user_ids, k=40, search="biased")
                if found.lists() != mine.lists():
                    faults.append(f"v{number}")

        watchers = [threading.Thread(target=watch) for _ in range(2)]
        for watcher in watchers:
            watcher.start()
        try:
            for turn in range(2 * len(states)):
                at, to = turn % len(states), (turn + 1) % len(states)
                sync_model(tmp_path / f"v{at}", tmp_path / f"v{to}", target)
        finally:
            done.set()
            for watcher in watchers:
                watcher.join()
        assert not faults, faults

    def test_what_does_not_fit_is_one_sentence(self, tmp_path: Path, target: str) -> None:
        first = random_state(5, 30)
        save_state(first, tmp_path / "v1")
        export_model(tmp_path / "v1", target)
        for name, other, said in (
            ("wide", random_state(5, 30, n_bits=64, rng=1), "n_bits must be 32 as in the engine, got 64"),
            (
                "plain",
                random_state(5, 30, item_bias=False, rng=1),
                "an item bias must be there in both versions or in none",
            ),
            ("far", _with_penalty(first, 200), "the largest penalty of the item bias must be at most"),
        ):
            save_state(other, tmp_path / name)
            with pytest.raises(ParameterError, match=f"{said}.*export it with --replace"):
                sync_model(tmp_path / "v1", tmp_path / name, target)
        with pytest.raises(EngineError, match=r"holds version \w{12}, and .*wide is version"):
            sync_model(tmp_path / "wide", tmp_path / "plain", target)
        self._attributes(tmp_path / "a.parquet", first)
        save_state(changed_state(first, 1), tmp_path / "v2")
        with pytest.raises(ParameterError, match="attributes must be none as in the engine"):
            sync_model(tmp_path / "v1", tmp_path / "v2", target, attributes=tmp_path / "a.parquet")

    def test_changed_attributes_are_synced(self, tmp_path: Path, target: str) -> None:
        first = random_state(5, 50)
        table = self._attributes(tmp_path / "a.parquet", first)
        save_state(first, tmp_path / "v1")
        save_state(changed_state(first, 1, n_changed=2), tmp_path / "v2")
        export_model(tmp_path / "v1", target, attributes=tmp_path / "a.parquet")
        prices = table["price"].to_pylist()
        prices[7] = 99.0
        pq.write_table(table.set_column(1, "price", pa.array(prices)), tmp_path / "b.parquet")
        changed = set(
            np.flatnonzero(
                (
                    load_state(tmp_path / "v1").items.codes.packed
                    != load_state(tmp_path / "v2").items.codes.packed
                ).any(axis=1)
            ).tolist()
        )
        made = sync_model(tmp_path / "v1", tmp_path / "v2", target, attributes=tmp_path / "b.parquet")
        assert made.n_written == len(changed | {7})
        index = HashGNN.load(tmp_path / "v2", engine=target).engine_index
        assert index is not None
        assert index.where("price > 90").search(first.users.codes[:1], 5).positions[0].tolist() == [
            7,
            -1,
            -1,
            -1,
            -1,
        ]

    def test_an_index_is_sent_by_its_address(self, tmp_path: Path, target: str) -> None:
        own, there = self._pair(random_state(5, 60), tmp_path / "v1", target)
        sent = copy.deepcopy(there)
        assert sent.engine_index is not there.engine_index
        same_answers(own.recommend(own.user_ids), sent.recommend(own.user_ids))
        assert str(own.item_index) != str(there.engine_index)
        assert there.engine_index is not None
        assert there.engine_index.version.short in repr(there.engine_index)

    def test_an_engine_that_is_not_there_is_one_sentence(self, tmp_path: Path, target: str) -> None:
        save_state(random_state(5, 20), tmp_path / "v1")
        for call in (
            lambda: HashGNN.load(tmp_path / "v1", engine=self.unreachable()),
            lambda: export_model(tmp_path / "v1", self.unreachable()),
        ):
            with pytest.raises(EngineError, match=r"^[^\n]*cannot be reached, [^\n]*$"):
                call()

    def test_an_unknown_option_or_value_is_named(self, tmp_path: Path, target: str) -> None:
        calls: list[tuple[str, Callable[[], Any]]] = [
            ("index must be one of 'exact'", lambda: open_engine(self.url("items", index="fast"))),
            (
                "rerank must be one of 'here', 'engine', got 'there'",
                lambda: index_over(
                    self.url("items", rerank="there"), BinaryCodes(np.zeros((3, 1), np.uint8))
                ),
            ),
            ("must be at most 40 of the characters", lambda: open_engine(self.url("no-name!"))),
        ]
        for said, call in calls:
            with pytest.raises(ParameterError, match=said):
                call()

    def _is_refused_or_thesame_answers(self, there: HashGNN, own: HashGNN) -> None:
        if self.keeps_replaced:
            same_answers(own.recommend(own.user_ids, k=20), there.recommend(own.user_ids, k=20))
            return
        with pytest.raises(EngineError, match="of the model is no longer there; load the newer version"):
            there.recommend(own.user_ids, k=20)

    def _pair(self, state: ModelState, path: Path, target: str) -> tuple[HashGNN, HashGNN]:
        """Save and export a model; return it, and the one whose items are in the engine."""
        save_state(state, path)
        made = export_model(path, target)
        assert (made.n_items, made.n_written) == (state.n_items, state.n_items)
        return HashGNN.load(path), HashGNN.load(path, engine=target)

    def _attributes(self, path: Path, state: ModelState) -> pa.Table:
        rng = np.random.default_rng(0)
        n = state.n_items
        price: list[float | None] = rng.random(n).tolist()
        price[3] = None
        table = pa.table(
            {
                "item_id": state.items.ids.ids.tolist(),
                "price": pa.array(price, pa.float64()),
                "kind": np.where(rng.random(n) < 0.3, "book", "10% of 'a' film").tolist(),
                "stock": rng.integers(0, 9, n),
            }
        )
        shuffled = table.take(pa.array(rng.permutation(n)))
        pq.write_table(shuffled, path)
        return Attributes.of_table(table, state.items.ids).table.add_column(0, "item_id", table["item_id"])


def replace_mask(candidates: CandidateFilter, mask: Array) -> CandidateFilter:
    """Return a filter with a mask."""
    return CandidateFilter(candidates.block_per_query, candidates.allow_per_query, mask)


def _version_of(state: ModelState, index: str, number: int, n_extra: int | None = None) -> EngineVersion:
    bias = state.items.bias
    assert state.checksum is not None
    return EngineVersion(
        layout=1,
        number=number,
        checksum=state.checksum,
        n_items=state.n_items,
        n_bits=state.n_bits,
        n_extra=32 if n_extra is None else n_extra,
        top=None if bias is None else bias.top,
        dim=state.dim,
        index=index,
        floats="none",
    )


def _cut(state: ModelState, version: EngineVersion) -> Iterator[ItemRows]:
    """Yield the first rows of a model, then fail."""
    rows, bias = np.arange(100), state.items.bias
    codes = state.items.codes[rows]
    biased = None if bias is None else widened_rows(codes.packed, bias.penalty[rows], version.n_extra)
    table = state.items.embeddings[rows].astype(np.float16) if version.floats == "half" else None
    yield ItemRows(rows, state.items.ids.printed(rows), codes, biased, table, None)
    raise RuntimeError("a cable was cut")


def _with_penalty(state: ModelState, penalty: int) -> ModelState:
    bias = state.items.bias
    assert bias is not None
    penalties = bias.penalty.copy()
    penalties[1] = penalty
    return replace(state, items=replace(state.items, bias=ItemBias(penalties, bias.top)))
