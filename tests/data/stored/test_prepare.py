"""Interactions prepared in pieces are those that the reader of whole files makes."""

from __future__ import annotations

import datetime
import pickle
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashgnn.data import (
    IdMap,
    Interactions,
    open_interactions,
    prepare_interactions,
    read_interactions,
    read_table,
)
from hashgnn.errors import DataError, DataWarning, HashGNNError, ParameterError, UnknownIdError

SETS = (
    ("gowalla", "train.parquet", {}),
    ("amazon-cds", "train.parquet", {}),
    ("lastfm-hetrec", "interactions.parquet", {}),
    ("ml-100k", "interactions.parquet", {"weight": "rating", "half_life": "30d"}),
    ("ml-1m", "interactions.parquet", {}),
)


def assert_equal(found: Interactions, expected: Interactions) -> None:
    """Compare all that two sets of interactions hold."""
    for name in ("user_ids", "item_ids"):
        one, other = getattr(found, name), getattr(expected, name)
        assert one.kind == other.kind
        assert one.ids.tolist() == other.ids.tolist()
        assert one == other
    for name in ("user_index", "item_index", "weight", "timestamp"):
        one, other = getattr(found, name), getattr(expected, name)
        assert (one is None) == (other is None), name
        if one is not None:
            assert one.dtype == other.dtype
            assert np.array_equal(one, other), name
    assert (found.n_merged, found.weighting) == (expected.n_merged, expected.weighting)
    assert found.statistics() == expected.statistics()
    assert (found.csr != expected.csr).nnz == 0
    assert found.csr.has_canonical_format


def write(folder: Path, *tables: pa.Table, **options: Any) -> Path:
    """Write tables as the parts of a folder of parquet."""
    folder.mkdir(parents=True)
    for number, table in enumerate(tables):
        pq.write_table(table, folder / f"part-{number}.parquet", **options)
    return folder


def random_table(rng: np.random.Generator, n: int, ids: str) -> pa.Table:
    users, items = rng.integers(0, 40, n), (30 * rng.random(n) ** 2).astype(np.int64)
    columns: dict[str, Any] = {"int": lambda name, x: x - 7, "str": lambda name, x: [f"{name}{v}" for v in x]}
    columns["int32"] = lambda name, x: x.astype(np.int32)
    columns["float"] = lambda name, x: x.astype(np.float64)
    columns["decimal"] = lambda name, x: pa.array([Decimal(int(v)) for v in x], pa.decimal128(20, 0))
    columns["uint64"] = lambda name, x: x.astype(np.uint64) + np.uint64(2**63 - 20)
    columns["dictionary"] = lambda name, x: pa.array([f"{v}" for v in x]).dictionary_encode()
    columns["large"] = lambda name, x: pa.array([f"ü{v}" for v in x], pa.large_string())
    columns["date"] = lambda name, x: [datetime.date(2024, 1, 1) + datetime.timedelta(int(v)) for v in x]
    columns["bytes"] = lambda name, x: [bytes([1 + int(v)]) for v in x]
    columns["tuple"] = lambda name, x: pa.array([[int(v), 1] for v in x])
    columns["uuid"] = lambda name, x: [str(uuid.UUID(int=int(v))) for v in x]
    make = columns[ids]
    return pa.table(
        {
            "user": make("u", users),
            "item": make("i", items),
            "weight": rng.gamma(1.0, 1.0, n).astype(np.float32) + np.float32(0.01),
            "time": rng.integers(1_600_000_000, 1_700_000_000, n),
        }
    )


@pytest.mark.filterwarnings("ignore:timestamp is empty in")  # of half the rows of MovieLens-1M
@pytest.mark.parametrize(("name", "file", "options"), SETS, ids=[one[0] for one in SETS])
def test_real_data_are_read_equal(
    data_dir: Path, tmp_path: Path, name: str, file: str, options: dict[str, Any]
) -> None:
    path = data_dir / name / file
    expected = read_interactions(path, **options)
    found = prepare_interactions(path, tmp_path / "made", rows_per_piece=70_000, **options)
    assert_equal(found, expected)
    assert_equal(read_interactions(tmp_path / "made"), expected)


@pytest.mark.parametrize(
    "ids",
    [
        "int",
        "str",
        "int32",
        "float",
        "decimal",
        "uint64",
        "dictionary",
        "large",
        "date",
        "bytes",
        "tuple",
        "uuid",
    ],
)
def test_ids_of_every_kind_have_the_order_of_the_whole(tmp_path: Path, ids: str) -> None:
    rng = np.random.default_rng(3)
    tables = [random_table(rng, n, ids) for n in (300, 1, 500)]
    folder = write(tmp_path / "events", *tables, row_group_size=50)
    expected = read_interactions(folder)
    found = prepare_interactions(folder, tmp_path / "made", rows_per_piece=120)
    assert found.n_merged > 0
    assert_equal(found, expected)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("left_out", [(), ("weight",), ("time",), ("weight", "time")])
def test_pieces_and_buckets_of_any_size_give_the_same(
    tmp_path: Path, seed: int, left_out: tuple[str, ...]
) -> None:
    rng = np.random.default_rng(seed)
    tables = [random_table(rng, int(n), "str").drop_columns(list(left_out)) for n in rng.integers(1, 400, 4)]
    folder = write(tmp_path / "events", *tables, row_group_size=int(rng.integers(10, 200)))
    for rows in (11, 10_000):
        found = prepare_interactions(folder, tmp_path / f"made-{rows}", rows_per_piece=rows)
        assert_equal(found, read_interactions(folder))


def test_empty_hidden_and_unfinished_files_are_as_for_whole_files(tmp_path: Path) -> None:
    table = random_table(np.random.default_rng(0), 100, "str")
    folder = write(tmp_path / "events", table[:60], table[:0], table[60:])
    (folder / "_SUCCESS").write_text("")
    (folder / ".part-9.parquet.crc").write_text("x")
    (folder / "_temporary").mkdir()
    (folder / "_temporary" / "part-9.parquet").write_text("half")
    (folder / "notes.md").write_text("no events")
    assert_equal(prepare_interactions(folder, tmp_path / "made"), read_interactions(folder))


def test_types_of_parts_are_joined_as_in_one_table(tmp_path: Path) -> None:
    first = pa.table({"user": pa.array([1, 2], pa.int32()), "item": ["a", "b"], "time": pa.array([1, 2])})
    second = pa.table(
        {
            "item": pa.array(["b", "c"], pa.large_string()),
            "more": [1, 2],
            "time": pa.array([3.0, 4.0]),
            "user": pa.array([2, 2**40], pa.int64()),
        }
    )
    folder = write(tmp_path / "events", first, second)
    assert_equal(prepare_interactions(folder, tmp_path / "made"), read_interactions(folder))


def test_types_that_cannot_be_joined_are_named_as_in_one_table(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "events",
        pa.table({"user": [1, 2], "item": [1, 2]}),
        pa.table({"user": ["a", "b"], "item": [1, 2]}),
    )
    with pytest.raises(DataError) as whole:
        read_interactions(folder)
    with pytest.raises(DataError) as raised:
        prepare_interactions(folder, tmp_path / "made")
    assert str(raised.value) == str(whole.value)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("column", "value"),
    [("user", None), ("user", ""), ("item", None), ("weight", 0.0), ("weight", None), ("time", -1)],
)
def test_a_row_that_breaks_a_rule_is_named_as_in_one_table(tmp_path: Path, column: str, value: Any) -> None:
    table = random_table(np.random.default_rng(0), 90, "str")
    listed = table[column].to_pylist()
    listed[75] = value
    place = table.column_names.index(column)
    bad = table.set_column(place, column, pa.array(listed, table.schema.field(column).type))
    folder = write(tmp_path / "events", table, bad, row_group_size=20)
    with pytest.raises(DataError, match="row 76") as whole:
        read_interactions(folder, timestamp="time")
    with pytest.raises(DataError) as raised:
        prepare_interactions(folder, tmp_path / "made", timestamp="time", rows_per_piece=20)
    assert str(raised.value) == str(whole.value)
    assert list(tmp_path.iterdir()) == [folder]


def test_times_that_some_rows_lack_are_left_out_with_one_warning(tmp_path: Path) -> None:
    table = random_table(np.random.default_rng(0), 90, "int")
    listed = table["time"].to_pylist()
    listed[80] = listed[3] = None
    folder = write(tmp_path / "events", table.set_column(3, "time", pa.array(listed)), row_group_size=10)
    with pytest.warns(DataWarning, match="time is empty in 2 of 90 rows; times are left out"):
        expected = read_interactions(folder)
    with pytest.warns(DataWarning, match="time is empty in 2 of 90 rows; times are left out"):
        assert_equal(prepare_interactions(folder, tmp_path / "made", rows_per_piece=10), expected)


@pytest.mark.parametrize("half_life", [None, "90d"])
@pytest.mark.parametrize("reference", [None, "2022-01-01"])
def test_events_and_ages_weigh_the_same(tmp_path: Path, half_life: str | None, reference: str | None) -> None:
    rng = np.random.default_rng(1)
    table = random_table(rng, 500, "str")
    words = rng.choice(["view", "purchase", "impression"], 500)
    words[:40] = "impression"  # a whole piece that weighs nothing
    folder = write(tmp_path / "events", table.append_column("event", pa.array(words)), row_group_size=40)
    options: dict[str, Any] = {"event_weights": {"view": 1, "purchase": 5, "impression": 0}}
    if half_life is not None:
        options |= {"half_life": half_life, "reference_time": reference}
    expected = read_interactions(folder, **options)
    assert_equal(prepare_interactions(folder, tmp_path / "made", rows_per_piece=40, **options), expected)
    assert_equal(read_interactions(tmp_path / "made"), expected)


def test_rows_of_no_weight_alone_are_refused(tmp_path: Path) -> None:
    rows = pa.table({"user": [1, 2], "item": [1, 2], "event": ["view", "view"]})
    with pytest.raises(DataError, match="all 2 rows are events of weight 0"):
        prepare_interactions(
            write(tmp_path / "events", rows), tmp_path / "made", event_weights={"view": 0, "purchase": 1}
        )


@pytest.mark.parametrize("cores", [(5, 4), (9, 1), (1, 6)])
@pytest.mark.parametrize("ids", ["int", "str", "date"])
def test_the_core_is_that_of_interactions(tmp_path: Path, cores: tuple[int, int], ids: str) -> None:
    rng = np.random.default_rng(5)
    folder = write(tmp_path / "events", random_table(rng, 200, ids), random_table(rng, 200, ids))
    expected = read_interactions(folder).k_core(*cores)
    assert len(expected) < len(read_interactions(folder))
    found = prepare_interactions(
        folder, tmp_path / "made", user_k=cores[0], item_k=cores[1], rows_per_piece=60
    )
    assert_equal(found, expected)


def test_a_core_that_is_empty_leaves_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path / "events", random_table(np.random.default_rng(0), 50, "int"))
    with pytest.raises(DataError, match="no interactions are left in the core with user_k=99, item_k=1"):
        prepare_interactions(folder, tmp_path / "made", user_k=99)
    assert list(tmp_path.iterdir()) == [folder]


TEXTS = {
    "ids are numbers": "user,item,time\n7,1,1\n7.0,2,2\n 8 ,1,3\n7,1,9\n",
    "ids are text": "user,item,time\n007,a,1\n7,b,2\nx,b,3\n",
    "times are ISO": "user,item,time\n1,a,2024-01-01T00:00:00Z\n2,b,2024-01-02\n",
    "weights are numbers": "user,item,weight\n1,a,2\n1,a,0.5\n",
}


@pytest.mark.parametrize("first", TEXTS)
@pytest.mark.parametrize("parts", [1, 2])
def test_text_files_have_the_types_of_all_their_files(tmp_path: Path, first: str, parts: int) -> None:
    folder = tmp_path / "events"
    folder.mkdir()
    for part in range(parts):
        (folder / f"part-{part}.csv").write_text(TEXTS[first].replace("8", "9") if part else TEXTS[first])
    assert_equal(prepare_interactions(folder, tmp_path / "made"), read_interactions(folder))


def test_text_in_one_file_makes_all_ids_text(tmp_path: Path) -> None:
    folder = tmp_path / "events"
    folder.mkdir()
    (folder / "a.csv").write_text("user,item\n1,2\n2,3\n3,3\n")
    (folder / "b.csv").write_text("user,item\nx,2\n")
    with pytest.warns(DataWarning, match="user is 'x', so the whole column is text"):
        expected = read_interactions(folder)
    with pytest.warns(DataWarning, match="user is 'x', so the whole column is text"):
        found = prepare_interactions(folder, tmp_path / "made")
    assert_equal(found, expected)
    assert found.user_ids.kind == "str"


def test_other_formats_and_partitions_are_read(tmp_path: Path) -> None:
    for day in ("2024-05-01", "2024-05-02"):
        write(tmp_path / "events" / f"day={day}", pa.table({"user": [1, 2, 2], "item": ["a", "b", "c"]}))
    expected = read_interactions(tmp_path / "events", timestamp="day")
    assert_equal(prepare_interactions(tmp_path / "events", tmp_path / "made", timestamp="day"), expected)
    (tmp_path / "lines.jsonl").write_text('{"user": "a", "item": 1}\n{"user": "b", "item": 2}\n')
    found = prepare_interactions(tmp_path / "lines.jsonl", tmp_path / "made", overwrite=True)
    assert_equal(found, read_interactions(tmp_path / "lines.jsonl"))


def test_times_of_two_kinds_in_text_files_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "events"
    folder.mkdir()
    (folder / "a.csv").write_text("user,item,time\n1,2,5\n2,3,6\n")
    (folder / "b.csv").write_text("user,item,time\n1,2,2024-05-01\n")
    with pytest.raises(DataError):
        read_interactions(folder)
    with pytest.raises(
        DataError, match="b.csv: time must be numbers or ISO 8601 times in all files, got times"
    ):
        prepare_interactions(folder, tmp_path / "made")


def test_arrow_files_of_several_types_are_joined(tmp_path: Path) -> None:
    folder = tmp_path / "events"
    folder.mkdir()
    for name, kind in (("a", pa.int32()), ("b", pa.int64())):
        table = pa.table({"user": pa.array([1, 2, 3], kind), "item": ["x", "y", "y"]})
        with (
            pa.OSFile(str(folder / f"{name}.arrow"), "wb") as sink,
            pa.ipc.new_file(sink, table.schema) as writer,
        ):
            writer.write_table(table)
    assert_equal(prepare_interactions(folder, tmp_path / "made"), read_interactions(folder))


def test_a_folder_is_aligned_to_known_ids(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    folder = write(tmp_path / "events", random_table(rng, 300, "str"))
    prepare_interactions(folder, tmp_path / "made")
    known = {
        "user_ids": IdMap(["u9", "u3", "new", "u1"]),
        "item_ids": IdMap([f"i{n}" for n in range(9, -1, -1)]),
    }
    for on_unknown in ("skip", "add"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            expected = read_interactions(folder, on_unknown=on_unknown, **known)
            found = read_interactions(tmp_path / "made", on_unknown=on_unknown, **known)
        assert found.user_ids == expected.user_ids
        assert found.item_ids == expected.item_ids
        assert np.array_equal(found.user_index, expected.user_index)
        assert np.array_equal(found.item_index, expected.item_index)
        assert np.array_equal(found.timestamp, expected.timestamp)
        assert np.allclose(found.weight, expected.weight)
    with pytest.raises(UnknownIdError, match="made: .* user ids are not in the training data"):
        read_interactions(tmp_path / "made", **known)
    with pytest.raises(DataError, match="user ids of this data are integers"):
        read_interactions(tmp_path / "made", user_ids=IdMap([1, 2]))


def test_options_that_were_settled_are_refused(tmp_path: Path) -> None:
    prepare_interactions(
        write(tmp_path / "events", random_table(np.random.default_rng(0), 9, "int")), tmp_path / "made"
    )
    with pytest.raises(ParameterError, match="prepare the events again"):
        read_interactions(tmp_path / "made", weight="rating")
    with pytest.raises(ParameterError, match="holds prepared interactions already; name the files of events"):
        prepare_interactions(tmp_path / "made", tmp_path / "again")
    with pytest.raises(DataError, match="which are no table; name the files that it was made of"):
        read_table(tmp_path / "made")


def test_text_ids_are_no_python_objects(tmp_path: Path) -> None:
    folder = write(tmp_path / "events", random_table(np.random.default_rng(0), 200, "str"))
    found = prepare_interactions(folder, tmp_path / "made", user_k=2)
    assert found.statistics()["n_users"] == found.n_users
    assert found == found or found.csr.nnz  # neither asks for them
    for ids in (found.user_ids, found.item_ids):
        assert "ids" not in ids.__dict__
        assert ids == pickle.loads(pickle.dumps(ids))
        assert "ids" not in ids.__dict__


def test_a_copy_holds_its_rows_when_the_folder_is_gone(tmp_path: Path) -> None:
    folder = write(tmp_path / "events", random_table(np.random.default_rng(0), 60, "str"))
    found = prepare_interactions(folder, tmp_path / "made")
    sent = pickle.dumps(found)
    expected = read_interactions(folder)
    for file in (tmp_path / "made").iterdir():
        file.unlink()
    assert_equal(pickle.loads(sent), expected)


def test_another_process_opens_what_this_one_has(tmp_path: Path) -> None:
    events, folder = tmp_path / "events.csv", tmp_path / "prepared"
    events.write_text("user,item\na,x\nb,y\n")
    found = prepare_interactions(events, folder)
    place = pickle.loads(pickle.dumps(found.place))
    assert_equal(place.open(), found)
    events.write_text("user,item\na,x\nb,z\n")
    prepare_interactions(events, folder, overwrite=True)
    with pytest.raises(DataError, match=r"prepared: it was prepared again meanwhile; open it again"):
        place.open()


def test_nothing_but_prepared_interactions_is_replaced(tmp_path: Path) -> None:
    events = write(tmp_path / "events", random_table(np.random.default_rng(0), 60, "int"))
    made = tmp_path / "made"
    first = prepare_interactions(events, made)
    with pytest.raises(ParameterError, match="made: exists; pass overwrite=True to replace it"):
        prepare_interactions(events, made)
    again = prepare_interactions(events, made, overwrite=True, user_k=2)
    assert len(again) < len(first)
    assert_equal(first, read_interactions(events))  # what was mapped stays
    with pytest.raises(ParameterError, match="holds no prepared interactions; name another folder"):
        prepare_interactions(events, events, overwrite=True)
    (made / "mine.txt").write_text("keep")
    with pytest.raises(ParameterError, match="holds no prepared interactions; name another folder"):
        prepare_interactions(events, made, overwrite=True)
    assert (made / "mine.txt").read_text() == "keep"


@pytest.mark.parametrize("file", ["user", "item", "weight", "time", "start"])
@pytest.mark.parametrize("fault", ["flipped", "cut", "gone"])
def test_a_damaged_folder_is_one_sentence(tmp_path: Path, file: str, fault: str) -> None:
    folder = write(tmp_path / "events", random_table(np.random.default_rng(0), 60, "int"))
    prepare_interactions(folder, tmp_path / "made")
    path = tmp_path / "made" / f"{file}.safetensors"
    content = path.read_bytes()
    if fault == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if fault == "flipped" else content[:-9])
    with pytest.raises(DataError, match=f"made: .*{file}.safetensors .*; prepare it again$") as raised:
        read_interactions(tmp_path / "made")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "interactions.json cannot be read, it is not valid JSON; prepare it again"),
        ("[]", "is no folder of prepared interactions, its interactions.json is of another kind"),
        ('{"kind": "hashgnn interactions", "format_version": 2}', "is in format 2, and hashgnn"),
        ('{"kind": "hashgnn interactions", "format_version": 1}', "n_users is missing; prepare it again"),
    ],
)
def test_a_manifest_that_is_none_is_one_sentence(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "interactions.json").write_text(text)
    with pytest.raises(DataError) as raised:
        open_interactions(tmp_path)
    assert expected in str(raised.value)


def test_a_folder_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no folder of prepared interactions, it has no interactions.json"):
        open_interactions(tmp_path)


@pytest.mark.parametrize("fault", ["cut", "other", "flipped"])
def test_a_broken_part_leaves_nothing(tmp_path: Path, fault: str) -> None:
    table = random_table(np.random.default_rng(0), 2000, "str")
    folder = write(tmp_path / "events", table, table, table, row_group_size=100)
    broken = folder / "part-2.parquet"
    content = broken.read_bytes()
    changed = {"cut": content[: len(content) // 2], "other": b"PAR1 no PAR1", "flipped": bytearray(content)}[
        fault
    ]
    if fault == "flipped":
        changed[len(content) // 3 : len(content) // 3 + 40] = bytes(40)
    broken.write_bytes(changed)
    with pytest.raises(HashGNNError) as raised:
        prepare_interactions(folder, tmp_path / "made", rows_per_piece=500)
    assert str(broken) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == [folder]


def test_a_bar_counts_every_row_that_is_read_and_every_step_of_the_sort(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: dict[str, list[int]] = {}
    totals: dict[str, int | None] = {}
    wanted: set[bool | None] = set()

    @contextmanager
    def bar(label: str, total: int | None, *, enabled: bool | None) -> Iterator[Callable[..., None]]:
        totals[label] = total
        wanted.add(enabled)
        yield lambda steps=1: shown.setdefault(label, []).append(steps)

    monkeypatch.setattr("hashgnn.data.stored.prepare.progress_bar", bar)
    table = pa.table({"user_id": [f"u{n % 9}" for n in range(50)], "item_id": [n % 7 for n in range(50)]})
    folder = write(tmp_path / "events", table, table, row_group_size=20)
    prepare_interactions(folder, tmp_path / "prepared", rows_per_piece=20, progress=False)
    assert sum(shown["Reading rows"]) == 100
    assert len(shown["Sorting"]) == totals["Sorting"]
    assert len(shown["Sorting"]) > len(shown["Reading rows"]) > 2
    assert wanted == {False}
