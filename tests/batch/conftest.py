"""A saved model, and the files of a batch that one process has made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.batch.jobs import FatalJob

from hashgnn import HashGNN
from hashgnn.answering.batch_job import BatchJob
from hashgnn.testing.states import random_state

Fatal = Callable[..., FatalJob]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> HashGNN:
    folder = tmp_path_factory.mktemp("batch") / "model"
    HashGNN.from_state(random_state(150, 40, rng=3)).save(folder)
    return HashGNN.load(folder)


@pytest.fixture(scope="session")
def job(model: HashGNN) -> BatchJob:
    """Ten parts of 15 users."""
    return BatchJob(model.batch_request(k=5, part_rows=15), 150)


@pytest.fixture(scope="session")
def whole(model: HashGNN, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of that job, made by one process without a break."""
    folder = tmp_path_factory.mktemp("whole")
    model.recommend_all(folder, k=5, part_rows=15, n_workers=1, progress=False)
    return files(folder)


@pytest.fixture
def fatal(job: BatchJob, tmp_path: Path) -> Fatal:
    def make(output: Path, *deadly: int, times: int = 1) -> FatalJob:
        (tmp_path / "marks").mkdir()
        output.mkdir(exist_ok=True)
        return FatalJob(job.request, job.n, str(output), str(tmp_path / "marks"), deadly, times)

    return make


def files(folder: Path) -> dict[str, bytes]:
    """The content of every file of a folder, hidden ones too."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
