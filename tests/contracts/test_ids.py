"""One rule of ids at every door: each kind of id through each door is the same id, each other kind one sentence."""

from __future__ import annotations

import csv
import datetime
import json
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from hashgnn.cli._reading import listed_ids, typed_ids
from hashgnn.data import IdMap, Interactions, SideFeatures, add_interactions, read_interactions
from hashgnn.data._id_kinds import printed
from hashgnn.errors import DataError, HashGNNError
from hashgnn.recommender import HashGNN
from hashgnn.serving.wire.json_ids import IdReader, IdWriter
from hashgnn.testing.states import random_state

DAY = datetime.date(2024, 2, 27)
MOMENT = datetime.datetime(2024, 2, 27, 22, 30, 1, 250000)
ZONE = datetime.timezone(datetime.timedelta(hours=2))
N = 6

KINDS: dict[str, list[Any]] = {
    "int": [5, 0, -3, 2**62, 7, 12],
    "str": ["5", "007", "é", "a b", "NULLIFY", "x,\"y'"],
    "uuid": [uuid.UUID(int=n * 0x1234567890ABCDEF) for n in range(N)],
    "bytes": [bytes([n, 255 - n]) for n in range(N)],
    "date": [DAY + datetime.timedelta(n) for n in range(N)],
    "datetime": [MOMENT + datetime.timedelta(n) for n in range(N)],
    "datetime_utc": [(MOMENT + datetime.timedelta(n)).replace(tzinfo=datetime.UTC) for n in range(N)],
    "tuple": [("shop", 3), ("shop", 4), ("é", 3), ("", -1), ("a,b", 0), ('"', 2)],
    "tuple of UUIDs": [(uuid.UUID(int=n), DAY) for n in range(N)],
    "nested tuple": [(n, (b"\x00", None)) for n in range(N)],
}
NOUNS = {
    "int": "integers",
    "str": "text",
    "uuid": "UUIDs",
    "bytes": "bytes",
    "date": "dates",
    "datetime": "times",
    "datetime_utc": "times in UTC",
}
WRONG: dict[str, list[Any]] = {
    "int": ["5", "x", 2.5, True, None, b"5", DAY, (5,)],
    "str": [5, 2.5, True, None, b"5", uuid.UUID(int=5), DAY],
    "uuid": [
        "x",
        "",
        5,
        2.5,
        True,
        None,
        b"\x00",
        DAY,
        "00000000-0000-0000-0000-00000000000g",
        "1_0" + "0" * 29,
    ],
    "bytes": ["x", "0", "zz", 5, None, True, uuid.UUID(int=5), DAY],
    "date": ["x", "2024-02-30", 5, None, b"2024", MOMENT, "2024-02-27T01:00:00"],
    "datetime": ["x", "2024-02-30", 5, None, b"x", "2024-02-27T22:30:01.2500001"],
    "datetime_utc": ["x", "25:00", 5, None, b"x"],
    "tuple": ["x", "{}", "3", 5, None, b"x", DAY],
    "tuple of UUIDs": ["x", '["x","2024-02-27"]', 5, None],
    "nested tuple": ["x", '[1,["g",null]]', 5, None],
}
# Other values that are the first id of a kind.
OTHER_FORMS: dict[str, list[Any]] = {
    "int": [5.0, Decimal("5.00"), np.int8(5), np.float32(5), pa.scalar(5)],
    "str": [np.str_("5"), pa.scalar("5")],
    "uuid": [
        str(KINDS["uuid"][0]).upper(),
        KINDS["uuid"][0].hex,
        f"{{{KINDS['uuid'][0]}}}",
        KINDS["uuid"][0].urn,
        KINDS["uuid"][0].bytes,
    ],
    "bytes": ["00FF", np.bytes_(b"\x00\xff")],
    "date": [
        "20240227",
        "2024-02-27 00:00:00",
        datetime.datetime(2024, 2, 27),
        pd.Timestamp(DAY),
        np.datetime64(DAY),
        np.datetime64(DAY, "ns"),
        pa.scalar(DAY),
    ],
    "datetime": [
        "2024-02-27 22:30:01.25",
        "2024-02-27T22:30:01.250000000Z",
        pd.Timestamp(MOMENT),
        np.datetime64(MOMENT),
        np.datetime64(MOMENT, "ns"),
        MOMENT.replace(tzinfo=datetime.UTC),
    ],
    "datetime_utc": [
        "2024-02-28T00:30:01.25+02:00",
        MOMENT,
        pd.Timestamp(MOMENT, tz="UTC"),
        MOMENT.replace(tzinfo=datetime.UTC).astimezone(ZONE),
    ],
    "tuple": ['[ "shop" , 3 ]', ("shop", 3.0), ("shop", np.int64(3))],
    "tuple of UUIDs": [
        (str(uuid.UUID(int=0)), "2024-02-27"),
        '["00000000000000000000000000000000","20240227"]',
    ],
    "nested tuple": ['[0,["00",null]]', (0, ("00", None))],
}
ITEMS = [0, 1, 2, 3, 4, 5]
Door = Callable[[Path, list[Any], IdMap | None], Interactions]


def aligned(known: IdMap | None) -> dict[str, Any]:
    return {} if known is None else {"user_ids": known, "item_ids": IdMap(ITEMS)}


def arrays(_: Path, ids: list[Any], known: IdMap | None) -> Interactions:
    return Interactions.from_arrays(ids, ITEMS, **aligned(known))


def pandas_frame(_: Path, ids: list[Any], known: IdMap | None) -> Interactions:
    return Interactions.from_frame(pd.DataFrame({"user_id": ids, "item_id": ITEMS}), **aligned(known))


def pandas_objects(_: Path, ids: list[Any], known: IdMap | None) -> Interactions:
    frame = pd.DataFrame({"user_id": pd.Series(ids, dtype=object), "item_id": ITEMS})
    return Interactions.from_frame(frame, **aligned(known))


def polars_objects(_: Path, ids: list[Any], known: IdMap | None) -> Interactions:
    frame = pl.DataFrame({"user_id": pl.Series(ids, dtype=pl.Object), "item_id": ITEMS})
    return Interactions.from_frame(frame, **aligned(known))


def arrow_or_text(ids: list[Any]) -> pa.Array:
    """Return a column as Arrow keeps such values, or the printed forms where it has no type for them."""
    return pa.array(list(map(printed, ids)) if isinstance(ids[0], tuple) else ids)


def arrow_table(_: Path, ids: list[Any], known: IdMap | None) -> Interactions:
    table = pa.table({"user_id": arrow_or_text(ids), "item_id": ITEMS})
    return Interactions.from_frame(table, **aligned(known))


def categories(_: Path, ids: list[Any], known: IdMap | None) -> Interactions:
    column = pa.array(list(map(printed, ids))).dictionary_encode()
    if isinstance(ids[0], int):
        column = pa.array(ids).dictionary_encode()
    return Interactions.from_frame(pa.table({"user_id": column, "item_id": ITEMS}), **aligned(known))


def parquet(folder: Path, ids: list[Any], known: IdMap | None) -> Interactions:
    table = pa.table({"user_id": arrow_or_text(ids), "item_id": ITEMS})
    pyarrow.parquet.write_table(table, folder / "e.parquet")
    return read_interactions(folder / "e.parquet", **aligned(known))


def feather(folder: Path, ids: list[Any], known: IdMap | None) -> Interactions:
    table = pa.table({"user_id": arrow_or_text(ids), "item_id": ITEMS})
    pyarrow.feather.write_feather(table, folder / "e.feather")
    return read_interactions(folder / "e.feather", **aligned(known))


def csv_file(folder: Path, ids: list[Any], known: IdMap | None) -> Interactions:
    with (folder / "e.csv").open("w", newline="") as file:
        rows = zip(map(printed, ids), ITEMS, strict=True)
        csv.writer(file).writerows([("user_id", "item_id"), *rows])
    return read_interactions(folder / "e.csv", **aligned(known))


def json_lines(folder: Path, ids: list[Any], known: IdMap | None) -> Interactions:
    values = [value if isinstance(value, int | str) else printed(value) for value in ids]
    lines = [
        json.dumps({"user_id": value, "item_id": item}) for value, item in zip(values, ITEMS, strict=True)
    ]
    (folder / "e.jsonl").write_text("\n".join(lines))
    return read_interactions(folder / "e.jsonl", **aligned(known))


OBJECT_DOORS: dict[str, Door] = {
    door.__name__: door for door in (arrays, pandas_frame, pandas_objects, polars_objects)
}
DOORS: dict[str, Door] = OBJECT_DOORS | {
    door.__name__: door for door in (arrow_table, categories, parquet, feather, csv_file, json_lines)
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_door_of_rows_finds_the_known_ids(tmp_path: Path, kind: str, door: str) -> None:
    known = IdMap(KINDS[kind])
    assert known.kind == kind.split()[-1 if kind == "nested tuple" else 0]
    rows = [3, 0, 5, 1, 4, 2]
    found = DOORS[door](tmp_path, [KINDS[kind][row] for row in rows], known)
    assert dict(zip(found.item_index.tolist(), found.user_index.tolist(), strict=True)) == dict(
        enumerate(rows)
    )


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_update_knows_the_users_of_every_door_again(tmp_path: Path, kind: str, door: str) -> None:
    known = Interactions.from_arrays(KINDS[kind], ITEMS)
    both = add_interactions(known, DOORS[door](tmp_path, KINDS[kind], IdMap(KINDS[kind])))
    assert (both.n_users, len(both)) == (N, N)
    if kind != "str":  # where nothing is known, a column of text that is all integers is integers
        both = add_interactions(known, DOORS[door](tmp_path, KINDS[kind], None))
        assert (both.n_users, len(both)) == (N, N)
        assert both.user_ids.ids.tolist() == known.user_ids.ids.tolist()


@pytest.mark.parametrize("door", OBJECT_DOORS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_doors_of_objects_make_of_ids_without_known_ones_is_the_same(
    tmp_path: Path, kind: str, door: str
) -> None:
    found = OBJECT_DOORS[door](tmp_path, KINDS[kind], None)
    expected = IdMap.factorize(KINDS[kind])[0]
    assert found.user_ids == expected
    assert list(map(type, found.user_ids.ids.tolist())) == list(map(type, expected.ids.tolist()))


@pytest.mark.parametrize("kind", KINDS)
def test_queries_in_any_form_are_the_same_queries(kind: str) -> None:
    ids = KINDS[kind]
    model = HashGNN.from_state(random_state(ids, ids, rng=1))
    expected = model.recommend(ids, k=2, filter_seen=False)
    assert [type(value) for value in expected.query_ids.tolist()] == list(map(type, ids))
    objects = np.empty(N, object)
    objects[:] = ids
    forms: list[Any] = [
        tuple(ids),
        objects,
        pd.Series(objects),
        pl.Series(ids, dtype=pl.Object),
        iter(ids),
    ]
    if kind != "int":
        forms += [list(map(printed, ids)), pa.array(list(map(printed, ids)))]
    for form in forms:
        found = model.recommend(form, k=2, filter_seen=False)
        assert found.query_ids.tolist() == ids
        assert found.lists() == expected.lists()
    for form in OTHER_FORMS[kind]:
        found = model.recommend([form], k=2, filter_seen=False)
        assert found.query_ids.tolist() == ids[:1]
        assert found.lists() == expected.lists()[:1]
        assert model.similar_users([form], k=2).lists() == model.similar_users(ids[:1], k=2).lists()
        history = model.recommend_for_history([[form]], k=2).lists()
        assert history == model.recommend_for_history([ids[:1]], k=2).lists()
        everything = model.recommend(ids[:1], k=N, filter_seen=False).lists()[0]
        without = [item for item in everything if item != ids[0]]
        for block in ([form], [[form]], {form: [form]}, {ids[0]: (form, form)}):
            assert model.recommend([form], k=N, filter_seen=False, block=block).lists() == [without]
        for allow in ([form], [[form]], {form: [form]}):
            assert model.recommend([form], k=N, filter_seen=False, allow=allow).lists() == [ids[:1]]
        assert (model.encode(user_ids=[form]).embeddings == model.encode(user_ids=ids[:1]).embeddings).all()


@pytest.mark.parametrize("kind", KINDS)
def test_what_users_did_since_the_training_is_found_in_any_form(tmp_path: Path, kind: str) -> None:
    ids = KINDS[kind]
    model = HashGNN.from_state(random_state(ids, ids, density=0.2, rng=1))
    pairs = Interactions.from_arrays(ids[:1] * 2, ids[:2])
    expected = model.recommend(ids, k=3, since_training=pairs).lists()
    column = ids[:1] * 2 if kind == "int" else [printed(ids[0])] * 2
    items = ids[:2] if kind == "int" else [printed(value) for value in ids[:2]]
    table = pa.table({"user_id": column, "item_id": items})
    assert model.recommend(ids, k=3, since_training=table).lists() == expected
    if kind == "uuid":  # two forms of one user
        table = pa.table({"user_id": [str(ids[0]), ids[0].hex], "item_id": items})
        assert model.recommend(ids, k=3, since_training=table).lists() == expected


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_line_and_json_read_what_they_write(kind: str) -> None:
    known = IdMap(KINDS[kind])
    places = np.arange(N)
    texts = known.printed(places)
    assert len(set(texts)) == N
    assert typed_ids("user", texts, known) == KINDS[kind]
    quoted = texts if known.kind == "tuple" else ['"' + text.replace('"', '""') + '"' for text in texts]
    assert listed_ids("user", "--users", ", ".join(quoted), None, known) == KINDS[kind]
    values = [json.loads(text) for text in IdWriter(known).texts(places)]
    reader = IdReader(known, "user")
    assert reader.positions(values).tolist() == places.tolist()
    assert reader.printed(values) == values
    for form in OTHER_FORMS[kind]:
        if isinstance(form, str) and kind != "str":  # what a caller may send is kept in one form
            assert reader.printed([form]) == values[:1]


@pytest.mark.parametrize("kind", KINDS)
def test_ids_survive_saving_and_copying(tmp_path: Path, kind: str) -> None:
    model = HashGNN.from_state(random_state(KINDS[kind], KINDS[kind], rng=1))
    model.save(tmp_path / "v1")
    loaded = HashGNN.load(tmp_path / "v1")
    assert loaded.user_ids.tolist() == KINDS[kind]
    assert loaded.state_.users.ids == model.state_.users.ids
    query = KINDS[kind][:2] if kind == "int" else [printed(value) for value in KINDS[kind][:2]]
    assert loaded.recommend(query, k=2).query_ids.tolist() == KINDS[kind][:2]


@pytest.mark.parametrize("kind", KINDS)
def test_tables_of_results_are_read_back_as_the_same_ids(kind: str) -> None:
    model = HashGNN.from_state(random_state(KINDS[kind], KINDS[kind], rng=1))
    found = model.recommend(KINDS[kind], k=2, filter_seen=False)
    for backend in ("pyarrow", "pandas", "polars"):
        frame = found.to_frame(backend)
        read = Interactions.from_frame(frame, user_ids=IdMap(KINDS[kind]), item_ids=IdMap(KINDS[kind]))
        assert len(read) == 2 * N, backend


@pytest.mark.parametrize("kind", KINDS)
def test_features_belong_to_the_same_ids(kind: str) -> None:
    ids = IdMap(KINDS[kind])
    column = KINDS[kind] if kind == "int" else [printed(value) for value in KINDS[kind]]
    frame = pa.table({"id": column[::-1], "year": list(range(N))})
    rows = SideFeatures.from_frame(frame, id="id", numeric=["year"]).design_matrix(ids).toarray()
    assert np.argsort(rows[:, 0]).tolist() == list(range(N))[::-1]


@pytest.mark.parametrize("kind", KINDS)
def test_an_id_of_another_kind_is_one_sentence_at_every_door(kind: str) -> None:
    ids = KINDS[kind]
    model = HashGNN.from_state(random_state(ids, ids, rng=1))
    known = model.state_.users.ids
    noun = NOUNS.get(kind, "tuples")
    said = rf"ids of this (data|model) are {noun}[^\n]*, got "
    for wrong in WRONG[kind]:
        calls: list[Callable[[], Any]] = [
            lambda value=wrong: model.recommend([ids[0], value], k=2, on_unknown="popular"),
            lambda value=wrong: model.recommend_for_history([[ids[0], value]], k=2, on_unknown="skip"),
            lambda value=wrong: model.recommend(ids[:1], k=2, block=[ids[0], value]),
            lambda value=wrong: model.recommend(ids[:1], k=2, allow=[ids[0], value], on_unknown="skip"),
            lambda value=wrong: model.recommend(ids[:1], k=2, block=[[ids[0], value]]),
            lambda value=wrong: model.similar_items([value], k=2),
            lambda value=wrong: model.encode(user_ids=[value]),
            lambda value=wrong: known.index_of([value], on_unknown="skip"),
        ]
        if wrong is not None and wrong != "" and not isinstance(wrong, float):
            rows = Interactions.from_arrays([wrong], [1])
            mine = Interactions.from_arrays(ids, ITEMS)
            calls += [
                lambda value=wrong: Interactions.from_arrays([value], [1], **aligned(known)),
                lambda new=rows, old=mine: add_interactions(old, new),
                lambda value=wrong: model.recommend(
                    ids[:1], k=2, since_training=Interactions.from_arrays([value], [ids[0]])
                ),
            ]
        for call in calls:
            with pytest.raises((HashGNNError), match=said):
                call()
        if isinstance(wrong, str) and kind != "int":
            with pytest.raises(HashGNNError, match=f"^user ids of this model are {noun}"):
                typed_ids("user", [wrong], known)
            reader = IdReader(known, "user")
            with pytest.raises(HashGNNError, match=f"^user ids of this model are {noun}"):
                reader.positions([wrong])
            assert reader.positions([wrong], strict=False).tolist() == [-1]
            assert reader.printed([wrong]) == [wrong]


@pytest.mark.parametrize("text", ["007", "1_000", "+7", "7.5", "x", "", "٣", "0x7"])
def test_a_text_that_is_no_integer_of_a_csv_is_none_of_the_command_line(text: str) -> None:
    with pytest.raises(HashGNNError, match="^item ids of this model are integers, got"):
        typed_ids("item", [text], IdMap([7]))
    assert typed_ids("item", ["7.0", " 7 ", "-8"], IdMap([7])) == [7, 7, -8]


@pytest.mark.parametrize(
    ("ids", "sentence"),
    [
        (
            [1, "a"],
            "user ids must be of one kind to be saved and served, got 1 and 'a'; convert them to text",
        ),
        ([DAY, MOMENT], "user ids must be of one kind to be saved and served, got datetime.date"),
        ([frozenset([1]), frozenset([2])], "user ids cannot be saved and served, got frozenset"),
        ([pd.Timestamp(1), pd.Timestamp(2)], "user ids cannot be saved and served, got Timestamp"),
        ([1 + 2j, 2j], "user ids cannot be saved and served, got .* of type complex"),
        ([("a", float("nan")), ("b", 1.5)], "user ids cannot be saved and served, got nan of type float"),
        ([("a", 2**70), ("b", 1)], "user ids must be integers of 64 bits, got"),
        ([("\ud800",), ("b",)], "user ids must be text that UTF-8 can hold"),
        ([(uuid.UUID(int=1),), ("b",)], "user ids must be tuples with one kind of value at each place"),
    ],
)
def test_ids_that_cannot_be_saved_or_served_are_refused_before_training(
    tmp_path: Path, ids: list[Any], sentence: str
) -> None:
    pytest.importorskip("torch")
    rows = Interactions.from_arrays([*ids, *ids], [1, 1, 2, 2])
    log = tmp_path / "log.jsonl"
    with pytest.raises(DataError, match=sentence):
        HashGNN(8).fit(rows, log_path=log, progress=False)
    assert not log.exists()
