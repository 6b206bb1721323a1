"""Recipes: named presets of the config, as TOML files inside the package or given by path."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from hashgnn._checks import quote_some
from hashgnn._files import atomic_file
from hashgnn.config.model_config import ModelConfig
from hashgnn.errors import ParameterError

RECIPES = ("default", "paper", "authors")
_PLAIN = "plain"  # no recipe: a file that holds every setting starts from it
_MAX_BYTES = 1_000_000


def load_recipe(recipe: str | Path = "default", **settings: Any) -> ModelConfig:
    """Return the config of a named recipe or a TOML file, with some settings replaced.

    Parameters
    ----------
    recipe : str or Path, default="default"
        ``"paper"`` (the equations), ``"authors"`` (what the authors' code does), ``"default"`` (our best
        so far), or the path of a TOML file. A file may name the recipe or file it starts from, as in
        ``base = "paper"``; ``base = "plain"`` starts from the fields' own defaults.
    **settings
        Fields of :class:`ModelConfig` that replace the recipe's.

    Raises
    ------
    ParameterError
        If the recipe is unknown, the file is no TOML, or a setting breaks its rule.

    Examples
    --------
    >>> load_recipe("paper", n_bits=32).ranking_loss
    'hinge'
    """
    return ModelConfig.from_dict({**_read(recipe, depth=0), **settings})


def save_recipe(config: ModelConfig, path: str | Path) -> None:
    """Write a config as a TOML recipe file that :func:`load_recipe` reads back equal."""
    lines = [f'base = "{_PLAIN}"']
    lines += [f"{name} = {_toml(value)}" for name, value in config.to_dict().items() if value is not None]
    with atomic_file(Path(path)) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def parse_setting(text: str) -> tuple[str, Any]:
    """Split ``key=value`` as given on the command line; the value is read as TOML, else kept as text.

    Examples
    --------
    >>> parse_setting("item_bias=false"), parse_setting("encoder=lightgcn"), parse_setting("fan_outs=[10, 5]")
    (('item_bias', False), ('encoder', 'lightgcn'), ('fan_outs', [10, 5]))
    """
    key, equals, value = text.partition("=")
    key, value = key.strip(), value.strip()
    if not equals or not key or not value:
        raise ParameterError(f"a setting must be written key=value, got {text!r}")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value


def _read(recipe: str | Path, depth: int) -> dict[str, Any]:
    if recipe == _PLAIN:
        return {}
    if recipe in RECIPES:
        text = resources.files(__package__).joinpath("recipes", f"{recipe}.toml").read_text(encoding="utf-8")
        return tomllib.loads(text)
    path = Path(recipe)
    if path.suffix != ".toml":
        raise ParameterError(
            f"recipe must be one of {quote_some(RECIPES)} or a .toml file, got {str(recipe)!r}"
        )
    if depth > 8:
        raise ParameterError(f"{path}: recipes are based on one another in a circle")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ParameterError(f"{path}: the recipe cannot be read, {error.strerror}") from None
    if len(raw) > _MAX_BYTES:
        raise ParameterError(f"{path}: a recipe must be smaller than {_MAX_BYTES} bytes, got {len(raw)}")
    try:
        values = tomllib.loads(raw.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path}: the recipe is not valid TOML, {error}") from None
    base = values.pop("base", "default")
    if not isinstance(base, str):
        raise ParameterError(f"{path}: base must be a recipe's name or path, got {base!r}")
    parent = base if base in (*RECIPES, _PLAIN) else path.parent / base
    return {**_read(parent, depth + 1), **values}


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        raise TypeError("a recipe is flat")
    # JSON and TOML write strings, numbers, booleans and arrays of them alike.
    return json.dumps(value)
