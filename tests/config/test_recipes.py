from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hashgnn.config import RECIPES, ModelConfig, load_recipe, parse_setting, save_recipe
from hashgnn.errors import ParameterError
from hashgnn.recommender import HashGNN


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_survives_a_round_trip_through_json_and_toml(name: str, tmp_path: Path) -> None:
    config = load_recipe(name)
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    save_recipe(config, tmp_path / "copy.toml")
    assert load_recipe(tmp_path / "copy.toml") == config


def test_the_paper_and_the_authors_have_no_item_bias_and_the_default_has() -> None:
    assert [load_recipe(name).item_bias for name in ("paper", "authors", "default")] == [False, False, True]


def test_a_recipe_file_starts_from_the_recipe_it_names(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('base = "paper"\n[objective]\nranking_loss.margin = 0.3\n')
    (tmp_path / "ours.toml").write_text('base = "mine.toml"\nn_bits = 64\n')
    expected = load_recipe("paper", n_bits=64, **{"objective.ranking_loss.margin": 0.3})
    assert load_recipe(tmp_path / "ours.toml") == expected
    (tmp_path / "plain.toml").write_text("n_bits = 64\n")
    assert load_recipe(tmp_path / "plain.toml") == ModelConfig(n_bits=64)


def test_a_bad_setting_of_a_file_is_named_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("epochs = 3\n")
    with pytest.raises(ParameterError) as caught:
        load_recipe(path)
    assert str(caught.value) == f"{path}: epochs is not a setting; write optimizer.epochs"


def test_the_default_recipe_is_the_config_s_own_defaults() -> None:
    assert load_recipe() == load_recipe("default") == ModelConfig() == HashGNN().config


def test_a_recipe_keeps_its_width_unless_another_is_given() -> None:
    assert [HashGNN(recipe=name).config.n_bits for name in RECIPES] == [128, 32, 32]
    assert HashGNN(64, recipe="paper").config == load_recipe("paper", n_bits=64)


def test_text_unsets_what_may_be_unset(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[optimizer]\nshared_learning_rate = "none"\n')
    assert load_recipe(tmp_path / "mine.toml").optimizer.shared_learning_rate is None
    with pytest.raises(ParameterError, match="optimizer.learning_rate must be a valid number"):
        ModelConfig(**{"optimizer.learning_rate": "none"})


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


@pytest.mark.parametrize(
    "text",
    [
        f"base = {'[' * 100_000}",
        f"base = {'[' * 100_000}{']' * 100_000}",
        "a." * 100_000 + "b = 1",
        "a." * 250 + "b = 1",
    ],
)
def test_a_recipe_that_nests_deeply_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "deep.toml").write_text(text)
    with pytest.raises(ParameterError, match=r"deep\.toml: "):
        load_recipe(tmp_path / "deep.toml")
    assert parse_setting(f"encoder.fan_outs={'[' * 100_000}")[1] == "[" * 100_000


def test_a_recipe_that_is_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(ParameterError, match="the recipe cannot be read, it is no regular file"):
        load_recipe(tmp_path / "pipe.toml")
