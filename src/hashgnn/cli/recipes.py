"""``hashgnn recipes``: what recipes there are, and every setting with its meaning, type, default and rule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated, Any

import typer

from hashgnn.cli._options import Debug, Json, Quiet
from hashgnn.cli._output import Output
from hashgnn.errors import ParameterError


def recipes(
    recipe: Annotated[
        str | None,
        typer.Argument(metavar="[NAME|FILE.toml]", help="Show the settings of this one.", show_default=False),
    ] = None,
    setting: Annotated[
        str | None,
        typer.Option(
            "--setting",
            metavar="KEY",
            help="Explain one setting or section, for every choice that has it.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """List recipes, the settings of one, or what a setting means.

    Every setting is shown with its value in the recipe, its default, its type and rule, and its meaning. A
    setting is changed by fit --set KEY=VALUE, or in a recipe file of your own.

    Examples:
      hashgnn recipes

      hashgnn recipes paper

      hashgnn recipes --setting encoder.heads

      hashgnn recipes --setting relaxation --json
    """
    from hashgnn.config import RECIPES, load_recipe

    out = Output(as_json, quiet)
    if setting is not None and recipe is not None:
        raise ParameterError(f"--setting cannot be given with a recipe, got {recipe!r}")
    if setting is not None:
        _explain(out, load_recipe(), setting)
    elif recipe is not None:
        _show(out, recipe, load_recipe(recipe))
    elif as_json:
        out.document({"recipes": [{"name": name, "about": about} for name, about in RECIPES.items()]})
    else:
        out.table(("recipe", "what"), RECIPES.items())
        out.note("next: hashgnn recipes NAME")


def _show(out: Output, recipe: str, config: Any) -> None:
    """Print the settings of a config, those of what it chooses only, one table per section."""
    settings = [one for one in type(config).describe() if _applies(config, one)]
    if out.as_json:
        described = [{**asdict(one), "value": config.value(one.name)} for one in settings]
        out.document({"recipe": recipe, "settings": described, "config": config.to_dict()})
        return
    sections: dict[str, list[Any]] = {}
    for one in settings:
        top = one.name.partition(".")[0]
        is_section = top != one.name or hasattr(getattr(config, top), "describe")
        sections.setdefault(top if is_section else "", []).append(one)
    for number, (section, rows) in enumerate(sections.items()):
        if number:
            out.line()
        _table(out, section or "model", rows, config)


def _explain(out: Output, config: Any, name: str) -> None:
    """Print one setting, or all of a section, for every choice that has it."""
    found = [one for one in type(config).describe() if one.name == name or one.name.startswith(f"{name}.")]
    if not found:
        config.value(name)  # raises, and suggests similar names
    if out.as_json:
        out.document({"setting": name, "settings": [asdict(one) for one in found]})
    else:
        _table(out, name, found, None)


def _applies(config: Any, setting: Any) -> bool:
    """Return whether a setting belongs to a component that a config has chosen."""
    return setting.owner in ("", *_owners(config))


def _owners(section: Any) -> Iterable[str]:
    """Yield the chosen components of a config, by the names of owners in settings."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        if hasattr(value, "describe"):
            yield value.owner
            yield from _owners(value)


def _table(out: Output, title: str, settings: list[Any], config: Any) -> None:
    rows = []
    for one in settings:
        value = [] if config is None else [_text(config.value(one.name))]
        rule = ", ".join(part for part in (one.type, one.rule) if part)
        rows.append(
            [one.name, *([one.owner] if config is None else value), _text(one.default), rule, one.meaning]
        )
    out.table(
        ("setting", "of" if config is None else "value", "default", "type and rule", "meaning"),
        rows,
        title=title,
    )


def _text(value: Any) -> str:
    """Return a value as it is written after ``--set KEY=``."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
