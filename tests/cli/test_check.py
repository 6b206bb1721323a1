"""``hashgnn check``: exit codes for a pipeline, and what is printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashgnn.state import save_state
from hashgnn.testing.states import random_state


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    """v1 and v2 are one model, v3 has other ids."""
    for name in ("v1", "v2"):
        save_state(random_state(30, 40), tmp_path / name)
    save_state(random_state(list(range(30)), 40), tmp_path / "v3")
    titles = pa.table({"item_id": [f"i{n}" for n in range(40)], "title": [f"Film {n}" for n in range(40)]})
    pq.write_table(titles, tmp_path / "titles.parquet")
    return tmp_path


def test_a_model_that_passes_is_exit_code_0(run: Any, versions: Path) -> None:
    code, out, err = run("check", versions / "v2", "--against", versions / "v1", "--show", "1", "-k", "4",
                         "--items", versions / "titles.parquet")  # fmt: skip
    assert (code, err) == (0, "")
    assert "user u0, 100 % in common" in out
    assert "v1 (old)" in out
    assert "Film " in out
    assert out.rstrip().endswith("checks passed")


def test_a_check_that_fails_is_exit_code_1(run: Any, versions: Path) -> None:
    code, out, _ = run("check", versions / "v3", "--against", versions / "v1")
    assert code == 1
    assert out.rstrip().endswith("checks failed: user ids, known users")
    assert run("check", versions / "v3", "--against", versions / "v1", "--allow-new-ids")[0] == 0
    assert run("check", versions / "v1", "--max-bytes", "10")[0] == 1


def test_the_document_says_what_failed(run: Any, versions: Path) -> None:
    code, out, _ = run("check", versions / "v3", "--against", versions / "v1", "--json")
    document = json.loads(out)
    assert (code, document["passed"], document["failed"]) == (1, False, ["user ids", "known users"])
    assert document["limits"]["min_known_users"] == 0.5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--against", "nowhere"], "nowhere: there is no such folder"),
        (["--min-overlap", "2"], "'--min-overlap': Input should be less than or equal to 1"),
        (["--search", "nearest"], "search must be one of"),
        (["--items", "nowhere.parquet"], "nowhere.parquet: cannot be read as parquet, No such file"),
        (["--unknown"], "No such option"),
    ],
)
def test_wrong_use_is_exit_code_2_with_one_sentence(
    run: Any, versions: Path, options: list[str], said: str
) -> None:
    code, out, err = run("check", versions / "v1", *options)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_damaged_model_is_exit_code_2(run: Any, versions: Path) -> None:
    file = versions / "v2" / "item_index.hgx"
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    code, out, err = run("check", versions / "v2", "--against", versions / "v1")
    assert (code, out) == (2, "")
    assert "checksum of item_index.hgx does not match" in err
