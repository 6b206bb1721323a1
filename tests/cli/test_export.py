"""``hashgnn export`` and ``sync``, and ``--engine URL`` of the commands that search."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.servers import postgres_url

from hashgnn.state import save_state
from hashgnn.testing.engines import changed_state
from hashgnn.testing.states import random_state

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    first = random_state(12, 60)
    save_state(first, folder / "v1")
    save_state(changed_state(first, 1), folder / "v2")
    return folder


def test_export_search_and_sync(models: Path, run: Run) -> None:
    url = postgres_url("from_the_command_line")
    code, out, err = run("export", models / "v1", "--to", url)
    assert (code, err) == (0, "")
    assert "60 items, 60 rows written, 0 gone" in out
    for command in (
        ("recommend", models / "v1", "--users", "u1,u2", "-k", "5", "--json"),
        ("similar", models / "v1", "--item", "i4", "--json"),
    ):
        here, there = run(*command), run(*command, "--engine", url)
        assert (there[0], there[2]) == (0, "")
        assert json.loads(there[1])["results"] == json.loads(here[1])["results"]
    code, out, _ = run("sync", models / "v1", models / "v2", "--to", url, "--json")
    made = json.loads(out)
    assert (code, made["n_written"], made["n_gone"], made["number"]) == (0, 9, 0, 2)
    code, out, _ = run("recommend", models / "v2", "--users", "u1", "--engine", url, "--json")
    assert code == 0


def test_files_are_written_for_other_engines(models: Path, tmp_path: Path, run: Run) -> None:
    code, out, err = run("export", models / "v1", "--as", "opensearch", "--to", tmp_path / "out")
    assert (code, err) == (0, "")
    assert "files for opensearch" in out
    assert (tmp_path / "out" / "mapping.json").exists()


def test_wrong_requests_are_one_sentence(models: Path, tmp_path: Path, run: Run) -> None:
    nowhere = "postgresql://127.0.0.1:1/none?connect_timeout=2"
    for command, said in (
        (("export", models / "v1", "--to", "folder"), "--to must be a URL"),
        (
            ("export", models / "v1", "--to", "mysql://host"),
            "scheme of an engine's URL must be one of 'postgresql'",
        ),
        (("export", models / "v1", "--to", nowhere), "cannot be reached"),
        (
            ("export", models / "v1", "--as", "faiss", "--to", tmp_path / "x", "--replace"),
            "are for an engine",
        ),
        (("export", models / "none", "--to", nowhere), "none"),
        (("sync", models / "v1", models / "v2", "--to", postgres_url("never")), "holds no finished export"),
        (
            ("recommend", models / "v1", "--all", "-o", tmp_path / "out", "--engine", nowhere),
            "--engine must be local",
        ),
        (("recommend", models / "v1", "--users", "u1", "--engine", nowhere), "cannot be reached"),
    ):
        code, out, err = run(*command)
        assert (code, out) == (2, ""), err
        assert said in err
        assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()
