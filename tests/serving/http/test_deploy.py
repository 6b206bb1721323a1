"""What lies in deploy/ fits the service: metrics that exist, options that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
from typer.main import get_command

from hashgnn.cli.app import app

DEPLOY = Path(__file__).parents[3] / "deploy"


def test_the_dashboard_asks_for_metrics_that_the_service_has(client: httpx.Client) -> None:
    client.post("/v1/recommend", json={"users": ["u1"], "k": 3})
    known = set(re.findall(r"^# TYPE (\w+)", client.get("/metrics").text, re.MULTILINE))
    board = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    queried = {
        name
        for panel in board["panels"]
        for target in panel["targets"]
        for name in re.findall(r"hashgnn_\w+", target["expr"])
    }
    assert len(queried) >= 9
    assert {name.removesuffix("_bucket") for name in queried} <= known


def test_the_unit_and_the_container_use_options_that_exist() -> None:
    options = {name for option in get_command(app).commands["serve"].params for name in option.opts}  # type: ignore[attr-defined]
    unit = (DEPLOY / "hashgnn.service").read_text()
    start = unit[unit.index("ExecStart") : unit.index("LoadCredential")]
    assert set(re.findall(r"--[a-z-]+", start)) <= options
    command = json.loads(
        re.search(r"^CMD (\[.*\])$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)[1]
    )  # type: ignore[index]
    assert {word for word in command if word.startswith("--")} <= options
