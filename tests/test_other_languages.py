"""The code for other languages on their page: run where its program is installed, on the vectors of the page."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.pages import ROOT, Block, blocks

from hashgnn.codes import BinaryCodes

PAGE = ROOT / "docs/guide/other-languages.md"
TEXT = PAGE.read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\d+) \| (\w+) \| ([0-9a-f]{16}) \| (\d+) \| (\d+) \| (\d+) \|$", TEXT, re.MULTILINE)
QUERY = re.findall(r"The query is `([0-9a-f]{16})`", TEXT)[0]
RANKED = [(row[1], int(row[5])) for row in sorted(ROWS, key=lambda row: (int(row[5]), int(row[0])))]


def block(kind: str, word: str = "") -> Block:
    """Return the block of a kind that holds a word."""
    (found,) = (one for one in blocks(PAGE) if one.kind == kind and word in one.text)
    return found


def codes(texts: list[str]) -> BinaryCodes:
    return BinaryCodes(np.array([list(bytes.fromhex(text)) for text in texts], np.uint8))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with the table of the page as ``items.csv``, which any user may read."""
    path = Path(tempfile.mkdtemp(prefix="languages-", dir="/tmp" if os.path.isdir("/tmp") else None))
    path.chmod(0o777)
    lines = [
        f"{position},{item},{code},{penalty},{6 - 2 * int(penalty)}.0\n"
        for position, item, code, penalty, *_ in ROWS
    ]
    (path / "items.csv").write_text("position,item_id,code,penalty,bias\n" + "".join(lines), encoding="utf-8")
    (path / "items.csv").chmod(0o644)
    yield path
    shutil.rmtree(path)


def output(*command: str, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_vectors_are_those_of_the_library() -> None:
    assert len(ROWS) == 6
    found = codes([QUERY]).distances(codes([row[2] for row in ROWS]))[0]
    assert found.tolist() == [int(row[4]) for row in ROWS]
    assert [int(row[4]) + int(row[3]) for row in ROWS] == [int(row[5]) for row in ROWS]
    order = ", ".join(item for item, _ in RANKED)
    assert re.search(rf"the order {order}", TEXT.replace("\n", " "))


def test_duckdb_ranks_as_the_page_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    duckdb = pytest.importorskip("duckdb")
    monkeypatch.chdir(folder)
    with duckdb.connect() as connection:
        assert connection.execute(block("sql", "unhex").text).fetchall() == RANKED


def test_java_counts_as_the_page_says(folder: Path) -> None:
    if shutil.which("java") is None or shutil.which("javac") is None:
        pytest.skip("Java is not installed")
    (folder / "Hamming.java").write_text(block("java").text, encoding="utf-8")
    printed = output("java", "-Xshare:auto", "Hamming.java", QUERY, *(row[2] for row in ROWS), folder=folder)
    assert [int(line) for line in printed.split()] == [0, *(int(row[4]) for row in ROWS)]


def test_go_counts_as_the_page_says(folder: Path) -> None:
    if shutil.which("go") is None:
        pytest.skip("Go is not installed")
    (folder / "hamming.go").write_text(block("go").text, encoding="utf-8")
    printed = output("go", "run", "hamming.go", QUERY, *(row[2] for row in ROWS), folder=folder)
    assert [int(line) for line in printed.split()] == [0, *(int(row[4]) for row in ROWS)]


def postgres() -> Path | None:
    """Return the folder of PostgreSQL's server programs, 14 or newer."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found and int(found[-1].parts[-3]) >= 14 else None


def test_postgresql_ranks_as_the_page_says(folder: Path) -> None:
    programs = postgres()
    if programs is None or shutil.which("psql") is None:
        pytest.skip("the server of PostgreSQL 14 or newer is not installed")
    # It refuses to run as root.
    other = ("runuser", "-u", "nobody", "--") if os.getuid() == 0 else ()
    if other and shutil.which("runuser") is None:
        pytest.skip("runuser is not installed, and PostgreSQL does not run as root")
    output(
        *other, str(programs / "initdb"), "-D", "data", "-A", "trust", "-U", "me", "--no-sync", folder=folder
    )
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
    control = (*other, str(programs / "pg_ctl"), "-D", "data", "-w", "-l", "log")
    output(*control, "-o", options, "start", folder=folder)
    try:
        (folder / "page.sql").write_text(block("sql", "bit_count(code #").text, encoding="utf-8")
        (folder / "page.sql").chmod(0o644)
        connect = (*other, "psql", "-h", str(folder), "-U", "me", "-d", "postgres", "-v", "ON_ERROR_STOP=1")
        printed = output(*connect, "-A", "-t", "-q", "-f", "page.sql", folder=folder)
    finally:
        output(*control, "-m", "immediate", "stop", folder=folder)
    assert [
        (item, int(distance)) for item, distance in (line.split("|") for line in printed.split())
    ] == RANKED


def test_what_is_not_run_says_so() -> None:
    assert block("sql", "FROM_HEX").reason == "needs an account"
