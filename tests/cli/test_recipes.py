"""``hashgnn recipes``: recipes, their settings, and what a setting means."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from hashgnn.config import load_recipe

Run = Callable[..., tuple[int, str, str]]


def test_recipes_are_listed(run: Run) -> None:
    code, out, _ = run("recipes")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[2:]] == ["default", "paper", "authors"]
    code, out, _ = run("recipes", "--json")
    assert [one["name"] for one in json.loads(out)["recipes"]] == ["default", "paper", "authors"]


def test_a_recipe_shows_the_settings_it_has_and_no_others(run: Run) -> None:
    code, out, _ = run("recipes", "paper", "--json")
    assert code == 0
    document = json.loads(out)
    assert document["config"] == load_recipe("paper").to_dict()
    shown = {one["name"]: one for one in document["settings"]}
    assert shown["objective.ranking_loss.margin"] == {
        "name": "objective.ranking_loss.margin",
        "owner": "ranking loss 'hinge'",
        "meaning": "Margin α.",
        "type": "number",
        "rule": ">= 0",
        "default": 0.2,
        "value": 0.2,
    }
    assert (shown["n_bits"]["value"], shown["n_bits"]["default"]) == (32, 128)
    assert "encoder.heads" not in shown
    _, table, _ = run("recipes", "paper")
    (line,) = (line for line in table.splitlines() if "optimizer.shared_learning_rate" in line)
    assert line.split()[1:3] == ["none", "0.004"]


def test_a_recipe_file_is_shown_too(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[encoder]\nname = "gat"\nheads = 8\n')
    _, out, _ = run("recipes", str(tmp_path / "mine.toml"), "--json")
    shown = {one["name"]: one["value"] for one in json.loads(out)["settings"]}
    assert (shown["encoder"], shown["encoder.heads"]) == ("gat", 8)


def test_one_setting_is_explained_for_every_choice_that_has_it(run: Run) -> None:
    code, out, _ = run("recipes", "--setting", "encoder.n_layers", "--json")
    assert code == 0
    owners = [one["owner"] for one in json.loads(out)["settings"]]
    assert owners == [
        f"encoder {name!r}" for name in ("gat", "gcn", "graphsage", "lightgcn", "ngcf", "pinsage")
    ]
    _, out, _ = run("recipes", "--setting", "encoder.heads")
    assert "Attention heads; must divide embedding_dim." in out


def test_what_is_no_setting_names_the_one_that_is(run: Run) -> None:
    assert run("recipes", "--setting", "epochs") == (
        2,
        "",
        "hashgnn: epochs is not a setting; write optimizer.epochs\n",
    )
