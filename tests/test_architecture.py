"""The house: a level imports lower levels only, siblings do not import one another, torch stays in its rooms."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "hashgnn"

LEVELS = {
    0: (
        "errors",
        "_checks",
        "_counting",
        "_rng",
        "_declared",
        "_files",
        "_launched",
        "_locks",
        "_frames",
        "_json_text",
        "_tensors",
        "_extras",
        "_printing",
        "_processors",
        "_addresses",
        "_cache",
        "_progress",
        "_types",
        "_registry",
        "_components",
    ),
    1: ("batch", "codes", "config", "data", "fold_in", "nn", "ranking", "runs"),
    2: ("graph", "index", "evaluation", "rules"),
    3: ("state",),
    4: ("engines", "exporting", "tracking", "training"),
    5: ("answering", "baselines"),
    6: ("checking", "recommender"),
    7: ("benchmarking", "tuning", "serving"),
    8: ("cli",),
    9: ("testing", "__main__"),
}
LEVEL_OF = {room: level for level, rooms in LEVELS.items() for room in rooms}
# The compiled kernels belong to the rooms that check what they are given; nothing else may reach past these.
NATIVE_OWNERS = {"graph", "index", "nn", "training"}
# Where torch may be imported when the module is, and where only inside a function.
TORCH_ROOMS = {"nn", "training", "testing", "baselines"}
LAZY_TORCH_ROOMS = TORCH_ROOMS | {"index", "tracking"}

FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def room_of(path: Path) -> str:
    first = path.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


def imports_of(path: Path) -> list[tuple[str, bool]]:
    """Every imported module of a file, with whether the import runs when the file is imported."""
    tree = ast.parse(path.read_text())
    lazy = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) not in lazy) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the whole name"
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "hashgnn" else [module]
            found += [(name, id(node) not in lazy) for name in names]
    return found


def test_every_file_has_a_room() -> None:
    assert {room_of(path) for path in FILES} <= set(LEVEL_OF)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_level_imports_lower_levels_only(path: Path) -> None:
    room = room_of(path)
    level = LEVEL_OF[room]
    for module, _ in imports_of(path):
        parts = module.split(".")
        if parts[0] != "hashgnn" or len(parts) < 2 or parts[1] == room:
            continue
        target = parts[1]
        if target == "_native":
            assert room in NATIVE_OWNERS, f"{path}: only {NATIVE_OWNERS} may import the kernels"
            continue
        if target == "__version__":
            continue
        allowed = LEVEL_OF[target] < level or (level == 0 and LEVEL_OF[target] == 0)
        assert allowed, f"{path}: {room} (level {level}) imports {target} (level {LEVEL_OF[target]})"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_torch_stays_in_its_rooms(path: Path) -> None:
    for module, at_import in imports_of(path):
        if module.split(".")[0] == "torch":
            rooms = TORCH_ROOMS if at_import else LAZY_TORCH_ROOMS
            assert room_of(path) in rooms, f"{path}: torch is imported outside {sorted(rooms)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_unsafe_loading_and_no_type_checking_escape(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    modules = {module.split(".")[0] for module, _ in imports_of(path)}
    assert not names & {"eval", "exec", "TYPE_CHECKING"}
    assert not modules & {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}


def test_importing_the_library_does_not_import_torch() -> None:
    code = "import hashgnn, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
