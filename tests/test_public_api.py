from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hashgnn

PUBLIC = [
    "BinaryCodes",
    "HashGNN",
    "Interactions",
    "ItemBias",
    "ModelConfig",
    "ModelState",
    "Recommendations",
    "SideFeatures",
    "__version__",
    "errors",
    "evaluate",
    "load_recipe",
    "read_interactions",
    "split",
]


def test_the_public_names_are_these() -> None:
    assert hashgnn.__all__ == PUBLIC
    assert set(PUBLIC) <= set(dir(hashgnn))


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_can_be_had(name: str) -> None:
    value = getattr(hashgnn, name)
    assert getattr(value, "__name__", name).split(".")[-1] == name or name == "__version__"


def test_the_stub_gives_the_types_of_the_same_names() -> None:
    tree = ast.parse(Path(hashgnn.__file__).with_suffix(".pyi").read_text())
    imported = {
        alias.asname for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    declared = {node.target.id for node in tree.body if isinstance(node, ast.AnnAssign)}  # type: ignore[union-attr]
    assert imported | declared == set(PUBLIC)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'hashgnn' has no attribute 'HashGCN'"):
        hashgnn.HashGCN  # noqa: B018


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_library_imports_nothing_heavy() -> None:
    before = loaded_by("pass")
    heavy = {"torch", "numpy", "scipy", "pyarrow", "pydantic", "narwhals", "rich"}
    assert not (loaded_by("import hashgnn") - before) & heavy


def test_the_command_line_reads_its_options_before_numpy_reads_its_threads() -> None:
    assert not loaded_by("import hashgnn.cli") & {"torch", "numpy", "scipy", "pyarrow"}


def test_the_recommender_does_not_import_torch() -> None:
    loaded = loaded_by("import hashgnn; hashgnn.HashGNN; hashgnn.evaluate; hashgnn.split")
    assert "numpy" in loaded
    assert "torch" not in loaded


@pytest.mark.parametrize("package", ["pytest", "hypothesis"])
def test_the_suites_without_their_extra_are_one_sentence(package: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; import hashgnn.testing.states"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    sentence = (
        f"hashgnn.testing needs the package {package}, of the extra testing; install it with: "
        'pip install "hypothesis>=6.100" "pytest>=8.3"'
    )
    assert done.stderr.splitlines()[-1] == f"hashgnn.errors.MissingExtraError: {sentence}"
