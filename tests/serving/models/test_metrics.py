"""Metrics of several workers: their files come and go while they are read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRAPE = """
import sys, threading
from pathlib import Path
from hashgnn.serving.models.metrics import Metrics

folder = Path(sys.argv[1])
metrics = Metrics()
metrics.requests.labels("/v1/recommend", "POST", "200").inc()
begun = folder / "counter_1.db"  # of a worker that has made its file and not yet written to it
begun.write_bytes(b"")
threading.Timer(0.06, begun.unlink).start()
assert b"hashgnn_requests_total" in metrics.text()
"""


def test_a_file_that_a_worker_is_making_ends_no_scrape(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    variables = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRAPE, str(tmp_path)],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
