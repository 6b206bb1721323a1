"""A fitted model with more items: the known ones keep every bit, and everything works with the new ones."""

from __future__ import annotations

import filecmp
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from hashgnn.answering import EncodedEntities, FittedModel
from hashgnn.data import FeatureVocabulary, IdMap, Interactions
from hashgnn.data.grown_ids import GrownIds, readable_ids
from hashgnn.errors import DataError, ParameterError, UnknownIdError
from hashgnn.evaluation import evaluate
from hashgnn.index import InvertedFile
from hashgnn.recommender import HashGNN
from hashgnn.state import IndexedCodes
from hashgnn.state.growing import Rooms
from hashgnn.testing.states import random_state

WAYS = ("hamming", "biased", "asymmetric", "hierarchical", "float")
FIRST = [["u1", "u2", "u3"], ["u4"], []]
NEW = ["new", "newer", "newest"]


def lists(model: HashGNN, way: str, **options: Any) -> list[list[Any]]:
    return model.recommend(model.user_ids, k=len(model.item_ids), search=way, **options).lists()


@pytest.mark.parametrize("float_embedding", ["encoder", "relaxed"])
def test_known_items_keep_their_bits_and_places(float_embedding: str) -> None:
    model = HashGNN.from_state(random_state(float_embedding=float_embedding))
    grown = model.add_items(NEW, FIRST)
    old, new = model.state_, grown.state_
    assert new.items.ids.ids.tolist() == [*old.items.ids.ids.tolist(), *NEW]
    assert new.items.embeddings[:30].tobytes() == old.items.embeddings.tobytes()
    assert new.items.codes[np.arange(30)] == old.items.codes
    assert old.items.bias is not None
    assert new.items.bias is not None
    assert new.items.bias[:30].values().tolist() == old.items.bias.values().tolist()
    folded = model.fold_in_items(FIRST)
    encoded = grown.encode(item_ids=NEW)
    assert encoded.codes == folded.codes
    assert encoded.embeddings.tobytes() == folded.embeddings.tobytes()
    for way in WAYS:
        without = [[item for item in row if item not in NEW] for row in lists(grown, way, filter_seen=False)]
        if way != "hierarchical":
            assert without == lists(model, way, filter_seen=False)
    assert model.state_ is old
    assert len(model.item_ids) == 30


@pytest.mark.parametrize("item_bias", [True, False])
def test_it_is_saved_and_read_back(tmp_path: Path, item_bias: bool) -> None:
    model = HashGNN.from_state(random_state(item_bias=item_bias))
    grown = model.add_items(NEW[:1], FIRST[:1]).add_items(NEW[1:], FIRST[1:])
    grown.save(tmp_path / "a")
    loaded = HashGNN.load(tmp_path / "a", verify=True)
    loaded.save(tmp_path / "b")
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    same, _, _ = filecmp.cmpfiles(tmp_path / "a", tmp_path / "b", names, shallow=False)
    assert sorted(same) == names
    for way in model.search_ways:
        assert lists(loaded, way) == lists(grown, way)
        if way != "biased":
            of = loaded.similar_items(NEW, k=20, search=way), grown.similar_items(NEW, k=20, search=way)
            assert of[0].lists() == of[1].lists()
    assert loaded.state_.training["n_added_items"] == 3
    assert (model.state_.seen != loaded.state_.seen[:, :30]).nnz == 0


def test_its_users_have_seen_it_and_it_is_as_popular_as_they_are_many() -> None:
    model = HashGNN.from_state(random_state())
    grown = model.add_items(NEW, FIRST)
    rows = dict(zip(grown.user_ids.tolist(), lists(grown, "hamming"), strict=True))
    assert [user for user in rows if "new" not in rows[user]] == ["u1", "u2", "u3"]
    assert grown.fitted.popularity[30:].tolist() == [3, 1, 0]
    fresh = FittedModel(grown.state_)
    assert fresh.popular_order.tolist() == grown.fitted.popular_order.tolist()
    _ = model.fitted.popular_order
    assert model.add_items(NEW, FIRST).fitted.popular_order.tolist() == fresh.popular_order.tolist()


def test_filters_batches_and_figures_take_new_items(tmp_path: Path) -> None:
    model = HashGNN.from_state(random_state())
    grown = model.add_items(NEW, FIRST)
    assert grown.recommend(["u9"], k=2, allow=["new", "newest"]).lists()[0] in (
        ["new", "newest"],
        ["newest", "new"],
    )
    assert "new" not in grown.recommend(["u9"], k=33, block=["new"]).lists()[0]
    made = grown.recommend_all(tmp_path / "all", k=3, n_workers=1, progress=False)
    assert made.n_results == 60
    ids = {"user_ids": grown.state_.users.ids, "item_ids": grown.state_.items.ids}
    users, items = grown.state_.seen.nonzero()
    train = Interactions.from_arrays(ids["user_ids"].ids[users], ids["item_ids"].ids[items], **ids)
    held = Interactions.from_arrays(["u9", "u8"], ["new", "newer"], **ids)
    found = evaluate(grown, train, held, metrics=["recall@33"], search=["float"])
    assert found.metrics["float"]["recall@33"] == 1.0


def test_two_models_that_grow_from_one_do_not_see_each_other() -> None:
    model = HashGNN.from_state(random_state()).add_items(["first"], [["u0"]])
    one, other = model.add_items(["a"], [["u1"]]), model.add_items(["b", "c"], [["u2"], ["u3"]])
    assert one.item_ids.tolist()[-2:] == ["first", "a"]
    assert other.item_ids.tolist()[-3:] == ["first", "b", "c"]
    for grown, names in ((one, ["a"]), (other, ["b", "c"])):
        again = HashGNN.from_state(random_state()).add_items(["first"], [["u0"]])
        expected = again.add_items(names, [["u1"]] if names == ["a"] else [["u2"], ["u3"]])
        for way in WAYS:
            assert lists(grown, way) == lists(expected, way)
    assert len(model.item_ids) == 31


def test_what_an_item_looks_like_does_not_depend_on_those_before_it() -> None:
    model = HashGNN.from_state(random_state())
    at_once = model.add_items(NEW, FIRST)
    one_by_one = model
    for name, users in zip(NEW, FIRST, strict=True):
        one_by_one = one_by_one.add_items([name], [users])
    for way in WAYS:
        assert lists(one_by_one, way) == lists(at_once, way)
    folded = [model_.fold_in_users([["new", "i1"], ["newest"]]) for model_ in (at_once, one_by_one)]
    assert folded[0].embeddings.tobytes() == folded[1].embeddings.tobytes()


def test_lists_of_an_inverted_file_stay(tmp_path: Path) -> None:
    state = random_state(50, 400, n_bits=64)
    model = HashGNN.from_state(state)
    index = InvertedFile(state.items.codes, state.items.bias, n_lists=8, n_probe=8)
    model.fitted.__dict__["item_index"] = index
    grown = model.add_items(NEW, FIRST)
    assert isinstance(grown.item_index, InvertedFile)
    assert grown.item_index is not index
    assert (len(index), len(grown.item_index)) == (400, 403)
    assert grown.item_index.snapshot().lists.words is index.snapshot().lists.words
    expected = HashGNN.from_state(random_state(50, 400, n_bits=64)).add_items(NEW, FIRST)
    for way in WAYS:
        found = lists(grown, way)
        assert [set(row) for row in found] == [set(row) for row in lists(expected, way)]
    codes = grown.state_.items.codes
    assert isinstance(codes, IndexedCodes)
    assert codes[np.array([400, 3])] == expected.state_.items.codes[np.array([400, 3])]


def test_copies_are_whole_models() -> None:
    grown = HashGNN.from_state(random_state()).add_items(NEW, FIRST)
    copy = pickle.loads(pickle.dumps(grown))
    for way in WAYS:
        assert lists(copy, way) == lists(grown, way)
    more = copy.add_items(["last"], [["u0"]])
    assert more.item_ids.tolist()[-1] == "last"
    assert type(pickle.loads(pickle.dumps(grown.state_.items.ids))) is IdMap


def test_features_place_an_item() -> None:
    vocabulary = FeatureVocabulary({"genre": ("Drama", "War")}, {})
    model = HashGNN.from_state(random_state(features=vocabulary))
    grown = model.add_items(["a", "b"], item_features=[{"genre": "War"}, {"genre": "Drama"}])
    codes = grown.encode(item_ids=["a", "b"]).codes
    assert codes == model.fold_in_items(item_features=[{"genre": "War"}, {"genre": "Drama"}]).codes
    assert "a" in grown.recommend(["u1"], k=32).lists()[0]


def test_known_items_are_refused_or_left() -> None:
    model = HashGNN.from_state(random_state())
    with pytest.raises(
        ParameterError, match=r"^2 of 3 item ids are in the model already: 'i1', 'i2'; pass on_"
    ):
        model.add_items(["i1", "new", "i2"], [["u1"]] * 3)
    assert model.add_items(["i1", "new"], [["u1"]] * 2, on_known="skip").item_ids.tolist()[-1] == "new"
    assert model.add_items(["i1"], [["u1"]], on_known="skip") is model
    assert model.add_items([], []) is model
    with pytest.raises(UnknownIdError, match='pass on_unknown="skip" to leave them out'):
        model.add_items(["new"], [["stranger"]])
    assert len(model.add_items(["new"], [["stranger", "u1"]], on_unknown="skip").item_ids) == 31


@pytest.mark.parametrize(
    ("ids", "options", "message"),
    [
        (["new"], {}, "add_items needs audiences or item_features, got neither"),
        (["new"], {"audiences": []}, "audiences must have one list per item, 1, got 0"),
        ("new", {"audiences": [["u1"]]}, "item_ids must be a list, got 'new'"),
        ([7], {"audiences": [["u1"]]}, "item ids of this data are text, got 7 of type int"),
        ([""], {"audiences": [["u1"]]}, "item ids must not be empty text"),
        (["\ud800"], {"audiences": [["u1"]]}, "item ids must be text that UTF-8 can hold"),
        (["a", "a"], {"audiences": [["u1"], []]}, "item ids must differ, got 'a' twice"),
        (["a"], {"audiences": [[7]]}, "user ids of this data are text, got 7"),
        (["a"], {"audiences": ["u1"]}, "each of audiences must be a list, got 'u1'"),
        (["a"], {"item_features": [{"x": 1}]}, "item_features must be None, the model was fitted without"),
        (["a"], {"audiences": [[]], "on_known": "no"}, "on_known must be one of"),
        (["a"], {"audiences": [[]], "on_unknown": "popular"}, "on_unknown must be one of"),
    ],
)
def test_bad_arguments_change_nothing(ids: Any, options: Any, message: str) -> None:
    model = HashGNN.from_state(random_state())
    with pytest.raises((ParameterError, UnknownIdError), match=message):
        model.add_items(ids, **options)
    assert len(model.item_ids) == 30


@pytest.mark.parametrize("rows", [[{"year": float("inf")}], [{"year": "soon"}], [{"genre": "War"}], [{}, {}]])
def test_bad_features_change_nothing(rows: Any) -> None:
    model = HashGNN.from_state(random_state(features=FeatureVocabulary({}, {"year": (2000.0, 1.0)})))
    with pytest.raises((ParameterError, DataError)):
        model.add_items(["a"], item_features=rows)


def test_embeddings_that_are_not_finite_are_refused() -> None:
    model = HashGNN.from_state(random_state())
    lists_of = model.fitted.seen[np.array([-1])]
    good = model.fitted.fold_in_items(lists_of)
    bad = EncodedEntities(good.codes, np.full_like(good.embeddings, np.nan), good.bias)
    with pytest.raises(ParameterError, match="new items must have finite embeddings"):
        model.fitted.with_items(["a"], bad, lists_of)


def test_ids_of_characters_and_kinds(tmp_path: Path) -> None:
    wild = ["tab\t", "nul\x00", "\x7f\x85", "🎬\u202e", " "]
    grown = HashGNN.from_state(random_state()).add_items(wild, [["u1"]] * 5)
    grown.save(tmp_path / "m")
    assert HashGNN.load(tmp_path / "m").item_ids.tolist()[-5:] == wild
    numbers = HashGNN.from_state(random_state(range(20), range(30)))
    assert numbers.add_items([99, 40.0], [[1], [2]]).item_ids.tolist()[-2:] == [99, 40]
    with pytest.raises(ParameterError, match="item ids must be integers of 64 bits"):
        numbers.add_items([2**63], [[1]])
    tuples = HashGNN.from_state(random_state(20, [("shop", n) for n in range(30)]))
    assert tuples.add_items([("shop", 99)], [["u1"]]).similar_items(("shop", 99), k=2).lists() != []


def test_many_items_at_once() -> None:
    model = HashGNN.from_state(random_state(20, 30, n_bits=8, dim=2))
    n = 100_000
    grown = model.add_items([f"n{k}" for k in range(n)], [[f"u{k % 20}"] for k in range(n)])
    assert len(grown.item_ids) == n + 30
    assert grown.state_.seen.nnz == model.state_.seen.nnz + n
    assert grown.recommend(["u1"], k=5, allow=[f"n{n - 1}", "n20"]).lists()[0] != []


def test_a_grown_map_finds_old_and_new_ids() -> None:
    import pyarrow as pa

    grown = GrownIds(GrownIds(IdMap(["a", "b"]), ["d"]), ["c"])
    assert grown.ids.tolist() == ["a", "b", "d", "c"]
    assert grown.index_of(["c", "x", "a", "d"], on_unknown="skip").tolist() == [3, -1, 0, 2]
    assert grown.index_of(pa.array(["c", "x", "a"]), on_unknown="skip").tolist() == [3, -1, 0]
    assert grown == IdMap(["a", "b", "d", "c"])
    assert IdMap.from_arrow(grown.to_arrow()) == grown
    assert grown.at(np.array([3, -1])).tolist() == ["c", None]
    numbers = GrownIds(IdMap(np.array([5, 3])), [9])
    assert numbers.index_of(np.array([9, 3, 4]), on_unknown="skip").tolist() == [2, 1, -1]
    assert numbers.index_of([9.0]).tolist() == [2]
    with pytest.raises(ParameterError, match="of this data are integers"):
        numbers.index_of(["9"])
    with pytest.raises(ParameterError, match="ids must differ, got 7 twice"):
        readable_ids(numbers, [7, 7.0], "ids")
    with pytest.raises(DataError, match="ids must differ"):
        GrownIds(grown, ["c"])


def test_rooms_leave_earlier_tables_as_they_are() -> None:
    rooms, table = Rooms(), np.arange(6, dtype=np.float32).reshape(3, 2)
    first = rooms.appended("t", table, np.ones((1, 2), np.float32))
    second = rooms.appended("t", first, np.full((1, 2), 2, np.float32))
    assert np.shares_memory(first, second)
    fork = rooms.appended("t", first, np.full((1, 2), 3, np.float32))
    assert not np.shares_memory(fork, second)
    assert second[-1].tolist() == [2, 2]
    assert fork[-1].tolist() == [3, 3]
    assert table.tolist() == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(ValueError, match="read-only"):
        second[0] = 7
    many = second
    for _ in range(600):
        many = rooms.appended("t", many, np.zeros((1, 2), np.float32))
    assert (len(many), second[-1].tolist(), sparse.csr_matrix(many).nnz) == (605, [2, 2], 9)
