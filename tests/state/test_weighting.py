"""What events and ages weigh, in the manifest of a model: kept, typed and bounded."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from hashgnn.data import Weighting
from hashgnn.errors import ArtifactDamagedError
from hashgnn.state import artifact, load_state, save_state
from hashgnn.testing.states import random_state

WEIGHTING = Weighting({"view": 1, "purchase": 5, "test": 0}, "90d", 1.7e15)


@pytest.mark.parametrize("weighting", [None, WEIGHTING, Weighting({"view": 2}), Weighting(half_life=1)])
def test_a_model_keeps_it(tmp_path: Path, weighting: Weighting | None) -> None:
    save_state(dataclasses.replace(random_state(), weighting=weighting), tmp_path / "v1")
    assert load_state(tmp_path / "v1").weighting == weighting
    manifest = json.loads((tmp_path / "v1" / "manifest.json").read_text())
    assert ("weighting" in manifest) == (weighting is not None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("event_weights", {"view": -1}),
        ("event_weights", {"view": 1e10}),
        ("event_weights", {"view": "5"}),
        ("event_weights", {"view": True}),
        ("event_weights", {"": 1.0}),
        ("event_weights", {"x" * 201: 1.0}),
        ("event_weights", {"view": 0.0}),
        ("event_weights", {str(number): 1.0 for number in range(1001)}),
        ("event_weights", ["view"]),
        ("event_weights", None),
        ("half_life", 0),
        ("half_life", -1.0),
        ("half_life", 1e16),
        ("half_life", "90d"),
        ("reference_time", -1.0),
        ("reference_time", 1e30),
        ("reference_time", []),
    ],
)
def test_a_senseless_value_is_refused(tmp_path: Path, field: str, value: Any) -> None:
    save_state(dataclasses.replace(random_state(), weighting=WEIGHTING), tmp_path / "v1")
    path = tmp_path / "v1" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["weighting"][field] = value
    manifest.pop("checksum")
    path.write_text(artifact._manifest_text(manifest))
    with pytest.raises(ArtifactDamagedError, match="its files do not fit together"):
        load_state(tmp_path / "v1")
