"""The load generator of the benchmarks opens the models that this version saves."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from hashgnn.recommender import HashGNN

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "serving_load.py"


def test_users_of_a_saved_model_are_requested(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("serving_load", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, generator)  # its dataclasses look for their module
    spec.loader.exec_module(generator)
    requests = generator.user_requests(model_folder, 2, 5, "hamming", 0)
    body = json.loads(requests[0].split(b"\r\n\r\n", 1)[1])
    assert set(body["users"]) <= set(HashGNN.load(model_folder).user_ids.tolist())
