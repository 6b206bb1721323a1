"""Recipes: named presets of the config, as TOML files inside the package or given by path."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from hashgnn._addresses import path_of
from hashgnn._checks import quote_some
from hashgnn._files import atomic_file, open_regular
from hashgnn.config.model_config import ModelConfig
from hashgnn.errors import ParameterError

#: The named recipes, each with a description.
RECIPES = {
    "default": "our best so far",
    "paper": "the method of the paper (Tan et al., WWW 2020)",
    "authors": "what the authors' public code does",
}
"""A description of each named recipe."""

_DEFAULT = "default"  # the settings' own defaults, so it has no file
_MAX_BYTES = 1_000_000
_MAX_DOTS = 256  # of dotted names in a line: reading longer ones takes quadratic time


def load_recipe(recipe: str | Path = _DEFAULT, **settings: Any) -> ModelConfig:
    """Return the config of a named recipe or a TOML file, with some settings replaced.

    Parameters
    ----------
    recipe : str or Path, default="default"
        A name of :data:`RECIPES`, or the path of a TOML file. ``"default"`` is ``ModelConfig()``. A file has
        a table for each section and may name the recipe or file it starts from, as in ``base = "paper"``;
        otherwise it starts from ``default``. The text ``"none"`` unsets a setting that may be unset.
    **settings
        Settings that replace the recipe's, as :meth:`ModelConfig.replace` takes them.

    Raises
    ------
    ParameterError
        If the recipe is unknown, the file is no TOML, or a setting is unknown, does not apply or breaks its
        rule.

    See Also
    --------
    save_recipe : Writes a file that this reads.
    parse_setting : A setting as it is typed.

    Examples
    --------
    >>> load_recipe("paper", n_bits=64, optimizer={"epochs": 3}).objective.ranking_loss
    Hinge(name='hinge', margin=0.2)
    >>> load_recipe("paper", **{"objective.ranking_loss": "bpr"}).objective.ranking_loss
    BPR(name='bpr')
    """
    config = _read(recipe, depth=0)
    return config.replace(**settings) if settings else config


def save_recipe(config: ModelConfig, path: str | Path) -> None:
    """Write a config as a TOML recipe file that :func:`load_recipe` reads back equal."""
    with atomic_file(path_of(path)) as temporary:
        temporary.write_text("\n".join(_toml(config.to_dict())).strip() + "\n", encoding="utf-8")


def parse_setting(text: str) -> tuple[str, Any]:
    """Split ``key=value`` as given on the command line; the value is read as TOML, else kept as text.

    Examples
    --------
    >>> parse_setting("item_bias=false"), parse_setting("encoder=gat"), parse_setting("encoder.fan_outs=[10, 5]")
    (('item_bias', False), ('encoder', 'gat'), ('encoder.fan_outs', [10, 5]))
    """
    key, equals, value = text.partition("=")
    key, value = key.strip(), value.strip()
    if not equals or not key or not value:
        raise ParameterError(f"a setting must be written key=value, got {text!r}")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return key, value


def _read(recipe: str | Path, depth: int) -> ModelConfig:
    if recipe == _DEFAULT:
        return ModelConfig()
    if recipe in RECIPES:
        text = resources.files(__package__).joinpath("recipes", f"{recipe}.toml").read_text(encoding="utf-8")
        return ModelConfig(**tomllib.loads(text))
    path = Path(recipe)
    if path.suffix != ".toml":
        raise ParameterError(
            f"recipe must be one of {quote_some(RECIPES)} or a .toml file, got {str(recipe)!r}"
        )
    if depth > 8:
        raise ParameterError(f"{path}: recipes are based on one another in a circle")
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ParameterError(f"{path}: the recipe cannot be read, {error.strerror}") from None
    if len(raw) > _MAX_BYTES:
        raise ParameterError(f"{path}: a recipe must be smaller than {_MAX_BYTES} bytes, got {size}")
    if any(line.count(b".") > _MAX_DOTS for line in raw.splitlines()):
        raise ParameterError(f"{path}: a line of a recipe must hold at most {_MAX_DOTS} dots")
    try:
        values = tomllib.loads(raw.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path}: the recipe is not valid TOML, {error}") from None
    except RecursionError:
        raise ParameterError(f"{path}: the recipe is nested too deeply") from None
    base = values.pop("base", _DEFAULT)
    if not isinstance(base, str):
        raise ParameterError(f"{path}: base must be a recipe's name or path, got {base!r}")
    parent = _read(base if base in RECIPES else path.parent / base, depth + 1)
    try:
        return parent.replace(**values)
    except RecursionError:
        raise ParameterError(f"{path}: the recipe is nested too deeply") from None
    except ParameterError as error:
        raise ParameterError(f"{path}: {error}") from None


def _toml(values: Mapping[str, Any], table: str = "") -> Iterator[str]:
    """Yield the lines of a table, its plain values first, then the tables in it."""
    if table:
        yield f"\n[{table}]"
    for name, value in values.items():
        if not isinstance(value, Mapping):
            # JSON and TOML write strings, numbers, booleans and arrays of them in the same way.
            yield f"{name} = {json.dumps('none' if value is None else value)}"
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _toml(value, f"{table}.{name}" if table else name)
