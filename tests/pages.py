"""The pages of the repository, cut into prose and blocks of code."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import typer.main

from hashgnn.cli.app import app

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
# Those that run from top to bottom, each in an empty folder; the others need the files of a reader.
TUTORIALS = [page for page in PAGES if page.parent.name == "tutorials"]
OTHERS = [page for page in PAGES if page not in TUTORIALS]
SHELL = "sh"
# Commands of the library that take a moment; the others are parsed, and not run.
QUICK = {
    ("recommend",),
    ("similar",),
    ("encode",),
    ("inspect",),
    ("evaluate",),
    ("data", "list"),
    ("data", "stats"),
    ("data", "split"),
    ("recipes",),
}
GROUP: Any = typer.main.get_command(app)
_FENCE = re.compile(
    r"(?:<!-- not run: (?P<reason>[^\n]+?) -->\n+)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def page_name(page: Path) -> str:
    """Return the path of a page inside the repository."""
    return page.relative_to(ROOT).as_posix()


@dataclass(frozen=True)
class Block:
    """A block of code of a page.

    Attributes
    ----------
    kind : str
        What stands after the opening fence.
    text : str
    reason : str or None
        Why the block is not run, from the comment ``<!-- not run: reason -->`` above it.
    """

    kind: str
    text: str
    reason: str | None

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command line of a block of shell commands."""
        lines = self.text.replace("\\\n", " ").splitlines()
        words = [shlex.split(line.split(" | ")[0], comments=True) for line in lines]
        return [command for command in words if command]


@cache
def blocks(page: Path) -> tuple[Block, ...]:
    """Return the blocks of code of a page, in order."""
    found = _FENCE.finditer(page.read_text(encoding="utf-8"))
    return tuple(Block(match["kind"], match["text"], match["reason"]) for match in found)


def code(page: Path) -> str:
    """Return the Python of a page that is run, as one program."""
    return "\n".join(block.text for block in blocks(page) if block.kind == "python" and not block.reason)


def program(page: Path) -> str:
    """Return a tutorial as one program: its Python, and its commands where they stand.

    Lines that install something, and blocks that are not run, are left out.
    """
    lines = ["from tests.terminal import Terminal", "terminal = Terminal()"]
    for block in blocks(page):
        if block.reason:
            continue
        if block.kind == "python":
            lines.append(block.text)
        elif block.kind == SHELL:
            commands = re.sub(r"^pip install .*\n", "", block.text, flags=re.MULTILINE)
            lines.append(f"terminal.run({commands!r})")
    return "\n".join(lines)


def packages(page: Path) -> list[str]:
    """Return the packages that a page tells its reader to install besides the library."""
    lines = [words for block in blocks(page) if block.kind == SHELL for words in block.commands]
    targets = [word for words in lines if words[:2] == ["pip", "install"] for word in words[2:]]
    return [re.split(r"[\[=<>]", word)[0] for word in targets if not word.startswith((".", "hashgnn"))]


def quick(pages: Iterable[Path]) -> list[list[str]]:
    """Return the arguments of the different commands of some pages that take a moment."""
    run_blocks = [
        block for page in pages for block in blocks(page) if block.kind == SHELL and not block.reason
    ]
    distinct = {
        tuple(rest) for block in run_blocks for program, *rest in block.commands if program == "hashgnn"
    }
    return [list(words) for words in sorted(distinct) if words[:1] in QUICK or words[:2] in QUICK]


def prose(page: Path) -> str:
    """Return a page without its blocks of code, comments and pictures."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return re.sub(r"<!--.*?-->|^!\[.*?\]\(.*?\)$|<img[^>]*>", "", text, flags=re.DOTALL | re.MULTILINE)


def leaves(command: Any = GROUP, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the names that lead to each command."""
    if not hasattr(command, "commands"):
        yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from leaves(child, (*path, name))


def parse(arguments: list[str]) -> None:
    """Raise where a command, an option or an argument does not exist, or one that is needed is missing."""
    command = GROUP
    while hasattr(command, "commands"):
        name, *arguments = arguments
        assert name in command.commands, f"no command {name!r}"
        command = command.commands[name]
    command.make_context(command.name, list(arguments)).close()
