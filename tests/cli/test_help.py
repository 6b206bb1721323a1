"""The help of every command: it has examples, and each of them can be typed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

import pytest
from tests.pages import GROUP, leaves, parse

from hashgnn.config import load_recipe

Run = Callable[..., tuple[int, str, str]]


COMMANDS = {" ".join(path): path for path in leaves()}


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
    shares = {name: load_recipe(name).validation.share for name in ("default", "paper", "authors")}
    assert shares == {"default": 0, "paper": 0.1, "authors": 0.1}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_of_help_can_be_typed(name: str) -> None:
    command = GROUP
    for part in COMMANDS[name]:
        command = command.commands[part]
    examples = re.findall(r"^\s*hashgnn (.+)$", command.help, re.MULTILINE)
    assert examples
    for example in examples:
        parse(shlex.split(example))
