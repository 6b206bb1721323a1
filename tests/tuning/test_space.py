from __future__ import annotations

from pathlib import Path

import pytest

from hashgnn.config import load_recipe
from hashgnn.errors import ParameterError
from hashgnn.tuning import SPACES, Choice, Range, load_space

BASE = load_recipe("default")


@pytest.mark.parametrize(
    ("name", "recipes"),
    [("rates", ("default", "paper", "authors")), ("default", ("default",)), ("paper", ("paper",))],
)
def test_a_named_space_fits_its_recipes(name: str, recipes: tuple[str, ...]) -> None:
    assert name in SPACES
    for recipe in recipes:
        assert load_space(name, load_recipe(recipe))


def test_a_space_for_another_recipe_is_refused() -> None:
    with pytest.raises(
        ParameterError,
        match="space 'default': encoder.history_dropout is a setting of encoder 'history', not of 'graphsage'",
    ):
        load_space("default", load_recipe("paper"))


def test_tables_and_dotted_names_say_the_same(tmp_path: Path) -> None:
    tables, dotted = tmp_path / "tables.toml", tmp_path / "dotted.toml"
    tables.write_text(
        "[optimizer]\nepochs = { low = 2, high = 5 }\n[relaxation.schedule]\nuntil = [0.5, 1.0]\n"
    )
    dotted.write_text("optimizer.epochs = { low = 2, high = 5 }\nrelaxation.schedule.until = [0.5, 1.0]\n")
    assert load_space(tables, BASE) == load_space(dotted, BASE)
    assert list(load_space(tables, BASE)) == ["optimizer.epochs", "relaxation.schedule.until"]


def test_a_file_gives_ranges_and_choices(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'optimizer.learning_rate = { low = 0.01, high = 0.1, log = true }\noptimizer.epochs = { low = 2, high = 5 }\nrelaxation = ["ste", "guided"]\n'
    )
    space = load_space(path, BASE)
    assert space == {
        "optimizer.learning_rate": Range(0.01, 0.1, log=True),
        "optimizer.epochs": Range(2, 5),
        "relaxation": Choice(("ste", "guided")),
    }
    epochs = space["optimizer.epochs"]
    assert isinstance(epochs, Range)
    assert epochs.is_integer
    assert [epochs.holds(value) for value in (2, 5, 6, True)] == [True, True, False, False]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "a space must vary one setting or more, got none"),
        ("epoch = { low = 1, high = 2 }", "epoch is not a setting; did you mean optimizer.epochs?"),
        (
            "optimizer.epochs = { low = 0, high = 2 }",
            "optimizer.epochs must be greater than or equal to 1, got 0",
        ),
        (
            "optimizer.epochs = { low = 3, high = 2 }",
            "optimizer.epochs.high must be a finite number > 3, got 2",
        ),
        (
            "optimizer.epochs = { from = 1, to = 2 }",
            "optimizer.epochs must be a list or { low = …, high = …, log = true or false }",
        ),
        ("optimizer.epochs = 3", "optimizer.epochs must be a list or { low"),
        (
            "encoder.history_dropout = { low = 0.0, high = 1.0, log = true }",
            "encoder.history_dropout.low must be a finite number > 0 where log = true",
        ),
        (
            "encoder.history_dropout = { low = 0.0, high = 1.0, log = 1 }",
            "encoder.history_dropout.log must be true or false, got 1",
        ),
        ('relaxation = ["ste"]', "relaxation must list two or more texts, numbers or booleans, got"),
        ('relaxation = ["ste", "soft"]', "relaxation must be one of 'clipped'"),
        ("n_bits = [32, 64]", "n_bits is given, not searched for"),
        ("optimizer.epochs = {", "the space is not valid TOML"),
    ],
)
def test_a_line_that_breaks_a_rule_is_refused(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(line + "\n")
    with pytest.raises(ParameterError) as error:
        load_space(path, BASE)
    assert str(path) in str(error.value)
    assert message in str(error.value)


def test_an_unknown_space_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ParameterError, match="space must be one of 'rates', 'default', 'paper' or a .toml file"
    ):
        load_space("wide", BASE)
    with pytest.raises(ParameterError, match="the space cannot be read, No such file or directory"):
        load_space(tmp_path / "none.toml", BASE)
