"""Write docs/reference/settings.md from ``ModelConfig``: python docs/reference/make_settings.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hashgnn.config import ModelConfig

PAGE = Path(__file__).with_name("settings.md")
HEAD = """# Settings

Every setting of a model, made from `ModelConfig` by `python docs/reference/make_settings.py`. A setting is written
with its section: `HashGNN(optimizer={"epochs": 5})`, `--set optimizer.epochs=5`, or in a recipe file under
`[optimizer]`. `hashgnn recipes --setting optimizer.epochs` shows the same on the command line.

"For" names the choice that a setting belongs to; with any other choice it is an error. A default is that of the
recipe `default`, or of the choice that the setting belongs to. [Recipes](../guide/recipes.md) says how to choose.
"""


def text_of(value: Any) -> str:
    """Return a value as it is written after ``--set KEY=``."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return str(list(value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def page() -> str:
    """Return the whole page."""
    sections: dict[str, list[str]] = {}
    described = list(ModelConfig.describe())
    with_parts = {one.name.partition(".")[0] for one in described if "." in one.name}
    for one in described:
        top = one.name.partition(".")[0]
        rule = ", ".join(part for part in (one.type, one.rule) if part)
        cells = (f"`{one.name}`", one.owner.replace("'", "`"), f"`{text_of(one.default)}`", rule, one.meaning)
        row = "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
        sections.setdefault(top if top in with_parts else "The model", []).append(row)
    header = "| setting | for | default | type and rule | meaning |\n|---|---|---|---|---|\n"
    return "\n".join(
        [HEAD, *(f"## {name}\n\n{header}" + "\n".join(rows) + "\n" for name, rows in sections.items())]
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
