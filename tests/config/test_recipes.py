from __future__ import annotations

import json
from pathlib import Path

import pytest

from hashgnn.config import RECIPES, ModelConfig, load_recipe, parse_setting, save_recipe
from hashgnn.errors import ParameterError


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_survives_a_round_trip_through_json_and_toml(name: str, tmp_path: Path) -> None:
    config = load_recipe(name)
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    save_recipe(config, tmp_path / "copy.toml")
    assert load_recipe(tmp_path / "copy.toml") == config


def test_the_paper_and_the_authors_have_no_item_bias_and_the_default_has() -> None:
    assert [load_recipe(name).item_bias for name in ("paper", "authors", "default")] == [False, False, True]


def test_a_recipe_file_starts_from_the_recipe_it_names(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('base = "paper"\nmargin = 0.3\n')
    (tmp_path / "ours.toml").write_text('base = "mine.toml"\nn_bits = 64\n')
    assert load_recipe(tmp_path / "ours.toml") == load_recipe("paper", margin=0.3, n_bits=64)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_bits": 100}, "n_bits must be a positive multiple of 8, got 100"),
        ({"n_bits": "many"}, "n_bits must be a positive multiple of 8, got 'many'"),
        ({"epochs": 0}, "epochs must be greater than or equal to 1, got 0"),
        (
            {"encoder": "transformer"},
            "encoder must be 'history', 'lightgcn', 'graphsage', 'mf', 'gcn', 'gat', 'ngcf' or 'pinsage', got 'transformer'",
        ),
        ({"epoch": 3}, "epoch is not a setting; did you mean 'epochs'?"),
        ({"learning_rate": float("nan")}, "learning_rate must be a finite number, got nan"),
    ],
)
def test_a_bad_setting_is_named_with_its_rule_and_value(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        load_recipe("paper", **settings)
    assert str(caught.value) == message


def test_an_unknown_recipe_names_the_known_ones() -> None:
    with pytest.raises(
        ParameterError, match=r"recipe must be one of 'default', 'paper', 'authors' or a .toml file"
    ):
        load_recipe("papr")


def test_recipes_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('base = "b.toml"\n')
    (tmp_path / "b.toml").write_text('base = "a.toml"\n')
    with pytest.raises(ParameterError, match="in a circle"):
        load_recipe(tmp_path / "a.toml")


@pytest.mark.parametrize("text", ["", "item_bias", "=3", "item_bias="])
def test_a_setting_without_key_or_value_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="must be written key=value"):
        parse_setting(text)


def test_a_config_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_recipe("paper").n_bits = 64  # type: ignore[misc]
