"""The tutorials, followed from top to bottom in an empty folder, with the service that they start."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from tests.pages import ROOT, TUTORIALS, packages, page_name, program

pytestmark = pytest.mark.slow
Folder = Path


def follow(page: Path, folder: Path) -> str:
    """Run a tutorial as its reader does, and return what was printed."""
    pytest.importorskip("torch")
    for package in packages(page):
        try:
            distribution(package)
        except PackageNotFoundError:
            pytest.skip(f"the page needs {package}: pip install {package}")
    text = program(page)
    if "curl " in text and shutil.which("curl") is None:
        pytest.skip("the page needs curl")
    (folder / "page.py").write_text(text, encoding="utf-8")
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, "page.py"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-1000:]}\n{done.stderr[-2000:]}"
    assert "Traceback" not in done.stderr
    return done.stdout


def numbers(pattern: str, printed: str) -> list[float]:
    """Return the numbers that a pattern finds in what was printed."""
    return [float(number) for number in re.findall(pattern, printed)]


def of_first_model(folder: Folder, printed: str) -> None:
    assert "Codes keep" in printed
    assert (folder / "models/first/manifest.json").is_file()


def of_cold_start(folder: Folder, printed: str) -> None:
    (by_features,) = numbers(r"by features: ([\d.]+)", printed)
    (mixed,) = numbers(r"in disorder: ([\d.]+)", printed)
    (chance,) = numbers(r"by chance: ([\d.]+)", printed)
    assert by_features > 3 * chance
    assert mixed < 1.5 * chance


def of_ranker(folder: Folder, printed: str) -> None:
    (ceiling,) = numbers(r"among the candidates: ([\d.]+)", printed)
    (codes,) = numbers(r"order of the codes: ([\d.]+)", printed)
    (ranker,) = numbers(r"order of the ranker: ([\d.]+)", printed)
    assert codes * 1.05 < ranker < ceiling
    assert numbers(r"p_value=([\de.-]+)", printed)[0] < 0.01


def of_postgresql(folder: Folder, printed: str) -> None:
    assert "the same distances at every rank" in printed


def of_report(folder: Folder, printed: str) -> None:
    first, second = re.findall(r"^Codes keep .*$", printed, re.MULTILINE)
    assert "ease is better than every search way" in first
    assert "is better than every search way" not in second
    for name, verdict in (("first", first), ("second", second)):
        assert verdict in html.unescape((folder / f"{name}.html").read_text(encoding="utf-8"))


def of_shop(folder: Folder, printed: str) -> None:
    assert "Codes keep" in (folder / "report.html").read_text(encoding="utf-8")
    assert os.readlink(folder / "models/current") == "v2"
    # One document may follow another on a line.
    starts = [found.start() for found in re.finditer(r'\{"model_version"', printed)]
    answers = [json.JSONDecoder().raw_decode(printed, start)[0] for start in starts]
    known, history, listed, folded = answers[0], answers[1], answers[-2], answers[-1]
    assert [row["user"] for row in known["results"]] == ["u00000", "u00001"]
    assert all(len(row["items"]) == 3 and row["items"][0]["metadata"]["title"] for row in known["results"])
    assert [row["history"] for row in history["results"]] == [0]
    assert {item["id"] for item in listed["results"][0]["items"]} == {"p0011", "p0012", "p0013"}
    assert folded["results"][0]["source"] == "history"
    ruled = ([item["metadata"] for item in answer["results"][0]["items"]] for answer in answers[2:5])
    cheap, varied, lifted = ruled
    assert len(cheap) == len(varied) == len(lifted) == 5
    assert all(item["in_stock"] and item["price"] < 30 for item in cheap)
    assert all(item["in_stock"] for item in [*varied, *lifted])
    assert max(Counter(item["category"] for item in varied).values()) <= 2
    assert '{"accepted":1,"unknown_items":0}' in printed  # the change of a stock


CHECKS: dict[str, Callable[[Folder, str], None]] = {
    "first-model": of_first_model,
    "cold-start": of_cold_start,
    "ranker": of_ranker,
    "postgresql": of_postgresql,
    "report": of_report,
    "shop": of_shop,
}


@pytest.mark.parametrize("page", TUTORIALS, ids=page_name)
def test_a_tutorial_runs_from_top_to_bottom(page: Path, tmp_path: Path) -> None:
    CHECKS[page.stem](tmp_path, follow(page, tmp_path))


def test_every_tutorial_ends_with_something_to_check() -> None:
    assert {page.stem for page in TUTORIALS} == set(CHECKS)
