"""What lies in deploy/ fits the service: metrics and labels that exist, options that exist, rules that can be read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from typer.main import get_command

from hashgnn.cli.app import app
from hashgnn.serving.models.kept_interactions import KeptInteractions
from hashgnn.serving.models.metrics import Metrics
from hashgnn.serving.models.watch_metrics import WatchMetrics

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
BOARD = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
ALERTS = yaml.safe_load((DEPLOY / "prometheus-alerts.yml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
BOARD_QUERIES = [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]
QUERIES = [*BOARD_QUERIES, *(rule["expr"] for rule in RULES)]

FUNCTIONS = {"rate", "increase", "sum", "max", "min", "count", "histogram_quantile", "by", "and", "offset"}
OF_PROMETHEUS = {"job", "instance", "le"}  # labels that a scrape or a histogram adds
DURATION = re.compile(r"[1-9][0-9]*(s|m|h|d)")


def metrics() -> dict[str, set[str]]:
    """Return the names of the service's samples, without those of its process, and the labels of each."""
    made = Metrics()
    watch = WatchMetrics(made.registry)
    made.set_store(healthy=True)
    assert KeptInteractions(None, made, watch).problem() is None
    found: dict[str, set[str]] = {}
    for collector, names in made.registry._collector_to_names.items():
        labels = set(getattr(collector, "_labelnames", ()))
        for name in names:
            if name.startswith("hashgnn_") and not name.endswith("_created"):
                found[name] = labels
    return found


KNOWN = metrics()


def queried(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Return the metrics of an expression, and the labels that each is selected by."""
    for name, selectors in re.findall(r"(hashgnn_\w+)(?:\{([^}]*)\})?", expression):
        yield name, set(re.findall(r'(\w+)\s*(?:=~|!=|!~|=)\s*"', selectors))


@pytest.mark.parametrize("expression", QUERIES)
def test_a_query_is_of_metrics_and_labels_that_the_service_has(expression: str) -> None:
    names = list(queried(expression))
    assert names
    known_labels = set(OF_PROMETHEUS)
    for name, labels in names:
        assert name in KNOWN, name
        assert labels <= KNOWN[name] | OF_PROMETHEUS, name
        known_labels |= KNOWN[name]
    for grouped in re.findall(r"\bby \(([^)]*)\)", expression):
        assert set(re.split(r",\s*", grouped)) <= known_labels


@pytest.mark.parametrize("expression", QUERIES)
def test_a_query_is_well_formed(expression: str) -> None:
    bare = re.sub(r'"[^"]*"', '""', expression)
    for opened, closed in ("()", "[]", "{}"):
        depth = 0
        for character in bare:
            depth += (character == opened) - (character == closed)
            assert depth >= 0
        assert depth == 0
    bare = re.sub(r"\{[^}]*\}|by \([^)]*\)", "", bare)
    ranges = re.findall(r"\[([^\]]*)\]", bare)
    assert all(DURATION.fullmatch(text) or text == "$__rate_interval" for text in ranges)
    assert bare.count("rate(") + bare.count("increase(") == len(ranges)
    words = set(re.findall(r"[A-Za-z_]\w*", re.sub(r"\[[^\]]*\]|\b\d+[smhd]\b", "", bare)))
    assert {word for word in words if not word.startswith("hashgnn_")} <= FUNCTIONS


def test_every_metric_of_the_service_has_a_panel() -> None:
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for text in BOARD_QUERIES for name, _ in queried(text)}
    wanted = {re.sub(r"_(bucket|sum|count)$", "", name) for name in KNOWN if not _is_base_of_a_counter(name)}
    assert wanted - shown == set()


def _is_base_of_a_counter(name: str) -> bool:
    return f"{name}_total" in KNOWN or f"{name}_bucket" in KNOWN


def test_the_service_really_has_the_metrics_of_the_dashboard(client: httpx.Client) -> None:
    client.post("/v1/recommend", json={"users": ["u1"], "k": 3})
    shown = set(re.findall(r"^# TYPE (\w+)", client.get("/metrics").text, re.MULTILINE))
    used = {re.sub(r"_(bucket|sum|count)$", "", name) for text in QUERIES for name, _ in queried(text)}
    assert used - shown == {"hashgnn_store_healthy"}  # this service keeps no interactions


def test_panels_do_not_overlap_and_have_ids_of_their_own() -> None:
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not taken & cells, panel["title"]
        taken |= cells


# --- alerts, by the format of Prometheus' rule files ----------------------------------------------------------


def check_fields(value: dict[str, Any], required: set[str], optional: set[str]) -> None:
    assert required <= set(value) <= required | optional


def test_the_file_of_alerts_is_a_rule_file() -> None:
    check_fields(ALERTS, {"groups"}, set())
    names = [group["name"] for group in ALERTS["groups"]]
    assert len(set(names)) == len(names) == 3
    for group in ALERTS["groups"]:
        check_fields(group, {"name", "rules"}, {"interval", "limit", "labels", "query_offset"})
        assert isinstance(group["rules"], list)
        assert group["rules"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_it_means_and_what_to_do(rule: dict[str, Any]) -> None:
    check_fields(rule, {"alert", "expr", "labels", "annotations"}, {"for", "keep_firing_for"})
    assert re.fullmatch(r"[A-Z][A-Za-z]+", rule["alert"])
    assert isinstance(rule["expr"], str)
    assert "for" not in rule or DURATION.fullmatch(rule["for"])
    assert rule["labels"] in ({"severity": "page"}, {"severity": "ticket"})
    check_fields(rule["annotations"], {"summary", "action", "runbook"}, set())
    used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    grouped = set(re.split(r",\s*", re.search(r"\bby \(([^)]*)\)", rule["expr"])[1]))  # type: ignore[index]
    assert used <= grouped
    assert set(re.findall(r"\{\{(.*?)\}\}", rule["annotations"]["summary"])) <= {
        " $value ",
        " $value | humanizePercentage ",
        " $value | humanizeDuration ",
        *(f" $labels.{name} " for name in grouped),
    }
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    text = (ROOT / page).read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }
    assert anchor in headings


def test_alerts_have_names_of_their_own_and_name_options_that_exist() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)
    options = {name for command in ("serve", "fit", "check") for name in _options_of(command)}
    used = {word for rule in RULES for word in re.findall(r"--[a-z-]+", rule["annotations"]["action"])}
    assert used
    assert used <= options


def _options_of(command: str) -> set[str]:
    return {name for option in get_command(app).commands[command].params for name in option.opts}  # type: ignore[attr-defined]


def test_the_unit_and_the_container_use_options_that_exist() -> None:
    options = _options_of("serve")
    unit = (DEPLOY / "hashgnn.service").read_text()
    start = unit[unit.index("ExecStart") : unit.index("LoadCredential")]
    assert set(re.findall(r"--[a-z-]+", start)) <= options
    command = json.loads(
        re.search(r"^CMD (\[.*\])$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)[1]
    )  # type: ignore[index]
    assert {word for word in command if word.startswith("--")} <= options
