"""A new version compared with the old one: ids, metadata, codes, answers and lists."""

from __future__ import annotations

import datetime
import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.state.hostile_models import sign_file

from hashgnn._tensors import read_tensors, write_tensors
from hashgnn.codes import BinaryCodes
from hashgnn.data import IdMap
from hashgnn.errors import ArtifactDamagedError, ArtifactError, ParameterError
from hashgnn.recommender import CheckLimits, ModelCheck, check_model
from hashgnn.recommender.id_comparison import compare_ids
from hashgnn.state import ModelState, save_state
from hashgnn.testing.states import random_state

UUIDS = [uuid.UUID(int=n) for n in range(20)]
DAYS = [datetime.date(2026, 1, 1) + datetime.timedelta(days=n) for n in range(20)]


def users(ids: Any) -> ModelState:
    return random_state(ids, 30)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (list(range(20)), list(range(20)), None),
        (list(range(20)), list(range(10, 30)), None),
        (list(range(20)), list(range(11, 31)), "it knows 45 % of the users before, at least 50 % are needed"),
        (list(range(20)), [str(n) for n in range(20)], "its user ids are text, those before are integers"),
        ([str(n) for n in range(20)], list(range(20)), "its user ids are integers, those before are text"),
        (UUIDS, list(range(20)), "its user ids are integers, those before are UUID"),
        (UUIDS, [str(one) for one in UUIDS], "its user ids are text, those before are UUID"),
        (UUIDS, DAYS, "its user ids are date, those before are UUID"),
        (UUIDS, UUIDS[:15], None),
        ([*UUIDS, 3], UUIDS, None),
        ([("a", 1), ("b", 2)], [("a", 1), ("c", 2)], None),
        ([b"a", b"b"], ["a", "b"], "its user ids are text, those before are bytes"),
        ([], list(range(3)), None),
        (list(range(3)), [], "it knows 0 % of the users before, at least 50 % are needed"),
    ],
)
def test_ids_of_callers_are_valid_or_it_is_said_why(
    old: list[Any], new: list[Any], fault: str | None
) -> None:
    assert compare_ids(users(new), users(old)).fault() == fault


def test_items_are_compared_as_users_are() -> None:
    found = compare_ids(random_state(5, ["a", "b", "c"]), random_state(5, ["a", "x", "y", "z"]))
    assert (found.users.known, found.items.known) == (1, 0.25)
    assert found.fault() == "it knows 25 % of the items before, at least 50 % are needed"
    assert found.fault(0.25) is None


def test_a_sample_of_many_ids_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hashgnn.recommender.id_comparison._SAMPLE", 100)
    old, new = random_state(list(range(1050)), 3), random_state(list(range(0, 1050, 2)), 3)
    assert compare_ids(new, old).users.known == pytest.approx(0.5, abs=0.01)


@pytest.fixture
def save(tmp_path: Path) -> Any:
    def saved(name: str, state: ModelState) -> Path:
        save_state(state, tmp_path / name)
        return tmp_path / name

    return saved


def row(found: ModelCheck, name: str) -> Any:
    (one,) = (one for one in found.rows if one.name == name)
    return one


def test_a_model_passes_against_itself(save: Any) -> None:
    folder = save("v1", random_state(50, 60))
    found = check_model(folder, folder)
    assert found.passed
    assert not found.failed
    assert found.lists.overlap == 1
    assert [row(found, f"known {noun}").value for noun in ("users", "items")] == [1, 1]
    assert found.summary == f"v1 against v1: all {len(found.rows)} checks passed"
    assert all(pair.new == pair.old for pair in found.lists.shown)


def test_a_model_is_checked_alone(save: Any) -> None:
    found = check_model(save("v1", random_state(50, 60)), n_shown=2)
    assert found.passed
    assert (found.old, found.ids, found.lists.overlap) == (None, None, None)
    assert [len(pair.new) for pair in found.lists.shown] == [10, 10]
    assert "old" not in found.table()[0]


def test_ids_that_were_mixed_up_are_found_by_the_lists(save: Any) -> None:
    state = random_state(50, 300)
    names = state.items.ids.ids.tolist()
    mixed = replace(state, items=replace(state.items, ids=IdMap(names[150:] + names[:150])))
    found = check_model(save("v2", mixed), save("v1", state))
    assert [one.name for one in found.failed] == ["overlap of lists"]
    assert found.lists.overlap is not None
    assert found.lists.overlap < 0.1
    assert check_model(save("v3", mixed), save("v0", state), limits=CheckLimits(min_overlap=0)).passed


def test_the_overlap_is_the_share_of_common_items(save: Any) -> None:
    """Half of the items are of new ids; lists by hand say how many of ten are common."""
    state = random_state(40, 50)
    names = state.items.ids.ids.tolist()
    renamed = [name if place % 2 else f"new {name}" for place, name in enumerate(names)]
    other = replace(state, items=replace(state.items, ids=IdMap(renamed)))
    found = check_model(save("v2", other), save("v1", state), n_lists=40, n_shown=40)
    shares = []
    for pair in found.lists.shown:
        assert pair.old is not None
        common = {item for item, _ in pair.new} & {item for item, _ in pair.old}
        shares.append(len(common) / 10)
        assert pair.overlap == shares[-1]
    assert len(shares) == 40
    assert found.lists.overlap == pytest.approx(np.mean(shares))
    assert 0.3 < np.mean(shares) < 0.7


def test_another_kind_of_ids_fails_unless_it_is_allowed(save: Any) -> None:
    new, old = save("v2", users(list(range(20)))), save("v1", users(20))
    found = check_model(new, old)
    assert [one.name for one in found.failed] == ["user ids", "known users"]
    assert (row(found, "user ids").value, row(found, "user ids").old) == ("integers", "text")
    assert check_model(new, old, limits=CheckLimits(allow_new_ids=True)).passed


def test_codes_of_one_value_fail(save: Any) -> None:
    state = random_state(20, 30)
    dead = BinaryCodes(np.zeros_like(state.users.codes.packed), state.n_bits)
    found = check_model(save("v2", replace(state, users=replace(state.users, codes=dead))))
    assert [one.name for one in found.failed] == ["dead bits, users", "entropy of a bit, users"]
    assert row(found, "dead bits, users").value == 1
    assert row(found, "colliding codes, users").value == 1
    same = BinaryCodes(np.repeat(state.items.codes.packed[:2], 15, axis=0), state.n_bits)
    found = check_model(save("v3", replace(state, items=replace(state.items, codes=same))))
    assert "colliding codes, items" in [one.name for one in found.failed]


def test_metadata_is_covered_or_not_and_gives_titles(save: Any, tmp_path: Path) -> None:
    old, new = save("v1", random_state(20, 30)), save("v2", random_state(20, 30))
    titles = pa.table({"item_id": [f"i{n}" for n in range(20)], "title": [f"Film {n}" for n in range(20)]})
    pq.write_table(titles, old / "item_metadata.parquet")
    found = check_model(new, old)
    assert [one.name for one in found.failed] == ["items with metadata"]
    assert row(found, "items with metadata").old == pytest.approx(2 / 3)
    pq.write_table(titles.rename_columns(["movie", "title"]), tmp_path / "titles.parquet")
    found = check_model(new, old, items=tmp_path / "titles.parquet", item_id="movie")
    assert found.passed
    for pair in found.lists.shown:
        for item, title in pair.new:
            number = int(item[1:])
            assert title == (f"Film {number}" if number < 20 else None)


def test_a_table_that_is_not_finite_fails(save: Any) -> None:
    folder = save("v2", random_state(20, 30))
    tensors, _ = read_tensors(folder / "embeddings.safetensors", mmap=False)
    tensors = {name: np.array(table) for name, table in tensors.items()}
    for value, names in ((np.nan, ["finite tables", "finite answers"]), (3e38, ["finite answers"])):
        tensors["items"][:] = value
        write_tensors(folder / "embeddings.safetensors", tensors)
        sign_file(folder, "embeddings.safetensors")
        found = check_model(folder)
        assert [one.name for one in found.failed] == names
        json.dumps(found.to_dict(), allow_nan=False)


def test_what_is_damaged_or_no_model_is_an_error(save: Any, tmp_path: Path) -> None:
    folder = save("v1", random_state(20, 30))
    with pytest.raises(ArtifactError, match="there is no such folder"):
        check_model(tmp_path / "none")
    file = folder / "user_codes.safetensors"
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    with pytest.raises(ArtifactDamagedError, match="checksum of user_codes.safetensors does not match"):
        check_model(folder)


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({"min_overlap": 2}, "min_overlap must be a finite number >= 0 and <= 1, got 2"),
        ({"max_dead_bits": float("nan")}, "max_dead_bits must be a finite number >= 0 and <= 1, got nan"),
        ({"max_bytes": -1}, "max_bytes must be an integer >= 0, got -1"),
        ({"allow_new_ids": 1}, "allow_new_ids must be True or False, got 1"),
    ],
)
def test_a_limit_has_its_rule(limits: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ParameterError, match=f"^{sentence}$"):
        CheckLimits(**limits)


def test_options_are_checked_first(save: Any) -> None:
    folder = save("v1", random_state(20, 30, item_bias=False))
    for options in ({"k": 0}, {"n_lists": -1}, {"search": "biased"}, {"search": "nearest"}):
        with pytest.raises(ParameterError, match=r"^(k|n_lists|search) must be"):
            check_model(folder, **options)
    assert check_model(folder, k=1000).passed


def test_a_size_is_bounded(save: Any) -> None:
    folder = save("v1", random_state(20, 30))
    n_bytes = check_model(folder).new.n_bytes
    named = json.loads((folder / "manifest.json").read_text())["files"]
    assert n_bytes == sum(file["bytes"] for file in named.values())
    assert check_model(folder, limits=CheckLimits(max_bytes=n_bytes)).passed
    assert not check_model(folder, limits=CheckLimits(max_bytes=n_bytes - 1)).passed


def test_the_result_is_json_and_prints_as_a_table(save: Any) -> None:
    old = save("v1", random_state(UUIDS, [b"a", b"b", ("c", 1)]))
    found = check_model(save("v2", random_state(UUIDS[:5], [b"a", b"b", ("c", 1)])), old)
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["passed"] is False
    assert document["failed"][0] == "known users"
    assert document["ids"]["users"]["known"] == 0.25
    assert document["lists"]["shown"][0]["user"] == str(UUIDS[0])
    assert {"61", "62", '["c",1]'} >= {
        entry["item"] for pair in document["lists"]["shown"] for entry in pair["new"]
    }
    lines = repr(found).splitlines()
    assert lines[0] == found.summary
    assert len(lines) == 2 + len(found.rows)
    assert [line for line in lines if "known users" in line and "FAILED" in line and "0.25" in line]
