"""The code of the documents, run as a reader would: block after block, with a saved model at hand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hashgnn.data import Interactions
from hashgnn.recommender import HashGNN

DOCS = Path(__file__).parents[1] / "docs"
SMALL = {"n_bits": 32, "optimizer.epochs": 1, "embedding_dim": 16, "teacher.rank": 8, "teacher.k": 10}


@pytest.fixture(scope="module")
def model() -> HashGNN:
    pytest.importorskip("torch")
    liked = np.random.default_rng(0).random((60, 200)) < 0.1
    users, items = np.nonzero(liked)
    interactions = Interactions.from_arrays([f"u{user}" for user in users], [f"i{item}" for item in items])
    return HashGNN(**SMALL).fit(interactions, device="cpu", n_threads=1, rng=0, progress=False)


@pytest.mark.parametrize("page", ["search.md"])
def test_the_code_of_a_page_runs(page: str, model: HashGNN, tmp_path: Path) -> None:
    model.save(tmp_path / "artifacts" / "v1")
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    (tmp_path / "page.py").write_text("\n".join(blocks), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "page.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "page", sorted([*DOCS.glob("*.md"), *DOCS.parent.glob("*.md")]), ids=lambda page: page.name
)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
