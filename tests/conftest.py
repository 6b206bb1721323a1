"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets, named by HASHGNN_DATA; the test is skipped where it is not set."""
    folder = os.environ.get("HASHGNN_DATA")
    if not folder:
        pytest.skip("HASHGNN_DATA is not set; it names the folder that holds the real data sets")
    return Path(folder)
