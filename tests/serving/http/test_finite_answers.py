"""Answers about a model hold finite numbers of their types, whatever the model is."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel
from tests.state.hostile_models import write_manifest

from hashgnn.codes import BinaryCodes
from hashgnn.serving import ServiceSettings
from hashgnn.serving.wire.answer_schemas import HealthResponse, ModelResponse, ReloadResponse
from hashgnn.state import ModelState, save_state
from hashgnn.testing.states import random_state

TOKEN = {"Authorization": "Bearer let me in"}


def constant(state: ModelState) -> ModelState:
    """The same model with codes of zeros."""

    def zeros(codes: BinaryCodes) -> BinaryCodes:
        return BinaryCodes(np.zeros_like(codes.packed), codes.n_bits)

    users, items = replace(state.users, codes=zeros(state.users.codes)), state.items
    return replace(state, users=users, items=replace(items, codes=zeros(items.codes)))


MODELS: dict[str, Callable[[], ModelState]] = {
    "ordinary": lambda: random_state(20, 30),
    "one item and one user": lambda: random_state(1, 1, n_bits=8),
    "no users": lambda: random_state([], 3),
    "nothing seen": lambda: random_state(3, 4, density=0),
    "codes of zeros": lambda: constant(random_state(20, 30)),
    "extreme metrics": lambda: replace(random_state(5, 6), metrics={"a": 1e308, "b": -5e-324, "c": 2**62}),
}


def numbers(value: Any) -> list[float]:
    """Every number in a JSON document; what is no JSON, as ``NaN``, is an error of the reader."""
    if isinstance(value, dict):
        return [number for part in value.values() for number in numbers(part)]
    if isinstance(value, list):
        return [number for part in value for number in numbers(part)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def refuse(text: str) -> None:
    raise AssertionError(f"{text} is no JSON")


def check(content: bytes, model: type[BaseModel]) -> None:
    document = json.loads(content, parse_constant=refuse)
    assert all(math.isfinite(number) for number in numbers(document))
    model.model_validate_json(content)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "created", ["2026-01-01T00:00:00+00:00", "0002-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
)
def test_every_answer_about_a_model_is_finite(
    tmp_path: Path, open_client: Any, name: str, created: str
) -> None:
    folder = tmp_path / "v1"
    save_state(MODELS[name](), folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    write_manifest(folder, {**manifest, "created": created})
    for client in open_client(ServiceSettings(model=folder, watch=0, admin_token="let me in")):
        check(client.get("/v1/model").content, ModelResponse)
        check(client.get("/health/ready").content, HealthResponse)
        check(client.post("/admin/reload", json={}, headers=TOKEN).content, ReloadResponse)
        metrics = client.get("/metrics").text
        values = [line.rsplit(" ", 1)[1] for line in metrics.splitlines() if not line.startswith("#")]
        assert all(math.isfinite(float(value)) for value in values)
