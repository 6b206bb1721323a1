"""What every command says of itself, and whether what is written about it can be typed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from hashgnn.cli.app import app
from hashgnn.config import load_recipe

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
GROUP: Any = typer.main.get_command(app)

Run = Callable[..., tuple[int, str, str]]


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the names that lead to each command."""
    if not hasattr(command, "commands"):
        yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from leaves(child, (*path, name))


COMMANDS = {" ".join(path): path for path in leaves(GROUP)}


@pytest.mark.parametrize("path", COMMANDS.values(), ids=COMMANDS)
def test_every_command_has_help_with_an_example(path: tuple[str, ...], run: Run) -> None:
    code, out, err = run(*path, "--help")
    assert (code, err) == (0, "")
    assert re.search(rf"^ \$ hashgnn {' '.join(path)}\b", out, re.MULTILINE)
    has_a_result = path != ("serve",)
    assert (("--quiet" in out), ("--json" in out)) == (has_a_result, has_a_result)


def test_a_group_without_a_command_shows_what_it_has(run: Run) -> None:
    for group in ((), ("data",)):
        code, out, err = run(*group)
        assert (code, err) == (0, "")
        assert "Commands" in out


def test_a_paragraph_of_help_is_not_broken_where_the_source_is(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    _, out, _ = run("fit", "--help")
    (line,) = (line for line in out.splitlines() if "DIR appears only" in line)
    assert line.strip().endswith("DIR.log.jsonl gets a line per epoch.")


def test_the_help_of_valid_says_what_the_recipes_do(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    _, out, _ = run("fit", "--help")
    assert "default holds nothing out and keeps the last epoch, paper and authors hold out a tenth" in out
    shares = {name: load_recipe(name).validation_share for name in ("default", "paper", "authors")}
    assert shares == {"default": 0, "paper": 0.1, "authors": 0.1}


def typed(text: str) -> Iterator[str]:
    """Yield the commands in the code blocks of a page."""
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            # Some lines hold two commands side by side, or are a shell's.
            for part in re.split(r" {3,}(?=hashgnn )|\$ (?=hashgnn )", line.split(" | ")[0]):
                if part.startswith("hashgnn "):
                    yield part


WRITTEN = [
    *((page.name, command) for page in PAGES for command in typed(page.read_text(encoding="utf-8"))),
]


def test_the_pages_show_commands() -> None:
    assert len(WRITTEN) > 20


@pytest.mark.parametrize(("page", "command"), WRITTEN)
def test_a_command_that_is_written_down_can_be_typed(page: str, command: str) -> None:
    parse(shlex.split(command, comments=True)[1:])


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_of_help_can_be_typed(name: str) -> None:
    command = GROUP
    for part in COMMANDS[name]:
        command = command.commands[part]
    examples = re.findall(r"^\s*hashgnn (.+)$", command.help, re.MULTILINE)
    assert examples
    for example in examples:
        parse(shlex.split(example))


def parse(arguments: list[str]) -> None:
    """Raise where a command, an option or an argument does not exist, or one that is needed is missing."""
    command = GROUP
    while hasattr(command, "commands"):
        name, *arguments = arguments
        assert name in command.commands, f"no command {name!r}"
        command = command.commands[name]
    command.make_context(command.name, list(arguments)).close()
