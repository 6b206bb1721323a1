"""The contract of engines on a server of Milvus 2.3.5, which runs without any network but its own loopback."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

_SECONDS = 600
_TESTS = "TestMilvusServer and (biased or ties or 0.01 or half or readers_see)"
_SCRIPT = """
import subprocess, sys
from milvus import MilvusServer

server = MilvusServer()
server.set_base_dir(sys.argv[1])
server.config.set("proxy_port", 19530)
server.start()
try:
    sys.exit(subprocess.run(sys.argv[2:]).returncode)
finally:
    server.stop()
"""


@pytest.mark.slow
def test_the_contract_holds_on_a_server(tmp_path: Path) -> None:
    for module in ("milvus", "pymilvus"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed; pip install milvus==2.3.5 pymilvus, about 300 MB")
    if not shutil.which("unshare") or subprocess.run(["unshare", "-n", "true"], check=False).returncode:
        pytest.skip("unshare -n is not allowed here, which keeps the server to itself")
    (tmp_path / "server.py").write_text(_SCRIPT)
    tests = [sys.executable, "-m", "pytest", "-q", "-n0", "tests/contracts/test_engines.py", "-k", _TESTS]
    inside = [sys.executable, str(tmp_path / "server.py"), str(tmp_path / "data"), *tests]
    command = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *inside]
    running = subprocess.Popen(
        command,
        env={**os.environ, "HASHGNN_TEST_MILVUS": "127.0.0.1:19530"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = running.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        said, _ = running.communicate()
        pytest.fail(f"not done in {_SECONDS} seconds: {said[-3000:]}")
    assert running.returncode == 0, said[-5000:]
    assert " passed" in said
