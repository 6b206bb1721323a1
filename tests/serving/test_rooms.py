"""The rooms of the service: who may import whom, where HTTP statuses are set, how deep a file lies."""

from __future__ import annotations

import ast
import re
from functools import cache
from http import HTTPStatus
from pathlib import Path

import pytest

import hashgnn.serving

SERVING = Path(hashgnn.serving.__file__).parent
FILES = {
    ".".join(("hashgnn.serving", *path.relative_to(SERVING).with_suffix("").parts)): path
    for path in sorted(SERVING.rglob("*.py"))
    if path.name != "__init__.py"
}
MAY_IMPORT = {
    "process": {"process", "http", "models", "wire", "store", "settings"},
    "http": {"http", "models", "wire", "store", "settings"},
    "models": {"models", "wire", "store", "settings"},
    "wire": {"wire"},
    "store": {"store"},
    "settings": set(),
}
MAX_LEVELS = 6


def room_of(module: str) -> str:
    return module.split(".")[2]


def imports_of(path: Path) -> set[str]:
    """Return the files of the service that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & set(FILES)


@cache
def level_of(module: str) -> int:
    return 1 + max((level_of(other) for other in imports_of(FILES[module])), default=0)


@pytest.mark.parametrize("module", FILES)
def test_rooms_import_in_one_direction(module: str) -> None:
    imported = {room_of(other) for other in imports_of(FILES[module])}
    assert imported <= MAY_IMPORT[room_of(module)]


def test_the_longest_chain_of_imports_is_short() -> None:
    levels = {module: level_of(module) for module in FILES}
    deepest = max(levels, key=lambda module: levels[module])
    assert levels[deepest] <= MAX_LEVELS, f"{deepest} lies on level {levels[deepest]}"


@pytest.mark.parametrize("module", [module for module in FILES if room_of(module) != "http"])
def test_http_statuses_are_set_in_http_only(module: str) -> None:
    tree = ast.parse(FILES[module].read_text())
    statuses = {status.value for status in HTTPStatus if status.value >= 400}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    numbers = {node.value for node in constants if type(node.value) is int}
    assert not numbers & statuses
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert not names & {"HTTPStatus", "HTTPException"}
    texts = [str(node.value) for node in constants if isinstance(node.value, str | bytes)]
    assert not [text for text in texts if re.search(r"\b[45]\d\d [A-Z]", text)]


def test_every_reason_has_a_status() -> None:
    from hashgnn.serving.http.problems import STATUSES
    from hashgnn.serving.wire.errors import Reason

    assert set(STATUSES) == set(Reason)
